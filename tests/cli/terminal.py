"""Runs a command in a real terminal of a chosen width: what a person would see, and what a key press does."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator, Mapping
from pathlib import Path

WAIT = 30.0
"""Seconds after which a wait is a failure; nothing is expected to take them."""


class Terminal:
    """A command's terminal; ``screen`` is all it has written so far."""

    def __init__(self, process: subprocess.Popen[bytes], end: int) -> None:
        self.process = process
        self.screen = ""
        self._end = end

    def press(self, keys: str) -> None:
        os.write(self._end, keys.encode())

    def expect(self, text: str) -> str:
        """Read on until ``text`` has come since the last expectation; what came up to it."""
        while text not in self.screen:
            assert self._read(), f"{text!r} never came: {self.screen!r}"
        seen, _, self.screen = self.screen.partition(text)
        return seen

    def waits(self) -> None:
        """Until the command sleeps: Python's input() misses an interrupt between its prompt and its wait."""
        pid = self.process.pid
        while Path(f"/proc/{pid}/task/{pid}/stat").read_text().rpartition(") ")[2][0] != "S":
            pass

    def ended(self) -> int:
        """Read to the end; the exit code."""
        while self._read():
            pass
        return self.process.wait(WAIT)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._end], [], [], WAIT)
        assert ready, f"silence after {self.screen!r}"
        try:
            data = os.read(self._end, 65536)
        except OSError:  # how Linux says that nobody has the other side open any more
            return False
        self.screen += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", data.decode("utf-8", "replace")).replace("\r\n", "\n")
        return bool(data)


@contextlib.contextmanager
def terminal(*args: str, environ: Mapping[str, str], width: int = 80) -> Iterator[Terminal]:
    """``nearfar args…`` in a terminal ``width`` cells wide."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    # As when a shell starts it: a session of its own with this terminal, so that Ctrl-C reaches it.
    script = (
        "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.executable, sys.argv[1:])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, sys.executable, "-m", "nearfar", *args],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  no threads here yet
        env={"PATH": os.defpath, "TERM": "xterm", "LC_ALL": "C.UTF-8", **environ},
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        process.kill()
        process.wait(WAIT)
        os.close(ours)
