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
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2e3a\u2e3b\ufe58\ufe63\uff0d"
_MANY = 24
"""From this many different characters one ``translate`` is cheaper than one ``replace`` each."""


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

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Where the characters ``start`` to ``end`` of the changed text stand in the original.

        A character that has no place of its own (one of three that stand for one) gets its whole source.
        """
        if not self._from:
            return start, end
        first = self._source(start)[0]
        return first, (self._source(end - 1)[1] if end > start else first)

    def _source(self, index: int) -> tuple[int, int]:
        piece = bisect.bisect_right(self._from, index) - 1
        if self._width[piece] == 0:
            at = self._to[piece] + index - self._from[piece]
            return at, at + 1
        return self._to[piece], self._to[piece] + self._width[piece]


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
            return cls(original, Offsets())
        odd = set(_UNSAFE.findall(original))
        table = _table()
        if odd <= table.keys():
            return cls(_swap(original, odd, table), Offsets())
        return cls(*_slowly(original, table))

    @property
    def straight(self) -> bool:
        """Whether every character stands where it stood."""
        return self._offsets.straight

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Where the characters ``start`` to ``end`` of the normal form stand in the original text."""
        return self._offsets.original(start, end)


def lowered(text: str) -> str:
    """``text`` in lower case, character for character: one whose lower case is longer stays as it is."""
    lower = text.lower()
    if len(lower) == len(text):
        return lower
    return "".join(one if len(one := char.lower()) == 1 else char for char in text)


def _swap(text: str, odd: set[str], table: Mapping[str, str]) -> str:
    if len(odd) > _MANY:
        return text.translate({ord(char): table[char] for char in odd})
    for char in odd:
        text = text.replace(char, table[char])
    return text


def _slowly(original: str, table: Mapping[str, str]) -> tuple[str, Offsets]:
    """Piece by piece: clusters of a character and the marks after it, each normalised for itself."""
    splicer = Splicer()
    done = 0
    for run in _UNSAFE_RUN.finditer(original):
        # A mark joins the character before it, which may be a plain letter: e + U+0301.
        at = run.start() - (run.start() > done and _joins(original[run.start()]))
        splicer.keep(original[done:at], done)
        while at < run.end():
            stop = at + 1
            while stop < run.end() and _joins(original[stop]):
                stop += 1
            cluster = original[at:stop]
            new = table.get(cluster)
            splicer.swap(_clean(cluster) if new is None else new, at, stop - at)
            at = stop
        done = run.end()
    splicer.keep(original[done:], done)
    return splicer.done()


def _clean(cluster: str) -> str:
    seen = unicodedata.normalize("NFKC", _INVISIBLE.sub("", cluster))
    return "".join(map(_plain, _INVISIBLE.sub("", seen)))


def _tidy(pieces: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Of several pieces that begin at one place in the normal form the last one counts: the others are empty."""
    return [piece for piece, after in zip(pieces, [*pieces[1:], (-1, 0, 0)], strict=True) if piece[0] != after[0]]


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
