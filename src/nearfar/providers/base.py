"""The Provider record: what is particular about a system, as data. It opens no socket and reads no environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

from nearfar.core.places import Place
from nearfar.core.routing import Capability


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A model that a running system says it serves."""

    model: str
    local_weights: bool
    """True only when the runtime itself reports that the weights lie on its machine."""
    context: int | None = None
    operations: frozenset[str] = frozenset({"chat"})
    capabilities: dict[str, Capability] = {}
    loaded: bool | None = None


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """How a running system is recognised by its answers: GET ``path``, then ``read`` the body."""

    path: str
    read: Callable[[bytes], list[Found] | None]
    """Body → models; None when the answer is not this system's."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What our claim to speak with a system rests on."""

    label: Literal["live", "recorded", "schema", "docs"] = "docs"
    """``live``: a real engine answered in our tests; ``recorded``: vendor bytes; ``schema``: checked by the vendor's
    machine-readable model; ``docs``: written from the vendor's documents alone."""
    what: str = ""
    """One sentence: what was run against what."""


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """A system that serves models. A module in this folder exports exactly one, as ``PROVIDER``."""

    name: str
    title: str
    wire: str
    """Provider wire for chat."""
    embeddings_wire: str = ""
    """Provider wire for embeddings; empty when it has none."""
    other_wires: dict[str, str] = {}
    """Operation → provider wire, for what is neither chat nor embeddings: ``transcription``, ``count_tokens``."""
    also: tuple[str, ...] = ()
    """Further provider wires for chat, taken when the client's dialect may travel on them as it came."""
    base_url: str = ""
    """Its own address; ``{region}`` and the like are filled from the deployment's options."""
    options: dict[str, str] = {}
    """Options a deployment may set (region, api_version, …) → their defaults; without a default, the address and the
    wire cannot do without them."""
    doors: dict[str, Provider] = {}
    """Other ways into the same system, by the option that chooses them (``wire=openai``): the record that then counts.
    It keeps the name."""
    key_env: tuple[str, ...] = ()
    """Standard environment variables that hold its key, in order."""
    auth: str = "bearer"
    """How a key is sent: ``bearer``, ``x-api-key``, ``api-key``, ``x-goog-api-key``, ``none``; or who signs each
    attempt: ``aws:SERVICE``, ``google``."""
    headers: dict[str, str] = {}
    place: Place = Place.CLOUD
    """The place of a deployment here, unless the owner declares another or weights prove local."""
    ports: tuple[int, ...] = ()
    """Loopback ports where a running one is usually found."""
    probes: tuple[Probe, ...] = ()
    """All must recognise the answers (the first lists the models)."""
    capabilities: dict[str, Capability] = {}
    drop: tuple[str, ...] = ()
    """Request members this system rejects and that may be dropped (shown as deviations)."""
    rename: dict[str, str] = {}
    default_models: tuple[str, ...] = ()
    """Models offered by ``auto`` and ``cloud`` when only a key was found, strongest value first."""
    evidence: Evidence = Evidence()


def door(provider: Provider, options: Mapping[str, str]) -> Provider:
    """The record that counts for a deployment with ``options``: one of the provider's doors, or the provider itself."""
    chosen = {**provider.options, **options}
    return next((found for choice, found in provider.doors.items() if _chooses(choice, chosen)), provider)


def _chooses(choice: str, options: Mapping[str, str]) -> bool:
    name, _, value = choice.partition("=")
    return options.get(name) == value


def address(provider: Provider, options: Mapping[str, str]) -> str:
    """The provider's own address with ``options`` filled in.

    Raises LookupError with the option's name when one is missing.
    """
    known = {name: value for name, value in {**provider.options, **options}.items() if value}
    try:
        return provider.base_url.format_map(known)
    except KeyError as error:
        raise LookupError(str(error.args[0])) from error
