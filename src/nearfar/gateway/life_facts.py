"""What is known of models in local runtimes, as values: whether they are in memory, and what that means. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from nearfar.core.routing import Deployment
from nearfar.providers.base import Running, Shown

SPEED = 500_000_000.0
"""Bytes per second at which a model is taken to load until its loading was seen: an ordinary SSD, cold."""
UNKNOWN_LOAD = 10.0
"""Seconds a model is taken to load whose size nobody said."""


class ModelState(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment's model in its runtime, as it was when somebody last looked."""

    deployment: str
    provider: str
    model: str
    place: str
    state: str
    """``loaded``, ``loading``, ``cold``, or ``unknown`` where the runtime did not answer."""
    context: int | None = None
    """Tokens of context it is loaded with."""
    bytes: int = 0
    expires: str = ""
    load_seconds: float = 0.0
    """What loading it takes, as far as is known: measured, or from its size."""


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """What a runtime said of one model."""

    state: str
    context: int | None = None
    bytes: int = 0
    expires: str = ""


UNKNOWN = Fact(state="unknown")
COLD = Fact(state="cold")


def wait(fact: Fact, took: float | None) -> float:
    """Seconds until the model could begin to answer. ``took``: what loading it took when that was seen."""
    if fact.state in {"loaded", "unknown"}:
        return 0.0
    if took is not None:
        return took
    return fact.bytes / SPEED if fact.bytes else UNKNOWN_LOAD


def described(deployment: Deployment, fact: Fact, took: float | None) -> ModelState:
    """What people are shown."""
    cold = msgspec.structs.replace(fact, state="cold")
    return ModelState(
        deployment=deployment.name,
        provider=deployment.provider,
        model=deployment.model,
        place=deployment.place.label,
        state=fact.state,
        context=fact.context,
        bytes=fact.bytes,
        expires=fact.expires,
        load_seconds=round(wait(cold, took), 1),
    )


def matching(deployment: Deployment, running: Iterable[Running]) -> Running | None:
    """The running copy of ``deployment``'s model; a name without a tag means the tag ``latest``."""
    names = {"", deployment.model, f"{deployment.model}:latest"}
    return next((item for item in running if item.model in names), None)


def informed(deployment: Deployment, fact: Fact, shown: Shown | None) -> Deployment:
    """The deployment with what its runtime says, where neither owner nor list said it."""
    context, capabilities = deployment.context, deployment.capabilities
    if shown is not None:
        context = context or shown.context
        known = {name: can for name, can in capabilities.items() if can.can is not None}
        capabilities = {**capabilities, **shown.capabilities, **known}
    loaded = fact.context if fact.state == "loaded" and deployment.provider != "embedded" else None
    return msgspec.structs.replace(deployment, context=context, capabilities=capabilities, loaded_context=loaded)
