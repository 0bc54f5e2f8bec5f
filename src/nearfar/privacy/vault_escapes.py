"""Texts without the escapes of JSON and URLs, with the way back to where each character stood. It knows no value."""

from __future__ import annotations

import re
from collections.abc import Iterator

NESTED = 3
"""Escapes within escapes that are looked through: arguments within arguments, percent signs in them."""
_ESCAPE = re.compile(
    r"\\(?:u([0-9a-fA-F]{4})(?:\\u([dD][c-fC-F][0-9a-fA-F]{2}))?|([^u]))|((?:%[0-9a-fA-F]{2})+)", re.DOTALL
)
_SIGNS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def plain(text: str) -> tuple[str, list[int]]:
    """``text`` without escapes, and for each character of it, and for its end, the offset in ``text``."""
    pieces: list[str] = []
    offsets: list[int] = []
    done = 0
    for found in _ESCAPE.finditer(text):
        pieces.append(text[done : found.start()])
        offsets += range(done, found.start())
        at = found.start()
        for char, size in _characters(found):
            pieces.append(char)
            offsets.append(at)
            at += size
        done = found.end()
    pieces.append(text[done:])
    offsets += range(done, len(text) + 1)
    return "".join(pieces), offsets


def _characters(found: re.Match[str]) -> Iterator[tuple[str, int]]:
    """Characters that an escape stands for, each with how many of the escape's it takes."""
    first, second, sign, octets = found.groups()
    if sign is not None:
        yield _SIGNS.get(sign, sign), 2
    elif octets is not None:
        for char in bytes.fromhex(octets.replace("%", "")).decode("utf-8", "surrogateescape"):
            yield char, 3 * len(char.encode("utf-8", "surrogateescape"))
    elif second is not None and "d" in first[0].lower() and first[1] in "89abAB":
        yield chr(0x10000 + ((int(first, 16) - 0xD800) << 10) + int(second, 16) - 0xDC00), 12
    else:
        yield chr(int(first, 16)), 6
        if second is not None:
            yield chr(int(second, 16)), 6
