"""Which headers of whose replies tell what is left of a limit (``data/limits.toml``). It reads no reply itself."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib import resources
from typing import Literal

import msgspec

from nearfar import catalog
from nearfar.core.data import decode

Counts = Literal["requests", "tokens", "input", "output"]


class Window(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One limit; the file's head says what each member means."""

    counts: Counts
    remaining: str
    limit: str = ""
    reset: str = ""
    span: float = 60.0
    refills: bool = False


class _Family(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    providers: tuple[str, ...]
    source: str
    windows: tuple[Window, ...]


class Meter(msgspec.Struct, frozen=True, kw_only=True):
    """The windows of one provider, and where each header belongs."""

    windows: tuple[Window, ...]
    headers: Mapping[bytes, tuple[int, str]]
    """Header in lower case → (number of its window, ``remaining``, ``limit`` or ``reset``)."""
    word: bytes
    """The longest that all of those headers have in common: a head without it says nothing about limits."""


@functools.cache
def meters() -> Mapping[str, Meter]:
    """Provider → its meter. Raises ValidationError for a row with a member that none may have."""
    data = resources.files(catalog).joinpath("data", "limits.toml").read_bytes()
    tables = decode(data, dict[str, object], "not a table of limits")
    del tables["date"]
    windows: dict[str, list[Window]] = {}
    for table in tables.values():
        family = msgspec.convert(table, _Family)
        for name in family.providers:
            windows.setdefault(name, []).extend(family.windows)
    return {name: meter(found) for name, found in windows.items()}


def meter(windows: list[Window]) -> Meter:
    """The meter over ``windows``."""
    headers = {
        getattr(window, part).encode(): (number, part)
        for number, window in enumerate(windows)
        for part in ("remaining", "limit", "reset")
        if getattr(window, part)
    }
    return Meter(windows=tuple(windows), headers=headers, word=_common(list(headers)))


def _common(names: list[bytes]) -> bytes:
    """The longest part that stands in every one of ``names``."""
    first = min(names, key=len, default=b"")
    parts = (first[start:end] for end in range(len(first), 0, -1) for start in range(end))
    return max((part for part in parts if all(part in name for name in names)), key=len, default=b"")
