"""Decides as a policy would that is only tried out, beside the one that holds. It changes nothing about a request.

It looks at content, decides and tells: in a header, a counter and, where that policy would demand records, the audit.
Nothing waits for those, because nothing rests on them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from nearfar.core.chat import Request
from nearfar.core.errors import EgressDenied
from nearfar.core.routing import Decision, Lean, Route
from nearfar.gateway.decider import Decider, Said
from nearfar.gateway.exchange import Exchange
from nearfar.gateway.guard import Guard
from nearfar.gateway.metrics import Metrics
from nearfar.policy.classify import totals
from nearfar.policy.decide_refusal import refusal

if TYPE_CHECKING:
    from nearfar.ledger.audit import Audit


class Observer:
    """Tries one policy on every request."""

    def __init__(
        self, decider: Decider, metrics: Metrics, *, guard: Guard | None = None, audit: Audit | None = None
    ) -> None:
        """``guard``: who looks at content; None where the policy does not want that."""
        self._decider = decider
        self._metrics = metrics
        self._guard = guard
        self._audit = audit

    async def decide(
        self, request: Request, route: Route, said: Said, lean: Lean | None = None
    ) -> tuple[Decision, Said]:
        """What would be decided, and all that it would rest on. ``lean``: what a learned router said."""
        if self._guard is not None:
            look = await self._guard.look(request, route.name)
            said = msgspec.structs.replace(said, seen=look.seen, guard=look.guard)
        return self._decider.decide(request, route, said, lean)[0], said

    async def note(self, exchange: Exchange, route: Route, said: Said, done: Decision) -> None:
        """Tell beside ``exchange`` what would be otherwise than ``done``."""
        request = exchange.request
        would, said = await self.decide(request, route, said, done.lean)
        exchange.would = told(would, done)
        self._metrics.observed(would.policy, would.class_.label, outcome(would, done))
        if self._audit is None or not would.audit:
            return
        from nearfar.ledger.audit_records import Observed

        kinds, unknown, harmless = totals(said.seen)
        first = would.ranked[0] if would.ranked else None
        record = Observed(
            request=request.id,
            caller=request.caller,
            route=would.route,
            class_=would.class_.label,
            reasons=tuple(f"{item.class_.label}: {item.text}" for item in would.reasons) or (would.class_reason,),
            decision=would.id,
            policy=would.policy,
            policy_version=would.policy_version,
            detectors="" if self._guard is None else self._guard.version,
            kinds=kinds,
            unknown=unknown,
            harmless=harmless,
            guard=would.guard,
            deployment=first.candidate.deployment.name if first else "",
            place=first.candidate.deployment.place.label if first else "",
            treatment=first.treatment.label if first else "",
            code="" if first else code(would),
            outcome=outcome(would, done),
        )
        self._audit.submit(record)


def outcome(would: Decision, done: Decision) -> str:
    """``refused``, ``masked``, ``rewritten``, ``elsewhere`` (as it is, by another deployment) or ``same``."""
    if not would.ranked:
        return "same" if not done.ranked else "refused"
    first = would.ranked[0]
    if first.treatment:
        return first.treatment.label
    same = done.ranked and done.ranked[0].candidate.deployment.name == first.candidate.deployment.name
    return "same" if same else "elsewhere"


def code(would: Decision) -> str:
    """The error that a caller would get."""
    error = refusal(would)
    return EgressDenied.default_code if error is None else error.code


def told(would: Decision, done: Decision) -> str:
    """In one line: kinds and names, never a value."""
    parts = [outcome(would, done), f"class={would.class_.label} ({would.class_reason})"]
    if would.ranked:
        deployment = would.ranked[0].candidate.deployment
        parts += [f"deployment={deployment.name}", f"place={deployment.place.label}"]
    else:
        parts.append(f"error={code(would)}")
    return "; ".join([*parts, f"policy={would.policy}"])
