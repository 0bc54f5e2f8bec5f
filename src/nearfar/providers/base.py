"""The Provider record: what is particular about a system, as data. It opens no socket and reads no environment."""

from __future__ import annotations

from collections.abc import Callable

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


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """A system that serves models. A module in this folder exports exactly one, as ``PROVIDER``."""

    name: str
    title: str
    wire: str
    """Provider wire for chat."""
    embeddings_wire: str = ""
    """Provider wire for embeddings; empty when it has none."""
    base_url: str = ""
    key_env: tuple[str, ...] = ()
    """Standard environment variables that hold its key, in order."""
    auth: str = "bearer"
    """``bearer``, ``x-api-key`` or ``none``."""
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
