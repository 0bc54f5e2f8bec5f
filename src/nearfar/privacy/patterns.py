"""Reads the regular expressions of rules: refuses what could be slow or depend on the script, tells their widths.

It knows the small part of the syntax that rules may use, and nothing of what they look for.
"""

from __future__ import annotations

import functools
import re
import string
from typing import NamedTuple

WIDEST = 16_384
"""Characters that one match may have."""
OTHER = "\x80"
"""Stands for every character that is not ASCII."""
_ESCAPES = frozenset(".^$*+?{}[]\\|()/-#&~ \"'nrtu")
"""What may stand after a backslash. Not ``\\b``, ``\\w``, ``\\d``, ``\\s``: they take ideographs for letters."""
_COUNT = re.compile(r"\{([0-9]+)(?:,([0-9]*))?\}")
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t"}
_DIGITS = frozenset(string.digits)
_ASCII = tuple(map(chr, range(128)))
_MEMBER = re.compile(r"\\u([0-9a-fA-F]{4})|\\([^u])|([^\\])")
_BEFORE = re.compile(r"\(\?<!\[([^\]^\\]*)\]\)")
_BESIDE = re.compile(r"\(\?<!(?:\[[^\]]*\]|\\?[^\\\[()])+\)")
_OPEN = re.compile(r"\((?:\?(?::|=|!|<=|<!|P<[a-z]+>|-?i:))?")


class Width(NamedTuple):
    """How many characters a match can have: the fewest, which may be told too low, and the most.

    ``lead`` is the most characters of a match before its first digit; if it need not have one, ``digit`` is false.
    ``blank``: whether there may be a blank in it, which may be told where there can be none. ``first``: the characters
    that may begin it, perhaps too many; OTHER for all that are not ASCII.
    """

    least: int
    most: int
    lead: int = 0
    digit: bool = False
    blank: bool = False
    first: frozenset[str] = frozenset()


def width(pattern: str) -> Width:
    """How wide a match of ``pattern`` can be; ValueError for what rules may not use."""
    reader = _Reader(pattern)
    wide = reader.alternatives()
    if reader.at != len(pattern):
        raise ValueError(f"a closing bracket without its opening at character {reader.at}")
    if wide.most > WIDEST:
        raise ValueError(f"a match could be {wide.most} characters long; {WIDEST} is the limit")
    return wide


def before(pattern: str) -> frozenset[str]:
    """The ASCII characters behind which no match of ``pattern`` begins; perhaps too few."""
    at, found = 0, frozenset[str]()
    while look := _BESIDE.match(pattern, at):
        if alone := _BEFORE.fullmatch(look[0]):
            found |= _members(alone[1])
        at = look.end()
    return found - {OTHER}


@functools.cache
def _members(inside: str) -> frozenset[str]:
    """The ASCII characters of a class, from what stands between its brackets; OTHER if there may be more."""
    negated = inside.startswith("^")
    signs: list[tuple[str, bool]] = []
    for code, escaped, plain in _MEMBER.findall(inside[negated:]):
        char = chr(int(code, 16)) if code else _CONTROLS.get(escaped, escaped) or plain
        signs.append((char, plain == "-"))
    chars: set[str] = set()
    at = 0
    while at < len(signs):
        low = signs[at][0]
        if at + 2 < len(signs) and signs[at + 1][1]:
            high = signs[at + 2][0]
            at += 3
        else:
            high = low
            at += 1
        chars.update(char for char in _ASCII if low <= char <= high)
        if high >= OTHER:
            chars.add(OTHER)
    return frozenset({*_ASCII, OTHER} - (chars - {OTHER}) if negated else chars)


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
                wide.first | other.first,
            )
        return wide

    def _peek(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def _sequence(self) -> Width:
        least = most = lead = 0
        digit = blank = False
        first: frozenset[str] = frozenset()
        while self._peek() not in {"", "|", ")"}:
            item, times = self._item(), self._times()
            if not digit:
                digit = item.digit and times.least > 0
                lead += item.lead if digit else item.most * times.most
            if not least:
                first |= item.first
            least += item.least * times.least
            most += item.most * times.most
            blank = blank or item.blank
        return Width(least, most, lead, digit, blank, first)

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
                code = chr(int(self.pattern[self.at - 4 : self.at], 16))
                return Width(1, 1, blank=code == " ", first=frozenset({min(code, OTHER)}))
            if escape not in _ESCAPES or not escape:
                raise ValueError(f"`\\{escape}` is not for rules: name the characters, as in [0-9]")
            self.at += 1
            char = escape
        char = _CONTROLS.get(char, char) if self.pattern[self.at - 2] == "\\" else char
        return Width(1, 1, 0, char.isdecimal(), char == " ", frozenset({min(char, OTHER)}))

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
        members = _members(self.pattern[self.at + 1 : end])
        self.at = end + 1
        return Width(1, 1, 0, members <= _DIGITS, " " in members, members)

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
