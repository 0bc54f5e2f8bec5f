"""Each process here is a real one: what it gives up cannot be taken back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from tests import running
from tests.running import Gateway

HIDDEN = """
import os, sys
from nearfar.server.harden import hide_memory
hidden = hide_memory()
print(hidden, flush=True)
sys.stdin.readline()
"""

LOOK = """
import sys
from nearfar.engine import isolate
isolate.drop_rights()
for name in ("environ", "mem", "maps"):
    try:
        with open(f"/proc/{sys.argv[1]}/{name}", "rb") as file:
            file.read(1)
        print("read")
    except OSError as exc:
        print(type(exc).__name__)
"""


def looked_at(pid: int) -> list[str]:
    """What a process without rights gets to see of process ``pid``."""
    done = subprocess.run(
        [sys.executable, "-c", LOOK, str(pid)], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.split()


def test_a_sibling_without_rights_reads_neither_environment_nor_memory() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HIDDEN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        hidden = process.stdout.readline().strip()
        seen = looked_at(process.pid)
        process.stdin.write("\n")
    if sys.platform == "linux":
        assert hidden == "True"
        assert seen == ["PermissionError"] * 3
    else:
        assert hidden == "False"


def test_so_are_a_gateway_and_its_workers(gateway: Callable[..., Gateway]) -> None:
    started = gateway(running.far("down", "http://127.0.0.1:9"), arguments=("--workers", "2"))
    pids = [started.pid, *(child.pid for child in started.children() if "nearfar.server.worker" in child.cmdline())]
    assert len(pids) == 3
    assert [looked_at(pid) for pid in pids] == [["PermissionError"] * 3] * 3


def test_importing_it_costs_no_ctypes() -> None:
    script = "import sys; from nearfar.server import harden; print('ctypes' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"
