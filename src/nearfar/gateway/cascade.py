"""Tries near first: the answer is held and judged, a second opinion is asked where it is uncertain, and it is kept or
escalated to a far deployment. It chooses no place: opinions and escalations are decided for their own purpose, and
each is an attempt like any other, sealed, journalled and audited. What an answer is worth is said by ``policy``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec

from nearfar.core.chat import Request
from nearfar.core.errors import APITimeoutError, NearfarError, StreamCut, UpstreamError
from nearfar.core.money import upper_bound
from nearfar.core.routing import Cascade, Decision, Deployment, Ranked, Route
from nearfar.gateway import cascade_asking as asking
from nearfar.gateway.cascade_hearing import Hearing
from nearfar.gateway.decider import Decider, Said
from nearfar.gateway.exchange import Exchange
from nearfar.gateway.fleet import Fleet, Snapshot, Target
from nearfar.gateway.hedge import Runs
from nearfar.gateway.metrics import Metrics
from nearfar.gateway.outgoing import output_limit
from nearfar.gateway.slots import Slots
from nearfar.policy import cascade as judging

if TYPE_CHECKING:
    # Loaded only where something is kept.
    from nearfar.gateway.learning import Learner

STRATEGY = "cascade"
OPINION, ESCALATE = "opinion", "escalate"
"""Purposes of its further attempts; the near one keeps the request's own."""
_DEFAULT = Cascade()


class Chain:
    """What the attempts for one request cost together."""

    def __init__(self, most: int | None) -> None:
        """``most``: nano-USD that they may cost; None: any."""
        self._most = most
        self._spent = 0
        self._costs: list[int | None] = []

    def paid(self, deployment: Deployment, request: Request, cost: int | None) -> None:
        """An attempt is over. What nobody knows counts as its upper bound; a near one without a price costs nothing."""
        self._costs.append(cost)
        self._spent += cost if cost is not None else _bound(deployment, request) or 0

    def affords(self, deployment: Deployment, request: Request) -> bool:
        """Whether one more attempt there stays within the bound, whatever it says."""
        if self._most is None:
            return True
        bound = _bound(deployment, request)
        if bound is None:
            return deployment.place.near
        return self._spent + bound <= self._most

    @property
    def cost(self) -> int | None:
        """Nano-USD of all attempts; None when that of one is not known."""
        return None if None in self._costs else sum(cost for cost in self._costs if cost is not None)


def _bound(deployment: Deployment, request: Request) -> int | None:
    return upper_bound(deployment.price, request.input_tokens, output_limit(request, deployment))


