"""Asks a second deployment after the reply, unseen by the client: for a share of traffic, few at once, within a budget.

It chooses nobody: the decision names who is asked and in which form. What comes back is accounted, and dropped unless
somebody learns from it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

import msgspec

from nearfar.core.errors import NearfarError
from nearfar.core.routing import Decision
from nearfar.gateway.cascade_asking import purposed
from nearfar.gateway.cascade_hearing import Hearing
from nearfar.gateway.exchange import Exchange
from nearfar.gateway.fleet import Snapshot
from nearfar.gateway.hedge import Runs
from nearfar.gateway.learning_notes import Heard, heard
from nearfar.gateway.metrics import Metrics
from nearfar.gateway.purse import Purse, Share

if TYPE_CHECKING:
    # Loaded only where something is kept.
    from nearfar.gateway.learning import Learner

PURPOSE = "shadow"

log = logging.getLogger("nearfar.shadow")


class Follow(msgspec.Struct, frozen=True, kw_only=True):
    """One shadow that has its place and its money, and is not asked yet."""

    exchange: Exchange
    decision: Decision
    snapshot: Snapshot
    share: Share
    """What was set aside for it."""


class Shadows:
    """Asks with the parts that all attempts share."""

    def __init__(
        self, attempts: Runs, metrics: Metrics, *, most: int, purse: Purse, learner: Learner | None = None
    ) -> None:
        """``most``: under way at once. ``learner``: who learns from what comes back."""
        self._attempts = attempts
        self._metrics = metrics
        self._most = most
        self._purse = purse
        self._learner = learner
        self._places = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def admit(self, exchange: Exchange, decision: Decision, snapshot: Snapshot) -> Follow | None:
        """A place for the shadow of this request, which the client is told of; None: not this time.

        Whoever gets one must come back with it: ``begin`` or ``leave``.
        """
        shadow = decision.shadow
        if shadow is None or self._places >= self._most:
            return None
        deployment = shadow.candidate.deployment
        share = self._purse.take(deployment, exchange.request)
        if share is None:
            return None
        self._places += 1
        told = f"{PURPOSE}:{deployment.name}"
        exchange.deviations.append(told)
        self._metrics.deviation(told)
        if self._learner is not None:
            self._learner.listen(exchange, decision)
        return Follow(exchange=exchange, decision=decision, snapshot=snapshot, share=share)

    def leave(self, follow: Follow) -> None:
        """The request was not answered: its shadow is not asked."""
        self._give(follow, 0)

    def begin(self, follow: Follow) -> None:
        """The reply is complete: ask, beside whatever comes next. Whoever has answered already is not asked again."""
        shadow, ranked = follow.decision.shadow, follow.exchange.ranked
        if shadow is None or (ranked is not None and ranked.candidate.deployment is shadow.candidate.deployment):
            self._give(follow, 0)
            self._learn(follow)
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
            hearing = lane.ear = Hearing()
            target = follow.snapshot.targets[shadow.candidate.deployment.name]
            cost = await self._attempts.run(lane, decision, shadow, target)
            # Whatever follows, a judgement for one, follows this attempt.
            exchange.attempt_id, exchange.attempts = lane.attempt_id, lane.attempts
            if exchange.notes is not None:
                self._learn(follow, heard(target.deployment, hearing))
        except NearfarError as error:
            # The ledger has it; the client has long been answered.
            log.debug("a shadow was not answered: %s", error.code)
        except Exception:
            log.exception("a shadow failed")
        finally:
            self._give(follow, cost)

    def _learn(self, follow: Follow, other: Heard | None = None) -> None:
        if self._learner is not None:
            route = follow.snapshot.routes.get(follow.decision.route)
            self._learner.settle(follow.exchange, follow.decision, route, other)

    def _give(self, follow: Follow, cost: int | None) -> None:
        self._places -= 1
        self._purse.settle(follow.share, cost)
