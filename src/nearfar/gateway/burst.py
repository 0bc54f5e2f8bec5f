"""What one pass of the event loop writes, sent together at its end: records first, then bytes. It knows no protocol.

Many requests are handled in one pass. A write that wakes a sleeping peer interrupts another core, so in a burst the
first one wakes it and the others find it awake; and the journal's records of all of them need a single write before
any of their bytes leave. ``make bench`` measures what that saves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


def _nothing() -> None:
    pass


class Burst:
    """Collects writes; the order is kept per connection and over all of them. For one event loop."""

    __slots__ = ("_before", "_due", "_waiting")

    def __init__(self, before: Callable[[], None] = _nothing) -> None:
        """``before`` is called ahead of the writes: what must be on record before they leave. It must not raise."""
        self._before = before
        self._due = False
        self._waiting: list[tuple[asyncio.Transport, bytes]] = []

    def write(self, transport: asyncio.Transport, data: bytes) -> None:
        """Send ``data`` when all that is ready now has been handled; nothing if ``transport`` is closing by then."""
        self._waiting.append((transport, data))
        if not self._due:
            self.soon()

    def soon(self) -> None:
        """Flush at the end of this pass of the loop."""
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Send what waits now: called before a connection is closed, too."""
        self._due = False
        self._before()
        waiting = self._waiting
        if waiting:
            self._waiting = []
            for transport, data in waiting:
                if not transport.is_closing():
                    transport.write(data)
