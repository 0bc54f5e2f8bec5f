"""The Provider record: what is particular about a system, as data. It opens no socket and reads no environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from string import Formatter
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
    provider: str = "embedded"
    """Of a model of this machine's own: the record of the engine that runs it in a child."""


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """How a running system is recognised by its answers: GET ``path``, then ``read`` the body."""

    path: str
    read: Callable[[bytes], list[Found] | None]
    """Body → models; None when the answer is not this system's."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request in a runtime's own words: it holds a model's name and no word of any conversation."""

    method: str = "GET"
    path: str
    """Below the server's root, not below the base URL of its chat."""
    body: bytes = b""


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A model that a runtime has in memory, or is putting there."""

    model: str
    """Empty for a server that has one model and answers with it whatever is asked for."""
    instance: str = ""
    """What the runtime calls this copy of it, where that is not the model's name."""
    loading: bool = False
    context: int | None = None
    """Tokens of context it is loaded with."""
    bytes: int = 0
    """Memory it takes; 0 when the runtime does not say."""
    expires: str = ""
    """When it will be unloaded, RFC 3339; empty when the runtime does not say."""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What a runtime says about one of its models."""

    context: int | None = None
    """Tokens the model was trained for."""
    capabilities: dict[str, Capability] = {}


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """How a runtime is asked what it has in memory, and how to change that: pure builders and readers."""

    running: Call
    read: Callable[[bytes], list[Running] | None]
    """Body → what is in memory; None when the answer is not this system's."""
    load: Callable[[str, str, int | None], Call]
    """(model, operation, tokens of context or None) → load it. A model that is loaded already may be loaded anew."""
    unload: Callable[[Running], Call]
    show: Callable[[str], Call] | None = None
    read_shown: Callable[[bytes], Shown | None] | None = None


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
    addresses: dict[str, str] = {}
    """Addresses that a value of an option has of its own (``location=global``), in the shape of ``base_url``."""
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
    tells_weights: bool = False
    """Whether those answers can prove that a model's weights are on this machine; else only a declared place is
    nearer than ``place``."""
    capabilities: dict[str, Capability] = {}
    drop: tuple[str, ...] = ()
    """Request members this system rejects and that may be dropped (shown as deviations)."""
    rename: dict[str, str] = {}
    default_models: tuple[str, ...] = ()
    """Models offered by ``auto`` and ``cloud`` when only a key was found, strongest value first."""
    life: Life | None = None
    """How its models come into memory and leave it; None where that is not for a client to say."""
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

    Raises LookupError with the names of all options that are missing.
    """
    known = {name: value for name, value in {**provider.options, **options}.items() if value}
    own = (where for choice, where in provider.addresses.items() if _chooses(choice, known))
    template = next(own, provider.base_url)
    missing = [name for _, name, _, _ in Formatter().parse(template) if name and name not in known]
    if missing:
        raise LookupError(*dict.fromkeys(missing))
    return template.format_map(known)
