"""From a request to a decision: gathers class, facts and candidates; the deciding itself is policy's.

A decision depends on few things, and most requests differ in none of them, so the last one is used again while no
deployment rests, the fleet is the same, and the prompt surely fits every context on the route.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from zlib import crc32

import msgspec

from nearfar.core.chat import Request
from nearfar.core.places import Class, Place, Treatment
from nearfar.core.routing import Candidate, Decision, Deployment, Facts, Lean, Reason, Route
from nearfar.gateway import references
from nearfar.gateway.beginnings import beginning
from nearfar.gateway.fleet import Fleet, Snapshot
from nearfar.gateway.health import Health
from nearfar.gateway.limits import Limits
from nearfar.gateway.load import Loads
from nearfar.policy import strategies
from nearfar.policy.classify import Seen, verdict
from nearfar.policy.decide import Sifted, decide, rank, sift
from nearfar.policy.decide_steps import OUTPUT_RESERVE
from nearfar.policy.rules import MEDIA, Rules, classify
from nearfar.policy.strategies import Outlook

REMEMBERED = 256


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What was said about a request's class, by those who may say it."""

    caller: Class | None = None
    header: Class | None = None
    stored: Class | None = None
    """The class of the stored conversation that the request continues."""
    seen: tuple[Seen, ...] = ()
    """What a look at the content found."""
    guard: str = ""
    """Why the content could not be looked at, where the policy wants that."""


class _Memo(msgspec.Struct, frozen=True):
    decision: Decision | None
    """None where the order depends on more than what is remembered."""
    sifted: Sifted
    snapshot: Snapshot
    room: int
    """Tokens of prompt and answer that fit every deployment of the route."""


