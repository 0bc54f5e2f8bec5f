"""A gateway put together from a folder's configuration, never started."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests import running

from nearfar import build
from nearfar.settings.load import Loaded, load

FAR = running.far("far", "http://127.0.0.1:1")
KEYS = "[discovery]\nloopback = false\n"
"""Keys are looked for, running servers are not."""


def loaded(
    folder: Path, config: str = "", *, base: str = running.BASE, environ: dict[str, str] | None = None, **overrides: str
) -> Loaded:
    """Settings whose folders all lie in ``folder``; ``a__b`` overrides ``a.b``."""
    path = running.configure(folder, config, base=base)
    dotted = {name.replace("__", "."): value for name, value in overrides.items()}
    return load(
        config=path, overrides=dotted, environ=running.environment(folder, **(environ or {})), system=folder / "none"
    )


@contextmanager
def gateway(settings: Loaded, **parts: Any) -> Iterator[build.Gateway]:
    """One that is never started."""
    made = build.gateway(settings, **parts)
    try:
        yield made
    finally:
        asyncio.run(made.close())
