"""decide(): from facts and candidates to an ordered list with reasons. Pure, so every caller gets the same answer.

It opens nothing, reads no clock and remembers nothing: ``route explain`` and the tests call the same function
as the path of a request.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nearfar.core.places import Place, Treatment
from nearfar.core.routing import Candidate, Decision, Facts, Ranked, Rejected, Route
from nearfar.policy.rules import MEDIA, Rules

OUTPUT_RESERVE = 16
"""Tokens of answer that must fit besides the prompt when the client set no limit."""
PROBE = "probe"
"""The purpose of a request that tries what a deployment can do."""
_FETCHING = "media_urls"
LONG = 2.0
"""Seconds of loading that are worth answering elsewhere for; a smaller model is simply waited for."""
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
    unnamed = rules.unnamed(facts.elsewhere)
    if not unnamed:
        return None
    reason = f"uses {', '.join(unnamed)}, which policy {rules.name} does not name"
    return Rejected(deployment=candidate.deployment.name, code="elsewhere", reason=reason)


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
    if (route.strategy == "local-only" and not deployment.place.near) or (
        route.strategy == "cloud-only" and deployment.place.near
    ):
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
                reason=f"cannot do {need} ({found.source})",
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
    guard,
    place,
    media,
    elsewhere,
    strategy,
    capability,
    context,
    usable,
)
"""In this order: the first that objects gives the reason."""


def decide(facts: Facts, route: Route, candidates: Sequence[Candidate], rules: Rules, *, decision_id: str) -> Decision:
    """The candidates of ``route`` that may be tried, best first, and the others with why not."""
    allowed: list[Candidate] = []
    rejected: list[Rejected] = []
    for candidate in candidates:
        for step in STEPS:
            objection = step(facts, route, candidate, rules)
            if objection is not None:
                rejected.append(objection)
                break
        else:
            allowed.append(candidate)
    allowed.sort(key=_order(route))
    passed = _passed_over(route, allowed, rejected)
    limits = rules.limits(facts.class_, facts.purpose, facts.operation)
    ranked = []
    for position, candidate in enumerate(allowed):
        treatment = limits.treatment(candidate.deployment.place, able=facts.able)
        assert treatment is not None  # else the step ``place`` had objected
        reason = _reason(route, candidate, position, passed)
        if treatment is not Treatment.CLEAR:
            reason = f"{reason}; {treatment.label}"
        ranked.append(Ranked(candidate=candidate, reason=reason, treatment=treatment))
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
        rejected=tuple(rejected),
        policy_version=rules.version,
        reasons=facts.reasons,
        audit=rules.audited(facts.class_),
        wait=rules.wait,
        guard=facts.guard,
    )


def is_passed_over(route: Route, candidate: Candidate) -> bool:
    """Whether others go first because the candidate's model would take long to load: it may be warmed meanwhile."""
    return candidate.wait > LONG and route.cold == "warm"


def _order(route: Route) -> Callable[[Candidate], tuple[float, bool, int]]:
    # A stable sort: within one place the order of the configuration stands. What cools down goes last, the
    # soonest ready first; it is still tried when nothing better is left.
    sign = -1 if route.strategy in {"cloud-first", "cloud-only"} else 1
    return lambda c: (c.cooling, is_passed_over(route, c), sign * c.deployment.place)


def _passed_over(route: Route, allowed: Sequence[Candidate], rejected: Sequence[Rejected]) -> str:
    """Why the first candidate is not another one. What the strategy itself excludes goes without saying."""
    passed = [f"{item.deployment}: {item.reason}" for item in rejected if item.code != "strategy"]
    passed += [f"{c.deployment.name}: cooling down after {c.cooling_reason}" for c in allowed if c.cooling > 0]
    passed += [
        f"{c.deployment.name}: {c.state}, about {c.wait:.0f} s to load"
        for c in allowed[1:]
        if not c.cooling and is_passed_over(route, c) and not is_passed_over(route, allowed[0])
    ]
    return f" ({'; '.join(passed[:_TOLD])}{'; …' if len(passed) > _TOLD else ''})" if passed else ""


def _reason(route: Route, candidate: Candidate, position: int, passed: str) -> str:
    where = candidate.deployment.place.label
    if candidate.cooling > 0:
        return f"{route.strategy}: {where}, last resort while cooling down after {candidate.cooling_reason}"
    if position == 0:
        return f"{route.strategy}: {where} is the first allowed place{passed}"
    return f"{route.strategy}: {where} stands behind"


def summary(decision: Decision) -> str:
    """Why nothing, or only some, may be tried: one line for errors and headers."""
    return "; ".join(f"{item.deployment}: {item.reason}" for item in decision.rejected) or "no deployment on this route"
