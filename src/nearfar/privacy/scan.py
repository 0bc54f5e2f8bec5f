"""Finds what is private in a text: all rules over all its readings, then the detectors, then one answer per place.

It knows no class and no policy. A detector that fails makes the scan fail (GuardError). Time is linear in the text:
each rule is tried only around what it needs (a word, a literal, digits, a long token), within a bounded width.
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
import operator
import os
import re
from collections.abc import Iterable, Sequence

import msgspec

from nearfar.core.errors import GuardError
from nearfar.privacy import rules as rulebook
from nearfar.privacy.calls import Literals, Tokens, WholeWords, Window, around
from nearfar.privacy.findings import Detector, Finding, Unknown
from nearfar.privacy.normal import Normal
from nearfar.privacy.numbers import Numbers, Span, Spot
from nearfar.privacy.rules import Rule
from nearfar.privacy.unwrap import Reading, readings

ENTRIES = 65_536
"""Texts that a memo remembers."""
_START = operator.itemgetter(3)
_BARE = re.compile(r"[\s()./\-_:,#]+")


class Scanned(msgspec.Struct, frozen=True):
    """``findings`` do not overlap and come in order; ``harmless`` counts those that the owner lists as harmless."""

    findings: tuple[Finding, ...]
    unknowns: tuple[Unknown, ...] = ()
    harmless: int = 0


_NOTHING = Scanned(())


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
        near = [rule for rule in chosen if rule.row.near and not rule.row.token]
        self._near = Literals(rule for rule in near if not rule.row.whole)
        # The surest first: what they find need not be looked at again.
        self._whole = WholeWords(sorted((rule for rule in near if rule.row.whole), key=lambda rule: -rule.most))
        self._tokens = Tokens(rule for rule in chosen if rule.row.token)
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
            if self.detectors:
                self._detected(way.normal, spots)
            if spots:
                found.append((way, spots))
        if not found:
            return Scanned((), tuple(sorted(unknowns))) if unknowns else _NOTHING
        if len(found) == 1:
            # Most of what is found is not kept, so it is not worth its way back to the original.
            way, spots = found[0]
            chosen = _resolved(spots, way.normal.text)
            if not way.straight:
                chosen = _placed(chosen, way)
                if any(one[4] > other[3] for one, other in itertools.pairwise(chosen)):
                    chosen = _resolved(chosen, text)  # parts of what one character stands for
        else:
            placed: list[Spot] = []
            for way, spots in found:
                placed += spots if way.straight else _placed(spots, way)
            chosen = _resolved(placed, text)
        kept = chosen
        if self.harmless:
            kept = [each for each in chosen if bare(text[each[3] : each[4]]) not in self.harmless]
        findings = tuple([Finding(start, end, kind, -score, name) for _, _, score, start, end, kind, name in kept])
        return Scanned(findings, tuple(sorted(unknowns)), len(chosen) - len(kept))

    def _ruled(self, text: Normal, tokens: Sequence[Span], out: list[Spot]) -> None:
        lower = text.lower
        told: dict[str, list[Spot]] = {}
        for rule, places in (*self._near.called(lower), *self._whole.called(lower)):
            before = len(out)
            self._tried(rule, text, around(rule, places, lower, told.get(rule.kind, ())), out)
            if len(out) > before:
                told.setdefault(rule.kind, []).extend(out[before:])
        if tokens:
            for rule, windows in self._tokens.called(lower, tokens):
                self._tried(rule, text, windows, out)
        self._numbers.find(text, out)

    def _tried(self, rule: Rule, text: Normal, windows: Iterable[Window], out: list[Spot]) -> None:
        """Try a rule that literals or long tokens called."""
        search, whole, size = rule.regex.search, text.text, len(text.text)
        extra = rule.width if rule.row.need else 0
        for start, end, last in windows:
            at = max(0, start)
            stop = min(size, end + extra)
            while at < last and stop - at >= rule.least and (match := search(whole, at, stop)) is not None:
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
        floor, size = self.floor, len(text.text)
        for detector in self.detectors:
            broken = False
            try:
                for each in detector.scan(text):
                    start, end, score = each.start, each.end, each.score
                    if score >= floor:
                        broken = broken or not 0 <= start < end <= size
                        out.append((False, start - end, -score, start, end, each.kind, each.detector))
            except GuardError:
                raise
            except Exception as error:  # an optional engine may raise anything; all of it means: not looked at
                raise GuardError(f"The detector {detector.name} failed: {type(error).__name__}.") from error
            if broken:
                raise GuardError(f"The detector {detector.name} found something outside the text.")


def _placed(spots: Sequence[Spot], way: Reading) -> list[Spot]:
    """The same in the text that was read."""
    places = way.originals([spot[3:5] for spot in spots])
    return [
        (spot[0], start - end, spot[2], start, end, spot[5], spot[6])
        for spot, (start, end) in zip(spots, places, strict=True)
    ]


def bare(value: str) -> str:
    """A value as it is compared: normal form, lower case, without spaces and punctuation."""
    return _BARE.sub("", Normal.of(value).lower)


def _resolved(spots: list[Spot], text: str) -> list[Spot]:
    """One for each place, in order: the longer, then the surer one, then by name; a link only where nothing else is.

    ``text`` is what the spots stand in. Where two overlap in part, the rest of the one that gives way stays its own.
    """
    spots.sort(key=_START)
    chosen: list[Spot] = []
    group: list[Spot] = []
    done = -1
    for spot in spots:
        if spot[3] >= done:
            chosen += group if len(group) < 2 else _best(group, text)
            group = [spot]
            done = spot[4]
        else:
            group.append(spot)
            done = max(done, spot[4])
    chosen += group if len(group) < 2 else _best(group, text)
    return chosen


def _best(spots: list[Spot], text: str) -> list[Spot]:
    """Of spots that overlap in a row those that stay, in order; of the others what nothing else covers."""
    chosen: list[Spot] = []
    starts: list[int] = []
    beaten: list[Spot] = []
    spots.sort()
    for spot in spots:
        _, _, _, start, end, _, _ = spot
        index = bisect.bisect_left(starts, end)
        if index == 0 or chosen[index - 1][4] <= start:
            starts.insert(index, start)
            chosen.insert(index, spot)
        elif not spot[0] and (start < chosen[index - 1][3] or chosen[index - 1][4] < end):
            beaten.append(spot)
    for spot in beaten:
        _left_over(spot, chosen, starts, text)
    return chosen


def _left_over(spot: Spot, chosen: list[Spot], starts: list[int], text: str) -> None:
    """What of ``spot`` is covered by nothing in ``chosen`` goes there too, if there is a letter or a digit in it."""
    _, _, score, at, end, kind, name = spot
    index = max(0, bisect.bisect_right(starts, at) - 1)
    while at < end:
        first, done = (chosen[index][3], chosen[index][4]) if index < len(chosen) else (end, end)
        if at < (until := min(first, end)):
            piece = text[at:until]
            told = [place for place, char in enumerate(piece) if char.isalnum()]
            if told:
                begun, ended = at + told[0], at + told[-1] + 1
                starts.insert(index, begun)
                chosen.insert(index, (False, begun - ended, score, begun, ended, kind, name))
                index += 1
        at = max(at, done)
        index += 1
