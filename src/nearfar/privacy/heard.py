"""The words that explain or refute values, found once for all rules. It knows no value and no score.

The longest word that begins at a place is heard, with all the words inside it; what begins inside it and goes on behind
it is not (健保卡號 is no 卡號). What is asked later is whether a word of one rule stands near a place.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from nearfar.privacy import rules as rulebook
from nearfar.privacy.rules import AGAINST_REACH, Rule

Span = tuple[int, int]


class Speaker(NamedTuple):
    """What one word says: of which rules (by their index) it is the explanation, ahead or behind, or against which."""

    ahead: frozenset[int]
    behind: frozenset[int]
    against: frozenset[int]
    opens: tuple[tuple[int, int, int], ...]
    """(Index of a rule that needs words, from here, to here): where it may match, from where the word begins."""


class Words:
    """The words of all of these rules."""

    def __init__(self, these: Sequence[Rule]) -> None:
        speakers = {word: _speaker(word, these) for word in sorted({word for rule in these for word in _all(rule)})}
        self._said: Mapping[str, tuple[tuple[int, int, Speaker], ...]] = {
            word: tuple((at + len(other), at, speakers[other]) for other in speakers for at in _inside(other, word))
            for word in speakers
        }
        """Word → (end, begin, who speaks) of each word in it."""
        latin = [word for word in speakers if word[0].isascii()]
        self._latin = (rulebook.words(latin), rulebook.words(latin, among_latin=True))
        self._other = rulebook.words(word for word in speakers if not word[0].isascii())

    def heard(self, lower: str, zones: Iterable[Span]) -> Heard:
        """What is said in these zones, which are in order and do not overlap."""
        found: dict[str, list[int]] = {}
        ascii_only = lower.isascii()
        # How many letters are Latin ones is told by how long the text is as bytes: ideographs have three.
        mostly = ascii_only or 2 * len(lower.encode("utf-8", "surrogatepass")) < 3 * len(lower)
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
        return Heard([(places, said) for word, places in found.items() for said in self._said[word]])


class Heard:
    """The words of one text. What a rule asks for is put in order when it first asks."""

    def __init__(self, said: Sequence[tuple[list[int], tuple[int, int, Speaker]]]) -> None:
        """``said``: the places where a word begins, in order; and of a word inside it the end, the begin, the rules."""
        self._said = said
        self._ahead: dict[int, list[list[int]]] = {}
        self._behind: dict[int, list[list[int]]] = {}
        self._against: dict[int, list[Span]] = {}
        self._ends: dict[int, list[int]] = {}
        self._starts: dict[int, list[int]] = {}
        self._refuted: dict[int, list[Span]] = {}
        for places, (end, begin, speaker) in said:
            if speaker.ahead:
                ends = [at + end for at in places]
                for rule in speaker.ahead:
                    self._ahead.setdefault(rule, []).append(ends)
            if speaker.behind:
                starts = [at + begin for at in places]
                for rule in speaker.behind:
                    self._behind.setdefault(rule, []).append(starts)
            if speaker.against:
                spans = [(at + end, at + begin) for at in places]
                for rule in speaker.against:
                    self._against.setdefault(rule, []).extend(spans)

    def windows(self) -> dict[int, list[Span]]:
        """For each rule that needs words: where a match may begin, because one of its words is near."""
        windows: dict[int, list[Span]] = {}
        for places, (_, begin, speaker) in self._said:
            for index, before, after in speaker.opens:
                first, last = begin + before, begin + after
                windows.setdefault(index, []).extend([(at + first, at + last) for at in places])
        return windows

    def refutes(self, rule: int, at: int) -> bool:
        """Whether a word that speaks against ``rule`` stands shortly before ``at``."""
        if rule not in self._against:
            return False
        spans = self._refuted.get(rule)
        if spans is None:
            spans = self._refuted[rule] = sorted(self._against[rule])
        first = at - AGAINST_REACH
        index = bisect.bisect_left(spans, (at + 1, 0))
        while index and spans[index - 1][0] > first:
            index -= 1
            if spans[index][1] >= first:
                return True
        return False

    def before(self, rule: int, at: int, reach: int) -> float:
        """How near the nearest word of ``rule`` ends before ``at``: 1 at once, 0 for none within ``reach``."""
        ends = self._ends.get(rule)
        if ends is None:
            ends = self._ends[rule] = _joined(self._ahead.get(rule, ()))
        index = bisect.bisect_right(ends, at)
        if not index:
            return 0.0
        far = at - ends[index - 1]
        return 1 - far / (reach + 1) if far <= reach else 0.0

    def behind(self, rule: int, at: int, reach: int) -> float:
        """How near the nearest word of ``rule`` begins after ``at``."""
        starts = self._starts.get(rule)
        if starts is None:
            starts = self._starts[rule] = _joined(self._behind.get(rule, ()))
        index = bisect.bisect_left(starts, at)
        if index == len(starts):
            return 0.0
        far = starts[index] - at
        return 1 - far / (reach + 1) if far <= reach else 0.0


def _joined(lists: Sequence[list[int]]) -> list[int]:
    if len(lists) == 1:
        return lists[0]
    return sorted(itertools.chain.from_iterable(lists))


def _all(rule: Rule) -> list[str]:
    return [*rule.row.context, *rule.row.trailing, *rule.row.against]


def _inside(word: str, longer: str) -> list[int]:
    """Where in ``longer`` the word ``word`` stands."""
    alone = rulebook.words([word])
    return [match.start() for match in alone.finditer(longer)] if alone is not None else []


def _speaker(word: str, these: Sequence[Rule]) -> Speaker:
    size = len(word)
    opens = []
    for index, rule in enumerate(these):
        if rule.row.need and word in rule.row.context:
            opens.append((index, 0, size + rule.row.before))
        if rule.row.need and word in rule.row.trailing:
            opens.append((index, -rule.row.after - rule.width, size))
    return Speaker(
        ahead=frozenset(index for index, rule in enumerate(these) if word in rule.row.context),
        behind=frozenset(index for index, rule in enumerate(these) if word in rule.row.trailing),
        against=frozenset(index for index, rule in enumerate(these) if word in rule.row.against),
        opens=tuple(opens),
    )
