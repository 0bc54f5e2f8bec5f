"""Texts inside texts: escapes of JSON, URLs and HTML, base64 and hexadecimal blobs, text hidden in tag characters.

Each reading knows its place in the text it was found in. What is long and cannot be read is told as unknown. It looks
one level deep into blobs and three into escapes, and knows nothing of what the readings hold.
"""

from __future__ import annotations

import binascii
import html
import re
from collections.abc import Iterable, Sequence

from nearfar.privacy.findings import Unknown
from nearfar.privacy.normal import Normal, Offsets, Splicer

TOKEN = 15
"""Characters from which on a run of the alphabets of keys, of base64 and of hexadecimal digits is looked at: those of
the shortest IPv6 address in full.
"""
_SIGNS = bytes.maketrans(
    bytes(range(256)),
    b"".join(
        b"x" if chr(code).isascii() and (chr(code).isalnum() or chr(code) in "+/_=.:-") else b" " for code in range(256)
    ),
)
_RUN = b"x" * TOKEN
LONG = 256
"""From this many characters on, a blob that cannot be read counts as unknown; shorter ones are hashes and keys."""
ROUNDS = 3
"""How often escapes may be wrapped in escapes: JSON in JSON in JSON."""
_ESCAPE = re.compile(  # it begins with one class, which is what makes a search fast
    r"[\\%&](?:(?<=\\)(?:u[0-9a-fA-F]{4}(?:\\u[0-9a-fA-F]{4})*+|x[0-9a-fA-F]{2}|[nrtbf\"'/\\])"
    r"|(?<=%)[0-9a-fA-F]{2}(?:%[0-9a-fA-F]{2})*+"
    r"|(?<=&)(?:\#[0-9]{1,7}|\#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,24});)"
)
_RARE = 32
"""With less than one sign in so many characters they are looked up one by one."""
_SINGLE = {"n": "\n", "r": "\r", "t": "\t", "b": " ", "f": " "}
_LAYOUT = {ord(char): None for char in "\n\r\t"}
_NEXT_IS_DIGIT = re.compile(r"(?:\\[ux]|%)[0-9a-fA-F]{2,4}[0-9]")
"""An escape that could also be two things: 3%0912345678 is a percentage with a number after it."""
_TAGS = re.compile("[\U000e0020-\U000e007e]{3,}")
_BLOB = re.compile(r"(?<![A-Za-z0-9+/_-])(?:[A-Za-z0-9+/_-]{16,}+={0,2}|[A-Za-z0-9+/_-]{14,15}={1,2})")
"""Ten bytes are enough: with its padding, base64 of a phone number has 16 characters."""
_NO_HEX = frozenset("ghijklmnopqrstuvwyzGHIJKLMNOPQRSTUVWXYZ+/_-=")
_HEX = re.compile("(?:0x)?((?:[0-9a-fA-F]{2}){8,})")


