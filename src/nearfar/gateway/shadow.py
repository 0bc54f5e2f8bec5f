"""Asks a second deployment after the reply, unseen by the client: for a share of traffic, few at once, within a budget.

It chooses nobody: the decision names who is asked and in which form. What comes back is accounted and dropped.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import msgspec

from nearfar.core.errors import NearfarError
from nearfar.core.money import upper_bound
from nearfar.core.routing import Decision
from nearfar.gateway.attempt import output_limit
from nearfar.gateway.cascade_asking import purposed
from nearfar.gateway.cascade_hearing import Hearing
from nearfar.gateway.exchange import Exchange
from nearfar.gateway.fleet import Snapshot
from nearfar.gateway.hedge import Runs
from nearfar.gateway.metrics import Metrics

PURPOSE = "shadow"
_DAY = 24 * 60 * 60

log = logging.getLogger("nearfar.shadow")


class Follow(msgspec.Struct, frozen=True, kw_only=True):
    """One shadow that has its place and its money, and is not asked yet."""

    exchange: Exchange
    decision: Decision
    snapshot: Snapshot
    bound: int
    """Nano-USD that were set aside for it."""
    day: int


class Shadows:
    """Asks with the parts that all attempts share; holds what a day has cost so far."""

    def __init__(
        self, attempts: Runs, metrics: Metrics, *, most: int, daily: int, clock: Callable[[], float] = time.time
    ) -> None:
        """``most``: under way at once; ``daily``: nano-USD for each day (UTC); ``clock``: seconds since the epoch."""
        self._attempts = attempts
        self._metrics = metrics
        self._most = most
        self._daily = daily
        self._clock = clock
        self._day = 0
        self._spent = 0
        self._places = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def admit(self, exchange: Exchange, decision: Decision, snapshot: Snapshot) -> Follow | None:
        """A place for the shadow of this request, which the client is told of; None: not this time.

        Whoever gets one must come back with it: ``begin`` or ``leave``.
        """
        shadow = decision.shadow
        if shadow is None or self._places >= self._most:
            return None
        day = int(self._clock()) // _DAY
        if day != self._day:
            self._day, self._spent = day, 0
        deployment, request = shadow.candidate.deployment, exchange.request
        bound = upper_bound(deployment.price, request.input_tokens, output_limit(request, deployment))
        if bound is None:
            if not deployment.place.near:
                return None  # nobody knows what it costs, so nobody can say that it fits
            bound = 0
        if self._spent + bound > self._daily:
            return None
        self._spent += bound
        self._places += 1
        told = f"{PURPOSE}:{deployment.name}"
        exchange.deviations.append(told)
        self._metrics.deviation(told)
        return Follow(exchange=exchange, decision=decision, snapshot=snapshot, bound=bound, day=day)

    def leave(self, follow: Follow) -> None:
        """The request was not answered: its shadow is not asked."""
        self._give(follow, 0)

    def begin(self, follow: Follow) -> None:
        """The reply is complete: ask, beside whatever comes next. Whoever has answered already is not asked again."""
        shadow, ranked = follow.decision.shadow, follow.exchange.ranked
        if shadow is None or (ranked is not None and ranked.candidate.deployment is shadow.candidate.deployment):
            self._give(follow, 0)
            return
        task = asyncio.create_task(self._ask(follow), name=PURPOSE)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cancel what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _ask(self, follow: Follow) -> None:
        exchange, shadow = follow.exchange, follow.decision.shadow
        assert shadow is not None  # else it had not been admitted
        cost: int | None = None
        try:
            lane = Exchange(purposed(exchange.request, PURPOSE), exchange.wire, exchange.out, time.perf_counter())
            decision = msgspec.structs.replace(
                follow.decision, id=f"{follow.decision.id}-{PURPOSE}", ranked=(shadow,), shadow=None
            )
            lane.decision, lane.seen = decision, exchange.seen
            lane.attempt_id, lane.attempts, lane.serial = exchange.attempt_id, exchange.attempts, exchange.serial
            # An ear holds everything back: not a byte of it can reach the client's connection.
            lane.ear = Hearing()
            target = follow.snapshot.targets[shadow.candidate.deployment.name]
            cost = await self._attempts.run(lane, decision, shadow, target)
        except NearfarError as error:
            # The ledger has it; the client has long been answered.
            log.debug("a shadow was not answered: %s", error.code)
        except Exception:
            log.exception("a shadow failed")
        finally:
            self._give(follow, follow.bound if cost is None else cost)

    def _give(self, follow: Follow, cost: int) -> None:
        self._places -= 1
        if follow.day == self._day:
            self._spent += cost - follow.bound
