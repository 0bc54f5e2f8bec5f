"""Rules for digits: tried at the places whose shape allows them, or beside the words that they need.

It knows nothing of readings and of what overlaps: it tells every match, with its score.
"""

from __future__ import annotations

import re
import string
from bisect import bisect_right
from collections.abc import Callable, Sequence

import msgspec

from nearfar.privacy.heard import Heard, Words
from nearfar.privacy.normal import Normal
from nearfar.privacy.patterns import WIDEST
from nearfar.privacy.rules import CLOSER, Rule
from nearfar.privacy.shapes import Shapes

EDGE = 8
"""Characters beside a place with digits in which a rule may begin or end."""
FAR = 24
"""Characters before it in which a rule that needs words may begin: it may hold the name of a month."""
AHEAD, BEHIND = 64, 40
"""Characters before and after it in which the words that explain it are looked for."""

_GOES_ON = frozenset(f"{string.ascii_letters}{string.digits}#轉分")
"""What may stand behind a number, a space between or not, where it goes on: with an extension, with letters."""

Span = tuple[int, int]
Place = tuple[int, int, tuple[int, ...]]
"""(Start, end, the rules that could match there by their index) of a place with digits."""
Window = tuple[int, int, int]
"""(From here, to here, and before which character a match begins.)"""
Spot = tuple[bool, int, float, int, int, str, str]
"""(Gives way to others, minus its length, minus its score, start, end, kind, detector): the least one goes first."""


Judge = Callable[[re.Match[str], int, int, Heard], float]
"""(Match, its start, its end, the words heard) → how sure, 0 for none."""


class _Rule(msgspec.Struct, frozen=True):
    """A rule as it is tried: this is where texts full of numbers spend their time, so nothing is looked up twice."""

    search: Callable[[str, int, int], re.Match[str] | None]
    match: Callable[[str, int], re.Match[str] | None]
    judge: Judge
    group: str | int
    digits: int
    most: float
    yields: bool
    kind: str
    name: str


class Numbers:
    """Rules for digits, ready. Any number of threads may ask."""

    def __init__(self, these: Sequence[Rule], floor: float) -> None:
        self._floor = floor
        needy = [rule for rule in these if rule.row.need]
        # The surest first: what they find need not be looked at again.
        plain = sorted((rule for rule in these if not rule.row.need), key=lambda rule: -rule.most)
        self._needy = [_ready(index, rule) for index, rule in enumerate(needy)]
        self._plain = [
            (_lead(rule), rule.most, rule.regex.search, tuple(rule.row.has), _ready(len(needy) + index, rule))
            for index, rule in enumerate(plain)
        ]
        self._shapes = Shapes(plain)
        self._words = Words([*needy, *plain])

    def find(self, text: Normal, out: list[Spot]) -> None:
        """Every match in ``text`` goes to ``out``, but what could not win against another one that is told."""
        whole = text.text
        places = self._shapes.places(whole)
        if not places:
            return
        if len(places) * (AHEAD + BEHIND) > len(whole):
            zones = [(0, len(whole))]
        else:
            zones = merged([(a - AHEAD if a > AHEAD else 0, b + BEHIND) for a, b, _ in places])
        heard = self._words.heard(text.lower, zones)
        known = self._known(whole, places, heard, out)
        ends = [end for _, end, _ in places]
        for index, windows in heard.windows().items():
            rule = self._needy[index]
            for at, stop, last in _beside(merged(sorted(windows)), places, ends, known, rule):
                match = rule.search(whole, at, stop)
                if match is not None:
                    self._matched(rule, whole, match, stop, last, heard, out)

    def _known(self, whole: str, places: Sequence[Place], heard: Heard, out: list[Spot]) -> list[float]:
        """Try the rules that need no words. How surely each place is known then as a whole, 0 for not at all."""
        plain = self._plain
        used = [0] * len(plain)  # how far each rule has come
        absent = {index for index, entry in enumerate(plain) if entry[3] and not any(map(whole.__contains__, entry[3]))}
        known = []
        for start, end, fits in places:
            top = 0.0
            stop = end + EDGE
            piece = ""
            for index in fits:
                lead, most, search, has, rule = plain[index]
                if top > most:
                    break  # the surest come first: none of the others could win
                if has:
                    if index in absent:
                        continue
                    piece = piece or whole[start - EDGE if start > EDGE else 0 : stop]
                    for each in has:
                        if each in piece:
                            break
                    else:
                        continue
                at = start - lead
                match = search(whole, at if at > used[index] else used[index], stop)  # noqa: FURB136 - a call costs more
                if match is None:
                    continue
                before = len(out)
                used[index] = self._matched(rule, whole, match, stop, end, heard, out) or used[index]
                if len(out) > before and whole[end : end + 2].lstrip(" ")[:1] not in _GOES_ON:
                    # Otherwise a rule that tells less surely may tell more of it.
                    for spot in out[before:]:
                        if spot[3] <= start and spot[4] >= end and -spot[2] > top and not spot[0]:
                            top = -spot[2]
            known.append(top)
        return known

    def _matched(
        self, rule: _Rule, whole: str, match: re.Match[str] | None, stop: int, last: int, heard: Heard, out: list[Spot]
    ) -> int:
        """Judge this match and those behind it that begin before ``last``, up to ``stop``; how far it came."""
        at = 0
        while match is not None:
            begun, done = match.span()
            if begun >= last:
                break
            at = begun + 1
            if done == stop < len(whole):
                # The window may have cut it, or what it must not be followed by.
                match = rule.match(whole, begun)
                if match is None:
                    match = rule.search(whole, at, stop)
                    continue
                done = match.end()
            score = rule.judge(match, begun, done, heard)
            if score:
                at = done if done > at else at  # noqa: FURB136 - a call costs more
                if score >= self._floor:
                    if rule.group:
                        begun, done = match.span(rule.group)
                    out.append((rule.yields, begun - done, -score, begun, done, rule.kind, rule.name))
            match = rule.search(whole, at, stop) if at < last else None
        return at


