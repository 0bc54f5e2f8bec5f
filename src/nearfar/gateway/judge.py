"""Asks a judge which of two answers is better, in both orders. It keeps nothing and believes nothing else it says.

A judgement is an attempt like any other: decided for the purpose ``judge`` with the class of the request (or a higher
one, if the answers hold more), masked as the policy says, sealed, journalled, and paid from the purse of shadows.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Literal

import msgspec

from nearfar.core.chat import Request
from nearfar.core.errors import NearfarError
from nearfar.core.places import Class, Treatment
from nearfar.core.routing import Decision, Ranked, Route
from nearfar.gateway.cascade_hearing import Hearing
from nearfar.gateway.decider import Decider, Said
from nearfar.gateway.exchange import Exchange, Headers
from nearfar.gateway.fleet import Fleet, Snapshot
from nearfar.gateway.hedge import Runs
from nearfar.gateway.judge_prompts import Prompt, asked, numbers
from nearfar.gateway.purse import Purse
from nearfar.gateway.slots import Slots
from nearfar.wire.openai_chat import CLIENT

if TYPE_CHECKING:
    from nearfar.gateway.guard import Guard

PURPOSE = "judge"
LONGEST_REPLY = 1024
"""Output tokens: a few for the numbers, the rest for models that think first."""

Code = Literal["", "unreadable", "forbidden", "budget", "unanswered"]


class Matter(msgspec.Struct, frozen=True, kw_only=True):
    """What is judged."""

    request: str
    """Id of the request that was answered twice; attempts are told under it."""
    parent: str = ""
    """The attempt that the judgement follows."""
    attempts: int = 0
    """Attempts of the request so far: the numbers of further ones begin after them."""
    class_: Class
    route: str = ""
    conversation: str
    near: str
    far: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What both answers are worth, 0 to 1, mean of both orders; or why nobody knows."""

    worth: tuple[float, float] | None = None
    code: Code = ""
    """``unreadable``: it said something else. ``forbidden``: nobody may be asked. ``budget``: not today.
    ``unanswered``: nobody answered."""
    detail: str = ""


class _Nowhere:
    """An Out for a reply that an ear holds back: nothing comes here."""

    async def start(self, _status: int, _headers: Headers, _lines: bytes = b"", /) -> None:
        raise AssertionError("a judgement goes to no client")

    async def write(self, _data: bytes, /) -> None:
        raise AssertionError("a judgement goes to no client")

    async def end(self, _data: bytes, /) -> None:
        raise AssertionError("a judgement goes to no client")

    async def abort(self) -> None:
        """There is no connection."""


class Judge:
    """Asks the deployments that stand behind one name."""

    def __init__(
        self,
        name: str,
        *,
        decider: Decider,
        fleet: Fleet,
        attempts: Runs,
        purse: Purse,
        prompts: Sequence[Prompt],
        guard: Guard | None = None,
        slots: Slots | None = None,
    ) -> None:
        """``name``: of a deployment or a route. ``guard`` looks at what would be sent, where the policy wants that."""
        self.name = name
        self._decider = decider
        self._fleet = fleet
        self._attempts = attempts
        self._purse = purse
        self._prompts = prompts
        self._guard = guard
        self._slots = slots

    async def weigh(self, matter: Matter) -> Verdict:
        """Ask in both orders. Never raises a NearfarError."""
        totals = [0.0, 0.0]
        attempts = matter.attempts
        for turned in (False, True):
            first, second = (matter.far, matter.near) if turned else (matter.near, matter.far)
            request = question(self._prompts, self.name, matter.request, matter.conversation, first, second)
            text, verdict, attempts = await self._ask(matter, request, attempts)
            if verdict is not None:
                return verdict
            found = numbers(text)
            if found is None:
                return Verdict(code="unreadable")
            for side, number in enumerate(reversed(found) if turned else found):
                totals[side] += number / 2
        return Verdict(worth=(totals[0], totals[1]))

    async def _ask(self, matter: Matter, request: Request, attempts: int) -> tuple[str, Verdict | None, int]:
        """What the judge says to one order, or why it says nothing; and how many attempts there were then."""
        said = Said(header=matter.class_)
        if self._guard is not None:
            look = await self._guard.look(request, matter.route)
            said = Said(header=matter.class_, seen=look.seen, guard=look.guard)
        decision, snapshot = self._decided(matter, request, said)
        # A question that was rewritten without private facts is not about these answers any more.
        allowed = [item for item in decision.ranked if item.treatment <= Treatment.MASKED]
        if not allowed:
            codes = {item.code for item in decision.rejected}
            code: Code = "forbidden" if codes and codes.isdisjoint({"unusable", "offline"}) else "unanswered"
            return "", Verdict(code=code, detail=", ".join(sorted(codes))), attempts
        failed = Verdict(code="budget")
        for item in allowed:
            deployment = item.candidate.deployment
            share = self._purse.take(deployment, request)
            if share is None:
                continue
            lane = Exchange(request, CLIENT, _Nowhere(), time.perf_counter())
            lane.decision, lane.seen = decision, said.seen
            lane.attempt_id, lane.attempts = matter.parent, attempts
            hearing = lane.ear = Hearing()
            cost: int | None = None
            try:
                async with self._slot(lane, decision, item, snapshot):
                    cost = await self._attempts.run(lane, decision, item, snapshot.targets[deployment.name])
            except NearfarError as error:
                failed = Verdict(code="unanswered", detail=f"{deployment.name}: {error.code}")
            else:
                return hearing.answer().text, None, lane.attempts
            finally:
                attempts = max(attempts, lane.attempts)
                self._purse.settle(share, cost)
        return "", failed, attempts

    def _decided(self, matter: Matter, request: Request, said: Said) -> tuple[Decision, Snapshot]:
        """Who may be asked, decided as for any request of its class."""
        route = self._fleet.snapshot.routes.get(self.name)
        names = (self.name,) if route is None else route.deployments
        # Decisions are remembered by the route's name, and these are others than those of the route itself.
        asked_of = Route(
            name=f"{matter.route} {PURPOSE} {self.name}", strategy="local-first", deployments=names, cold="wait"
        )
        found, snapshot = self._decider.decide(request, asked_of, said)
        return msgspec.structs.replace(found, route=matter.route, strategy=PURPOSE), snapshot

    @asynccontextmanager
    async def _slot(
        self, lane: Exchange, decision: Decision, ranked: Ranked, snapshot: Snapshot
    ) -> AsyncIterator[None]:
        """A slot of a busy deployment, behind everybody who waits for an answer."""
        if self._slots is None or ranked.candidate.deployment.slots is None:
            yield
            return
        _, line = await self._slots.take(lane, decision, ranked, snapshot, alone=True)
        try:
            yield
        finally:
            self._slots.give(line)


def question(prompts: Sequence[Prompt], name: str, request: str, conversation: str, first: str, second: str) -> Request:
    """What a judge is asked. The mark between its parts is another one each time, so that no answer can forge it."""
    mark = f"##{secrets.token_hex(8)}"
    system, ask = asked(prompts, mark=mark, conversation=conversation, first=first, second=second)
    body = {
        "model": name or PURPOSE,
        "messages": [{"role": "system", "content": system}, {"role": "user", "content": ask}],
        "max_tokens": LONGEST_REPLY,
    }
    made = CLIENT.parse(msgspec.json.encode(body), request)
    made.purpose, made.priority, made.received = PURPOSE, "low", int(time.time())
    return made