class Decider:
    """Decides with one policy over one fleet."""

    def __init__(
        self,
        fleet: Fleet,
        health: Health,
        rules: Rules,
        *,
        masks: bool = False,
        loads: Loads | None = None,
        limits: Limits | None = None,
        key: bytes = b"",
    ) -> None:
        """``masks``: whether content can be masked here before it leaves, and rewritten if the policy wants that.

        ``loads`` and ``limits``: what strategies that look at the moment go by. ``key``: of the hash that conversations
        are told apart by.
        """
        self._loads = loads or Loads()
        self._limits = limits
        self._key = key
        self._fleet = fleet
        self._health = health
        self._rules = rules
        self._masks = masks
        self._rewrites = masks and rules.rewrites
        self._memos: dict[tuple[object, ...], _Memo] = {}

    def decide(self, request: Request, route: Route, said: Said, lean: Lean | None = None) -> tuple[Decision, Snapshot]:
        """The decision for ``request`` now, and the snapshot whose targets it speaks of.

        ``lean``: what a learned router says about who goes first.
        """
        snapshot = self._fleet.snapshot
        class_, reason, reasons = self._judged(request, route, said)
        key = (
            route.name,
            class_.label,
            reason,
            request.operation,
            request.purpose,
            request.stream,
            request.needs,
            request.elsewhere,
        )
        # A decision that tells what was found in one request is not another request's.
        quiet = self._health.quiet and not reasons
        size = request.input_tokens + (request.max_output or OUTPUT_RESERVE)
        memo = self._memos.get(key)
        sifted: Sifted | None = None
        if memo is not None and quiet and memo.snapshot is snapshot and size <= memo.room:
            if lean is None and memo.decision is not None:
                return msgspec.structs.replace(memo.decision, id=f"dec-{request.id[4:]}"), snapshot
            sifted = memo.sifted
        varies = strategies.varies(route)
        conversation = beginning(request, self._key) if route.affinity else 0
        facts = Facts(
            operation=request.operation,
            class_=class_,
            class_reason=reason,
            purpose=request.purpose,
            input_tokens=request.input_tokens,
            max_output=request.max_output,
            needs=request.needs,
            stream=request.stream,
            reasons=reasons,
            elsewhere=references.names(request) if request.elsewhere else frozenset(),
            guard=said.guard,
            able=self._able(request, snapshot),
            conversation=conversation,
            draw=self._draw(request, conversation) if varies else 0.0,
            lean=lean,
        )
        if sifted is not None:
            return self._rank(facts, route, sifted, snapshot, request), snapshot
        candidates = self._fleet.candidates(route, snapshot)
        if request.elsewhere:
            candidates = references.marked(candidates, request, snapshot)
        sifted = sift(facts, route, candidates, self._rules)
        decision = self._rank(facts, route, sifted, snapshot, request)
        room = _room(candidates)
        if quiet and size <= room:
            if len(self._memos) >= REMEMBERED:
                self._memos.clear()
            self._memos[key] = _Memo(None if varies or lean is not None else decision, sifted, snapshot, room)
        return decision, snapshot

    def reach(self, request: Request, route: Route, said: Said) -> Place:
        """The furthest place that ``request`` may reach in any form."""
        class_, _, _ = self._judged(request, route, said)
        furthest = self._rules.limits(class_, request.purpose, request.operation).furthest()
        near = said.guard or self._rules.offline
        return min(furthest, Place.LAN) if near else furthest

    def _judged(self, request: Request, route: Route, said: Said) -> tuple[Class, str, tuple[Reason, ...]]:
        """The class, who said it in a word or two, and all that was found in the content."""
        if request.elsewhere:
            # What lies elsewhere, or comes from there, is content that nobody could read.
            said = msgspec.structs.replace(said, seen=(*said.seen, Seen(unknown=len(request.elsewhere))))
        if said.seen or said.guard:
            judged = verdict(
                self._rules,
                route=route.floor,
                caller=said.caller,
                header=said.header,
                stored=said.stored,
                seen=said.seen,
                guard=said.guard,
            )
            return judged.class_, judged.reason, judged.reasons
        class_, reason = classify(
            self._rules, route=route.floor, caller=said.caller, header=said.header, stored=said.stored
        )
        return class_, reason, ()

    def _rank(self, facts: Facts, route: Route, sifted: Sifted, snapshot: Snapshot, request: Request) -> Decision:
        outlooks: dict[str, Outlook] = {}
        order = strategies.of(route).order
        priced = "price" in order
        if priced or strategies.live(route):
            outlooks = self._loads.outlooks(
                sifted.allowed,
                tokens=facts.input_tokens,
                limit=facts.max_output,
                stream=facts.stream,
                priced=priced,
                shared=strategies.of(route).shared,
                short=self._short(snapshot, request),
            )
        return rank(facts, route, sifted, self._rules, decision_id=f"dec-{request.id[4:]}", outlooks=outlooks)

    def _short(self, snapshot: Snapshot, request: Request) -> Callable[[Deployment], float] | None:
        """Says in how many seconds the limits of a deployment have room; None while none is near its end."""
        limits = self._limits
        if limits is None or limits.clear:
            return None
        targets = snapshot.targets

        def short(deployment: Deployment) -> float:
            quota = targets[deployment.name].quota if deployment.name in targets else None
            return 0.0 if quota is None else limits.short(quota, request)

        return short

    def _draw(self, request: Request, conversation: int) -> float:
        """From 0 up to 1; the same for all turns of a conversation, where those are told apart."""
        # The name of a request is as good as dice, and what was decided can be worked out again from it.
        dice = conversation & 0xFFFFFFFF if conversation else crc32(request.id.encode())
        return dice / 0x1_0000_0000

    def expected(self, request: Request, decision: Decision, snapshot: Snapshot) -> Decision:
        """``decision`` with what is expected of each candidate, for people to read."""
        among = [item.candidate for item in decision.ranked] if decision.shared else []
        short = self._short(snapshot, request)
        tokens, limit = request.input_tokens, request.max_output
        ranked = []
        for item in decision.ranked:
            expected = self._loads.expected(item.candidate, tokens, limit, among=among, short=short)
            ranked.append(msgspec.structs.replace(item, expected=expected))
        return msgspec.structs.replace(decision, ranked=tuple(ranked))

    def _able(self, request: Request, snapshot: Snapshot) -> Treatment:
        # Vectors of masked texts are other vectors, and neither media nor what lies elsewhere can be masked at all.
        if not self._masks or request.operation != "chat" or request.needs & MEDIA or request.elsewhere:
            return Treatment.CLEAR
        # Only plain text is rewritten, and only where somebody near can do it.
        if not self._rewrites or request.needs or request.elsewhere:
            return Treatment.MASKED
        route = snapshot.routes.get(self._rules.rewriter)
        members = () if route is None else (snapshot.targets.get(name) for name in route.deployments)
        near = any(item is not None and item.deployment.place.near for item in members)
        return Treatment.REWRITTEN if near else Treatment.MASKED

    def granted(self, request: Request, decision: Decision, snapshot: Snapshot) -> frozenset[str]:
        """Those tools of the provider that ``request`` wishes for and may come with."""
        return references.granted(self._rules, request, decision, snapshot)

    def outlook(self, route: Route) -> Decision:
        """The decision over a question that asks for nothing: what stands behind the route for everybody."""
        snapshot = self._fleet.snapshot
        candidates = self._fleet.candidates(route, snapshot)
        offered = {operation for candidate in candidates for operation in candidate.deployment.operations}
        class_, reason = classify(self._rules, route=route.floor, caller=None, header=None)
        facts = Facts(
            operation="chat" if "chat" in offered else min(offered, default="chat"),
            class_=class_,
            class_reason=reason,
            purpose="outlook",
            input_tokens=0,
            max_output=None,
            needs=frozenset(),
            stream=False,
        )
        return decide(facts, route, candidates, self._rules, decision_id="dec-outlook")


def _room(candidates: Sequence[Candidate]) -> int:
    sizes = [c.deployment.context for c in candidates if c.deployment.context is not None]
    return min(sizes, default=1 << 62)
