"""The words that explain or refute values, found once for all rules. It knows no value and no score.

The longest word that begins at a place is heard, with all the words inside it; what begins inside it and goes on behind
it is not (健保卡號 is no 卡號). What is asked later is where the words of one rule stand.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from nearfar.privacy import rules as rulebook
from nearfar.privacy.rules import AGAINST_REACH, Rule

Span = tuple[int, int]
_FEW = 8
"""Up to so many different words each of them is asked; of more it is put down once which rules they speak of."""
_AHEAD, _BEHIND, _AGAINST = 0, 1, 2
"""The parts of what a word says."""


class Speaker(NamedTuple):
    """What one word says, with all the words inside it. Rules by their index, places from where the word begins."""

    parts: tuple[Mapping[int, Sequence[Any]], ...]
    """Rule → AHEAD: where a word ends that explains what stands behind it. BEHIND: where one begins that explains what
    stands before it. AGAINST: (end, begin) of words that speak against what stands behind them.
    """
    opens: Sequence[tuple[int, int, int]]
    """(Rule that needs words, from here, to here): where it may match."""


class Words:
    """The words of all of these rules."""

    def __init__(self, these: Sequence[Rule]) -> None:
        spoken = sorted({word for rule in these for word in _all(rule)})
        self._speakers = {word: _speaker(word, spoken, these) for word in spoken}
        latin = [word for word in spoken if word[0].isascii()]
        self._latin = (rulebook.words(latin), rulebook.words(latin, among_latin=True))
        self._other = rulebook.words(word for word in spoken if not word[0].isascii())

    def heard(self, lower: str, zones: Iterable[Span]) -> Heard:
        """What is said in these zones, which are in order and do not overlap."""
        found: dict[str, list[int]] = {}
        ascii_only = lower.isascii()
        # How many letters are Latin ones is told by how long the text is as bytes: ideographs have three.
        mostly = ascii_only or 10 * len(lower.encode("utf-8", "surrogatepass")) < 11 * len(lower)
        for words in (self._latin[mostly], None if ascii_only else self._other):
            if words is None:
                continue
            hits = words.finditer
            for start, end in zones:
                for hit in hits(lower, start, end):
                    word = hit[0]
                    if word in found:
                        found[word].append(hit.start())
                    else:
                        found[word] = [hit.start()]
        speakers = self._speakers
        return Heard([(places, speakers[word]) for word, places in found.items()])


class Heard:
    """The words of one text. What a rule asks for is put in order when it first asks."""

    __slots__ = ("_parts", "_refuting", "_said", "ends", "starts")

    def __init__(self, said: Sequence[tuple[list[int], Speaker]]) -> None:
        """``said``: the places where a word begins, in order; and what it says."""
        self._said = said
        self._parts: dict[int, dict[int, list[tuple[list[int], Any]]]] = {}
        self.ends: dict[int, list[int]] = {}
        """Rule that asked → where the words end, in order, that explain what stands behind them."""
        self.starts: dict[int, list[int]] = {}
        """Rule that asked → where the words begin, in order, that explain what stands before them."""
        self._refuting: dict[int, tuple[list[int], list[Span]]] = {}
        """Rule that asked → where the words end, in order, that speak against what is behind; and (end, begin)."""

    def windows(self) -> dict[int, list[Span]]:
        """For each rule that needs words: where a match may begin, because one of its words is near."""
        windows: dict[int, list[Span]] = {}
        for places, speaker in self._said:
            for index, first, last in speaker.opens:
                these = [(at + first, at + last) for at in places]
                if index in windows:
                    windows[index] += these
                else:
                    windows[index] = these
        return windows

    def asked_ahead(self, rule: int) -> list[int]:
        """Put into ``ends`` what this rule asks for."""
        lists = [[at + end for at in places] for places, told in self._by(rule, _AHEAD) for end in told]
        self.ends[rule] = ends = _joined(lists)
        return ends

    def asked_behind(self, rule: int) -> list[int]:
        """Put into ``starts`` what this rule asks for."""
        lists = [[at + begin for at in places] for places, told in self._by(rule, _BEHIND) for begin in told]
        self.starts[rule] = starts = _joined(lists)
        return starts

    def _by(self, rule: int, part: int) -> Sequence[tuple[list[int], Any]]:
        """(Where a word begins, what this part of it says of the rule) of each that says something."""
        if len(self._said) <= _FEW:
            return [
                (places, speaker.parts[part][rule]) for places, speaker in self._said if rule in speaker.parts[part]
            ]
        known = self._parts.get(part)
        if known is None:
            known = self._parts[part] = {}
            for places, speaker in self._said:
                for index, told in speaker.parts[part].items():
                    if index in known:
                        known[index].append((places, told))
                    else:
                        known[index] = [(places, told)]
        return known.get(rule, ())

    def refutes(self, rule: int, at: int) -> bool:
        """Whether a word that speaks against ``rule`` stands shortly before ``at``."""
        known = self._refuting.get(rule)
        if known is None:
            spans: list[Span] = []
            for places, told in self._by(rule, _AGAINST):
                for end, begin in told:
                    spans += [(place + end, place + begin) for place in places]
            spans.sort()
            known = self._refuting[rule] = ([end for end, _ in spans], spans)
        ends, spans = known
        if not ends:
            return False
        first = at - AGAINST_REACH
        index = bisect.bisect_right(ends, at)
        while index and ends[index - 1] > first:
            index -= 1
            if spans[index][1] >= first:
                return True
        return False


def _joined(lists: Sequence[list[int]]) -> list[int]:
    if len(lists) == 1:
        return lists[0]
    joined: list[int] = []
    for each in lists:
        joined += each
    joined.sort()  # runs in order, which is what sorting is quick with
    return joined


def _all(rule: Rule) -> list[str]:
    return [*rule.row.context, *rule.row.trailing, *rule.row.against]


def _inside(word: str, longer: str) -> list[int]:
    """Where in ``longer`` the word ``word`` stands."""
    if word not in longer:
        return []
    alone = rulebook.words([word])
    return [match.start() for match in alone.finditer(longer)] if alone is not None else []


def _speaker(longest: str, spoken: Sequence[str], these: Sequence[Rule]) -> Speaker:
    ahead: dict[int, list[int]] = {}
    behind: dict[int, list[int]] = {}
    against: dict[int, list[Span]] = {}
    opens = []
    inside = [(word, at) for word in spoken for at in _inside(word, longest)]
    for index, rule in enumerate(these):
        row = rule.row
        for word, begin in inside:
            end = begin + len(word)
            if word in row.context:
                ahead.setdefault(index, []).append(end)
                if row.need:
                    opens.append((index, begin, end + row.before))
            if word in row.trailing:
                behind.setdefault(index, []).append(begin)
                if row.need:
                    opens.append((index, begin - row.after - rule.width, end))
            if word in row.against:
                against.setdefault(index, []).append((end, begin))
    return Speaker((ahead, behind, against), tuple(opens))
