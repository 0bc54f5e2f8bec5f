"""Finds what is private in a text: all rules over all its readings, then the detectors, then one answer per place.

It knows no class and no policy. A detector that fails makes the scan fail (GuardError). Time is linear in the text:
each rule is tried only around what it needs (a word, a literal, digits, a long token), within a bounded width.
"""

from __future__ import annotations

import bisect
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from nearfar.core.errors import GuardError
from nearfar.privacy import rules as rulebook
from nearfar.privacy.findings import Detector, Finding, Unknown
from nearfar.privacy.normal import Normal
from nearfar.privacy.patterns import WIDEST
from nearfar.privacy.rules import Rule
from nearfar.privacy.unwrap import Reading, readings

CLUSTER = re.compile("[0-9](?:[-/. ()年月]{0,3}[0-9]){2,}+")
"""Three or more digits, with a little between them: every identifier that is made of digits has such a place."""
EDGE = 8
"""Characters beside such a place in which a rule for digits may begin or end."""
AHEAD, BEHIND = 64, 40
"""Characters before and after it in which the words that explain it are looked for."""
CLOSER = 0.02
"""What the nearest word adds to a score, so that of two explanations the nearer one wins."""
ENTRIES = 65_536
"""Texts that a memo remembers."""
_MANY = 8
"""From this many literals on, one expression is cheaper than one search each."""
_BARE = re.compile(r"[\s()./\-_:,#]+")

Span = tuple[int, int]


class Scanned(msgspec.Struct, frozen=True):
    """``findings`` do not overlap and come in order; ``harmless`` counts those that the owner lists as harmless."""

    findings: tuple[Finding, ...]
    unknowns: tuple[Unknown, ...] = ()
    harmless: int = 0


class _Spot(NamedTuple):
    """A candidate for a finding, and whether it gives way to others."""

    start: int
    end: int
    kind: str
    score: float
    detector: str
    yields: bool


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
        self._near = _by_literal(rule for rule in chosen if rule.row.near and not rule.row.token)
        self._tokens = _by_literal(rule for rule in chosen if rule.row.near and rule.row.token)
        self._long = [rule for rule in chosen if rule.row.token and not rule.row.near]
        plain = [rule for rule in chosen if not (rule.row.near or rule.row.token)]
        self._shapes = _shapes([rule for rule in plain if not rule.row.need])
        self._needy = [rule for rule in plain if rule.row.need]
        self._spoken = _spoken(self._needy)
        self._latin = rulebook.words(word for word in self._spoken if word[0].isascii())
        self._words = rulebook.words(word for word in self._spoken if not word[0].isascii())

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
        spots: list[_Spot] = []
        ways, unknowns = readings(text)
        for way in ways:
            found: list[_Spot] = []
            self._ruled(way.normal, way.tokens, found)
            self._detected(way.normal, found)
            spots += found if way.straight else [_placed(spot, way) for spot in found]
        chosen = _resolved(spots)
        kept = chosen
        if self.harmless:
            kept = [each for each in chosen if bare(text[each.start : each.end]) not in self.harmless]
        return Scanned(tuple(kept), tuple(sorted(unknowns)), len(chosen) - len(kept))

    def _ruled(self, text: Normal, tokens: Sequence[Span], out: list[_Spot]) -> None:
        lower = text.lower
        for rule in _called(self._near, lower):
            self._tried(rule, text, _around(rule, lower), out)
        if tokens:
            long = [(start - 2, end + 2, lower[start:end]) for start, end in tokens]
            for rule in _called(self._tokens, "\n".join([token for _, _, token in long])):
                literals = rule.row.near
                windows = [(a, b) for a, b, token in long if any(each in token for each in literals)]
                self._tried(rule, text, windows, out)
            for rule in self._long:
                self._tried(rule, text, [(a, b) for a, b, _ in long], out)
        clusters = [match.span() for match in CLUSTER.finditer(text.text)]
        if clusters:
            self._numbers(text, clusters, out)

    def _numbers(self, text: Normal, clusters: Sequence[Span], out: list[_Spot]) -> None:
        whole = text.text
        zones = [(max(a - EDGE, 0), b + EDGE, b - a, whole[max(a - EDGE, 0) : b + EDGE]) for a, b in clusters]
        longest, together = max(zone[2] for zone in zones), "\n".join([zone[3] for zone in zones])
        for (least, has, ahead), those in self._shapes.items():
            if longest < least or (has is not None and not has.search(together)):
                continue
            # A plain loop: this is where texts full of numbers spend their time.
            windows: list[Span] = []
            last = -WIDEST
            for start, end, long, inside in zones:
                if long >= least and (has is None or has.search(inside)):
                    if start - ahead <= last:
                        windows[-1] = (windows[-1][0], end)
                    else:
                        windows.append((start - ahead, end))
                    last = end
            if windows:
                for rule in those:
                    self._tried(rule, text, windows, out)
        for index, windows in self._explained(text, _merged([(a - AHEAD, b + BEHIND) for a, b in clusters])):
            self._tried(self._needy[index], text, windows, out)

    def _explained(self, text: Normal, zones: list[Span]) -> Iterator[tuple[int, list[Span]]]:
        """For each rule that needs words: where it may match, because one of its words is near."""
        windows: dict[int, list[Span]] = {}
        for words in (self._latin, None if text.lower.isascii() else self._words):
            if words is not None:
                for start, end in zones:
                    for hit in words.finditer(text.lower, max(start, 0), end):
                        self._opened(hit, windows)
        for index, places in windows.items():
            yield index, _merged(sorted(places))

    def _opened(self, hit: re.Match[str], windows: dict[int, list[Span]]) -> None:
        """A word was met: where the rules that it explains may match."""
        start, end = hit.span()
        for index, ahead in self._spoken[hit[0]]:
            rule = self._needy[index]
            window = (start, end + rule.row.before) if ahead else (start - rule.row.after - rule.width, end)
            windows.setdefault(index, []).append(window)

    def _tried(self, rule: Rule, text: Normal, windows: Iterable[Span], out: list[_Spot]) -> None:
        search, whole, size = rule.regex.search, text.text, len(text.text)
        extra = rule.width if rule.row.need else 0
        for start, end in windows:
            at = max(0, start)
            stop = min(size, end + extra)
            while (match := search(whole, at, stop)) is not None:
                at = match.start() + 1
                if match.end() == stop < size:
                    # The window may have cut it, or what it must not be followed by.
                    match = rule.regex.match(whole, match.start())
                    if match is None:
                        continue
                score = self._score(rule, text.lower, match)
                if score:
                    at = max(match.end(), at)
                    if score >= self.floor:
                        out.append(_Spot(*match.span(rule.group), rule.kind, score, rule.name, rule.row.yields))

    def _score(self, rule: Rule, lower: str, match: re.Match[str]) -> float:
        """How sure a match is, 0 for none: its check, the words against it, the words that explain it."""
        row = rule.row
        start, end = match.span()
        if rule.check is not None and not row.need and not rule.check(match[rule.group]):
            return 0.0
        nearness = 0.0
        if rule.explains is not None:
            for word in rule.explains.finditer(lower, max(0, start - row.before - rulebook.LONGEST), start):
                nearness = max(0.0, 1 - (start - word.end()) / (row.before + 1))
        if rule.follows is not None:
            behind = rule.follows.search(lower, end, end + row.after + rulebook.LONGEST)
            if behind is not None:
                nearness = max(nearness, 1 - (behind.start() - end) / (row.after + 1))
        if row.need and not nearness:
            return 0.0
        if rule.check is not None and row.need and not rule.check(match[rule.group]):
            return 0.0
        if rule.refutes is not None and rule.refutes.search(lower, max(0, start - rulebook.AGAINST_REACH), start):
            return 0.0
        if not nearness:
            return row.score
        return round(min(1.0, max(row.score, row.sure) + CLOSER * nearness), 3)

    def _detected(self, text: Normal, out: list[_Spot]) -> None:
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
            out += [_Spot(each.start, each.end, each.kind, each.score, each.detector, yields=False) for each in found]


