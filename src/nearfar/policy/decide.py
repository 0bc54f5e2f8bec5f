"""decide(): from facts and candidates to an ordered list with reasons. Pure, so every caller gets the same answer.

It opens nothing, reads no clock and remembers nothing: ``route explain`` and the tests call the same function
as the path of a request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import msgspec

from nearfar.core.places import Place, Treatment
from nearfar.core.routing import Candidate, Decision, Facts, Ranked, Rejected, Route
from nearfar.policy import lean, strategies
from nearfar.policy.decide_steps import STEPS, fitting
from nearfar.policy.rules import Reach, Rules
from nearfar.policy.strategies import LONG, NOTHING, Outlook, is_passed_over, order

_CLEAR: Final = Treatment.CLEAR  # a member looked up in its enum costs ten times as much
_TOLD = 2
"""Rejected deployments that a reason names; ``route explain`` names all."""


class Sifted(msgspec.Struct, frozen=True):
    """Who may be tried for one kind of request, and who not: what does not depend on what is under way."""

    allowed: tuple[Candidate, ...]
    rejected: tuple[Rejected, ...]
    behind: tuple[Ranked, ...]
    """Each of ``allowed`` as it stands when others go first."""
    passed: tuple[str, ...]
    """Who is passed over, whoever goes first."""
    calm: bool
    """Whether none of them rests or would have to be loaded."""
    names: tuple[str, ...]
    """Of the deployments of ``allowed``."""
    furthest: Place
    """The furthest place that the class may reach in any form that it can be given."""


def decide(
    facts: Facts,
    route: Route,
    candidates: Sequence[Candidate],
    rules: Rules,
    *,
    decision_id: str,
    outlooks: Mapping[str, Outlook] = MappingProxyType({}),
) -> Decision:
    """The candidates of ``route`` that may be tried, best first, and the others with why not.

    ``outlooks``: what is expected of deployments, for strategies that ask for it (``strategies.live``).
    """
    return rank(facts, route, sift(facts, route, candidates, rules), rules, decision_id=decision_id, outlooks=outlooks)


def sift(facts: Facts, route: Route, candidates: Sequence[Candidate], rules: Rules) -> Sifted:
    """Ask the steps about each candidate."""
    allowed: list[Candidate] = []
    rejected: list[Rejected] = []
    fits = fitting(facts, route, rules)
    for candidate in candidates:
        if fits(candidate):
            allowed.append(candidate)
            continue
        for step in STEPS:
            objection = step(facts, route, candidate, rules)
            if objection is not None:
                rejected.append(objection)
                break
        else:
            allowed.append(candidate)
    if facts.elsewhere:
        allowed = _at_one_provider(route, allowed, rejected)
    limits = rules.limits(facts.class_, facts.purpose, facts.operation)
    calm = not [c for c in allowed if c.cooling or c.wait > LONG]
    return Sifted(
        allowed=tuple(allowed),
        rejected=tuple(rejected),
        behind=_behind(facts, route, allowed, limits),
        passed=() if calm and not rejected else _passed(allowed, rejected),
        calm=calm,
        names=tuple([c.deployment.name for c in allowed]),
        furthest=limits.furthest(facts.able),
    )


def _behind(facts: Facts, route: Route, allowed: Sequence[Candidate], limits: Reach) -> tuple[Ranked, ...]:
    usual: list[tuple[str, Treatment] | None] = [None] * len(Place)  # no dict: hashing a place runs Python code
    found = []
    for candidate in allowed:
        place = candidate.deployment.place
        known = usual[place]
        if known is None:
            treatment = limits.treatment(place, able=facts.able)
            assert treatment is not None  # else the step ``place`` had objected
            reason = f"{route.strategy}: {place.label} stands behind"
            known = usual[place] = (_treated(reason, treatment), treatment)
        reason, treatment = known
        if candidate.cooling:
            reason = f"{route.strategy}: {place.label}, last resort while cooling down after {candidate.cooling_reason}"
            reason = _treated(reason, treatment)
        found.append(Ranked(candidate=candidate, reason=reason, treatment=treatment))
    return tuple(found)


def _treated(reason: str, treatment: Treatment) -> str:
    return reason if treatment is _CLEAR else f"{reason}; {treatment.label}"


def rank(
    facts: Facts,
    route: Route,
    sifted: Sifted,
    rules: Rules,
    *,
    decision_id: str,
    outlooks: Mapping[str, Outlook] = MappingProxyType({}),
) -> Decision:
    """The decision over those who may be tried."""
    how = strategies.of(route)
    places = order(facts, route, sifted.allowed, outlooks, calm=sifted.calm, names=sifted.names)
    behind = sifted.behind
    ranked = [behind[number] for number in places]
    if ranked and not ranked[0].candidate.cooling:
        first = ranked[0]
        why = _first(facts, route, sifted, first.candidate, outlooks)
        ranked[0] = Ranked(candidate=first.candidate, reason=_treated(why, first.treatment), treatment=first.treatment)
    return Decision(
        id=decision_id,
        route=route.name,
        strategy=route.strategy,
        policy=rules.name,
        class_=facts.class_,
        class_reason=facts.class_reason,
        furthest=min(sifted.furthest, Place.LAN) if facts.guard else sifted.furthest,
        ranked=tuple(ranked),
        rejected=sifted.rejected,
        policy_version=rules.version,
        reasons=facts.reasons,
        audit=rules.audited(facts.class_),
        wait=rules.wait,
        guard=facts.guard,
        patience=_patience(route, ranked, outlooks),
        shared=how.shared,
        shadow=_shadow(facts, route, ranked, rules) if how.branch == "shadow" else None,
        learned=None if facts.lean is None else facts.lean.gap,
        lean=facts.lean,
    )


def _patience(route: Route, ranked: Sequence[Ranked], outlooks: Mapping[str, Outlook]) -> float | None:
    """Seconds that waiting for a slot of the first side is worth; None: there is nobody else, or no hurry."""
    if not ranked or ranked[0].candidate.deployment.slots is None:
        return None
    hurry = strategies.hurries(route)
    if route.spill_after is None and not hurry:
        return None
    for item in ranked:
        candidate = item.candidate
        if candidate.deployment.slots is not None or candidate.cooling:
            continue
        # They are in the order of what is expected of them: nobody else is sooner.
        mine = outlooks.get(ranked[0].candidate.deployment.name, NOTHING)
        other = outlooks.get(candidate.deployment.name, NOTHING)
        if route.spill_after is not None and not hurry:
            return max(0.0, max(route.spill_after, other.first) - (mine.first - mine.wait))
        later = 0.0 if candidate.deployment.place.near else route.spill_after or 0.0
        return max(0.0, other.seconds + later - (mine.seconds - mine.wait))
    return None


def _shadow(facts: Facts, route: Route, ranked: Sequence[Ranked], rules: Rules) -> Ranked | None:
    """Who is asked besides: only where the class lets a shadow go, in the form that it may have there."""
    branch = route.branch
    if branch is None or facts.draw >= branch.share or facts.purpose != "serve":
        return None
    found = next((item for item in ranked if item.candidate.deployment.name == branch.deployment), None)
    if found is not None and found is ranked[0] and facts.lean is not None and facts.lean.follows:
        # A router had it go first. Both sides are asked all the same: what it sends there must be learned about, too.
        near = found.candidate.deployment.place.near
        found = next((item for item in ranked if item.candidate.deployment.place.near is not near), None)
    if found is None or found is ranked[0] or found.candidate.cooling:
        return None
    place = found.candidate.deployment.place
    form = rules.limits(facts.class_, "shadow", facts.operation).treatment(place, able=facts.able)
    if form is None:
        return None
    reason = f"shadow: {place.label} is asked besides, for a share of {branch.share:g}"
    return Ranked(candidate=found.candidate, reason=reason, treatment=max(form, found.treatment))


def _at_one_provider(route: Route, allowed: list[Candidate], rejected: list[Rejected]) -> list[Candidate]:
    """What lies at one provider lies at no other, and what one may run was not asked of another: no failover beyond.

    It is the provider of the candidate that comes first when all are well, so that a cool-down changes nothing.
    """
    sign = -1 if strategies.far_first(route) else 1
    first = min(allowed, key=lambda c: sign * c.deployment.place, default=None)
    kept = []
    for candidate in allowed:
        assert first is not None
        deployment = candidate.deployment
        if (deployment.provider, deployment.base_url) == (first.deployment.provider, first.deployment.base_url):
            kept.append(candidate)
            continue
        reason = f"is another provider than {first.deployment.name}, which comes first"
        rejected.append(Rejected(deployment=deployment.name, code="elsewhere", reason=reason))
    return kept


def _passed(allowed: Sequence[Candidate], rejected: Sequence[Rejected]) -> tuple[str, ...]:
    """Who is not asked first, and why. What the strategy itself excludes goes without saying; a few are enough."""
    passed = []
    for item in rejected:
        if item.code != "strategy":
            passed.append(f"{item.deployment}: {item.reason}")
            if len(passed) > _TOLD:
                return tuple(passed)
    passed += [f"{c.deployment.name}: cooling down after {c.cooling_reason}" for c in allowed if c.cooling > 0]
    return tuple(passed)


def _passed_over(route: Route, sifted: Sifted, first: Candidate, outlooks: Mapping[str, Outlook]) -> str:
    """Why the first candidate is not another one."""
    if sifted.calm and not sifted.passed and route.spill_after is None:
        return ""
    passed = list(sifted.passed)
    if not sifted.calm and not is_passed_over(route, first):
        passed += [
            f"{c.deployment.name}: {c.state}, about {c.wait:.0f} s to load"
            for c in sifted.allowed
            if c.wait > LONG and not c.cooling and is_passed_over(route, c)
        ]
    if route.spill_after is not None and not strategies.hurries(route):
        get = outlooks.get
        bound = max(route.spill_after, get(first.deployment.name, NOTHING).first)
        for candidate, name in zip(sifted.allowed, sifted.names, strict=True):
            late = get(name, NOTHING).first
            if late > bound and not candidate.cooling and not is_passed_over(route, candidate):
                passed.append(f"{name}: first content in about {late:.1f} s, later than {route.spill_after:g} s")
    return f" ({'; '.join(passed[:_TOLD])}{'; …' if len(passed) > _TOLD else ''})" if passed else ""


_FIRST = {
    "cheapest": "is the cheapest allowed",
    "fastest": "is expected to answer first",
    "quality": "is the best allowed",
    "weighted": "was drawn",
    "canary": "is first in turn",
    "shadow": "is first in turn",
}
"""Strategy → why its first candidate is the first; the others go by place."""


def _first(facts: Facts, route: Route, sifted: Sifted, first: Candidate, outlooks: Mapping[str, Outlook]) -> str:
    passed = _passed_over(route, sifted, first, outlooks)
    if facts.lean is not None:
        if facts.lean.follows and (facts.lean.side == "near") is first.deployment.place.near:
            return f"{route.strategy}: {first.deployment.place.label} goes first ({lean.told(facts.lean)}){passed}"
        passed = f"{passed} ({lean.told(facts.lean)})"
    why = _FIRST.get(route.strategy, "is the first allowed place")
    if route.strategy == "fastest" and (outlook := outlooks.get(first.deployment.name)) is not None:
        why = f"{why}, in about {outlook.seconds:.1f} s"
        if route.spill_after:
            why = f"{why} (near may be {route.spill_after:g} s later)"
    return f"{route.strategy}: {first.deployment.place.label} {why}{passed}"


def summary(decision: Decision) -> str:
    """Why nothing, or only some, may be tried: one line for errors and headers."""
    return "; ".join(f"{item.deployment}: {item.reason}" for item in decision.rejected) or "no deployment on this route"
