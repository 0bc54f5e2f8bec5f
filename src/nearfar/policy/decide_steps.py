"""The steps that say why a candidate may not be tried, and a quick look for when none of them objects. Pure.

They know one request's facts, one candidate and the rules; no other candidate, and no order.
"""

from __future__ import annotations

from collections.abc import Callable

from nearfar.core.places import Place
from nearfar.core.routing import Candidate, Facts, Rejected, Route
from nearfar.policy import strategies
from nearfar.policy.rules import MEDIA, Rules

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
    name, code = candidate.deployment.name, candidate.trouble_code
    return Rejected(deployment=name, code="unusable", reason=candidate.trouble, error=code)


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


def fitting(facts: Facts, route: Route, rules: Rules) -> Callable[[Candidate], bool]:
    """Says quickly that no step objects to a candidate. Where it does not say so, the steps are asked one by one."""
    if facts.elsewhere or _FETCHING in facts.needs:
        return lambda candidate: False  # noqa: ARG005  nothing is quick about these
    operation, needs, tokens = facts.operation, facts.needs, facts.input_tokens
    probing = facts.purpose == PROBE
    sizes = operation == "chat"
    places: list[bool | None] = [None] * len(Place)  # no dict: hashing a place runs Python code

    def fits(candidate: Candidate) -> bool:
        deployment = candidate.deployment
        good = places[deployment.place]
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
