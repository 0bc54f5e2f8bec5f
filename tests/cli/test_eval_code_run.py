"""The child's side of a run: tests and mark come when they are asked for, and what fails before says nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from nearfar.cli import eval_code_run
from nearfar.cli.eval_code_run import CODE_ENDED, MARK, TESTS_ENDED


def play(folder: Path, code: str, tests: str) -> bytes:
    """What it said; tests and mark are handed out beforehand."""
    program = folder / "answer.py"
    program.write_text(code)
    hears, asks = os.pipe()
    told, tells = os.pipe()
    os.write(tells, b"\n" + b"m" * MARK)
    with tempfile.TemporaryFile(buffering=0) as later:
        later.write(tests.encode())
        more = (later.fileno(), asks, told)
        command = [sys.executable, "-I", eval_code_run.__file__, str(program), *map(str, more)]
        subprocess.run(command, pass_fds=more, capture_output=True, check=False, timeout=30)
    os.close(asks)
    said = os.read(hears, 100)
    for end in (hears, told, tells):
        os.close(end)
    return said


@pytest.mark.parametrize(
    ("code", "tests", "said"),
    [
        ("x = 1", "assert x == 1", CODE_ENDED + TESTS_ENDED + b"m" * MARK),
        ("x = 1", "assert x == 2", CODE_ENDED),
        ("x = 1 / 0", "", b""),
        ("import os\nos.write = os.read = exec = compile = None", "", CODE_ENDED + TESTS_ENDED + b"m" * MARK),
    ],
)
def test_it_says_how_far_it_came(tmp_path: Path, code: str, tests: str, said: bytes) -> None:
    assert play(tmp_path, code, tests) == said
