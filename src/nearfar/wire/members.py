"""Takes typed members out of undecoded objects, with errors that name their place. It knows no dialect."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from nearfar.core.errors import BadRequestError

T = TypeVar("T")
Members = dict[str, msgspec.Raw]

EMPTY_TEXT = msgspec.Raw(b'""')
EMPTY_LIST = msgspec.Raw(b"[]")


def decode(raw: msgspec.Raw, kind: type[T], where: str) -> T:
    """``raw`` as ``kind``; BadRequestError naming ``where`` otherwise."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, RecursionError) as exc:
        what = str(exc).split(" - at ", maxsplit=1)[0]
        raise BadRequestError(f"{where}: {what}.", code="invalid_type", param=where) from exc


def take(members: Members, name: str, kind: type[T], where: str) -> T | None:
    """Remove and decode a member; None, and nothing removed, when it is null or absent."""
    raw = members.get(name)
    if raw is None or is_null(raw):
        return None
    value = decode(raw, kind, where)
    del members[name]
    return value


def need(members: Members, name: str, kind: type[T], where: str) -> T:
    """Remove and decode a member of the object at ``where``; BadRequestError when it is null or absent."""
    value = take(members, name, kind, f"{where}.{name}")
    if value is None:
        raise BadRequestError(f"{where}.{name} is missing.", code="missing_field", param=f"{where}.{name}")
    return value


def is_null(raw: msgspec.Raw) -> bool:
    """Whether a member is null."""
    return bytes(raw) == b"null"


def starts(raw: msgspec.Raw, symbol: bytes) -> bool:
    """Whether a member is a text, a list or an object, by its first byte."""
    return bytes(raw).lstrip()[:1] == symbol
