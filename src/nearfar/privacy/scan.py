"""Finds what is private in a text: all rules over all its readings, then the detectors, then one answer per place.

It knows no class and no policy. A detector that fails makes the scan fail (GuardError). Time is linear in the text:
each rule is tried only around what it needs (a word, a literal, digits, a long token), within a bounded width.
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
import os
import re
from collections.abc import Iterable, Sequence

import msgspec

from nearfar.core.errors import GuardError
from nearfar.privacy import rules as rulebook
from nearfar.privacy.findings import Detector, Finding, Unknown
from nearfar.privacy.normal import Normal
from nearfar.privacy.numbers import Numbers, Span, Spot, merged
from nearfar.privacy.rules import Rule
from nearfar.privacy.unwrap import Reading, readings

ENTRIES = 65_536
"""Texts that a memo remembers."""
_MANY = 8
"""From this many literals on, one expression is cheaper than one search each."""
_LETTERS = bytes(code if chr(code).isascii() and chr(code).islower() else 32 for code in range(256))
_BARE = re.compile(r"[\s()./\-_:,#]+")


class Scanned(msgspec.Struct, frozen=True):
    """``findings`` do not overlap and come in order; ``harmless`` counts those that the owner lists as harmless."""

    findings: tuple[Finding, ...]
    unknowns: tuple[Unknown, ...] = ()
    harmless: int = 0


class Memo:
    """What was found in texts that came before, by a keyed hash of the text: it keeps no text and no value.

    Bounded: the oldest entry goes first. The key is random and dies with the process.
    """

    def __init__(self, entries: int = ENTRIES) -> None:
        self._entries = entries
        # A secret before the text is enough here: no hash is ever shown. An HMAC costs short texts twice as much.
        self._seed = hashlib.sha256(os.urandom(64))
        self._known: dict[bytes, Scanned] = {}

    def __len__(self) -> int:
        return len(self._known)

    def key(self, text: str, version: str) -> bytes:
        """The name of ``text`` as read by one version of rules and detectors."""
        seed = self._seed.copy()
        seed.update(f"{version}\0{text}".encode("utf-8", "surrogatepass"))
        return seed.digest()

    def get(self, key: bytes) -> Scanned | None:
        """What was found, if it is remembered."""
        return self._known.get(key)

    def put(self, key: bytes, scanned: Scanned) -> None:
        """Remember; forget the oldest if there is no room."""
        while len(self._known) >= self._entries:
            self._known.pop(next(iter(self._known)), None)
        self._known[key] = scanned


class Scanner:
    """Rules and detectors, ready. One scanner serves any number of threads.

    ``harmless`` are values that are found and then let through (the owner's own phone number): compared without case,
    spaces and punctuation. ``floor`` is the lowest score that counts.
    """

    def __init__(
        self,
        rules: Sequence[Rule] | None = None,
        detectors: Sequence[Detector] = (),
        harmless: Iterable[str] = (),
        *,
        floor: float = 0.4,
        memo: Memo | None = None,
    ) -> None:
        chosen = rulebook.shipped() if rules is None else tuple(rules)
        self.rules = chosen
        self.detectors = tuple(detectors)
        self.harmless = frozenset(map(bare, harmless))
        self.floor = floor
        self.memo = memo
        seen = [rulebook.version(chosen), *(f"{each.name} {each.version}" for each in self.detectors)]
        self.version = hashlib.sha256("\n".join([*seen, str(floor), *sorted(self.harmless)]).encode()).hexdigest()[:16]
        """Changes whenever the same text may give other findings."""
        # The surest first: what they find need not be looked at again.
        near = sorted((rule for rule in chosen if rule.row.near and not rule.row.token), key=lambda rule: -rule.most)
        self._near = _by_literal(rule for rule in near if not rule.row.whole)
        self._whole = WholeWords([rule for rule in near if rule.row.whole])
        self._tokens = _by_literal(rule for rule in chosen if rule.row.near and rule.row.token)
        self._long = [rule for rule in chosen if rule.row.token and not rule.row.near]
        self._numbers = Numbers([rule for rule in chosen if not (rule.row.near or rule.row.token)], floor)

    def scan(self, text: str) -> Scanned:
        """What is private in ``text``. Raises GuardError if a detector fails: then nothing is known about the text."""
        if self.memo is None:
            return self._scan(text)
        key = self.memo.key(text, self.version)
        known = self.memo.get(key)
        if known is None:
            known = self._scan(text)
            self.memo.put(key, known)
        return known

    def _scan(self, text: str) -> Scanned:
        ways, unknowns = readings(text)
        found: list[tuple[Reading, list[Spot]]] = []
        for way in ways:
            spots: list[Spot] = []
            self._ruled(way.normal, way.tokens, spots)
            self._detected(way.normal, spots)
            if spots:
                found.append((way, spots))
        if len(found) == 1:
            # Most of what is found is not kept, so it is not worth its way back to the original.
            way, spots = found[0]
            chosen = _resolved(spots)
            if not way.straight:
                chosen = [_placed(spot, way) for spot in chosen]
                if any(one[4] > other[3] for one, other in itertools.pairwise(chosen)):
                    chosen = _resolved(chosen)  # parts of what one character stands for
        else:
            chosen = _resolved([_placed(spot, way) for way, spots in found for spot in spots])
        kept = chosen
        if self.harmless:
            kept = [each for each in chosen if bare(text[each[3] : each[4]]) not in self.harmless]
        findings = tuple([Finding(each[3], each[4], each[5], -each[2], each[6]) for each in kept])
        return Scanned(findings, tuple(sorted(unknowns)), len(chosen) - len(kept))

    def _ruled(self, text: Normal, tokens: Sequence[Span], out: list[Spot]) -> None:
        lower = text.lower
        for rule in (*_called(self._near, lower), *self._whole.called(lower)):
            self._tried(rule, text, _around(rule, lower, out), out)
        if tokens:
            long = [(start - 2, end + 2, lower[start:end]) for start, end in tokens]
            for rule in _called(self._tokens, "\n".join([token for _, _, token in long])):
                literals = rule.row.near
                windows = [(a, b) for a, b, token in long if any(each in token for each in literals)]
                self._tried(rule, text, windows, out)
            for rule in self._long:
                self._tried(rule, text, [(a, b) for a, b, _ in long], out)
        self._numbers.find(text, out)

    def _tried(self, rule: Rule, text: Normal, windows: Iterable[Span], out: list[Spot]) -> None:
        """Try a rule that literals or long tokens called."""
        search, whole, size = rule.regex.search, text.text, len(text.text)
        extra = rule.width if rule.row.need else 0
        for start, end in windows:
            at = max(0, start)
            stop = min(size, end + extra)
            while stop - at >= rule.least and (match := search(whole, at, stop)) is not None:
                at = match.start() + 1
                if match.end() == stop < size:
                    match = rule.regex.match(whole, match.start())
                    if match is None:
                        continue
                score = self._score(rule, text.lower, match)
                if score:
                    at = max(match.end(), at)
                    if score >= self.floor:
                        begun, done = match.span(rule.group)
                        out.append((rule.row.yields, begun - done, -score, begun, done, rule.kind, rule.name))

    def _score(self, rule: Rule, lower: str, match: re.Match[str]) -> float:
        """How sure a match is, 0 for none: its check, the words against it, the words that explain it."""
        row = rule.row
        start, end = match.span()
        nearness = 0.0
        if rule.explains is not None:
            for word in rule.explains.finditer(lower, max(0, start - row.before - rulebook.LONGEST), start):
                nearness = max(0.0, 1 - (start - word.end()) / (row.before + 1))
        if rule.follows is not None:
            behind = rule.follows.search(lower, end, end + row.after + rulebook.LONGEST)
            if behind is not None:
                nearness = max(nearness, 1 - (behind.start() - end) / (row.after + 1))
        if (row.need and not nearness) or (rule.check is not None and not rule.check(match[rule.group])):
            return 0.0
        if rule.refutes is not None and rule.refutes.search(lower, max(0, start - rulebook.AGAINST_REACH), start):
            return 0.0
        if not nearness:
            return row.score
        return round(min(1.0, max(row.score, row.sure) + rulebook.CLOSER * nearness), 3)

    def _detected(self, text: Normal, out: list[Spot]) -> None:
        for detector in self.detectors:
            try:
                found = [each for each in detector.scan(text) if each.score >= self.floor]
                broken = any(not 0 <= each.start < each.end <= len(text.text) for each in found)
            except GuardError:
                raise
            except Exception as error:  # an optional engine may raise anything; all of it means: not looked at
                raise GuardError(f"The detector {detector.name} failed: {type(error).__name__}.") from error
            if broken:
                raise GuardError(f"The detector {detector.name} found something outside the text.")
            out += [
                (False, each.start - each.end, -each.score, each.start, each.end, each.kind, each.detector)
                for each in found
            ]


def _placed(spot: Spot, way: Reading) -> Spot:
    start, end = way.original(spot[3], spot[4])
    return spot[0], start - end, spot[2], start, end, spot[5], spot[6]


def bare(value: str) -> str:
    """A value as it is compared: normal form, lower case, without spaces and punctuation."""
    return _BARE.sub("", Normal.of(value).lower)


class WholeWords:
    """Rules by the words that call them: for Latin letters one look at the set of the text's words is enough."""

    def __init__(self, these: Sequence[Rule]) -> None:
        self._rules = tuple(these)
        self._latin: dict[bytes, set[int]] = {}
        self._other: dict[str, set[int]] = {}
        literals = [(literal, index) for index, rule in enumerate(these) for literal in rule.row.near]
        for literal, index in literals:
            if literal.isascii():
                # The longest of its words is the rarest, mostly.
                longest = max(literal.encode().translate(_LETTERS).split(), key=len)
                self._latin.setdefault(longest, set()).add(index)
            else:
                self._other.setdefault(literal, set()).add(index)
        self._vocabulary = frozenset(self._latin)
        self._search = rulebook.any_of(self._other).search if self._other else None

    def called(self, lower: str) -> list[Rule]:
        """The rules that a word of the text calls."""
        words = set(lower.encode("ascii", "replace").translate(_LETTERS).split())
        called: set[int] = set()
        for word in self._vocabulary.intersection(words):
            called |= self._latin[word]
        if self._search is not None and not lower.isascii():
            hit = self._search(lower)
            while hit is not None and len(called) < len(self._rules):
                called.update(*(rules for literal, rules in self._other.items() if literal in hit[0]))
                hit = self._search(lower, hit.start() + 1)
        these = [self._rules[index] for index in sorted(called)]
        return [rule for rule in these if rule.holds is None or rule.holds.search(lower)]


def _by_literal(these: Iterable[Rule]) -> list[tuple[str, re.Pattern[str] | None, list[Rule]]]:
    """(Literal, or an expression for many of them; the rules that are tried where it stands)."""
    single: dict[str, list[Rule]] = {}
    many: list[tuple[str, re.Pattern[str] | None, list[Rule]]] = []
    for rule in these:
        if len(rule.row.near) > _MANY:
            many.append(("", rulebook.any_of(rule.row.near), [rule]))
            continue
        for literal in rule.row.near:
            single.setdefault(literal, []).append(rule)
    return [*((literal, None, those) for literal, those in single.items()), *many]


def _called(table: Sequence[tuple[str, re.Pattern[str] | None, list[Rule]]], lower: str) -> list[Rule]:
    """The rules of which a literal stands in the text, each once."""
    called: dict[str, Rule] = {}
    for literal, many, those in table:
        if literal in lower if many is None else many.search(lower):
            called.update((rule.name, rule) for rule in those)
    if not called:
        return []
    held = [rule for rule in called.values() if not rule.row.has or any(each in lower for each in rule.row.has)]
    return sorted(held, key=lambda rule: -rule.most)


def _around(rule: Rule, lower: str, known: Sequence[Spot]) -> list[Span]:
    """Where a rule with literals may match: around each of them, but where more is known of the same kind already."""
    if rule.places is None:
        return []
    lead, tail = min(rule.row.lead, rule.width), min(rule.row.tail, rule.width)
    places = [match.end() for match in rule.places.finditer(lower)]
    better = sorted(
        each[3:5]
        for each in known
        # A letter that is no ASCII one, and no ideograph, may go on with it to the left: jörg@.
        if each[5] == rule.kind and -each[2] > rule.most and not "\x7f" < lower[each[3] - 1 : each[3]] < "\u2e80"
    )
    if better:
        starts = [start for start, _ in better]
        # Its literal stands at a place, so the first that begins before its end is the one that may hold it.
        places = [at for at in places if better[bisect.bisect_left(starts, at) - 1][1] < at or starts[0] >= at]
    return merged([(at - lead, at + tail) for at in places])


def _resolved(spots: list[Spot]) -> list[Spot]:
    """One for each place, in order: the longer, then the surer one, then by name; a link only where nothing else is."""
    chosen: list[Spot] = []
    starts: list[int] = []
    spots.sort()
    for spot in spots:
        _, _, _, start, end, _, _ = spot
        index = bisect.bisect_left(starts, end)
        if index == 0 or chosen[index - 1][4] <= start:
            starts.insert(index, start)
            chosen.insert(index, spot)
    return chosen
