"""Run the stand-in for a cloud beside a test: in a thread of this process, or as the program it is.

The thread shares nothing with the test but this handle, so tests may block, use an SDK or run their own event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from nearfar.standin.behaviour import Behaviour
from nearfar.standin.program import READY
from nearfar.standin.record import Invoice, Report, Seen
from nearfar.standin.server import StandIn

T = TypeVar("T")
WAIT = 20.0
"""Seconds after which a wait is a failure; nothing is expected to take them."""


class Running:
    """A stand-in in another thread."""

    def __init__(self, stand_in: StandIn, loop: asyncio.AbstractEventLoop, ended: queue.Queue[Seen]) -> None:
        self.url = stand_in.url
        self._stand_in = stand_in
        self._loop = loop
        self._ended = ended

    def behave(self, mode: str = "ok", **fields: Any) -> None:
        """Set the standing behaviour; the fields are those of ``Behaviour``."""
        self._call(lambda: self._stand_in.behave(Behaviour(mode=mode, **fields)))

    def report(self) -> Report:
        """What was seen so far, as a copy."""
        return self._call(
            lambda: msgspec.msgpack.decode(msgspec.msgpack.encode(self._stand_in.record.report()), type=Report)
        )

    def ended(self) -> Seen:
        """The next model request that is over, waiting for it if need be."""
        return self._ended.get(timeout=WAIT)

    def _call(self, work: Callable[[], T]) -> T:
        async def inside() -> T:
            return work()

        return asyncio.run_coroutine_threadsafe(inside(), self._loop).result(WAIT)


@contextlib.contextmanager
def running(*, key: str = "", invoices: Path | None = None, keep_bodies: bool = True) -> Iterator[Running]:
    """A stand-in that answers until the block ends."""
    ready: queue.Queue[Running] = queue.Queue()
    ended: queue.Queue[Seen] = queue.Queue()
    stop: list[Callable[[], object]] = []

    async def serve() -> None:
        stand_in = StandIn(key=key, invoices=invoices, keep_bodies=keep_bodies, ended=ended.put)
        await stand_in.start()
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        stop.append(functools.partial(loop.call_soon_threadsafe, done.set))
        ready.put(Running(stand_in, loop, ended))
        await done.wait()
        await stand_in.stop()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="stand-in")
    thread.start()
    try:
        yield ready.get(timeout=WAIT)
    finally:
        stop[0]()
        thread.join(WAIT)
        assert not thread.is_alive(), "the stand-in did not stop"


@contextlib.contextmanager
def program(*arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The stand-in as a child process: (base URL, process). It ends with the block, or with this process."""
    command = [sys.executable, "-m", "nearfar.standin", "--until-eof", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            line = child.stdout.readline()
            assert line.startswith(READY), f"no ready line but {line!r}"
            yield line.removeprefix(READY).strip(), child
            child.communicate(timeout=WAIT)
        finally:
            child.kill()


def read_invoices(path: Path) -> list[Invoice]:
    """All invoices in ``path``, oldest first. Raises msgspec.DecodeError for a line that is not one."""
    decoder = msgspec.json.Decoder(Invoice)
    return [decoder.decode(line) for line in path.read_bytes().splitlines() if line]