def _judge(index: int, rule: Rule) -> Judge:
    """How sure a match is, 0 for none: the words against it, the words that explain it, its check."""
    row, check = rule.row, rule.check
    score, sure, need, group = row.score, max(row.score, row.sure), row.need, rule.group
    refutable, explained, before, trailing, after = (
        bool(row.against),
        bool(row.context),
        row.before,
        bool(row.trailing),
        row.after,
    )

    told: dict[float, float] = {}  # rounding costs as much as the rest; there are as many as there are distances

    def judge(match: re.Match[str], begun: int, done: int, heard: Heard) -> float:
        if refutable and heard.refutes(index, begun):
            return 0.0
        nearness = heard.before(index, begun, before) if explained else 0.0
        if trailing:
            nearness = max(nearness, heard.behind(index, done, after))
        if (need and not nearness) or (check is not None and not check(match[group])):
            return 0.0
        if not nearness:
            return score
        lifted = told.get(nearness)
        if lifted is None:
            lifted = told[nearness] = round(min(1.0, sure + CLOSER * nearness), 3)
        return lifted

    return judge


def _beside(
    windows: Sequence[Span], places: Sequence[Place], ends: Sequence[int], known: Sequence[float], rule: _Rule
) -> list[Window]:
    """Of the windows in which a match may begin the parts that have digits, but what is known more surely."""
    found: list[Window] = []
    count = len(places)
    most, digits = rule.most, rule.digits
    for start, last in windows:
        index = bisect_right(ends, start)
        begun = -WIDEST
        free = start  # what is known begins nothing else
        while index < count:
            at, end, _ = places[index]
            if at - FAR > last:
                break
            if known[index] > most:
                free = end
            elif end - at >= digits:
                at = max(at - FAR, free)
                if at > last:
                    break
                if at <= begun:
                    found[-1] = (found[-1][0], end + EDGE, min(last + 1, end))
                else:
                    found.append((at, end + EDGE, min(last + 1, end)))
                begun = end + EDGE
            index += 1
    return found


def merged(spans: Sequence[Span]) -> list[Span]:
    """Spans, ordered by their start, with those that touch made one."""
    joined: list[Span] = []
    last = -WIDEST
    for span in spans:
        if span[0] <= last:
            if span[1] > last:
                joined[-1] = (joined[-1][0], span[1])
                last = span[1]
        else:
            joined.append(span)
            last = span[1]
    return joined


def _lead(rule: Rule) -> int:
    return max(EDGE, rule.row.lead if rule.row.lead < WIDEST else 0)


def _ready(index: int, rule: Rule) -> _Rule:
    row = rule.row
    return _Rule(
        search=rule.regex.search,
        match=rule.regex.match,
        judge=_judge(index, rule),
        group=rule.group,
        digits=row.digits,
        most=rule.most,
        yields=row.yields,
        kind=rule.kind,
        name=rule.name,
    )
