"""Records as lines of the journal: one record, one line of JSON. It knows neither files nor tables."""

from __future__ import annotations

from typing import Any

import msgspec

from nearfar.core.attempts import Begin, End

Record = Begin | End

_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Record)


def to_line(record: Record) -> bytes:
    """``record`` as one line; JSON escapes line feeds, so the only one is the last byte."""
    try:
        return _encode(record) + b"\n"
    except UnicodeEncodeError:  # half of a surrogate pair is a str to Python and no text to anybody else
        values = msgspec.structs.asdict(record)
        return _encode(msgspec.structs.replace(record, **{key: _sound(value) for key, value in values.items()})) + b"\n"


def from_lines(data: bytes) -> tuple[list[Record], int]:
    """The records of complete lines, and how many lines were none: those are skipped, never guessed at.

    Empty lines say nothing and count as nothing.
    """
    try:
        return _decoder.decode_lines(data), 0
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    records: list[Record] = []
    damaged = 0
    for line in data.split(b"\n"):
        if not line:
            continue
        try:
            records.append(_decoder.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError):
            damaged += 1
    return records, damaged


def _sound(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, tuple):
        return tuple(_sound(one) for one in value)
    return value