class _Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A near answer that is held, and what is thought of it."""

    near: Exchange
    action: judging.Action
    reason: str


class Cascades:
    """Runs attempts; those at near deployments of routes with the strategy ``cascade`` are judged."""

    def __init__(
        self,
        attempts: Runs,
        *,
        straight: Runs,
        decider: Decider,
        fleet: Fleet,
        metrics: Metrics,
        slots: Slots | None = None,
        learner: Learner | None = None,
    ) -> None:
        """``attempts`` runs what is held to be judged, ``straight`` what goes to the client as it comes.

        ``learner``: who learns from requests that were answered on both sides.
        """
        self._learner = learner
        self._attempts = attempts
        self._straight = straight
        self._decider = decider
        self._fleet = fleet
        self._metrics = metrics
        self._slots = slots

    async def run(self, exchange: Exchange, decision: Decision, ranked: Ranked, target: Target) -> int | None:
        """As ``Attempts.run``; on routes with the strategy, the answer that is passed on is kept or escalated.

        The cost is that of all attempts together. Raises what the near attempt raises, after which another candidate
        may answer.
        """
        near = ranked.candidate.deployment.place.near
        if decision.strategy != STRATEGY or not near or exchange.request.operation != "chat":
            return await self._straight.run(exchange, decision, ranked, target)
        route = self._fleet.snapshot.routes.get(decision.route)
        if route is None:
            return await self._straight.run(exchange, decision, ranked, target)
        rules = route.cascade or _DEFAULT
        further = tuple(
            item.candidate.deployment.name for item in decision.ranked if not item.candidate.deployment.place.near
        )
        why = _unjudged(exchange.request, rules, further)
        if why:
            return await self._unjudged(exchange, decision, ranked, target, why)
        chain = Chain(rules.max_cost)
        judged = await self._judge(exchange, decision, ranked, target, route, rules, chain, further)
        escalates = judged.action == "escalate"
        if self._learner is not None and isinstance(judged.near.ear, Hearing):
            self._learner.held(exchange, decision, route, ranked, judged.near.ear, escalates=escalates)
        if escalates:
            if await self._escalated(exchange, decision, ranked, route, chain, further, judged):
                if self._learner is not None and exchange.notes is not None and not exchange.notes.drawn:
                    self._learner.settle(exchange, decision, route)
                return chain.cost
        else:
            self._tell(exchange, "kept")
        if exchange.notes is not None:
            exchange.notes.kept()
        await _keep(exchange, ranked, judged)
        return chain.cost

    async def _unjudged(
        self, exchange: Exchange, decision: Decision, ranked: Ranked, target: Target, why: str
    ) -> int | None:
        told = f"cascade:unjudged:{why}"
        exchange.deviations.append(told)
        try:
            cost = await self._straight.run(exchange, decision, ranked, target)
        except NearfarError:
            if not exchange.committed and told in exchange.deviations:
                exchange.deviations.remove(told)  # whoever answers instead was not to be judged
            raise
        self._metrics.deviation(told)
        return cost

    # The near answer, and what is thought of it

    async def _judge(
        self,
        exchange: Exchange,
        decision: Decision,
        ranked: Ranked,
        target: Target,
        route: Route,
        rules: Cascade,
        chain: Chain,
        further: tuple[str, ...],
    ) -> _Judged:
        request = exchange.request
        weighed = asking.weighed(request, ranked)
        near = exchange.lane(exchange.out)
        near.asking = weighed
        hearing = near.ear = Hearing(strips=weighed is not request)
        cost = await self._heard(exchange, near, decision, ranked, target)
        chain.paid(target.deployment, request, cost)
        if self._slots is not None and exchange.line is not None:
            # Its model is done with it: what follows happens elsewhere, or waits for a slot like anybody's.
            self._slots.give(exchange.line)
            exchange.line = None
        if hearing.calls is not None:
            action: judging.Action = "keep" if hearing.calls else "escalate"
            reason = "it calls tools" if hearing.calls else "it calls tools with arguments that nobody can read"
            return _Judged(near=near, action=action, reason=reason)
        kind, schema = asking.expected(request, exchange.wire, rules)
        signals = judging.look(hearing.answer(), kind, schema=schema)
        names = rules.opinions[: judging.MOST_OPINIONS] if further and "tools" not in request.needs else ()
        thresholds = judging.Rules(threshold=rules.threshold, opinions=len(names))
        opinions: list[str | None] = []
        verdict = judging.judge(signals, opinions, thresholds)
        while verdict.action == "ask":
            text = await self._opinion(exchange, near, decision, ranked, route, names[len(opinions)], chain)
            opinions.append(None if text is None else judging.opinion(text, kind))
            verdict = judging.judge(signals, opinions, thresholds)
        return _Judged(near=near, action=verdict.action, reason=verdict.reason)

    async def _opinion(
        self,
        exchange: Exchange,
        near: Exchange,
        decision: Decision,
        ranked: Ranked,
        route: Route,
        name: str,
        chain: Chain,
    ) -> str | None:
        """What ``name`` says to the same; None when it may not be asked, costs too much or does not answer."""
        request = asking.purposed(exchange.request, OPINION)
        found, snapshot = self._allowed(exchange, decision, route, request, (name,))
        if not found.ranked:
            self._tell(exchange, f"no-opinion:{name}:{_code(found)}")
            return None
        other = found.ranked[0]
        deployment = other.candidate.deployment
        if not chain.affords(deployment, request):
            self._tell(exchange, f"no-opinion:{name}:max_cost")
            return None
        wire = exchange.wire
        try:
            if asking.same_model(deployment, ranked.candidate.deployment):
                request, wire = asking.styled(request, wire)
            lane = Exchange(request, wire, exchange.out, exchange.started)
            lane.decision, lane.seen, lane.attempt_id = found, exchange.seen, near.attempt_id
            lane.attempts, lane.serial = exchange.attempts, exchange.serial
            hearing = lane.ear = Hearing()
            async with self._slot(lane, found, other, snapshot):
                cost = await self._heard(exchange, lane, found, other, snapshot.targets[deployment.name])
        except NearfarError as error:
            chain.paid(deployment, request, _owed(error))
            self._tell(exchange, f"no-opinion:{name}:{error.code}")
            return None
        chain.paid(deployment, request, cost)
        return hearing.answer().text

    async def _heard(
        self, exchange: Exchange, lane: Exchange, decision: Decision, ranked: Ranked, target: Target
    ) -> int | None:
        """Run an attempt on ``lane``, of which the client sees nothing, and count it on ``exchange``."""
        try:
            return await self._attempts.run(lane, decision, ranked, target)
        finally:
            exchange.attempts = lane.attempts
            if lane.request is exchange.request:
                exchange.attempt_id = lane.attempt_id
                exchange.deviations = list(lane.deviations)

    # Escalation

    async def _escalated(
        self,
        exchange: Exchange,
        decision: Decision,
        ranked: Ranked,
        route: Route,
        chain: Chain,
        further: tuple[str, ...],
        judged: _Judged,
    ) -> bool:
        """Whether a far deployment has answered instead. What it says goes to the client as it comes."""
        near = judged.near
        if not further:
            self._tell(exchange, "kept:nobody_else")
            return False
        request = asking.purposed(exchange.request, ESCALATE)
        found, snapshot = self._allowed(exchange, decision, route, request, further)
        order = {item.candidate.deployment.name: item for item in decision.ranked}
        reason = f"{STRATEGY}: escalated from {ranked.candidate.deployment.name}: {judged.reason}"
        allowed = [_as_before(order[item.candidate.deployment.name], item, reason) for item in found.ranked]
        allowed.sort(key=lambda item: further.index(item.candidate.deployment.name))
        found = msgspec.structs.replace(found, ranked=tuple(allowed))
        why = "" if allowed else _code(found)
        told = f"{STRATEGY}:escalated:{ranked.candidate.deployment.name}"
        own, exchange.request, exchange.asking = exchange.request, request, request
        before = list(exchange.deviations)
        for item in allowed:
            deployment = item.candidate.deployment
            if not chain.affords(deployment, request):
                why = "max_cost"
                continue
            exchange.attempt_id, exchange.deviations = near.attempt_id, [*before, told]
            try:
                async with self._slot(exchange, found, item, snapshot):
                    cost = await self._straight.run(exchange, found, item, snapshot.targets[deployment.name])
            except NearfarError as error:
                if exchange.committed:
                    raise
                chain.paid(deployment, request, _owed(error))
                why = error.code
                before.append(f"failover:{deployment.name}:{error.code}")
                self._metrics.fallback(deployment.name, error.code)
                continue
            chain.paid(deployment, request, cost)
            self._metrics.deviation(told)
            return True
        exchange.request = exchange.asking = own
        exchange.deviations = before
        self._tell(exchange, f"kept:{why}")
        return False

    # What both need

    def _allowed(
        self, exchange: Exchange, decision: Decision, route: Route, request: Request, names: tuple[str, ...]
    ) -> tuple[Decision, Snapshot]:
        """Who of ``names`` may be asked for the purpose of ``request``, decided as for any request of its class."""
        asked = Route(
            # Decisions are remembered by the route's name, and these are others than those of the route itself.
            name=f"{route.name} {request.purpose} {' '.join(names)}",
            strategy="local-first",
            deployments=names,
            floor=route.floor,
            cold="wait",
        )
        said = Said(header=decision.class_, seen=exchange.seen, guard=decision.guard)
        found, snapshot = self._decider.decide(request, asked, said)
        found = msgspec.structs.replace(
            found,
            id=f"{decision.id}-{request.purpose}",
            route=decision.route,
            strategy=decision.strategy,
            class_reason=decision.class_reason,
            reasons=decision.reasons,
            audit=found.audit or decision.audit,
            furthest=min(found.furthest, decision.furthest),
        )
        return found, snapshot

    @asynccontextmanager
    async def _slot(
        self, exchange: Exchange, decision: Decision, ranked: Ranked, snapshot: Snapshot
    ) -> AsyncIterator[None]:
        """A slot of a busy deployment, waited for like anybody's."""
        if self._slots is None or ranked.candidate.deployment.slots is None:
            yield
            return
        _, line = await self._slots.take(exchange, decision, ranked, snapshot, alone=True)
        try:
            yield
        finally:
            self._slots.give(line)

    def _tell(self, exchange: Exchange, what: str) -> None:
        told = f"{STRATEGY}:{what}"
        exchange.deviations.append(told)
        self._metrics.deviation(told)


