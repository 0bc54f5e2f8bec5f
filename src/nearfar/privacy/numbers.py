"""Rules for digits: tried at the places whose shape allows them, or beside the words that they need.

It knows nothing of readings and of what overlaps: it tells every match, with its score.
"""

from __future__ import annotations

import re
import string
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import NamedTuple

from nearfar.privacy.heard import Heard, Words
from nearfar.privacy.normal import Normal
from nearfar.privacy.patterns import WIDEST
from nearfar.privacy.rules import CLOSER, Rule
from nearfar.privacy.shapes import Shapes

EDGE = 8
"""Characters behind a place with digits in which a rule may end, and beside it in which its literals may stand."""
AHEAD, BEHIND = 64, 40
"""Characters before and after it in which the words that explain it are looked for."""

_GOES_ON = frozenset(f"{string.ascii_letters}{string.digits}#轉分")
"""What may stand behind a number, a space between or not, where it goes on: with an extension, with letters."""

Span = tuple[int, int]
Window = tuple[int, int, int]
"""(From here, to here, and before which character a match begins.)"""
Spot = tuple[bool, int, float, int, int, str, str]
"""(Gives way to others, minus its length, minus its score, start, end, kind, detector): the least one goes first."""


Judge = Callable[[re.Match[str], int, int, Heard], float]
"""(Match, its start, its end, the words heard) → how sure, 0 for none."""


class _Rule(NamedTuple):
    """A rule as it is tried: this is where texts full of numbers spend their time, so nothing is looked up twice."""

    search: Callable[[str, int, int], re.Match[str] | None]
    match: Callable[[str, int], re.Match[str] | None]
    judge: Judge
    group: str | int
    bit: int
    lead: int
    reach: int
    """Characters behind a place that are looked at, enough to begin a match."""
    most: float
    yields: bool
    kind: str
    name: str


class _Plain(NamedTuple):
    """A rule that needs no words, at places of one shape: flat, so that its parts cost one step."""

    place: int
    begins: tuple[int, ...] | None
    """Where it may begin, from the start of the place; None: anywhere from ``lead`` characters before it on."""
    lead: int
    reach: int
    most: float
    has: tuple[str, ...]
    """One of these stands there, which the shape does not tell, and which spares a search."""
    search: Callable[[str, int, int], re.Match[str] | None]
    match: Callable[[str, int, int], re.Match[str] | None]
    judge: Judge
    simple: bool
    """Whether the whole match is the finding, and it gives way to no other."""
    kind: str
    name: str
    rule: _Rule


Place = tuple[int, int, tuple[tuple[_Plain, ...], int]]
"""(Start, end, (the rules that could match there, a bit for each that needs words)) of a place with digits."""


class Numbers:
    """Rules for digits, ready. Any number of threads may ask."""

    def __init__(self, these: Sequence[Rule], floor: float) -> None:
        self._floor = floor
        needy = [rule for rule in these if rule.row.need]
        # The surest first: what they find need not be looked at again.
        plain = sorted((rule for rule in these if not rule.row.need), key=lambda rule: -rule.most)
        self._needy = [_ready(index, rule) for index, rule in enumerate(needy)]
        self._surest = max((rule.most for rule in needy), default=0.0)
        self._count = len(plain)
        ready = [_ready(len(needy) + index, rule) for index, rule in enumerate(plain)]

        def entry(index: int, signs: str, begins: tuple[int, ...] | None) -> _Plain:
            rule = plain[index]
            # What is no digit and no letter is told by the shape.
            told = any(each in signs for each in rule.row.has if not each.isalnum())
            return _Plain(
                place=index,
                begins=begins,
                lead=rule.lead,
                reach=ready[index].reach,
                most=rule.most,
                has=() if told or begins is not None else tuple(rule.row.has),
                search=rule.regex.search,
                match=rule.regex.match,
                judge=ready[index].judge,
                simple=rule.group == 0 and not rule.row.yields,
                kind=rule.kind,
                name=rule.name,
                rule=ready[index],
            )

        self._shapes = Shapes(plain, entry, needy)
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
        windows = heard.windows()
        if not windows:
            return
        left = _Left(places, known, self._surest)
        for index, spans in windows.items():
            rule = self._needy[index]
            search = rule.search
            for at, stop, last in left.beside(spans, rule):
                match = search(whole, at, stop)
                if match is not None:
                    self._matched(rule, whole, match, stop, last, heard, out)

    def _known(self, whole: str, places: Sequence[Place], heard: Heard, out: list[Spot]) -> list[float]:
        """Try the rules that need no words. How surely each place is known then as a whole, 0 for not at all."""
        used = [0] * self._count  # how far each rule has come
        floor, matched = self._floor, self._matched
        known = []
        for start, end, (fits, _) in places:
            top = 0.0
            piece = ""
            for index, begins, lead, reach, most, has, search, try_at, judge, simple, kind, name, rule in fits:
                if top > most:
                    break  # the surest come first: none of the others could win
                stop = end + reach
                if has:
                    piece = piece or whole[start - EDGE if start > EDGE else 0 : end + EDGE]
                    for each in has:
                        if each in piece:
                            break
                    else:
                        continue
                free = used[index]
                if begins is None:
                    at = start - lead
                    match = search(whole, at if at > free else free, stop)  # noqa: FURB136 - a call costs more
                else:
                    match = None
                    for at in begins:
                        if start + at >= free and (match := try_at(whole, start + at, stop)) is not None:
                            break
                if match is None:
                    continue
                begun, done = match.span()
                if begun >= end:
                    continue
                if simple and end <= done < stop:
                    # So it is mostly: one match that reaches the end of the place, and nothing cut it.
                    score = judge(match, begun, done, heard)
                    if score:
                        used[index] = done
                        if score >= floor:
                            out.append((False, begun - done, -score, begun, done, kind, name))
                            if score > top and begun <= start and _ended(whole, end):
                                top = score
                        continue
                    used[index] = at = begun + 1
                    if at >= end:
                        continue
                    match = search(whole, at, stop)
                before = len(out)
                used[index] = matched(rule, whole, match, stop, end, heard, out) or used[index]
                if len(out) > before and _ended(whole, end):
                    for spot in out[before:]:
                        if spot[3] <= start and spot[4] >= end and -spot[2] > top and not spot[0]:
                            top = -spot[2]
            known.append(top)
        return known

    def _matched(
        self, rule: _Rule, whole: str, match: re.Match[str] | None, stop: int, last: int, heard: Heard, out: list[Spot]
    ) -> int:
        """Judge this match and those behind it that begin before ``last``, up to ``stop``; how far it came."""
        search, again, judge, group, _, _, _, _, yields, kind, name = rule
        at = 0
        while match is not None:
            begun, done = match.span()
            if begun >= last:
                break
            at = begun + 1
            if done == stop < len(whole):
                # The window may have cut it, or what it must not be followed by.
                match = again(whole, begun)
                if match is None:
                    match = search(whole, at, stop)
                    continue
                done = match.end()
            score = judge(match, begun, done, heard)
            if score:
                at = done if done > at else at  # noqa: FURB136 - a call costs more
                if score >= self._floor:
                    if group:
                        begun, done = match.span(group)
                    out.append((yields, begun - done, -score, begun, done, kind, name))
            match = search(whole, at, stop) if at < last else None
        return at