class Reading:
    """One way to read a text, or a part of it. ``normal`` is what is read."""

    __slots__ = ("_ways", "normal", "tokens")

    def __init__(self, normal: Normal, ways: Sequence[Offsets | Normal | tuple[int, int]]) -> None:
        """``ways`` lead outwards, the innermost first; a pair stands for a part that maps only as a whole."""
        self.normal = normal
        self.tokens: list[tuple[int, int]] = []
        """Where the long tokens of ``normal`` stand."""
        self._ways = tuple(ways)

    @property
    def straight(self) -> bool:
        """Whether every character stands where it is read."""
        return len(self._ways) == 1 and self._ways[0] is self.normal and self.normal.straight

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Where characters of ``normal.text`` stand in the text that was read."""
        return self.originals([(start, end)])[0]

    def originals(self, spans: Sequence[tuple[int, int]]) -> Sequence[tuple[int, int]]:
        """``original`` for many (start, end) at once."""
        for way in self._ways:
            spans = [way] * len(spans) if isinstance(way, tuple) else way.originals(spans)
        return spans


def readings(text: str) -> tuple[list[Reading], list[Unknown]]:
    """Every reading of ``text``, the whole first, and what could not be read. Offsets are those of ``text``."""
    found: list[Reading] = []
    unknowns: list[Unknown] = []
    first = Normal.of(text)
    whole = _unescaped(Reading(first, [first]))
    found.append(whole)
    if whole.normal is not first and _NEXT_IS_DIGIT.search(first.text):
        found.append(_told(Reading(first, [first])))
    if whole.tokens:
        blobs = _Blobs(whole)
        for start, end, inner in blobs.texts():
            normal = Normal.of(inner)
            found.append(_unescaped(Reading(normal, [whole.original(start, end)])))
        for start, end in blobs.unread():
            place = whole.original(start, end)
            unknowns.append(Unknown(*place, f"{end - start} characters that are no text in base64 or hexadecimal"))
    if not first.straight:  # such characters have no place in the normal form
        for hidden in _TAGS.finditer(text):
            normal = Normal.of("".join(chr(ord(char) - 0xE0000) for char in hidden[0]))
            found.append(_told(Reading(normal, [hidden.span()])))
    return found, unknowns


def _unescaped(reading: Reading) -> Reading:
    """``reading`` with its escapes resolved, or itself if it has none."""
    for _ in range(ROUNDS):
        text = reading.normal.text
        if not ("\\" in text or "%" in text or "&" in text):
            break
        splicer = Splicer()
        done = 0
        for match in _escapes(text):
            new = _meaning(match[0])
            if new is not None:
                splicer.keep(text[done : match.start()], done)
                splicer.swap(new, match.start(), len(match[0]))
                done = match.end()
        if not done:
            break
        splicer.keep(text[done:], done)
        plain, offsets = splicer.done()
        normal = Normal.of(plain)
        reading = Reading(normal, [normal, offsets, *reading._ways])  # noqa: SLF001 - the same class
    return _told(reading)


def _escapes(text: str) -> Iterable[re.Match[str]]:
    """The escapes of ``text``, in order."""
    signs = [(sign, text.count(sign)) for sign in "\\%&"]
    if sum(count for _, count in signs) * _RARE > len(text):
        return _ESCAPE.finditer(text)
    places = []
    for sign, count in signs:
        at = -1
        for _ in range(count):
            at = text.index(sign, at + 1)
            places.append(at)
    places.sort()
    found: list[re.Match[str]] = []
    for at in places:
        if not found or at >= found[-1].end():
            match = _ESCAPE.match(text, at)
            if match is not None:
                found.append(match)
    return found


def _told(reading: Reading) -> Reading:
    reading.tokens = _tokens(reading.normal.text)
    return reading


def _tokens(text: str) -> list[tuple[int, int]]:
    """Where the long runs stand."""
    if len(text) < TOKEN:
        return []
    # As bytes, where it is one search for so many equal ones: that is many times quicker than an expression.
    signs = text.encode("ascii", "replace").translate(_SIGNS) + b" "
    found = []
    start = signs.find(_RUN)
    while start >= 0:
        end = signs.index(b" ", start + TOKEN)
        found.append((start, end))
        start = signs.find(_RUN, end)
    return found


def _meaning(escape: str) -> str | None:
    """What an escape stands for; None if it stands for nothing."""
    if escape[0] == "&":
        plain = html.unescape(escape)
        return plain if plain != escape else None
    if escape[0] == "%":
        try:
            return bytes.fromhex(escape.replace("%", "")).decode()
        except UnicodeDecodeError:
            return None
    if escape[1] == "u":
        units = bytes.fromhex(escape.replace("\\u", ""))
        return units.decode("utf-16-be", "replace")
    if escape[1] == "x":
        return bytes.fromhex(escape[2:]).decode("latin-1")
    return _SINGLE.get(escape[1], escape[1])


class _Blobs:
    """The blobs of one text: those that hold text, and the long ones that hold something else."""

    def __init__(self, reading: Reading) -> None:
        self._text = text = reading.normal.text
        self._texts: list[tuple[int, int, str]] = []
        self._unread: list[tuple[int, int]] = []
        for start, end in reading.tokens:
            for match in _BLOB.finditer(text, start, end):
                self._read(match[0], match.start())

    def texts(self) -> list[tuple[int, int, str]]:
        """(start, end, the text inside)."""
        return self._texts

    def unread(self) -> list[tuple[int, int]]:
        """Long blobs that are no text, lines of one blob together."""
        return [(start, end) for start, end in self._unread if end - start >= LONG]

    def _read(self, blob: str, start: int) -> None:
        end = start + len(blob)
        digits = _HEX.fullmatch(blob) if _NO_HEX.isdisjoint(blob) else None
        if digits:
            inner = _text(bytes.fromhex(digits[1]))
        elif _is_mixed(blob):
            inner = _text(_decoded(blob))
        else:
            return
        if inner is not None:
            self._texts.append((start, end, inner))
        elif digits is None or len(blob) >= LONG:
            if self._unread and not self._text[self._unread[-1][1] : start].strip():
                start = self._unread.pop()[0]
            self._unread.append((start, end))


def _is_mixed(blob: str) -> bool:
    """Whether it may be base64 and not a long word or a path: letters of both cases."""
    return not (blob.islower() or blob.isupper() or blob.isdigit())


def _decoded(blob: str) -> bytes:
    body = blob.rstrip("=")
    if "-" in body or "_" in body:
        body = body.replace("-", "+").replace("_", "/")
    body = body[: len(body) - (len(body) % 4 == 1)]  # a last character alone holds no byte
    try:
        return binascii.a2b_base64(body + "=" * (-len(body) % 4))
    except binascii.Error:
        return b""


def _text(data: bytes) -> str | None:
    """``data`` as text, if it is text: UTF-8, but for a character cut at either end, and printable."""
    if not data:
        return None
    text = data.decode("utf-8", "replace").strip("\ufffd")
    if not text or "\ufffd" in text or len(text) < 4:
        return None
    if text.isprintable() or text.translate(_LAYOUT).isprintable():
        return text
    return None
