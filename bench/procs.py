"""What processes cost: CPU and memory of a process with all its threads and children, read from /proc. Linux only.

CPU comes from schedstat (nanoseconds on a CPU, per thread), because the clock ticks of ``stat`` are 10 ms long.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")


def tree(pid: int) -> Iterator[int]:
    """``pid`` and its descendants."""
    yield pid
    for children in (PROC / str(pid) / "task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for child in children.read_text().split():
                yield from tree(int(child))


@contextlib.contextmanager
def apart() -> Iterator[Callable[[int], None]]:
    """Two parts of the machine: one processor for what is measured, the others for this process and its children.

    Yields a function that moves a process with its threads and children to the first. Processors of a virtual machine
    are not equally fast from one second to the next (half as fast while a neighbour uses the other half of the core):
    what is compared runs on the same one, in turns. With one processor alone everything stays where it is.
    """
    all_of_them = sorted(os.sched_getaffinity(0))
    own, others = {all_of_them[0]}, set(all_of_them[1:])

    def move(pid: int) -> None:
        for process in tree(pid) if others else ():
            for thread in (PROC / str(process) / "task").iterdir():
                with contextlib.suppress(ProcessLookupError):
                    os.sched_setaffinity(int(thread.name), own)

    if others:
        os.sched_setaffinity(0, others)
    try:
        yield move
    finally:
        os.sched_setaffinity(0, all_of_them)


def cpu_us(pid: int) -> float:
    """Microseconds of CPU that the living threads of ``pid`` and its descendants have used so far."""
    total = 0
    for process in tree(pid):
        for stat in (PROC / str(process) / "task").glob("*/schedstat"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                total += int(stat.read_text().split()[0])
    return total / 1000


def main_us(pid: int) -> float:
    """Microseconds of CPU that the main thread of ``pid`` has used so far."""
    return int((PROC / str(pid) / "schedstat").read_text().split()[0]) / 1000


def rss_mb(pid: int) -> float:
    """Resident memory in MB (10^6 bytes) of ``pid`` alone."""
    for line in (PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ProcessLookupError(f"process {pid} has no memory any more")


def settle(pid: int, *, patience: float = 20.0, quiet: float = 0.25) -> None:
    """Wait until ``pid`` is as good as idle, so that work put off until after the load is counted too.

    Idle: less than 1 % of one CPU over ``quiet`` seconds. Gives up, without an error, after ``patience`` seconds.
    """
    end = time.monotonic() + patience
    before = cpu_us(pid)
    while time.monotonic() < end:
        time.sleep(quiet)
        after = cpu_us(pid)
        if after - before < quiet * 1e6 * 0.01:
            return
        before = after


class Used(NamedTuple):
    """Microseconds of CPU."""

    all: float
    """Of every thread of the process and its descendants."""
    main: float
    """Of the process's main thread: in Python's servers, the event loop."""


def used_by(pid: int, work: Callable[[], None]) -> Used:
    """What ``pid`` used while ``work`` ran, and until it had settled."""
    before, main = cpu_us(pid), main_us(pid)
    work()
    settle(pid)
    return Used(cpu_us(pid) - before, main_us(pid) - main)
