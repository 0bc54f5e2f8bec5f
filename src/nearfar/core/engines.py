"""What the gateway may ask of whoever runs the embedded engine: the same in one process and across workers."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where a running model answers."""

    address: str
    """``unix:PATH`` or ``http://127.0.0.1:PORT``."""
    key: str
    """Bearer key of this child process, random per start."""
    context: int
    """Tokens that fit one request, prompt and answer together."""


class EngineStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One model of the embedded engine, as ``nearfar ps`` shows it."""

    model: str
    state: str
    """``cold``, ``loading``, ``ready`` or ``failed``."""
    pid: int = 0
    estimate_bytes: int = 0
    """What the model was estimated to need before it was loaded."""
    rss_bytes: int = 0
    in_flight: int = 0
    restarts: int = 0
    idle_seconds: float = 0.0
    context: int = 0
    network: str = ""
    """``none`` when the child has no network; ``shared`` where the system does not allow that."""
    error: str = ""


class Engines(Protocol):
    """Models of the embedded engine, started on demand."""

    async def acquire(self, model: str, owner: str = "") -> Endpoint:
        """Start ``model`` if needed and count one more request on it; raises EngineError.

        ``owner`` names the worker, so that its requests can be given back when it dies.
        """
        ...

    def release(self, model: str, owner: str = "") -> None:
        """One request on ``model`` is over."""
        ...

    async def status(self) -> list[EngineStatus]:
        """All models known to the library, loaded or not."""
        ...

    async def unload(self, model: str) -> bool:
        """Stop the child of ``model``; False when it was not loaded. Running requests end in StreamCut."""
        ...

    async def close(self) -> None:
        """Stop all children; returns when none is left."""
        ...
