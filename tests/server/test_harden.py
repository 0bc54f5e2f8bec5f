"""Each process here is a real one: what it gives up cannot be taken back."""

from __future__ import annotations

import subprocess
import sys

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


def test_a_sibling_without_rights_reads_neither_environment_nor_memory() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HIDDEN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        hidden = process.stdout.readline().strip()
        done = subprocess.run(
            [sys.executable, "-c", LOOK, str(process.pid)], capture_output=True, text=True, check=True, timeout=60
        )
        process.stdin.write("\n")
    if sys.platform == "linux":
        assert hidden == "True"
        assert done.stdout.split() == ["PermissionError"] * 3
    else:
        assert hidden == "False"


def test_importing_it_costs_no_ctypes() -> None:
    script = "import sys; from nearfar.server import harden; print('ctypes' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"
