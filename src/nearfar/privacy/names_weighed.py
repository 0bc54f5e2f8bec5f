"""Weighs whether a Chinese surname and the characters behind it are a name, by what stands in them and beside them.

It knows neither labels nor titles behind a name, and asks only the characters of one line around the place.
"""

from __future__ import annotations

import msgspec

ENOUGH = 7
"""Points from which on it is a name: chosen on text without names, where it says as little as before."""
_NEVER = -6
_LIST = "、"
_SIGNS = "、,:;。( \n"
_SIZES = (2, 3, 4)
"""Characters of what a person is."""
_CIRCLES = "○\u3007◯●"
_HIDES = f"{_CIRCLES}OX*"


class Weights(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Characters and words, separated by spaces where they may be longer than one character."""

    plain: str
    """Characters of given names that stand in many other words as well."""
    either: str
    """Characters that mostly go on with a sentence, and stand in given names, too."""
    roles: str
    """What a person is, directly before the name."""
    follows: str
    """Words behind a name."""
    words: str
    """Words of two characters that begin with a surname: a label or title makes a name of them, nothing else."""
    things: str
    """Characters behind that make it a thing: a street, a kind of something."""
    never: str
    """Words of two characters that begin a sentence's next part, not a given name."""


class Weigher:
    """Points for and against a name at one place; no state."""

    def __init__(
        self, data: Weights, *, surnames: str, common: str, given: frozenset[str], goes_on: str, begins: str
    ) -> None:
        self._first = {
            char: points for line, points in zip(surnames.split("\n"), (3, 2, 2, 2), strict=False) for char in line
        }
        self._common = frozenset(common)
        self._given = given
        self._plain = frozenset(data.plain)
        self._either = frozenset(data.either)
        self._goes_on = frozenset(goes_on)
        self._begins = frozenset(begins)
        self._roles = frozenset(data.roles.split())
        self._role_ends = frozenset(role[-1] for role in self._roles)
        self._follows = frozenset(data.follows.split())
        self._follow_begins = frozenset(word[0] for word in self._follows)
        self._words = frozenset(data.words.split())
        self._things = frozenset(data.things)
        self._never = self._follows | frozenset(data.never.split())

    def end(self, text: str, start: int, end: int) -> int:
        """Where the name ends whose surname stands from ``start`` to ``end``, 0 if it is none. A character follows."""
        before = text[start - 1] if start else ""
        points = self._before(text, start, before)
        # Inside a sentence both characters must be usual ones: that is told before anything else is looked up.
        if points < 0 and (text[end] not in self._given or text[end + 1 : end + 2] not in self._given):
            return 0
        if text[start : end + 1] in self._words:
            return 0
        points += 5 if end - start > 1 else self._first.get(text[start], 1) - 3 * (text[start] in self._common)
        size = len(text)
        if end + 1 < size and _is_han(text[end + 1]) and text[end : end + 2] not in self._never:
            longer = points + self._pair(text[end], text[end + 1])
            if longer + 5 >= ENOUGH and longer + self._behind(text, start, end + 2) >= ENOUGH:
                return end + 2
        # One character alone is a name mostly in lists and behind what the person is.
        if points < 3 or text[end] not in self._given or text[end] in self._plain:
            return 0
        return end + 1 if points + self._behind(text, start, end + 1) >= ENOUGH else 0

    def hidden(self, text: str, start: int, end: int) -> int:
        """Where a name ends that is written with circles (王○明), 0 if it is none."""
        last = end
        while last < len(text) and last - end < 2 and text[last] in _HIDES:
            last += 1
        if last == end:
            return 0
        shown = last - end == 1 and last < len(text) and _is_han(text[last])
        if not shown and (last - end == 1 or text[end] not in _CIRCLES):
            return 0
        before = text[start - 1] if start else ""
        return last + shown if self._before(text, start, before) >= 0 else 0

    def _before(self, text: str, start: int, before: str) -> int:
        if before in self._role_ends and any(text[start - size : start] in self._roles for size in _SIZES):
            return 4
        if not _is_han(before):
            return 2 if not before.isalnum() else 0
        return 2 if before in self._begins else -2

    def _pair(self, first: str, second: str) -> int:
        """Points for two characters of a given name."""
        points = known = 0
        for char in (first, second):
            if char in self._given:
                known += 1
                points += 1 if char in self._plain else 2
            elif char in self._either:
                points -= 1
            elif char in self._goes_on:
                return _NEVER
        if not known:
            return -1 if not points else _NEVER
        return points + (known == 1)

    def _behind(self, text: str, start: int, end: int) -> int:
        """Points for what stands behind, and for other names beside it in a list."""
        after = text[end : end + 1]
        if not _is_han(after):
            points = 1
            if after == _LIST and text[end + 1 : end + 2] in self._first:
                points = 3
        elif after in self._follow_begins and (
            text[end : end + 2] in self._follows or text[end : end + 3] in self._follows
        ):
            points = 3
        elif after in self._goes_on:
            points = 2
        elif after in self._things:
            points = _NEVER
        else:
            points = -1
        if start and text[start - 1] == _LIST:
            begun = max(text.rfind(sign, max(0, start - 6), start - 1) for sign in _SIGNS) + 1
            begun = max(begun, start - 6, 0)
            if start - 1 - begun in {2, 3} and text[begun] in self._first:
                points += 2
        return points


def _is_han(char: str) -> bool:
    return "\u4e00" <= char <= "\u9fff"
