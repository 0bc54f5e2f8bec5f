"""What is asked unseen, after the reply, may cost so much on each day: sets money aside and takes back what is left.

It asks nobody and knows no purpose; shadows and judges share one.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from nearfar.core.chat import Request
from nearfar.core.money import upper_bound
from nearfar.core.routing import Deployment
from nearfar.gateway.outgoing import output_limit

_DAY = 24 * 60 * 60


class Share(msgspec.Struct, frozen=True):
    """What was set aside."""

    bound: int
    """Nano-USD."""
    day: int


class Purse:
    """The money of one process for one day (UTC)."""

    def __init__(self, daily: int, clock: Callable[[], float] = time.time, *, closed: bool = False) -> None:
        """``daily``: nano-USD for each day; ``clock``: seconds since the epoch.

        ``closed``: until somebody says what the day's earlier processes spent (``resume``), nothing is given.
        """
        self._daily = daily
        self._clock = clock
        self._closed = closed
        self._day = 0
        self._spent = 0

    @property
    def today(self) -> int:
        """The day in UTC, counted from the epoch."""
        return int(self._clock()) // _DAY

    def resume(self, day: int, spent: int) -> None:
        """``spent`` nano-USD had gone on ``day`` before this process came."""
        if day != self._day:
            self._day, self._spent = day, 0
        self._spent += spent
        self._closed = False

    def take(self, deployment: Deployment, request: Request) -> Share | None:
        """The upper bound of asking ``deployment``, set aside; None when the day has not so much left.

        What nobody knows the price of fits only where it costs nothing: near.
        """
        if self._closed:
            return None
        day = self.today
        if day != self._day:
            self._day, self._spent = day, 0
        bound = upper_bound(deployment.price, request.input_tokens, output_limit(request, deployment))
        if bound is None:
            if not deployment.place.near:
                return None
            bound = 0
        if self._spent + bound > self._daily:
            return None
        self._spent += bound
        return Share(bound, day)

    def settle(self, share: Share, cost: int | None) -> None:
        """It cost so much; what nobody knows counts as its bound."""
        if share.day == self._day and cost is not None:
            self._spent += cost - share.bound
