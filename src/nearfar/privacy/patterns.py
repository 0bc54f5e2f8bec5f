"""Reads the regular expressions of rules: refuses what could be slow or depend on the script, tells their widths.

It knows the small part of the syntax that rules may use, and nothing of what they look for.
"""

from __future__ import annotations

import re
from typing import NamedTuple

WIDEST = 16_384
"""Characters that one match may have."""
_ESCAPES = frozenset(".^$*+?{}[]\\|()/-#&~ \"'nrtu")
"""What may stand after a backslash. Not ``\\b``, ``\\w``, ``\\d``, ``\\s``: they take ideographs for letters."""
_COUNT = re.compile(r"\{([0-9]+)(?:,([0-9]*))?\}")
_FIGURES = re.compile(r"\[(?:[0-9]-[0-9]|[0-9])+\]")
"""A class of digits alone."""
_CONTROL = re.compile(r"\\[tnr]-|\\u00[01]")
"""What may begin a range that a blank lies in."""
_OPEN = re.compile(r"\((?:\?(?::|=|!|<=|<!|P<[a-z]+>|-?i:))?")


class Width(NamedTuple):
    """How many characters a match can have: the fewest, which may be told too low, and the most.

    ``lead`` is the most characters of a match before its first digit; if it need not have one, ``digit`` is false.
    ``blank``: whether there may be a blank in it, which may be told where there can be none.
    """

    least: int
    most: int
    lead: int = 0
    digit: bool = False
    blank: bool = False


def width(pattern: str) -> Width:
    """How wide a match of ``pattern`` can be; ValueError for what rules may not use."""
    reader = _Reader(pattern)
    wide = reader.alternatives()
    if reader.at != len(pattern):
        raise ValueError(f"a closing bracket without its opening at character {reader.at}")
    if wide.most > WIDEST:
        raise ValueError(f"a match could be {wide.most} characters long; {WIDEST} is the limit")
    return wide


class _Reader:
    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.groups: list[Width] = []

    def alternatives(self) -> Width:
        wide = self._sequence()
        while self._peek() == "|":
            self.at += 1
            other = self._sequence()
            wide = Width(
                min(wide.least, other.least),
                max(wide.most, other.most),
                max(wide.lead, other.lead),
                wide.digit and other.digit,
                wide.blank or other.blank,
            )
        return wide

    def _peek(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def _sequence(self) -> Width:
        least = most = lead = 0
        digit = blank = False
        while self._peek() not in {"", "|", ")"}:
            item, times = self._item(), self._times()
            if not digit:
                digit = item.digit and times.least > 0
                lead += item.lead if digit else item.most * times.most
            least += item.least * times.least
            most += item.most * times.most
            blank = blank or item.blank
        return Width(least, most, lead, digit, blank)

    def _item(self) -> Width:
        char = self._peek()
        if char == "(":
            return self._group()
        if char == "[":
            return self._class()
        self.at += 1
        if char == ".":
            raise ValueError("`.` takes anything: name the characters")
        if char in "*+?{":
            raise ValueError(f"`{char}` repeats nothing at character {self.at - 1}")
        if char in "^$":
            return Width(0, 0)
        if char == "\\":
            escape = self._peek()
            if escape.isdigit() and 0 < int(escape) <= len(self.groups):
                self.at += 1
                return self.groups[int(escape) - 1]._replace(lead=0, digit=False)
            if escape == "u":
                self.at += 5
                return Width(1, 1, blank=True)
            if escape not in _ESCAPES or not escape:
                raise ValueError(f"`\\{escape}` is not for rules: name the characters, as in [0-9]")
            self.at += 1
            char = escape
        return Width(1, 1, 0, char.isdecimal(), char == " ")

    def _group(self) -> Width:
        opening = _OPEN.match(self.pattern, self.at)
        if opening is None or (len(opening[0]) == 1 and self.pattern.startswith("(?", self.at)):
            raise ValueError(f"this kind of group is not for rules, at character {self.at}")
        self.at = opening.end()
        inside = self.alternatives()
        if self._peek() != ")":
            raise ValueError("an opening bracket without its closing")
        self.at += 1
        if opening[0] == "(" or opening[0].startswith("(?P"):
            self.groups.append(inside)
        return Width(0, 0) if opening[0] in {"(?=", "(?!", "(?<=", "(?<!"} else inside

    def _class(self) -> Width:
        end = self.at + 2 if self.pattern.startswith("[^", self.at) else self.at + 1
        end += self.pattern.startswith("]", end)
        while end < len(self.pattern) and self.pattern[end] != "]":
            if self.pattern[end] == "\\":
                end += 1
                if self.pattern[end : end + 1] not in _ESCAPES:
                    raise ValueError(f"`\\{self.pattern[end : end + 1]}` in a class is not for rules")
            end += 1
        if end >= len(self.pattern):
            raise ValueError("a class without its end")
        only = _FIGURES.fullmatch(self.pattern, self.at, end + 1) is not None
        inside = self.pattern[self.at + 1 : end]
        blank = (" " in inside) is not inside.startswith("^") or _CONTROL.search(inside) is not None
        self.at = end + 1
        return Width(1, 1, 0, only, blank)

    def _times(self) -> Width:
        char = self._peek()
        if char in {"*", "+"}:
            raise ValueError(f"`{char}` has no bound: say how many, as in {{1,64}}")
        if char == "?":
            self.at += 1
            times = Width(0, 1)
        elif counted := _COUNT.match(self.pattern, self.at):
            if counted[2] == "":
                raise ValueError(f"`{counted[0]}` has no bound")
            times = Width(int(counted[1]), int(counted[2] or counted[1]))
            self.at = counted.end()
        else:
            return Width(1, 1)
        if self._peek() in {"?", "+"} and self._peek():
            self.at += 1  # lazy or possessive: as wide
        return times
