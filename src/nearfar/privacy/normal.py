"""The form in which texts are compared: NFKC without invisible characters, with the way back to the original offsets.

It knows no identifier. Deviations from plain NFKC, all one to one: every decimal digit of any script becomes an ASCII
digit, every dash ``-``. Look-alike letters of other scripts are not folded. Linear in the length of the text.
"""

from __future__ import annotations

import bisect
import functools
import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""A character class: zero width, bidi marks, fillers, variation selectors, tags (Unicode 15, property
Default_Ignorable_Code_Point, 2026-11-22), and interlinear annotation."""
_INVISIBLE = re.compile(f"[{INVISIBLE}]")
_SAFE = "\x00-\x7f\u3001-\u3029\u3041-\u3096\u30a1-\u30fe\u3105-\u312f\u3400-\u4dbf\u4e00-\u9fff"
"""Blocks that hold nothing which NFKC changes by itself: ASCII, CJK punctuation, kana, bopomofo, ideographs."""
_UNSAFE = re.compile(f"[^{_SAFE}]")
_UNSAFE_RUN = re.compile(f"[^{_SAFE}]+")
_ASCII = bytes(range(128))
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2e3a\u2e3b\ufe58\ufe63\uff0d"
_MANY = 128
"""From this many different characters on, one pass that asks about each character is cheaper than one pass for each."""
_RARE = 32
"""With less than one of them in so many characters they are looked up one by one."""
_VANISHING = frozenset(
    "\u00ad\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufe0f\ufeff"
)
"""The invisible characters met most: each simply goes, whatever stands beside it."""


class Offsets:
    """The way back from a changed text to the one it was made of."""

    __slots__ = ("_from", "_to", "_width")

    def __init__(self, pieces: Sequence[tuple[int, int, int]] = ()) -> None:
        """``pieces``: (from here in the changed text, there in the original, width there), in order, the first at 0.

        Width 0 means one to one up to the next piece; any other width means that every character of this piece
        stands for the same ``width`` characters of the original. No pieces: one to one throughout. Of several pieces
        that begin at one place the last counts: the others are empty.
        """
        kept = list({piece[0]: piece for piece in pieces}.values())
        self._from = [piece[0] for piece in kept]
        self._to = [piece[1] for piece in kept]
        self._width = [piece[2] for piece in kept]

    @property
    def straight(self) -> bool:
        """Whether it is one to one throughout."""
        return not self._from

    def originals(self, spans: Sequence[tuple[int, int]]) -> Sequence[tuple[int, int]]:
        """Where each of these (start, end) stands in the original: ``original`` for many at once."""
        after, to, widths = self._from, self._to, self._width
        if not after:
            return spans
        count = len(after)
        placed = []
        for start, end in spans:
            piece = bisect.bisect_right(after, start) - 1
            width = widths[piece]
            first = to[piece] if width else to[piece] + start - after[piece]
            if piece + 1 < count and after[piece + 1] < end:
                piece = bisect.bisect_left(after, end) - 1
                width = widths[piece]
            placed.append((first, to[piece] + (width or end - after[piece]) if end > start else first))
        return placed

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Where the characters ``start`` to ``end`` of the changed text stand in the original.

        A character that has no place of its own (one of three that stand for one) gets its whole source.
        """
        return self.originals([(start, end)])[0]


_STRAIGHT = Offsets()


class Splicer:
    """Builds a changed text piece by piece, and its offsets."""

    def __init__(self) -> None:
        self._out: list[str] = []
        self._pieces: list[tuple[int, int, int]] = [(0, 0, 0)]
        self._size = 0

    def keep(self, text: str, at: int) -> None:
        """``text`` as it stands at ``at`` in the original."""
        here, there, width = self._pieces[-1]
        if width or there + self._size - here != at:
            self._pieces.append((self._size, at, 0))
        self._out.append(text)
        self._size += len(text)

    def swap(self, new: str, at: int, width: int) -> None:
        """``new`` instead of the ``width`` characters at ``at``."""
        if len(new) == width == 1:
            self.keep(new, at)
        elif new:
            self._pieces.append((self._size, at, width))
            self._out.append(new)
            self._size += len(new)

    def done(self) -> tuple[str, Offsets]:
        """The changed text, and the way back."""
        return "".join(self._out), Offsets(self._pieces)


