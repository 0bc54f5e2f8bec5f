"""Each test runs in a process of its own: what a child gives up cannot be taken back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
from tests.engine.test_child import fields

from nearfar.engine.messages import Config, Ready
from nearfar.engine.process import child_environment

PROGRAM = """
import os, stat, sys
from nearfar.engine.child_start import begin
from nearfar.engine.messages import Ready
start = begin()
os.write(1, b"what an engine prints\\n")
os.system("true")
start.report(Ready(ok=True, engine=start.config.name + oct(os.umask(0))))
import threading
threading.Event().wait()
"""


def test_it_reads_its_line_reports_on_it_and_ends_with_its_parent() -> None:
    config = Config(**fields(Path("none"), Path("none")))
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=child_environment({}),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(msgspec.json.encode(config) + b"\n")
        process.stdin.flush()
        ready = msgspec.json.decode(process.stdout.readline(), type=Ready)
        assert ready.ok
        assert ready.engine == "the-name0o77"
        assert ready.network in {"none", "shared"}
        assert process.stdout.read() == b"", "its standard output is closed after the report"
        process.stdin.close()
        assert process.wait(30) == 0
        assert process.stderr.read() == b"what an engine prints\n"
