"""The path of a request, top to bottom. Everything nearfar promises about a request can be read here.

It knows neither HTTP nor any vendor: wires translate, the transport sends, the ledger remembers.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from nearfar.core.chat import Request
from nearfar.core.errors import (
    APIConnectionError,
    BadRequestError,
    ClientGone,
    ContextTooLong,
    DeploymentUnusable,
    EgressDenied,
    InternalServerError,
    NearfarError,
)
from nearfar.core.routing import Decision, Ranked, Route
from nearfar.gateway.decider import Decider, Said
from nearfar.gateway.exchange import Exchange, Out
from nearfar.gateway.fleet import Fleet, Snapshot
from nearfar.gateway.hedge import Runs
from nearfar.gateway.life import Lives
from nearfar.gateway.metrics import Metrics
from nearfar.gateway.retries import Patience, Turns
from nearfar.gateway.slots import Slots
from nearfar.gateway.witness import Witness
from nearfar.policy.decide import summary
from nearfar.policy.decide_refusal import refusal
from nearfar.wire.base import ClientWire

if TYPE_CHECKING:
    # Its rules are only loaded where a policy wants content looked at.
    from nearfar.gateway.guard import Guard
    from nearfar.gateway.observing import Observer
    from nearfar.gateway.routers import Routers
    from nearfar.gateway.shadow import Follow, Shadows

PATIENCE = 5.0
"""Seconds an uncommitted stream waits before the client gets headers and keep-alives; then their interval."""


class Decided(NamedTuple):
    """What is settled about a request before anything leaves for a model."""

    route: Route
    said: Said
    """What was said of its class, by its content too."""
    decision: Decision
    snapshot: Snapshot


class Pipeline:
    """Answers requests with the parts that ``build`` gave it. It holds no state of its own."""

    def __init__(
        self,
        *,
        fleet: Fleet,
        decider: Decider,
        attempts: Runs,
        metrics: Metrics,
        lives: Lives | None = None,
        guard: Guard | None = None,
        witness: Witness | None = None,
        patience: Patience | None = None,
        slots: Slots | None = None,
        observer: Observer | None = None,
        shadows: Shadows | None = None,
        routers: Routers | None = None,
    ) -> None:
        """``guard`` looks at what requests say; None where the policy does not want that.

        ``observer`` tries a policy out. ``shadows`` asks others too, after the reply. ``routers`` have learned which
        side should go first.
        """
        self._fleet = fleet
        self._decider = decider
        self._attempts = attempts
        self._metrics = metrics
        self._lives = lives
        self._guard = guard
        self._witness = witness or Witness()
        self._observer = observer
        self._patience = patience or Patience()
        self._slots = slots
        self._shadows = shadows
        self._routers = routers

    async def decide(self, request: Request, said: Said, *, operation: str = "") -> Decided:
        """Steps 1 to 3 of the path: the route, the class, the decision. Nothing has left for a model then.

        ``operation``: decide as for this one instead of the request's own. Raises NearfarError.
        """
        # 1 The route of the asked model; the edge has admitted the caller.
        route = await self._fleet.find(request.model)
        # 2 The class: the highest of what key, header and route say, and of what the content holds.
        if self._guard is not None:
            said = await self.look(request, route, said)
        # 3 The candidates as they are now, and the decision over them. Nobody is asked how they are whom the request
        # may not reach.
        if self._lives is not None:
            await self._lives.look(route, lambda: self._decider.reach(request, route, said))
        own, request.operation = request.operation, operation or request.operation
        try:
            decision, snapshot = self._decider.decide(request, route, said)
            if self._routers is not None:
                decision, snapshot = await self._routers.decide(request, route, said, decision, snapshot)
        finally:
            request.operation = own
        return Decided(route, said, decision, snapshot)

    def _decided_at_once(self, request: Request, said: Said) -> Decided | None:
        """As ``decide``, where nobody has to be waited for; None elsewhere."""
        if self._guard is not None:
            return None
        route = self._fleet.at_once(request.model)
        if route is None or not (self._lives is None or self._lives.idle(route)):
            return None
        if self._routers is not None and self._routers.asks(route.name):
            return None
        decision, snapshot = self._decider.decide(request, route, said)
        return Decided(route, said, decision, snapshot)

    async def answer(
        self, request: Request, wire: ClientWire, said: Said, out: Out, decided: Decided | None = None
    ) -> None:
        """Answer ``request`` on ``out``. Errors become the dialect's errors. ``decided``: what ``decide`` said of it.

        CancelledError leaves, and so does, answered too, what nobody foresaw: whoever calls logs it.
        """
        exchange = Exchange(request, wire, out, time.perf_counter())
        status, route_name = 200, ""
        follow: Follow | None = None
        heartbeat = asyncio.create_task(_heartbeat(exchange)) if request.stream else None
        try:
            # 1 to 3 The route, the class, the decision.
            route, said, decision, snapshot = (
                decided or self._decided_at_once(request, said) or await self.decide(request, said)
            )
            route_name = route.name
            exchange.seen = said.seen
            exchange.decision = decision
            if self._observer is not None:
                await self._observer.note(exchange, route, said, decision)
            if request.wishes:
                request.granted = self._decider.granted(request, decision, snapshot)
            if self._lives is not None:
                self._lives.warm(route, decision, snapshot)
            if decision.shadow is not None and self._shadows is not None:
                follow = self._shadows.admit(exchange, decision, snapshot)
            # 4 One candidate after the other, until one answers.
            cost = await self._first_that_answers(exchange, decision, snapshot)
            # 5 The clean ending, which only a clean upstream ending leads to.
            await exchange.finish(cost)
            if follow is not None and self._shadows is not None:
                # 6 The client has its reply: who is asked besides delays nobody.
                self._shadows.begin(follow)
                follow = None
        except NearfarError as error:
            status = error.status
            self._metrics.rejected(error.code)
            await exchange.fail(error)
        except asyncio.CancelledError:
            status = ClientGone.status
            raise
        except Exception:
            status = 500
            self._metrics.rejected("internal_error")
            await exchange.fail(InternalServerError("Something went wrong inside nearfar; the log has the details."))
            raise
        finally:
            if heartbeat is not None:
                heartbeat.cancel()
            if follow is not None and self._shadows is not None:
                self._shadows.leave(follow)
            self._metrics.request(
                operation=request.operation,
                route=route_name,
                status=status,
                seconds=time.perf_counter() - exchange.started,
                first=exchange.first,
            )

    async def look(self, request: Request, route: Route, said: Said) -> Said:
        """``said`` with what the content of ``request`` adds to it, where the policy wants it looked at."""
        if self._guard is None:
            return said
        look = await self._guard.look(request, route.name)
        return msgspec.structs.replace(said, seen=look.seen, guard=look.guard)

    async def _first_that_answers(self, exchange: Exchange, decision: Decision, snapshot: Snapshot) -> int | None:
        """Try the ranked candidates in order. After the first byte to the client nothing is tried again."""
        if not decision.ranked:
            error = refusal(decision) or _refusal(decision, exchange.request)
            if error.code == "elsewhere_denied":
                error.param = next((where for _, where in exchange.request.elsewhere), None)
            self._witness.turned_away(exchange.request, decision, exchange.seen, error.code)
            raise error
        turns: Turns | None = None
        ranked: Ranked | None = decision.ranked[0]
        if not self._patience.clear:
            turns = Turns(self._patience, exchange, decision, snapshot)
            ranked = await turns.next()
        while ranked is not None:
            deployment = ranked.candidate.deployment
            try:
                if self._slots is not None and deployment.slots is not None:
                    asked, alone = ranked, exchange.attempts > 0
                    ranked, exchange.line = await self._slots.take(exchange, decision, asked, snapshot, alone=alone)
                    deployment = ranked.candidate.deployment
                    if turns is not None and ranked is not asked:
                        turns.instead(asked, ranked)
                try:
                    cost = await self._attempts.run(exchange, decision, ranked, snapshot.targets[deployment.name])
                finally:
                    if exchange.line is not None and self._slots is not None:
                        self._slots.give(exchange.line)
                        exchange.line = None
            except NearfarError as error:
                # "Unsupported" is the answer of one deployment's wire: another one may well be able to.
                if exchange.committed or not (error.moves_on or error.code == "unsupported"):
                    raise
                if turns is None:
                    turns = Turns(self._patience, exchange, decision, snapshot)
                    turns.asked(ranked)
                turns.failed(ranked, error)
                ranked = await turns.next()
                if ranked is not None:
                    # Told once another try follows: what failed last was followed by nobody.
                    self._follow(exchange, deployment.name, ranked.candidate.deployment.name, error.code)
            else:
                # Who was asked first need not be who answered: a hedge or an escalation may have.
                answered = exchange.ranked or ranked
                self._metrics.decision(answered.candidate.deployment.name, decision.strategy)
                return cost
        assert turns is not None
        raise _last(turns.errors)

    def _follow(self, exchange: Exchange, left: str, taken: str, code: str) -> None:
        """Tell that the request goes on: with the same deployment once more, or with another one."""
        if left == taken:
            exchange.deviations.append(f"retry:{left}:{code}")
            self._metrics.deviation("retry")
            return
        exchange.deviations.append(f"failover:{left}:{code}")
        self._metrics.fallback(left, code)


async def _heartbeat(exchange: Exchange) -> None:
    await asyncio.sleep(PATIENCE)
    while not exchange.committed:
        await exchange.heartbeat()
        await asyncio.sleep(PATIENCE)


def _refusal(decision: Decision, request: Request) -> NearfarError:
    """Why no deployment may be tried, as the error that fits the reasons."""
    codes = {item.code for item in decision.rejected}
    # What the strategy or the operation leaves out says nothing about the request while something else does.
    codes = codes - {"strategy"} or codes
    codes = codes - {"operation"} or codes
    why = summary(decision)
    if codes == {"context"}:
        return ContextTooLong(f"The prompt fits no deployment of {decision.route!r}: {why}.", param="messages")
    if codes and codes <= {"capability", "operation"}:
        return BadRequestError(
            f"No deployment of {decision.route!r} can do this: {why}.",
            code="unsupported",
            param=_asked_by(decision, request),
            hint="`nearfar providers ls --json` shows what each can do.",
        )
    if codes == {"offline"}:
        beyond = ", ".join(item.deployment for item in decision.rejected if item.code == "offline")
        return EgressDenied(
            f"nearfar runs with --offline: nothing goes beyond the local network, and route {decision.route!r} leads "
            f"only there ({beyond}).",
            hint="`nearfar route ls` lists what runs near.",
        )
    if codes & {"place", "offline"}:
        return EgressDenied(
            f"{decision.class_.label} content may go no further than {decision.furthest.label}: {why}.",
            hint="`nearfar route explain` shows every reason.",
        )
    if "unusable" in codes:
        lacking = "; ".join(f"{item.deployment}: {item.reason}" for item in decision.rejected if item.code in codes)
        errors = {item.error for item in decision.rejected if item.code == "unusable"}
        hint = "Mend that and restart the gateway; `nearfar config check` says how."
        if "" not in errors:
            hint = "`nearfar models ls` lists the models of this machine; one that is added can be asked at once."
        return DeploymentUnusable(
            f"Route {decision.route!r} has no deployment that can be used: {lacking}.",
            code=(errors.pop() or None) if len(errors) == 1 else None,
            hint=hint,
        )
    return APIConnectionError(
        f"Route {decision.route!r} has no deployment that may be tried: {why}.",
        code="no_deployment",
        hint="`nearfar doctor` shows what was found.",
    )


_MEMBERS = {
    "choices": {"openai.chat": "n", "openai.completions": "n", "gemini.generate": "generationConfig.candidateCount"},
    "logprobs": {"openai.chat": "logprobs"},
    "tools": {"openai.chat": "tools", "anthropic.messages": "tools", "gemini.generate": "tools"},
    "tool_choice": {"openai.chat": "tool_choice", "anthropic.messages": "tool_choice"},
    "json_schema": {"openai.chat": "response_format"},
    "json_mode": {"openai.chat": "response_format"},
}
"""Need → client's wire → the member of the request that brought it."""


def _asked_by(decision: Decision, request: Request) -> str | None:
    """The member of ``request`` that no deployment can do; None where they lack different ones, or it has no name."""
    missing = {need for need in request.needs if any(f"cannot do {need} " in item.reason for item in decision.rejected)}
    found = {_MEMBERS.get(need, {}).get(request.wire) for need in missing}
    return found.pop() if len(found) == 1 else None


def _last(tried: list[tuple[str, NearfarError]]) -> NearfarError:
    """The error of the last candidate, telling of the others. ``tried``: deployment and its error, in their order."""
    errors = [error for _, error in tried]
    # What one could not do is the answer only if none was merely busy or broken: a 400 says "never", and that is wrong.
    last = next((error for error in reversed(errors) if not isinstance(error, BadRequestError)), errors[-1])
    if len(errors) > 1:
        told = "; ".join(f"{name}: {error.code}" for name, error in tried)
        last.hint = f"{last.hint} Tried in this order: {told}.".strip()
        waits = [error.retry_after for error in errors if error.retry_after is not None]
        last.retry_after = min(waits) if waits else None
    return last