def _unjudged(request: Request, rules: Cascade, further: tuple[str, ...]) -> str:
    """Why an answer is passed on as it comes; empty when it is judged."""
    if request.choices > 1:
        return "choices"
    if request.elsewhere:
        return "elsewhere"
    if request.stream and not rules.buffers:
        return "stream"
    # Who has nobody to escalate to gains nothing from waiting for the end of a stream.
    return "nobody_else" if request.stream and not further else ""


async def _keep(exchange: Exchange, ranked: Ranked, judged: _Judged) -> None:
    """Give the client the near answer that was held."""
    near = judged.near
    near.deviations = exchange.deviations
    exchange.adopt(near)
    exchange.ranked = msgspec.structs.replace(ranked, reason=f"{ranked.reason}; {judged.reason}")
    await exchange.release()


def _owed(error: NearfarError) -> int | None:
    """What a failed attempt costs: nothing where it was refused or never left, else nobody knows."""
    lost = isinstance(error, APITimeoutError | StreamCut) or (
        isinstance(error, UpstreamError) and error.upstream_status is None
    )
    return None if lost else 0


def _as_before(one: Ranked, other: Ranked, reason: str) -> Ranked:
    """A candidate of both decisions: in the form that the stricter one demands."""
    form = max(one.treatment, other.treatment)
    reason = f"{reason}; {form.label}" if form else reason
    return msgspec.structs.replace(other, treatment=form, reason=reason)


def _code(decision: Decision) -> str:
    """Why nobody may be asked, in a word."""
    return decision.rejected[0].code if decision.rejected else "unknown"