def _placed(spot: _Spot, way: Reading) -> _Spot:
    return _Spot(*way.original(spot.start, spot.end), spot.kind, spot.score, spot.detector, spot.yields)


def bare(value: str) -> str:
    """A value as it is compared: normal form, lower case, without spaces and punctuation."""
    return _BARE.sub("", Normal.of(value).lower)


def _shapes(these: Sequence[Rule]) -> Mapping[tuple[int, re.Pattern[str] | None, int], list[Rule]]:
    """Rules for digits by what they need: the length of the place, what stands in it, how far ahead they begin."""
    shapes: dict[tuple[int, re.Pattern[str] | None, int], list[Rule]] = {}
    for rule in these:
        row = rule.row
        key = (row.digits, rulebook.any_of(row.has) if row.has else None, row.lead - EDGE if row.lead < WIDEST else 0)
        shapes.setdefault(key, []).append(rule)
    return shapes


def _spoken(needy: Sequence[Rule]) -> Mapping[str, list[tuple[int, bool]]]:
    """Word → (index of a rule, whether the word stands before). A word speaks for those inside it too."""
    direct: dict[str, set[tuple[int, bool]]] = {}
    for index, rule in enumerate(needy):
        for ahead, these in ((True, rule.row.context), (False, rule.row.trailing)):
            for word in these:
                direct.setdefault(word, set()).add((index, ahead))
    return {word: sorted(set().union(*(uses for other, uses in direct.items() if other in word))) for word in direct}


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
    return [rule for rule in called.values() if not rule.row.has or any(each in lower for each in rule.row.has)]


def _around(rule: Rule, lower: str) -> list[Span]:
    """Where a rule with literals may match: around each of them."""
    if rule.places is None:
        return []
    lead, tail = min(rule.row.lead, rule.width), min(rule.row.tail, rule.width)
    return _merged([(match.end() - lead, match.end() + tail) for match in rule.places.finditer(lower)])


def _merged(spans: Sequence[Span]) -> list[Span]:
    """Spans, ordered by their start, with those that touch made one."""
    merged: list[Span] = []
    for start, end in spans:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _resolved(spots: Iterable[_Spot]) -> list[Finding]:
    """One finding per place: the longer, then the surer one, then by name; a link only where nothing else is."""
    chosen: list[Finding] = []
    starts: list[int] = []
    for spot in sorted(spots, key=lambda spot: (spot.yields, spot.start - spot.end, -spot.score, spot)):
        index = bisect.bisect_left(starts, spot.end)
        if index == 0 or chosen[index - 1].end <= spot.start:
            starts.insert(index, spot.start)
            chosen.insert(index, Finding(*spot[:5]))
    return chosen
