"""Runs a model's code against tests in a child process with little time, memory, and no network. It scores nothing.

The child gives up its rights and the network before Python reads a line of the code, as far as the system allows; it
still runs as this user, and can read what this user can. So it is off unless the owner says otherwise.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import secrets
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import msgspec

SECONDS: Final = 10
MEMORY: Final = 1 << 30
"""Bytes of address space."""
_FILE: Final = 16 << 20
_PROCESSES: Final = 64
_FENCE = re.compile(r"```(\w*)[^\n]*\n(.*?)(?:```|\Z)", re.DOTALL)
_THOUGHT = re.compile(r"\A\s*<think>.*?</think>\s*", re.DOTALL)
_MARK: Final = "network:"


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended."""

    passed: bool
    why: str = ""
    """The last line of what it said, or that it took too long; empty when it passed."""
    network: str = "shared"
    """``none`` where the child could not reach anything."""


def code_of(answer: str) -> str:
    """The Python of an answer: its fenced blocks one after the other, or all of it."""
    blocks = _FENCE.findall(_THOUGHT.sub("", answer))
    python = [body for name, body in blocks if name.lower() in {"python", "py", "python3"}] or [
        body for _, body in blocks
    ]
    return "\n\n".join(python) if python else _THOUGHT.sub("", answer)


def passes(answer: str, tests: str, *, seconds: float = SECONDS) -> Ran:
    """Run ``answer``'s code and then ``tests``, in a folder of its own that is removed afterwards."""
    # Code that ends before its tests would look as if it had passed them.
    end = secrets.token_hex(16)
    last = f"import sys as _sys\n_sys.stderr.write('\\n{end}\\n')"
    with tempfile.TemporaryDirectory(prefix="nearfar-eval-") as folder:
        program, said = Path(folder) / "answer.py", Path(folder) / "said"
        program.write_text(f"{code_of(answer)}\n\n{tests}\n\n{last}\n", encoding="utf-8", errors="replace")
        with said.open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-I", "-m", "nearfar.cli.eval_code", str(program)],
                cwd=folder,
                env={"PYTHONDONTWRITEBYTECODE": "1", "HOME": folder, "TMPDIR": folder, "LANG": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
            late = False
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                late = True
            finally:
                # Whatever it started is in its group; what has left the group has no network and little memory either.
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.kill()
                process.wait()
        return _ran(said.read_bytes(), end, process.returncode, f"took more than {seconds:g} s" if late else "")


def _ran(said: bytes, end: str, code: int, late: str) -> Ran:
    lines = [line for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
    network = next((line.removeprefix(_MARK) for line in lines if line.startswith(_MARK)), "shared")
    rest = [line for line in lines if not line.startswith(_MARK) and line != end]
    if code == 0 and end in lines and not late:
        return Ran(passed=True, network=network)
    why = late or (rest[-1] if rest else f"ended with {code}" if code else "ended before its tests")
    return Ran(passed=False, why=why[:200], network=network)


def confine_and_run(program: str) -> None:
    """In the child: give up what code does not need, then become Python running ``program``. Does not return."""
    from nearfar.engine import isolate

    isolate.no_core_dumps()
    isolate.be_first_to_go()
    network = isolate.cut_network()
    isolate.drop_rights()
    isolate.die_with_parent()
    for kind, most in (
        (resource.RLIMIT_CPU, SECONDS),
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_FSIZE, _FILE),
        (resource.RLIMIT_NPROC, _PROCESSES),
    ):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(kind, (most, most))
    sys.stderr.write(f"{_MARK}{network}\n")
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-I", program])  # noqa: S606  the owner asked for this very program


if __name__ == "__main__":
    confine_and_run(sys.argv[1])
