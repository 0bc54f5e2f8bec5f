"""Reads dated data strictly, TOML or JSON, as a shape that says everything it may hold. It knows no file."""

from __future__ import annotations

from typing import TypeVar

import msgspec

T = TypeVar("T")


def decode(text: bytes, shape: type[T], wrong: str, *, json: bool = False) -> T:
    """``text`` as ``shape``. Raises ValueError that begins with ``wrong``: ``not a file of models: …``."""
    read = msgspec.json.decode if json else msgspec.toml.decode
    try:
        return read(text, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{wrong}: {error}") from error
