"""Reads what running servers answer to probes: lists of models in OpenAI's shape, and marks. It knows no server."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import msgspec

from nearfar.providers.base import Found

Read = Callable[[bytes], list[Found] | None]


class Model(msgspec.Struct):
    """One row of ``GET /v1/models``, with the members that some servers add."""

    id: str
    owned_by: str = ""
    max_model_len: int | None = None


class Models(msgspec.Struct):
    """``GET /v1/models``."""

    data: list[Model]


def models(body: bytes) -> list[Model] | None:
    """The rows of a list of models; None when it is none."""
    try:
        return msgspec.json.decode(body, type=Models).data
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def owned_by(owner: str) -> Read:
    """Reads a list of models that all belong to ``owner``, which is how some servers name themselves."""

    def read(body: bytes) -> list[Found] | None:
        rows = models(body)
        if not rows or any(row.owned_by != owner for row in rows):
            return None
        return found(rows)

    return read


def any_owner(body: bytes) -> list[Found] | None:
    """Reads any list of models. It proves nothing: only together with marks."""
    rows = models(body)
    return None if rows is None else found(rows)


def found(rows: Collection[Model]) -> list[Found]:
    """The rows as what a running system serves; nobody says where the weights lie."""
    return [Found(model=row.id, local_weights=False, context=row.max_model_len) for row in rows]


def marked(*members: str, **equal: object) -> Read:
    """Reads no models, but proves a system: an object that has ``members``, and ``equal`` ones with these values."""

    def read(body: bytes) -> list[Found] | None:
        value = decode(body)
        if value is None or not {*members, *equal} <= value.keys():
            return None
        return [] if all(value[name] == wanted for name, wanted in equal.items()) else None

    return read


def decode(body: bytes) -> Mapping[str, object] | None:
    """An object of JSON; None for everything else."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
