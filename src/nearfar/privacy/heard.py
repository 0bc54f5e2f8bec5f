"""The words that explain or refute values, found once for all rules. It knows no value and no score.

The longest word that begins at a place is heard, with all the words inside it; what begins inside it and goes on behind
it is not (健保卡號 is no 卡號). What is asked later is whether a word of one rule stands near a place.
"""

from __future__ import annotations

import bisect
import operator
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
        self._latin = rulebook.words(word for word in speakers if word[0].isascii())
        self._other = rulebook.words(word for word in speakers if not word[0].isascii())

    def heard(self, lower: str, zones: Iterable[Span]) -> Heard:
        """What is said in these zones, which are in order and do not overlap."""
        found: list[tuple[int, int, Speaker]] = []
        said = self._said
        for words in (self._latin, None if lower.isascii() else self._other):
            if words is None:
                continue
            for start, end in zones:
                for hit in words.finditer(lower, start, end):
                    at = hit.start()
                    found += [(at + one, at + other, each) for one, other, each in said[hit[0]]]
        found.sort(key=operator.itemgetter(0))
        return Heard(found)


class Heard:
    """The words of one text, in the order of their ends."""

    def __init__(self, found: list[tuple[int, int, Speaker]]) -> None:
        self.found = found
        self._ends = [each[0] for each in found]
        behind = sorted([(start, each.behind) for _, start, each in found if each.behind], key=operator.itemgetter(0))
        self._behind = [rules for _, rules in behind]
        self._starts = [start for start, _ in behind]

    def windows(self) -> dict[int, list[Span]]:
        """For each rule that needs words: where a match may begin, because one of its words is near."""
        windows: dict[int, list[Span]] = {}
        for _, at, speaker in self.found:
            for index, before, after in speaker.opens:
                known = windows.get(index)
                if known is None:
                    windows[index] = [(at + before, at + after)]
                else:
                    known.append((at + before, at + after))
        return windows

    def before(self, rule: int, at: int, before: int, reach: int) -> float:
        """How near the nearest word of ``rule`` ends before ``at``: 1 at once, 0 for none within ``before`` characters,
        -1 where a word speaks against it. ``reach``: characters in which to look.
        """
        ends, found = self._ends, self.found
        nearness = 0.0
        index = bisect.bisect_right(ends, at) - 1
        while index >= 0:
            far = at - ends[index]
            if far > reach:
                break
            _, start, speaker = found[index]
            if rule in speaker.against and at - start <= AGAINST_REACH:
                return -1.0
            if far <= before and not nearness and rule in speaker.ahead:
                nearness = 1 - far / (before + 1)
            index -= 1
        return nearness

    def behind(self, rule: int, at: int, reach: int) -> float:
        """How near the nearest word of ``rule`` begins after ``at``."""
        for index in range(bisect.bisect_left(self._starts, at), len(self._starts)):
            far = self._starts[index] - at
            if far > reach:
                break
            if rule in self._behind[index]:
                return 1 - far / (reach + 1)
        return 0.0


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
