"""Slots of busy deployments for requests: taken at once, waited for, or given up for the next candidate.

It decides nothing itself: the queue says who is next, the decision says how long waiting is worth it.
"""

from __future__ import annotations

import asyncio
import math

import msgspec

from nearfar.core.errors import Overloaded
from nearfar.core.routing import Decision, Ranked
from nearfar.gateway.exchange import Exchange
from nearfar.gateway.fleet import Snapshot
from nearfar.gateway.lines import Line, Ticket
from nearfar.gateway.load import Loads
from nearfar.gateway.metrics import Metrics
from nearfar.gateway.queue import Queue

_LOWER = {"high": 0, "normal": 1, "low": 2}


class Slots:
    """Gives slots to requests, with the parts that all of them share."""

    def __init__(self, loads: Loads, metrics: Metrics, *, longest: int, seconds: float) -> None:
        """``longest``: requests that may wait for one line; ``seconds``: how long one waits that has nowhere to go."""
        self._loads = loads
        self._metrics = metrics
        self._queue = Queue(longest=longest)
        self._seconds = seconds

    def give(self, line: Line) -> None:
        """Whoever had a slot of ``line`` is done."""
        self._queue.leave(line, self._loads.now())

    async def take(
        self, exchange: Exchange, decision: Decision, ranked: Ranked, snapshot: Snapshot, *, alone: bool
    ) -> tuple[Ranked, Line]:
        """Who answers, and the slot there. ``alone``: no other deployment than that of ``ranked`` may.

        Raises Overloaded, code ``queue_full`` or ``queue_wait``, when it is not worth it, or too many wait.
        """
        line = self._loads.of(ranked.candidate.deployment).line
        if line.slots is None or (line.busy < line.slots and not line.waiting):
            line.busy += 1
            return ranked, line
        group = [ranked] if alone else _group(decision, ranked)
        request = exchange.request
        patience = math.inf if decision.patience is None or exchange.attempts else decision.patience
        route = snapshot.routes.get(decision.route)
        loop = asyncio.get_running_loop()
        told: asyncio.Future[None] = loop.create_future()
        ticket = Ticket(
            tuple(self._loads.of(item.candidate.deployment) for item in group),
            tokens=request.input_tokens,
            limit=request.max_output,
            since=self._loads.now(),
            patience=patience,
            priority="normal" if route is None else lower(request.priority, route.priority),
            wake=lambda: None if told.done() else told.set_result(None),
        )
        if not self._queue.enter(ticket, ticket.since):
            await self._told(ticket, told, min(patience, self._seconds))
        name = group[max(ticket.at, 0)].candidate.deployment.name
        self._metrics.queued(name, ticket.outcome, self._loads.now() - ticket.since)
        if ticket.outcome != "slot":
            raise _refusal(ranked, ticket, len(self._loads.of(ranked.candidate.deployment).line.waiting))
        chosen = group[ticket.at]
        if chosen is not ranked:
            reason = f"{decision.strategy}: {chosen.candidate.deployment.place.label} had the first free slot"
            chosen = msgspec.structs.replace(chosen, reason=reason)
        return chosen, ticket.choices[ticket.at].line

    def _expire(self, ticket: Ticket) -> None:
        self._queue.expire(ticket, self._loads.now())

    async def _told(self, ticket: Ticket, told: asyncio.Future[None], seconds: float) -> None:
        timer = asyncio.get_running_loop().call_later(seconds, self._expire, ticket)
        try:
            await told
        except BaseException:
            # The client has gone. A slot that was given at the same moment is the next one's.
            self._queue.withdraw(ticket)
            if ticket.outcome == "slot":
                self.give(ticket.choices[ticket.at].line)
            raise
        finally:
            timer.cancel()


def lower(asked: str, route: str) -> str:
    """The lower one of two priorities: a request may not raise what its route says."""
    return max(asked or route, route, key=_LOWER.__getitem__)


def _group(decision: Decision, ranked: Ranked) -> list[Ranked]:
    """Those any of which may answer in the place of ``ranked``, itself first."""
    if not decision.shared:
        return [ranked]
    near = ranked.candidate.deployment.place.near
    return [
        ranked,
        *[
            item
            for item in decision.ranked
            if item is not ranked
            and item.candidate.deployment.slots is not None
            and item.candidate.deployment.place.near is near
            and item.treatment is ranked.treatment
            and not item.candidate.cooling
            and item.candidate.state in {"ready", ranked.candidate.state}
        ],
    ]


def _refusal(ranked: Ranked, ticket: Ticket, waiting: int) -> Overloaded:
    name = ranked.candidate.deployment.name
    if ticket.outcome == "full":
        return Overloaded(
            f"{waiting} requests wait for {name} already.",
            code="queue_full",
            hint="queue.longest says how many may; more slots or another deployment on the route help.",
        )
    guess = "" if ticket.guess is None else f", {ticket.guess:.1f} s as far as can be told"
    return Overloaded(
        f"{name} has no free slot soon enough{guess}.",
        code="queue_wait",
        hint="The route's spill_after and queue.seconds say how long a request waits.",
        retry_after=ticket.guess,
    )
