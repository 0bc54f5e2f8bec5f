"""Which rules the words, literals and long tokens of a text call, and at which places they are then tried.

It knows no value and no score: it only spares most rules most of the text.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Sequence

from nearfar.privacy import rules as rulebook
from nearfar.privacy.numbers import Span, Spot
from nearfar.privacy.rules import Rule
from nearfar.privacy.shapes import SHAPE

Window = tuple[int, int, int]
"""(From here, to here, and before which character a match begins at the last.)"""
_MANY = 8
"""From this many literals on, one expression is cheaper than one search each."""
_LETTERS = bytes(code if chr(code).isascii() and chr(code).islower() else 32 for code in range(256))
_AROUND = 2
"""Characters beside a token that its rule may look at."""


class Literals:
    """Rules by their literals, whatever stands around these."""

    def __init__(self, these: Iterable[Rule]) -> None:
        self._rules = sorted(these, key=lambda rule: -rule.most)
        many = [(index, rule) for index, rule in enumerate(self._rules) if len(rule.row.near) > _MANY]
        self._many = [
            (index, all(map(str.isascii, rule.row.near)), _shared(rule.row.near), rule.places)
            for index, rule in many
            if rule.places is not None
        ]
        single: dict[str, list[int]] = {}
        for index, rule in enumerate(self._rules):
            if len(rule.row.near) <= _MANY:
                for literal in rule.row.near:
                    single.setdefault(literal, []).append(index)
        self._ascii = [(literal, those) for literal, those in single.items() if literal.isascii()]
        self._other = [(literal, literal[0], those) for literal, those in single.items() if not literal.isascii()]

    def called(self, lower: str) -> list[tuple[Rule, list[int]]]:
        """(Rule, where its literals end) of those that the text calls, the surest first."""
        said = [(literal, those) for literal, those in self._ascii if literal in lower]
        ascii_only = lower.isascii()
        if not ascii_only:
            # One character is found ten times as fast as two, and most texts have no such ideograph.
            said += [(literal, those) for literal, first, those in self._other if first in lower and literal in lower]
        found: dict[int, list[int]] = {}
        for literal, those in said:
            places = ends(lower, (literal,))
            for index in those:
                found[index] = sorted([*found[index], *places]) if index in found else places
        for index, latin, begin, search in self._many:
            if (latin or not ascii_only) and begin in lower:
                places = [match.end() for match in search.finditer(lower)]
                if places:
                    found[index] = places
        if not found:
            return []
        return [(self._rules[index], found[index]) for index in sorted(found) if _holds(self._rules[index], lower)]


class WholeWords:
    """Rules by the words that call them: for Latin letters one look at the set of the text's words is enough."""

    def __init__(self, these: Sequence[Rule]) -> None:
        self._rules = tuple(these)
        self._latin: dict[bytes, list[tuple[str, int]]] = {}
        other: dict[str, list[int]] = {}
        literals = [(literal, index) for index, rule in enumerate(these) for literal in rule.row.near]
        for literal, index in literals:
            if literal.isascii():
                # The longest of its words is the rarest, mostly.
                longest = max(literal.encode().translate(_LETTERS).split(), key=len)
                self._latin.setdefault(longest, []).append((literal, index))
            else:
                other.setdefault(literal, []).append(index)
        self._vocabulary = frozenset(self._latin)
        self._search = rulebook.any_of(other).search if other else None
        self._inside = {
            longest: [(literal, index) for literal, those in other.items() if literal in longest for index in those]
            for longest in other
        }
        """Literal → with all those inside it, the rules that they call."""

    def called(self, lower: str) -> list[tuple[Rule, list[int]]]:
        """(Rule, where its literals end) of those that the text calls."""
        literals: dict[int, list[str]] = {}
        words = lower.encode("ascii", "replace").translate(_LETTERS).split()
        for word in self._vocabulary.intersection(words):
            for literal, index in self._latin[word]:
                literals.setdefault(index, []).append(literal)
        if self._search is not None and not lower.isascii():
            said = set()
            hit = self._search(lower)
            while hit is not None:
                said.add(hit[0])
                hit = self._search(lower, hit.start() + 1)
            for literal, index in {pair for longest in said for pair in self._inside[longest]}:
                literals.setdefault(index, []).append(literal)
        if not literals:
            return []
        called = []
        for index in sorted(literals):
            rule = self._rules[index]
            if _holds(rule, lower) and (places := ends(lower, literals[index])):
                called.append((rule, places))
        return called


