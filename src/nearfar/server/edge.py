"""All client connections of one listener: its limits, its deadlines, its graceful end. It knows no HTTP."""

from __future__ import annotations

import asyncio
from email.utils import formatdate

import msgspec

from nearfar.gateway.burst import Burst
from nearfar.server.connection import HttpConnection
from nearfar.server.http import App

TICK = 0.25


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one connection may ask of the edge; seconds and bytes."""

    header_bytes: int
    body_bytes: int
    header_timeout: float
    body_timeout: float
    keep_alive: float
    connections: int
    buffered_bytes: int
    """Request bodies held at once, over all connections."""


class Edge:
    """All connections of one listener: limits, ticker, graceful end."""

    def __init__(self, app: App, limits: Limits, burst: Burst | None = None) -> None:
        """Must be made inside the running loop that will serve it. ``burst`` writes the replies."""
        self.app = app
        self.loop = asyncio.get_running_loop()
        self.limits = limits
        self.connections: set[HttpConnection] = set()
        self.buffered = 0
        self.stopping = False
        self.burst = burst or Burst()
        self.date = b""
        self._ticker: asyncio.TimerHandle | None = None
        self.now = 0.0
        """The loop's time at the last tick: fine enough for deadlines of seconds, and free to read."""
        self._next_date = 0.0
        self._empty: asyncio.Future[None] | None = None

    def start(self) -> None:
        """Begin to look at deadlines."""
        self._tick()

    def connection(self) -> HttpConnection:
        """A protocol for one accepted connection."""
        return HttpConnection(self)

    def forget(self, connection: HttpConnection) -> None:
        """A connection is gone."""
        self.connections.discard(connection)
        if self._empty is not None and not self.connections and not self._empty.done():
            self._empty.set_result(None)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        now = self.now = loop.time()
        if now >= self._next_date:
            self.date = b"date: " + formatdate(usegmt=True).encode() + b"\r\n"
            self._next_date = now + 1.0
        for connection in [item for item in self.connections if item.deadline < now or item.unread_since < now]:
            connection.expired(now)
        self._ticker = loop.call_later(TICK, self._tick)

    async def stop(self, grace: float) -> None:
        """Take no new request, let running replies finish for ``grace`` seconds, then cancel them."""
        self.stopping = True
        for connection in list(self.connections):
            connection.stop()
        loop = asyncio.get_running_loop()
        self._empty = loop.create_future()
        if self.connections:
            await asyncio.wait({self._empty}, timeout=grace)
        tasks = [connection.task for connection in self.connections if connection.task is not None]
        for connection in list(self.connections):
            connection.abort()
        if tasks:
            await asyncio.wait(tasks, timeout=5.0)
        if self._ticker is not None:
            self._ticker.cancel()
        await asyncio.sleep(0)  # the ends of the last tasks are told in the next pass of the loop
