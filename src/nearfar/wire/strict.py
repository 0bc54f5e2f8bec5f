"""Strict JSON for requests: one meaning per body, or a 400 that says where it goes wrong. It knows no dialect.

Two readers of one body must not disagree about what it says: what was scanned must be what the model sees. JSON
parsers disagree about duplicate keys, lone surrogates, NaN and invalid UTF-8, so such bodies are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from nearfar.core.errors import BadRequestError

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_values = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode

MAX_VALUES = 2_000_000
"""Values in one body: 32 MiB of empty objects would decode to a gigabyte."""

MAX_NAMED = 1 << 20
"""Bytes of a body in which a duplicate key is looked for by name and place; in a larger one it is only refused."""

# Possessive, so that no way back is kept: else a string of n characters would need memory for n of them.
_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\],:]')
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"[ \t\n\r]*+(:)?')
_ESCAPED_COLON = re.compile(rb"\\u003[aA]")
_LONE_SURROGATE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)


class Parsed(NamedTuple):
    """A body that means one thing only."""

    members: dict[str, msgspec.Raw]
    """Top-level members, undecoded, in the client's order."""
    values: dict[str, Any]
    """The same, decoded."""
    compact: bytes
    """The same, encoded again without spaces or needless escapes: its length measures the content."""


def parse(body: bytes) -> Parsed:
    """Read ``body``, a JSON object in UTF-8. Raises BadRequestError; never RecursionError.

    Duplicate keys at any depth are found by counting colons: each key has one outside of strings, colons inside
    strings survive decoding, and a member that a duplicate displaced takes its colon with it. Only an escaped
    colon could hide that, and only then are the strings told from the rest.
    """
    if len(body) > MAX_VALUES and body.count(b",") + body.count(b"[") + body.count(b"{") > MAX_VALUES:
        raise _refuse(f"holds more than {MAX_VALUES} values", "Split the request.", code="too_many_values")
    try:
        values = _values(body)
        members = _members(body)
        compact = _encode(values)
    except RecursionError as exc:
        raise _refuse("is nested too deeply", "Flatten it.", code="invalid_json") from exc
    except UnicodeDecodeError as exc:
        raise _refuse(_bad_utf8(body), "Send UTF-8.", code="invalid_json") from exc
    except msgspec.DecodeError as exc:
        raise _malformed(body, exc) from exc
    # Most bodies hold no backslash at all, and looking for one byte costs a fiftieth of looking for five. `in` takes
    # bytes for a number first, and the exception that says they are none costs more than the search.
    escaped = body.find(b"\\") >= 0 and b"\\u003" in body and _ESCAPED_COLON.search(body) is not None
    if _keys(body) != _keys(compact) if escaped else body.count(b":") != compact.count(b":"):
        _refuse_duplicates(body)
    return Parsed(members, values, compact)


def members(body: bytes) -> dict[str, msgspec.Raw]:
    """The top-level members of ``body``, undecoded, in the client's order. Raises BadRequestError."""
    return parse(body).members


def replace(fields: Mapping[str, msgspec.Raw], changes: Mapping[str, bytes | None]) -> bytes:
    """An object of ``fields`` in their order, byte for byte, except for ``changes``.

    A change is the member's new JSON, or None to leave it out. New members come last.
    """
    members = dict(fields)
    for key, new in changes.items():
        if new is None:
            members.pop(key, None)
        else:
            members[key] = msgspec.Raw(new)
    return _encode(members)


def _refuse(what: str, hint: str, *, code: str, param: str | None = None) -> BadRequestError:
    return BadRequestError(f"The request body {what}.", code=code, param=param, hint=hint)


def _bad_utf8(body: bytes) -> str:
    try:
        body.decode()
    except UnicodeDecodeError as exc:
        return f"is not UTF-8: byte 0x{body[exc.start]:02x} at position {exc.start}"
    return "is not UTF-8"


def _malformed(body: bytes, exc: msgspec.DecodeError) -> BadRequestError:
    text = str(exc)
    hint = "Send one JSON object, e.g. with your client's own JSON encoder."
    if not body.strip():
        return _refuse("is empty", hint, code="invalid_json")
    if isinstance(exc, msgspec.ValidationError):
        if "out of range" in text:
            return _refuse("holds a number no double can hold", "Send smaller numbers.", code="invalid_json")
        return _refuse("is JSON, but not an object", hint, code="invalid_json")
    surrogate = _LONE_SURROGATE.search(body)
    if surrogate:
        what = f"has half a surrogate pair ({surrogate[0].decode()}) at position {surrogate.start()}"
        return _refuse(what, "Do not cut text inside a character.", code="invalid_json")
    text = text.removeprefix("JSON is malformed: ").replace("Input data was truncated", "it ends too early")
    return _refuse(f"is not valid JSON: {text}", hint, code="invalid_json")


def _keys(text: bytes) -> int:
    """Keys of all objects in ``text``, which is valid JSON."""
    return sum(1 for string in _STRING.finditer(text) if string.lastindex)


def _refuse_duplicates(body: bytes) -> None:
    """Raise BadRequestError for the first duplicate key of ``body``, which is valid JSON and has one."""
    if len(body) > MAX_NAMED:
        raise _refuse("has a key twice in one object", "Send each key once.", code="duplicate_key")
    text = body.decode()
    keys: list[set[str] | None] = []
    path: list[str] = []
    previous = None
    for token in _TOKEN.finditer(text):
        symbol = token[0]
        if symbol == "{":
            keys.append(set())
            path.append("")
        elif symbol == "[":
            keys.append(None)
            path.append("0")
        elif symbol in {"}", "]"}:
            keys.pop()
            path.pop()
        elif symbol == ",":
            if keys[-1] is None:
                path[-1] = str(int(path[-1]) + 1)
        elif symbol == ":":
            assert previous is not None
            known = keys[-1]
            key = msgspec.json.decode(previous[0], type=str)
            path[-1] = key
            assert known is not None
            if key in known:
                where = ".".join(path)
                position = len(text[: previous.start()].encode())
                what = f"has the key {key!r} twice in one object ({where}, second at position {position})"
                raise _refuse(what, "Send each key once.", code="duplicate_key", param=where)
            known.add(key)
        previous = token