class Tokens:
    """Rules for what lies in one long token."""

    def __init__(self, these: Iterable[Rule]) -> None:
        self._rules = sorted(these, key=lambda rule: -rule.most)
        self._single: dict[str, list[int]] = {}
        for index, rule in enumerate(self._rules):
            for literal in rule.row.near:
                self._single.setdefault(literal, []).append(index)
        self._long = [index for index, rule in enumerate(self._rules) if not rule.row.near]

    def called(self, lower: str, tokens: Sequence[Span]) -> list[tuple[Rule, list[Window]]]:
        """(Rule, the tokens in which it may match), the surest first."""
        texts = [lower[start:end] for start, end in tokens]
        joined = "\n".join(texts)
        begins = [0, *itertools.accumulate(len(text) + 1 for text in texts)]
        found: dict[int, set[int]] = {}
        for literal, those in [each for each in self._single.items() if each[0] in joined]:
            at = joined.find(literal)
            places = set()
            while at >= 0:
                place = bisect.bisect_right(begins, at)
                places.add(place - 1)
                at = joined.find(literal, begins[place])
            for index in those:
                found.setdefault(index, set()).update(places)
        cored = [index for index in found if self._rules[index].core is not None]
        if self._long or cored:
            shape = joined.encode("ascii", "replace").translate(SHAPE)
            for index in self._long:
                core = self._rules[index].core
                if core is None:
                    found[index] = set(range(len(tokens)))
                elif places := {bisect.bisect_right(begins, hit.start()) - 1 for hit in core.finditer(shape)}:
                    found[index] = places
            for index in cored:
                core = self._rules[index].core
                if core is not None:
                    found[index] = {at for at in found[index] if core.search(shape, begins[at], begins[at + 1])}
        windows = [(start - _AROUND, end + _AROUND, end + _AROUND) for start, end in tokens]
        return [
            (self._rules[index], [windows[place] for place in sorted(found[index])])
            for index in sorted(found)
            if found[index] and _holds(self._rules[index], joined)
        ]


def ends(lower: str, literals: Iterable[str]) -> list[int]:
    """Where these literals end, in order."""
    found = []
    count = 0
    for literal in literals:
        at = lower.find(literal)
        count += at >= 0
        while at >= 0:
            at += len(literal)
            found.append(at)
            at = lower.find(literal, at)
    if count > 1:
        found.sort()
    return found


def _shared(literals: Sequence[str]) -> str:
    """What all of them begin with."""
    first, last = min(literals), max(literals)
    size = next((at for at, char in enumerate(first) if at >= len(last) or char != last[at]), len(first))
    return first[:size]


def _holds(rule: Rule, lower: str) -> bool:
    for each in rule.row.has:
        if each in lower:
            return True
    return not rule.row.has


def around(rule: Rule, places: Sequence[int], lower: str, known: Sequence[Spot]) -> list[Window]:
    """Where a rule may match: around its literals, which end at ``places``, but where more is ``known`` of its kind."""
    if known:
        places = _unknown(rule, places, lower, known)
    lead, tail, solid = rule.lead, rule.tail, rule.solid
    windows: list[Window] = []
    begun, stop, last = 0, -1, 0
    for at in places:
        start = at - lead
        if solid:
            # Nothing of it stands before a blank or behind one, so that need not be looked through.
            start = lower.rfind(" ", start if start > 0 else 0, at) + 1 or start  # noqa: FURB136 - a call costs more
            blank = lower.find(" ", at, at + tail)
            end = at + tail if blank < 0 else blank
        else:
            end = at + tail
        if start > stop:
            if stop >= 0:
                windows.append((begun, stop, last))
            begun = start
        stop = end
        last = at
    if stop >= 0:
        windows.append((begun, stop, last))
    return windows


def _unknown(rule: Rule, places: Sequence[int], lower: str, known: Sequence[Spot]) -> Sequence[int]:
    """The places that lie in nothing that is known more surely."""
    better = sorted(
        each[3:5]
        for each in known
        # A letter that is no ASCII one, and no ideograph, may go on with it to the left: jörg@.
        if -each[2] > rule.most and not "\x7f" < lower[each[3] - 1 : each[3]] < "\u2e80"
    )
    if not better:
        return places
    starts = [start for start, _ in better]
    # Its literal stands at a place, so the first that begins before its end is the one that may hold it.
    return [at for at in places if better[bisect.bisect_left(starts, at) - 1][1] < at or starts[0] >= at]
