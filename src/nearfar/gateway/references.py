"""What a request draws on beyond its own words, on its way to a decision. It knows none of the names."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from nearfar.core.chat import Request
from nearfar.core.places import Place
from nearfar.core.routing import Candidate, Decision
from nearfar.gateway.fleet import Snapshot
from nearfar.policy.rules import Rules


def names(request: Request) -> frozenset[str]:
    """The names by which policies know what ``request`` draws on."""
    return frozenset(name for name, _ in request.elsewhere)


def marked(candidates: Sequence[Candidate], request: Request, snapshot: Snapshot) -> list[Candidate]:
    """``candidates``, each with whether the references of ``request`` would mean nothing to it."""
    return [_marked(candidate, request, snapshot) for candidate in candidates]


def _marked(candidate: Candidate, request: Request, snapshot: Snapshot) -> Candidate:
    target = snapshot.targets.get(candidate.deployment.name)
    if target is None:
        return candidate
    return msgspec.structs.replace(candidate, foreign=not target.speaks(request.wire))


def granted(rules: Rules, request: Request, decision: Decision, snapshot: Snapshot) -> frozenset[str]:
    """Those tools of the provider that ``request`` merely wishes for and that the policy names wherever it may go.

    They send words on to whoever they like: only what may go anywhere in clear may come with one. Where a deployment
    speaks another dialect they are left out in any case.
    """
    if rules.offline or rules.limits(decision.class_, request.purpose, request.operation).clear < Place.CLOUD:
        return frozenset()
    tried = (ranked.candidate.deployment for ranked in decision.ranked)
    providers = {item.provider for item in tried if snapshot.targets[item.name].speaks(request.wire)}
    unnamed = {name for provider in providers for name in rules.unnamed(request.wishes, provider)}
    return request.wishes - unnamed
