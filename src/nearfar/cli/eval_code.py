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
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Final

import msgspec

from nearfar.cli import eval_code_run
from nearfar.cli.eval_code_run import CODE_ENDED, MARK, TESTS_ENDED

SECONDS: Final = 10
MEMORY: Final = 1 << 30
"""Bytes of address space."""
_FILE: Final = 16 << 20
_PROCESSES: Final = 64
_FENCE = re.compile(r"```(\w*)[^\n]*\n(.*?)(?:```|\Z)", re.DOTALL)
_THOUGHT = re.compile(r"\A\s*<think>.*?</think>\s*", re.DOTALL)
_MARK: Final = "network:"
_LOOK: Final = 0.05
"""Seconds between looks at whether the child still runs: what it started may hold its end of the pipe open."""


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
    with (
        tempfile.TemporaryDirectory(prefix="nearfar-eval-", ignore_cleanup_errors=True) as folder,
        # Without a name: what stands at a path in the folder is the code's to say, be it a link or an endless pipe.
        tempfile.TemporaryFile() as said,
        tempfile.TemporaryFile() as later,
        contextlib.ExitStack() as stack,
    ):
        program = Path(folder) / "answer.py"
        program.write_text(code_of(answer) + "\n", encoding="utf-8", errors="replace")
        hears, asks = os.pipe()
        stack.callback(os.close, hears)
        told, tells = os.pipe()
        for end in (told, tells):  # as long as we can read, too, writing never meets a closed door
            stack.callback(os.close, end)
        process = subprocess.Popen(
            [sys.executable, "-I", "-m", __name__, str(program), str(later.fileno()), str(asks), str(told)],
            cwd=folder,
            env={"PYTHONDONTWRITEBYTECODE": "1", "HOME": folder, "TMPDIR": folder, "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
            pass_fds=(later.fileno(), asks, told),
        )
        os.close(asks)
        try:
            through = _attend(process, hears, tells, later, tests, time.monotonic() + seconds)
        except TimeoutError:
            through = None
        finally:
            # Whatever it started is in its group; what has left the group has no network and little memory either.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.wait()
        late = f"took more than {seconds:g} s" if through is None else ""
        return _ran(os.pread(said.fileno(), _FILE, 0), process.returncode, late, through=bool(through))


def _attend(
    process: subprocess.Popen[bytes], hears: int, tells: int, later: IO[bytes], tests: str, until: float
) -> bool:
    """Hand out the tests and then a mark, each when it is asked for; whether the mark came back and all ended well.

    Code that ends before its tests would look as if it had passed them: so the mark, which is made only then, is wanted
    back, by somebody who was not there to read it before. Raises TimeoutError.
    """
    mark = heard = b""
    given = False
    while len(heard) <= len(CODE_ENDED + TESTS_ENDED) + MARK:
        ended = process.poll() is not None  # asked first: what it wrote before its end is then still read
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        ready, _, _ = select.select([hears], [], [], 0 if ended else min(_LOOK, left))
        data = os.read(hears, 4096) if ready else b""
        heard += data
        if not data and (ready or ended):
            try:
                code = process.wait(left)
            except subprocess.TimeoutExpired as exc:
                raise TimeoutError from exc
            return code == 0 and bool(mark) and heard == CODE_ENDED + TESTS_ENDED + mark
        if heard == CODE_ENDED and not given:
            given = True
            later.seek(0)
            later.write(f"{tests}\n".encode(errors="replace"))
            later.flush()
            os.write(tells, b"\n")
        elif heard == CODE_ENDED + TESTS_ENDED and not mark:
            mark = secrets.token_hex(MARK // 2).encode()
            os.write(tells, mark)
    return False


def _ran(said: bytes, code: int, late: str, *, through: bool) -> Ran:
    lines = [line for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
    network = next((line.removeprefix(_MARK) for line in lines if line.startswith(_MARK)), "shared")
    rest = [line for line in lines if not line.startswith(_MARK)]
    if through and not late:
        return Ran(passed=True, network=network)
    why = late or (rest[-1] if rest else f"ended with {code}" if code else "ended before its tests")
    return Ran(passed=False, why=why[:200], network=network)


def confine_and_run(*arguments: str) -> None:
    """In the child: give up what code does not need, then become ``eval_code_run``. Does not return."""
    from nearfar.engine import isolate

    isolate.no_core_dumps()
    isolate.be_first_to_go()
    if os.geteuid() == 0 and _everybodys(sys.executable, os.__file__, eval_code_run.__file__):
        isolate.own_network_namespace()  # who is not root leaves in any case, where the system allows it
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
    command = [sys.executable, "-I", eval_code_run.__file__, *arguments]
    os.execv(sys.executable, command)  # noqa: S606  the owner asked for this very program


def _everybodys(*files: str) -> bool:
    """Whether nobody needs root's rights to read these: in a namespace of its own root has none over others' files."""
    return all(
        path.stat().st_mode & (0o001 if path.is_dir() else 0o004)
        for file in files
        for path in (Path(file).resolve(), *Path(file).resolve().parents)
    )


if __name__ == "__main__":
    confine_and_run(*sys.argv[1:])
