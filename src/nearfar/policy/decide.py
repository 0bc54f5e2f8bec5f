"""decide(): from facts and candidates to an ordered list with reasons. Pure, so every caller gets the same answer.

It opens nothing, reads no clock and remembers nothing: ``route explain`` and the tests call the same function
as the path of a request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import msgspec

from nearfar.core.places import Place, Treatment
from nearfar.core.routing import Candidate, Decision, Facts, Ranked, Rejected, Route
from nearfar.policy import strategies
from nearfar.policy.rules import MEDIA, Rules
from nearfar.policy.strategies import LONG, NOTHING, Outlook, Strategy, is_passed_over, order

OUTPUT_RESERVE = 16
"""Tokens of answer that must fit besides the prompt when the client set no limit."""
PROBE = "probe"
"""The purpose of a request that tries what a deployment can do."""
_FETCHING = "media_urls"
HELD = frozenset(
    {
        "attachments",
        "cached_content",
        "container",
        "continuation_token",
        "conversation",
        "file_id",
        "prompt",
        "session",
        "stored_audio",
        "stored_media",
        "stored_response",
        "thread",
    }
)
"""References to what lies at the provider itself. All others reach on from there: tools it runs, what it fetches."""
_TOLD = 2
"""Rejected deployments that a reason names; ``route explain`` names all."""

Step = Callable[[Facts, Route, Candidate, Rules], Rejected | None]
"""A step looks at one candidate and says why it may not be tried, or nothing."""


def operation(facts: Facts, route: Route, candidate: Candidate, rules: Rules) -> Rejected | None:  # noqa: ARG001  the steps share one shape
    """It must do what is asked: chat or embeddings."""
    deployment = candidate.deployment
    if facts.operation in deployment.operations:
        return None
    return Rejected(deployment=deployment.name, code="operation", reason=f"does not offer {facts.operation}")


def place(facts: Facts, route: Route, candidate: Candidate, rules: Rules) -> Rejected | None:  # noqa: ARG001  the steps share one shape
    """The class of the request must be allowed there, in a form that it can be given."""
    deployment = candidate.deployment
    limits = rules.limits(facts.class_, facts.purpose, facts.operation)
    if limits.treatment(deployment.place, able=facts.able) is not None:
        return None
    form = limits.treatment(deployment.place)
    if form is not None:
        why = f"may go to {deployment.place.label} only {form.label}, and this request cannot be {form.label} here"
    else:
        why = f"stays at {limits.furthest().label}, this is {deployment.place.label}"
    return Rejected(
        deployment=deployment.name, code="place", reason=f"{facts.class_.label} ({facts.class_reason}) {why}"
    )


def guard(facts: Facts, route: Route, candidate: Candidate, rules: Rules) -> Rejected | None:  # noqa: ARG001  the steps share one shape
    """What nobody could look at stays near."""
    deployment = candidate.deployment
    if not facts.guard or deployment.place.near:
        return None
    reason = f"is {deployment.place.label}, and the content could not be looked at: {facts.guard}"
    return Rejected(deployment=deployment.name, code="guard", reason=reason)


def media(facts: Facts, route: Route, candidate: Candidate, rules: Rules) -> Rejected | None:  # noqa: ARG001  the steps share one shape
    """Images, audio and documents cannot be masked: they go only where the policy lets them go as they are."""
    carried = facts.needs & MEDIA if facts.operation != "transcription" else frozenset({"audio"})
    if not carried:  # also of a probe: a client calls its requests whatever it likes
        return None
    deployment = candidate.deployment
    limits = rules.limits(facts.class_, facts.purpose, facts.operation)
    if deployment.place <= limits.media:
        return None
    return Rejected(
        deployment=deployment.name,
        code="media",
        reason=f"{', '.join(sorted(carried))} of {facts.class_.label} requests stay at {limits.media.label}, "
        f"this is {deployment.place.label}",
    )


def elsewhere(facts: Facts, route: Route, candidate: Candidate, rules: Rules) -> Rejected | None:  # noqa: ARG001  the steps share one shape
    """Content held elsewhere and tools that a provider runs are a further place that nobody has looked into."""
    if not facts.elsewhere:
        return None
    deployment = candidate.deployment
    unnamed = rules.unnamed(facts.elsewhere, deployment.provider)
    further = sorted(facts.elsewhere - HELD)
    if unnamed:
        reason = f"uses {', '.join(unnamed)}, which policy {rules.name} does not name"
    elif further and (rules.offline or rules.limits(facts.class_, facts.purpose, facts.operation).clear < Place.CLOUD):
        reason = f"uses {', '.join(further)}, and {facts.class_.label} content may not go on from there"
    elif candidate.foreign:
        reason = f"speaks another dialect, in which {', '.join(sorted(facts.elsewhere))} means nothing"
    else:
        return None
    return Rejected(deployment=deployment.name, code="elsewhere", reason=reason)


def offline(facts: Facts, route: Route, candidate: Candidate, rules: Rules) -> Rejected | None:  # noqa: ARG001  the steps share one shape
    """Offline, nothing beyond the local network is called."""
    deployment = candidate.deployment
    if rules.offline and not deployment.place.near:
        reason = f"is {deployment.place.label}, and nearfar runs with --offline"
        return Rejected(deployment=deployment.name, code="offline", reason=reason)
    return None


def strategy(facts: Facts, route: Route, candidate: Candidate, rules: Rules) -> Rejected | None:  # noqa: ARG001  the steps share one shape
    """``local-only`` and ``cloud-only`` exclude the other side."""
    deployment = candidate.deployment
    keep = strategies.of(route).keep
    if keep and (keep == "near") is not deployment.place.near:
        return Rejected(
            deployment=deployment.name,
            code="strategy",
            reason=f"{route.strategy} excludes {deployment.place.label}",
        )
    return None


def capability(facts: Facts, route: Route, candidate: Candidate, rules: Rules) -> Rejected | None:  # noqa: ARG001  the steps share one shape
    """A known "no" excludes; "unknown" does not, except where the deployment itself would reach further."""
    known = candidate.deployment.capabilities
    bounded = rules.offline or rules.reach(facts.class_) < Place.CLOUD
    # A probe asks what is not known yet, or not any more.
    needs = facts.needs & {_FETCHING} if facts.purpose == PROBE else facts.needs
    for need in sorted(needs):
        found = known.get(need)
        settled = found is not None and (found.can is False or found.source == "declared")
        if need == _FETCHING and bounded and not settled:
            # Whoever fetches a URL is told by it, and tells its owner: a further place. Only the owner may allow that.
            return Rejected(
                deployment=candidate.deployment.name,
                code="capability",
                reason=f"may fetch it from elsewhere ({need}); send it inline as data:",
            )
        if found is not None and found.can is False:
            return Rejected(
                deployment=candidate.deployment.name,
                code="capability",
                reason=f"cannot do {need} ({found.source}{f' {found.date}' if found.date else ''})",
            )
    return None


def context(facts: Facts, route: Route, candidate: Candidate, rules: Rules) -> Rejected | None:  # noqa: ARG001  the steps share one shape
    """Prompt and answer must fit the context."""
    size = candidate.deployment.context
    if size is None or facts.operation != "chat":
        return None
    answer = OUTPUT_RESERVE if facts.max_output is None else min(facts.max_output, size // 2)
    if facts.input_tokens + answer <= size:
        return None
    return Rejected(
        deployment=candidate.deployment.name,
        code="context",
        reason=f"about {facts.input_tokens} tokens of prompt do not fit a context of {size}",
    )


def usable(facts: Facts, route: Route, candidate: Candidate, rules: Rules) -> Rejected | None:  # noqa: ARG001  the steps share one shape
    """It must have what it needs to be called at all, such as its key."""
    if not candidate.trouble:
        return None
    return Rejected(deployment=candidate.deployment.name, code="unusable", reason=candidate.trouble)


STEPS: tuple[Step, ...] = (
    operation,
    offline,
    elsewhere,
    guard,
    place,
    media,
    strategy,
    capability,
    context,
    usable,
)
"""In this order: the first that objects gives the reason."""


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
    fits = _fitting(facts, route, rules)
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
    return Sifted(
        allowed=tuple(allowed),
        rejected=tuple(rejected),
        behind=_behind(facts, route, allowed, rules),
        passed=_passed(allowed, rejected),
        calm=not any(c.cooling > 0 or c.wait > LONG for c in allowed),
    )


def _behind(facts: Facts, route: Route, allowed: Sequence[Candidate], rules: Rules) -> tuple[Ranked, ...]:
    limits = rules.limits(facts.class_, facts.purpose, facts.operation)
    usual: dict[Place, tuple[str, Treatment]] = {}
    found = []
    for candidate in allowed:
        place = candidate.deployment.place
        known = usual.get(place)
        if known is None:
            treatment = limits.treatment(place, able=facts.able)
            assert treatment is not None  # else the step ``place`` had objected
            reason = f"{route.strategy}: {place.label} stands behind"
            known = usual[place] = (_treated(reason, treatment), treatment)
        reason, treatment = known
        if candidate.cooling > 0:
            reason = f"{route.strategy}: {place.label}, last resort while cooling down after {candidate.cooling_reason}"
            reason = _treated(reason, treatment)
        found.append(Ranked(candidate=candidate, reason=reason, treatment=treatment))
    return tuple(found)


def _treated(reason: str, treatment: Treatment) -> str:
    return reason if treatment is Treatment.CLEAR else f"{reason}; {treatment.label}"


def _fitting(facts: Facts, route: Route, rules: Rules) -> Callable[[Candidate], bool]:
    """Says quickly that no step objects to a candidate. Where it does not say so, the steps are asked one by one."""
    if facts.elsewhere or _FETCHING in facts.needs:
        return lambda candidate: False  # noqa: ARG005  nothing is quick about these
    operation, needs, tokens = facts.operation, facts.needs, facts.input_tokens
    probing = facts.purpose == PROBE
    sizes = operation == "chat"
    places: dict[Place, bool] = {}

    def fits(candidate: Candidate) -> bool:
        deployment = candidate.deployment
        good = places.get(deployment.place)
        if good is None:
            # These look at nothing of a candidate but its place.
            steps = (offline, guard, place, media, strategy)
            good = places[deployment.place] = all(step(facts, route, candidate, rules) is None for step in steps)
        if not good or operation not in deployment.operations or candidate.trouble:
            return False
        if needs and not probing:
            known = deployment.capabilities
            for need in needs:
                found = known.get(need)
                if found is not None and found.can is False:
                    return False
        size = deployment.context
        if size is None or not sizes:
            return True
        answer = OUTPUT_RESERVE if facts.max_output is None else min(facts.max_output, size // 2)
        return tokens + answer <= size

    return fits


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
    places = order(facts, route, sifted.allowed, outlooks, calm=sifted.calm)
    ranked = [sifted.behind[number] for number in places]
    if ranked and not ranked[0].candidate.cooling:
        first = ranked[0]
        why = _first(route, sifted, first.candidate, outlooks)
        ranked[0] = Ranked(candidate=first.candidate, reason=_treated(why, first.treatment), treatment=first.treatment)
    limits = rules.limits(facts.class_, facts.purpose, facts.operation)
    furthest = limits.furthest(facts.able)
    return Decision(
        id=decision_id,
        route=route.name,
        strategy=route.strategy,
        policy=rules.name,
        class_=facts.class_,
        class_reason=facts.class_reason,
        furthest=min(furthest, Place.LAN) if facts.guard else furthest,
        ranked=tuple(ranked),
        rejected=sifted.rejected,
        policy_version=rules.version,
        reasons=facts.reasons,
        audit=rules.audited(facts.class_),
        wait=rules.wait,
        guard=facts.guard,
        patience=_patience(route, how, ranked, outlooks),
        shared=how.shared,
        shadow=_shadow(facts, route, ranked, rules) if how.branch == "shadow" else None,
    )


def _patience(route: Route, how: Strategy, ranked: Sequence[Ranked], outlooks: Mapping[str, Outlook]) -> float | None:
    """Seconds that waiting for a slot of the first side is worth; None: there is nobody else, or no hurry."""
    if not ranked or ranked[0].candidate.deployment.slots is None:
        return None
    hurry = how.order[0] == "seconds"
    if route.spill_after is None and not hurry:
        return None
    for item in ranked:
        candidate = item.candidate
        if candidate.deployment.slots is not None or candidate.cooling:
            continue
        if route.spill_after is not None:
            return route.spill_after
        # They are in the order of what is expected of them: nobody else is sooner.
        mine = outlooks.get(ranked[0].candidate.deployment.name, NOTHING)
        other = outlooks.get(candidate.deployment.name, NOTHING)
        return max(0.0, other.seconds - (mine.seconds - mine.wait))
    return None


def _shadow(facts: Facts, route: Route, ranked: Sequence[Ranked], rules: Rules) -> Ranked | None:
    """Who is asked besides: only where the class lets a shadow go, in the form that it may have there."""
    branch = route.branch
    if branch is None or facts.draw >= branch.share or facts.purpose != "serve":
        return None
    found = next((item for item in ranked if item.candidate.deployment.name == branch.deployment), None)
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
    passed = list(sifted.passed)
    if not sifted.calm and not is_passed_over(route, first):
        passed += [
            f"{c.deployment.name}: {c.state}, about {c.wait:.0f} s to load"
            for c in sifted.allowed
            if c.wait > LONG and not c.cooling and is_passed_over(route, c)
        ]
    patience = route.spill_after
    if patience is not None and outlooks.get(first.deployment.name, NOTHING).wait <= patience:
        for candidate in sifted.allowed:
            wait = outlooks.get(candidate.deployment.name, NOTHING).wait
            if wait > patience and not candidate.cooling and not is_passed_over(route, candidate):
                passed.append(f"{candidate.deployment.name}: about {wait:.1f} s to wait, more than {patience:g} s")
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


def _first(route: Route, sifted: Sifted, first: Candidate, outlooks: Mapping[str, Outlook]) -> str:
    why = _FIRST.get(route.strategy, "is the first allowed place")
    if route.strategy == "fastest" and (outlook := outlooks.get(first.deployment.name)) is not None:
        why = f"{why}, in about {outlook.seconds:.1f} s"
    return f"{route.strategy}: {first.deployment.place.label} {why}{_passed_over(route, sifted, first, outlooks)}"


def summary(decision: Decision) -> str:
    """Why nothing, or only some, may be tried: one line for errors and headers."""
    return "; ".join(f"{item.deployment}: {item.reason}" for item in decision.rejected) or "no deployment on this route"
