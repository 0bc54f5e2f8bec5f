"""A second attempt beside a slow first one, at another allowed deployment: whoever has content first is passed on.

It wraps the running of attempts; it chooses nobody that the decision did not rank, and both attempts are accounted.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from nearfar.core.errors import NearfarError
from nearfar.core.places import Treatment
from nearfar.core.routing import Decision, Ranked
from nearfar.gateway.exchange import Exchange, Headers, Out
from nearfar.gateway.fleet import Fleet, Target
from nearfar.gateway.health import Health
from nearfar.gateway.metrics import Metrics


class Runs(Protocol):
    """Runs one attempt."""

    async def run(self, exchange: Exchange, decision: Decision, ranked: Ranked, target: Target) -> int | None:
        """See ``Attempts.run``."""
        ...


class Hedge:
    """Runs attempts; on routes that want it, a slow first one is joined by a second one."""

    def __init__(self, attempts: Runs, *, fleet: Fleet, health: Health, metrics: Metrics) -> None:
        self._attempts = attempts
        self._fleet = fleet
        self._health = health
        self._metrics = metrics

    async def run(self, exchange: Exchange, decision: Decision, ranked: Ranked, target: Target) -> int | None:
        """As ``Attempts.run``, perhaps with two attempts: the other one is cancelled once one has content.

        Raises the first attempt's error when none of them answered.
        """
        snapshot = self._fleet.snapshot
        route = snapshot.routes.get(decision.route)
        after = None if route is None else route.hedge_after
        second = None if after is None or exchange.attempts else self._second(decision, ranked)
        other = None if second is None else snapshot.targets.get(second.candidate.deployment.name)
        if after is None or second is None or other is None:
            return await self._attempts.run(exchange, decision, ranked, target)
        race = _Race(exchange)
        try:
            race.enter(self._attempts, decision, ranked, target)
            await race.for_a_while(after)
            if not race.decided:
                self._metrics.deviation("hedge")
                race.enter(self._attempts, decision, second, other, hedges=ranked.candidate.deployment.name)
            return await race.end()
        finally:
            await race.clear()

    def _second(self, decision: Decision, ranked: Ranked) -> Ranked | None:
        """Who may be asked besides: the next one that is well, and that no queue stands before."""
        if ranked is not decision.ranked[0]:
            return None
        for other in decision.ranked[1:]:
            deployment = other.candidate.deployment
            if (
                other.treatment is not Treatment.REWRITTEN
                and ranked.treatment is not Treatment.REWRITTEN
                and deployment.slots is None
                and other.candidate.state == "ready"
                and self._health.state(deployment.name) == "closed"
            ):
                return other
        return None


class _Gate:
    """The client, as one of two attempts sees it: the first one that has something to say gets through."""

    def __init__(self, race: _Race, out: Out) -> None:
        self.lane: Exchange
        self._race = race
        self._out = out

    async def start(self, status: int, headers: Headers, lines: bytes = b"") -> None:
        self._race.claim(self.lane)
        client = self._race.client
        if client.heads_sent:
            # The head went out while everybody waited: who answers is told in the stream.
            note = self.lane.told_late(lines)
            if note:
                await self._out.write(note)
            return
        client.heads_sent = True
        await self._out.start(status, headers, lines)

    async def write(self, data: bytes) -> None:
        await self._out.write(data)

    async def end(self, data: bytes) -> None:
        await self._out.end(data)

    async def abort(self) -> None:
        await self._out.abort()


class _Race:
    """Attempts under way for one request, each with an exchange of its own."""

    def __init__(self, client: Exchange) -> None:
        self.client = client
        self._lanes: dict[asyncio.Task[int | None], Exchange] = {}
        self._begun = client.attempts
        self._winner: Exchange | None = None

    @property
    def decided(self) -> bool:
        """Whether somebody has content, or nobody is left."""
        return self._winner is not None or all(task.done() for task in self._lanes)

    def enter(self, attempts: Runs, decision: Decision, ranked: Ranked, target: Target, *, hedges: str = "") -> None:
        """Begin an attempt; ``hedges`` names the one that it is to help."""
        gate = _Gate(self, self.client.out)
        lane = gate.lane = self.client.lane(gate)
        if hedges:
            first = next(iter(self._lanes.values()))
            lane.deviations.append(f"hedge:{hedges}")
            # Its numbers begin after those that the first one may still need.
            lane.attempts, lane.serial, lane.attempt_id = first.attempts, 1, first.attempt_id
        self._lanes[asyncio.create_task(attempts.run(lane, decision, ranked, target))] = lane

    def claim(self, lane: Exchange) -> None:
        """``lane`` has something for the client. Raises CancelledError when another one was faster."""
        if self._winner is lane:
            return
        if self._winner is not None:
            raise asyncio.CancelledError
        self._winner = lane
        self.client.committed = True
        self._stop_others()

    async def for_a_while(self, seconds: float) -> None:
        """Give the first one its time."""
        await asyncio.wait(self._lanes, timeout=seconds)

    async def end(self) -> int | None:
        """The cost of the one that answered. Raises the first error when none did."""
        first: NearfarError | None = None
        pending = set(self._lanes)
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                lane = self._lanes[task]
                if task.cancelled():
                    continue
                error = task.exception()
                if error is None and self._winner in {None, lane}:
                    self._winner = lane
                    self._stop_others()
                    await asyncio.wait(self._lanes)
                    self._adopt(lane)
                    return task.result()
                if error is not None and not isinstance(error, NearfarError):
                    raise error
                if self._winner is lane:
                    self._adopt(lane)
                    assert error is not None
                    raise error
                first = first or error
        self._adopt(next(iter(self._lanes.values())))
        assert first is not None
        raise first

    async def clear(self) -> None:
        """Leave nothing under way."""
        for task in self._lanes:
            task.cancel()
        await asyncio.gather(*self._lanes, return_exceptions=True)

    def _stop_others(self) -> None:
        for task, lane in self._lanes.items():
            if lane is not self._winner:
                lane.lost = True
                task.cancel()

    def _adopt(self, lane: Exchange) -> None:
        counts = [other.attempts for other in self._lanes.values()]
        self.client.adopt(lane)
        self.client.attempts = max(counts)
        self.client.serial += len(counts) - 1