def _ended(whole: str, end: int) -> bool:
    """Whether a number ends there. Where it goes on, a rule that tells less surely may tell more of it."""
    behind = whole[end : end + 1]
    return (whole[end + 1 : end + 2] if behind == " " else behind) not in _GOES_ON


def _judge(index: int, rule: Rule) -> Judge:
    """How sure a match is, 0 for none: the words against it, the words that explain it, its check."""
    row, check = rule.row, rule.check
    score, need, group = row.score, row.need, rule.group
    # Scores by the distance of a word: rounding costs as much as the rest.
    ahead = _lifted(rule, row.before) if row.context else []
    behind = _lifted(rule, row.after) if row.trailing else []
    refutable = bool(row.against)
    reach, reach_behind = len(ahead), len(behind)

    def judge(match: re.Match[str], begun: int, done: int, heard: Heard) -> float:
        if refutable and heard.refutes(index, begun):
            return 0.0
        lifted = 0.0
        if reach:
            ends = heard.ends.get(index)
            if ends is None:
                ends = heard.asked_ahead(index)
            place = bisect_right(ends, begun)
            if place:
                far = begun - ends[place - 1]
                if far < reach:
                    lifted = ahead[far]
        if reach_behind:
            starts = heard.starts.get(index)
            if starts is None:
                starts = heard.asked_behind(index)
            place = bisect_left(starts, done)
            if place < len(starts):
                far = starts[place] - done
                if far < reach_behind and behind[far] > lifted:
                    lifted = behind[far]
        if (need and not lifted) or (check is not None and not check(match[group])):
            return 0.0
        return lifted or score

    return judge


def _lifted(rule: Rule, reach: int) -> list[float]:
    """The score of a match by how far its word stands from it."""
    sure = max(rule.row.score, rule.row.sure)
    return [round(min(1.0, sure + CLOSER * (1 - far / (reach + 1))), 3) for far in range(reach + 1)]


class _Left:
    """The places that are not yet known too surely for any rule that needs words."""

    __slots__ = ("_ends", "_places")

    def __init__(self, places: Sequence[Place], known: Sequence[float], surest: float) -> None:
        self._places: list[tuple[int, int, int, float, int]] = []
        """(Start, end, the end of what is known right before it, how surely it is known itself, the rules' bits)"""
        free = 0
        for (start, end, (_, bits)), score in zip(places, known, strict=True):
            if score > surest:
                free = end
            else:
                self._places.append((start, end, free, score, bits))
        self._ends = [place[1] for place in self._places]

    def beside(self, windows: list[Span], rule: _Rule) -> list[Window]:
        """Of the windows in which a match may begin the parts that have digits, but what is known more surely."""
        found: list[Window] = []
        places, ends = self._places, self._ends
        count = len(places)
        most, bit, lead, reach = rule.most, rule.bit, rule.lead, rule.reach
        index = 0
        windows.sort()
        for start, last in merged(windows):
            index = bisect_right(ends, start, index)
            begun = -WIDEST
            free = start  # what is known begins nothing else
            here = index
            while here < count:
                at, end, known, score, bits = places[here]
                if at - lead > last:
                    break
                here += 1
                if score > most:
                    free = end
                elif bits & bit:
                    at -= lead
                    at = max(at, known, free)
                    if at > last:
                        break
                    until = min(last + 1, end)
                    if at <= begun:
                        found[-1] = (found[-1][0], end + reach, until)
                    else:
                        found.append((at, end + reach, until))
                    begun = end + reach
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


def _ready(index: int, rule: Rule) -> _Rule:
    row = rule.row
    return _Rule(
        search=rule.regex.search,
        match=rule.regex.match,
        judge=_judge(index, rule),
        group=rule.group,
        bit=1 << index,
        lead=rule.lead,
        reach=EDGE if rule.lead <= EDGE else max(EDGE, rule.least),
        most=rule.most,
        yields=row.yields,
        kind=rule.kind,
        name=rule.name,
    )
