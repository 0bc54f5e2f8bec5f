"""From a request to a decision: gathers class, facts and candidates; the deciding itself is policy's.

A decision depends on few things, and most requests differ in none of them, so the last one is used again while no
deployment rests, the fleet is the same, and the prompt surely fits every context on the route.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from nearfar.core.chat import Request
from nearfar.core.places import Class, Treatment
from nearfar.core.routing import Candidate, Decision, Facts, Reason, Route
from nearfar.gateway.fleet import Fleet, Snapshot
from nearfar.gateway.health import Health
from nearfar.policy.classify import Seen, verdict
from nearfar.policy.decide import OUTPUT_RESERVE, decide
from nearfar.policy.rules import MEDIA, Rules, classify

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
    decision: Decision
    snapshot: Snapshot
    room: int
    """Tokens of prompt and answer that fit every deployment of the route."""


class Decider:
    """Decides with one policy over one fleet."""

    def __init__(self, fleet: Fleet, health: Health, rules: Rules, *, masks: bool = False) -> None:
        """``masks``: whether content can be masked here before it leaves, and rewritten if the policy wants that."""
        self._fleet = fleet
        self._health = health
        self._rules = rules
        self._masks = masks
        self._rewrites = masks and rules.rewrites
        self._memos: dict[tuple[str, str, str, str, str, bool, frozenset[str]], _Memo] = {}

    def decide(self, request: Request, route: Route, said: Said) -> tuple[Decision, Snapshot]:
        """The decision for ``request`` now, and the snapshot whose targets it speaks of."""
        snapshot = self._fleet.snapshot
        reasons: tuple[Reason, ...] = ()
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
            class_, reason, reasons = judged.class_, judged.reason, judged.reasons
        else:
            class_, reason = classify(
                self._rules, route=route.floor, caller=said.caller, header=said.header, stored=said.stored
            )
        decision_id = f"dec-{request.id[4:]}"
        key = (route.name, class_.label, reason, request.operation, request.purpose, request.stream, request.needs)
        # A decision that tells what was found in one request is not another request's.
        quiet = self._health.quiet and not reasons
        size = request.input_tokens + (request.max_output or OUTPUT_RESERVE)
        memo = self._memos.get(key)
        if memo is not None and quiet and memo.snapshot is snapshot and size <= memo.room:
            return msgspec.structs.replace(memo.decision, id=decision_id), snapshot
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
            guard=said.guard,
            able=self._able(request, snapshot),
        )
        candidates = self._fleet.candidates(route, snapshot)
        decision = decide(facts, route, candidates, self._rules, decision_id=decision_id)
        room = _room(candidates)
        if quiet and size <= room:
            if len(self._memos) >= REMEMBERED:
                self._memos.clear()
            self._memos[key] = _Memo(decision, snapshot, room)
        return decision, snapshot

    def _able(self, request: Request, snapshot: Snapshot) -> Treatment:
        # Vectors of masked texts are other vectors, and media cannot be masked at all.
        if not self._masks or request.operation != "chat" or request.needs & MEDIA:
            return Treatment.CLEAR
        # Only plain text is rewritten, and only where somebody near can do it.
        if not self._rewrites or request.needs:
            return Treatment.MASKED
        route = snapshot.routes.get(self._rules.rewriter)
        members = () if route is None else (snapshot.targets.get(name) for name in route.deployments)
        near = any(item is not None and item.deployment.place.near for item in members)
        return Treatment.REWRITTEN if near else Treatment.MASKED

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
