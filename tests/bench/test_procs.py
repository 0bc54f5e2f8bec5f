"""CPU and memory as the kernel counts them, for a process, its threads and its children."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

from bench import procs

SPIN = "import time\nwhile time.process_time() < {seconds}: pass\n"


def spin(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_counts_what_the_main_thread_burnt() -> None:
    before = procs.main_us(os.getpid())
    thread = threading.Thread(target=spin, args=(0.1,))
    thread.start()
    thread.join()
    elsewhere = procs.main_us(os.getpid()) - before
    spin(0.1)
    assert elsewhere < 50_000
    assert procs.main_us(os.getpid()) - before - elsewhere > 90_000


def test_children_count() -> None:
    code = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {SPIN.format(seconds=0.1)!r} + 'input()'])"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as child:
        try:
            while len(list(procs.tree(child.pid))) < 2:
                time.sleep(0.001)
            procs.settle(child.pid)
            assert procs.cpu_us(child.pid) > 90_000
            assert procs.main_us(child.pid) < procs.cpu_us(child.pid)
        finally:
            child.communicate(b"\n")


def test_what_is_put_off_until_after_the_load_is_counted() -> None:
    code = "import sys\nsys.stdin.readline()\n" + SPIN.format(seconds=0.3) + "sys.stdin.readline()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        stdin = child.stdin

        def work() -> None:
            stdin.write(b"go\n")
            stdin.flush()

        try:
            used = procs.used_by(child.pid, work)
            assert used.all > 200_000
            assert used.main == used.all
        finally:
            child.communicate(b"\n")


def test_memory() -> None:
    with subprocess.Popen([sys.executable, "-c", "x = bytearray(50_000_000); input()"], stdin=subprocess.PIPE) as child:
        try:
            procs.settle(child.pid)
            assert 50 < procs.rss_mb(child.pid) < 100
        finally:
            child.communicate(b"\n")


def test_what_is_measured_runs_apart_from_the_rest() -> None:
    allowed = os.sched_getaffinity(0)
    with procs.apart() as move, subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        try:
            assert os.sched_getaffinity(child.pid) == os.sched_getaffinity(0)
            move(child.pid)
            if len(allowed) > 1:
                assert os.sched_getaffinity(child.pid).isdisjoint(os.sched_getaffinity(0))
            assert os.sched_getaffinity(child.pid) <= allowed
        finally:
            child.kill()
    assert os.sched_getaffinity(0) == allowed
