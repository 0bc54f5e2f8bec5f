"""A model that was asked for: its child if it has one, who uses it, and how its starts went.

It starts and ends nothing, and knows no other model. Times are seconds of the event loop's clock.
"""

from __future__ import annotations

import asyncio

from nearfar.core.engines import Endpoint
from nearfar.core.errors import EngineError
from nearfar.engine.process import Child

_STABLE_SECONDS = 10.0  # a child that lived this long did not fail at its start
_LONGEST_PAUSE = 30.0


class Entry:
    """What the supervisor knows of one model."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.child: Child | None = None
        self.endpoint: Endpoint | None = None
        self.starting: asyncio.Task[None] | None = None
        """The start under way, also one that has been cancelled and is not over yet: the next one begins after it."""
        self.holders: dict[str, int] = {}
        """Requests in flight by owner. They outlive a child: each is given back by its own release."""
        self.waiting = 0
        """Callers of acquire that wait for the child."""
        self.reserved = 0
        """Bytes of the budget that its child, also a starting one, was admitted with."""
        self.used_at = 0.0
        self.ready_at = 0.0
        self.restarts = 0
        self.crashed = False
        self.failures = 0
        """Failed starts and early crashes in a row."""
        self.retry_at = 0.0
        self.error = ""
        self.timer: asyncio.TimerHandle | None = None

    @property
    def in_flight(self) -> int:
        """Requests on its child, or on one that it had."""
        return sum(self.holders.values())

    @property
    def busy(self) -> bool:
        """Whether anybody uses it or waits for it."""
        return bool(self.waiting or self.holders)

    @property
    def called_off(self) -> bool:
        """Whether its start under way has been cancelled: who comes now wants the one after it."""
        return self.starting is not None and self.starting.cancelling() > 0

    def failed(self, error: str, now: float, *, free: int) -> None:
        """Count a failure; from the one after ``free`` on, the next start has to wait, each time twice as long."""
        self.error = error
        self.failures += 1
        if self.failures > free:
            self.retry_at = now + min(_LONGEST_PAUSE, 2.0 ** (self.failures - free - 1))

    def check_pause(self, now: float) -> None:
        """Raise EngineError while it has to wait before it is started again."""
        left = self.retry_at - now
        if left > 0:
            raise EngineError(
                f"{self.name} failed {self.failures} times in a row, the last time so: {self.error}",
                code="engine_paused",
                hint=f"It will be tried again in {left:.0f} s.",
                retry_after=left,
            )

    def detach(self, now: float) -> None:
        """Its child is no longer its own."""
        self.child = None
        self.endpoint = None
        self.reserved = 0
        if now - self.ready_at >= _STABLE_SECONDS:
            self.failures = 0
        self.disarm()

    def disarm(self) -> None:
        """Nobody is to look whether it is idle."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
