"""What supervisor and child say to each other: one JSON line each way. It knows neither of them."""

from __future__ import annotations

import msgspec


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Supervisor to child, on its standard input: how to run one model. The key travels here, never in arguments."""

    name: str
    """What the model is called in replies; the path of the file stays private."""
    path: str
    """A file, or a folder."""
    files: tuple[str, ...] = ()
    """Of a folder, what was checked and is to be read."""
    socket: str
    """Path of the Unix socket to listen on."""
    key: str
    context: int
    """Tokens per slot."""
    slots: int
    """Requests answered at once; children that answer one at a time let as many more wait."""
    batch: int
    threads: int
    embedding: bool
    pooling: str = ""
    checkpoints: int
    prompt_cache_mb: int
    data_limit: int
    """Bytes of private memory; more is refused by the system."""


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """Child to supervisor, on its standard output: it answers now, or why it never will."""

    ok: bool
    network: str = ""
    """``none`` or ``shared``, as the child found it by trying."""
    engine: str = ""
    """Version of the engine's package."""
    code: str = ""
    error: str = ""
    hint: str = ""