class Normal:
    """A text in its normal form. ``text`` is that form, ``lower`` the same in lower case, equally long."""

    __slots__ = ("_offsets", "lower", "text")

    def __init__(self, text: str, offsets: Offsets) -> None:
        self.text = text
        self.lower = lowered(text)
        self._offsets = offsets

    @classmethod
    def of(cls, original: str) -> Normal:
        """The normal form of ``original``."""
        if original.isascii():
            return cls(original, _STRAIGHT)
        # As bytes, all that is ASCII goes at once.
        others = original.encode("utf-8", "surrogatepass").translate(None, _ASCII).decode("utf-8", "surrogatepass")
        odd = set(_UNSAFE.findall(others))
        if not odd:
            return cls(original, _STRAIGHT)
        table = _table()
        rest = {char for char in odd if char not in table}
        text = _swap(original, odd - rest, table)
        return cls(*_slowly(text, rest)) if rest else cls(text, _STRAIGHT)

    @property
    def straight(self) -> bool:
        """Whether every character stands where it stood."""
        return self._offsets.straight

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Where the characters ``start`` to ``end`` of the normal form stand in the original text."""
        return self._offsets.original(start, end)

    def originals(self, spans: Sequence[tuple[int, int]]) -> Sequence[tuple[int, int]]:
        """``original`` for many (start, end) at once."""
        return self._offsets.originals(spans)


def lowered(text: str) -> str:
    """``text`` in lower case, character for character: one whose lower case is longer stays as it is."""
    lower = text.lower()
    if len(lower) == len(text):
        return lower
    return "".join(one if len(one := char.lower()) == 1 else char for char in text)


def _swap(text: str, odd: AbstractSet[str], table: Mapping[str, str]) -> str:
    new = {char: table[char] for char in odd if table[char] != char}
    if len(new) > _MANY:
        return re.sub(f"[{''.join(map(re.escape, new))}]", lambda match: new[match[0]], text)
    for char, other in new.items():
        text = text.replace(char, other)
    return text


def _slowly(text: str, odd: set[str]) -> tuple[str, Offsets]:
    """Without the characters ``odd``, none of which stands for exactly one other. What does is swapped already."""
    runs = _runs(text, odd)
    if _VANISHING.issuperset(odd):
        gone, done, pieces, kept = 0, 0, [(0, 0, 0)], []
        for start, end in runs:
            kept.append(text[done:start])
            done = end
            pieces.append((start - gone, end, 0))
            gone += end - start
        kept.append(text[done:])
        return "".join(kept), Offsets(pieces)
    return _pieced(text, runs)


def _runs(text: str, odd: set[str]) -> list[tuple[int, int]]:
    """Where characters ``odd`` stand, those side by side together."""
    if len(odd) > _MANY:
        return [match.span() for match in _UNSAFE_RUN.finditer(text)]
    counts = [(char, text.count(char)) for char in odd]
    if sum(count for _, count in counts) * _RARE > len(text):
        these = re.compile(f"[{''.join(map(re.escape, sorted(odd)))}]+")
        return [match.span() for match in these.finditer(text)]
    places = []
    for char, count in counts:
        at = -1
        for _ in range(count):
            at = text.index(char, at + 1)
            places.append(at)
    runs: list[tuple[int, int]] = []
    for at in sorted(places):
        if runs and runs[-1][1] == at:
            runs[-1] = (runs[-1][0], at + 1)
        else:
            runs.append((at, at + 1))
    return runs


def _pieced(text: str, runs: Sequence[tuple[int, int]]) -> tuple[str, Offsets]:
    """Piece by piece: clusters of a character and the marks after it, each normalised for itself."""
    splicer = Splicer()
    table = _table()
    done = 0
    for start, end in runs:
        # A mark joins the character before it, which may be a plain letter: e + U+0301.
        at = start - (start > done and _joins(text[start]))
        splicer.keep(text[done:at], done)
        while at < end:
            stop = at + 1
            while stop < end and _joins(text[stop]):
                stop += 1
            cluster = text[at:stop]
            new = table.get(cluster)
            splicer.swap(_clean(cluster) if new is None else new, at, stop - at)
            at = stop
        done = end
    splicer.keep(text[done:], done)
    return splicer.done()


def _clean(cluster: str) -> str:
    seen = unicodedata.normalize("NFKC", _INVISIBLE.sub("", cluster))
    return "".join(map(_plain, _INVISIBLE.sub("", seen)))


def _joins(char: str) -> bool:
    """Whether ``char`` may melt with the one before it: combining marks, and the later parts of Hangul syllables."""
    return unicodedata.combining(char) != 0 or "\u1160" <= char <= "\u11ff" or char in "\uff9e\uff9f\u3099\u309a"


def _plain(char: str) -> str:
    digit = unicodedata.decimal(char, None)
    if digit is not None:
        return str(digit)
    return "-" if char in _DASHES else char


@functools.cache
def _table() -> dict[str, str]:
    """Characters that become exactly one other, or stay: full-width forms, spaces, digits, dashes, symbols."""
    table: dict[str, str] = {}
    for code in (*range(0xA0, 0x3001), *range(0xFE30, 0xFF5F)):
        char = chr(code)
        if _INVISIBLE.match(char) or _joins(char):
            continue
        new = unicodedata.normalize("NFKC", char)
        if len(new) == 1:
            table[char] = sys.intern(_plain(new))
    return table
