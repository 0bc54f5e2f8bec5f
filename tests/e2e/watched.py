"""`nearfar` with every callback of its event loop under watch: `python watched.py REPORT ARGUMENTS…`.

Run as a program, never imported by tests. The loop is asyncio's own instead of uvloop: there everything that runs, also
what sockets deliver, goes through one Python method, which is timed here with the CPU time of its thread. Wall time
would measure the machine's other work. REPORT gets one JSON object at the end: how many callbacks ran, the longest in
seconds, and those above LIMIT with what they were.
"""

from __future__ import annotations

import asyncio
import asyncio.events
import gc
import json
import os
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

LIMIT = 0.05
"""Seconds of CPU that one callback may take."""
KEPT = 20
"""Callbacks above the limit that are reported."""


class Watch:
    """Times callbacks."""

    def __init__(self) -> None:
        self.count = 0
        self.longest = 0.0
        self.over: list[str] = []
        self.collected = 0.0
        """Seconds of CPU of the present callback that went to collecting garbage."""
        self._since = 0.0
        self._begun = time.monotonic()

    def install(self) -> None:
        """Time every callback of asyncio's loops from now on."""
        run = asyncio.events.Handle._run
        clock = time.thread_time

        gc.callbacks.append(self._collecting)

        def timed(handle: asyncio.events.Handle) -> None:
            began = clock()
            self.collected = 0.0
            run(handle)
            took = clock() - began
            self.count += 1
            self.longest = max(self.longest, took)
            if took > LIMIT and len(self.over) < KEPT:
                self.over.append(
                    f"{took * 1000:.0f} ms of CPU, {self.collected * 1000:.0f} of them collecting,"
                    f" {time.monotonic() - self._begun:.1f} s after the start, in {handle!r}"
                )

        asyncio.events.Handle._run = timed  # type: ignore[assignment]  # the stub takes it for a method of no class

    def _collecting(self, phase: str, _: dict[str, int]) -> None:
        now = time.thread_time()
        if phase == "start":
            self._since = now
        else:
            self.collected += now - self._since

    def report(self) -> bytes:
        """The result as JSON."""
        return json.dumps({"count": self.count, "longest": self.longest, "over": self.over}).encode()


def main() -> int:
    """Run nearfar with the arguments after REPORT."""
    import uvloop

    from nearfar.cli.main import run

    watch = Watch()
    watch.install()

    def run_on_asyncio(main: Coroutine[Any, Any, Any], **_: Any) -> Any:
        return asyncio.run(main)

    uvloop.run = run_on_asyncio
    try:
        return run(sys.argv[2:], dict(os.environ))
    finally:
        Path(sys.argv[1]).write_bytes(watch.report())


if __name__ == "__main__":
    sys.exit(main())
