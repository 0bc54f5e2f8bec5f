"""Rules for digits: tried at the places whose shape allows them, or beside the words that they need.

It knows nothing of readings and of what overlaps: it tells every match, with its score.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence

import msgspec

from nearfar.privacy import rules as rulebook
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

Span = tuple[int, int]
Window = tuple[int, int, int]
"""(From here, to here, and where a match begins at the last.)"""
Spot = tuple[bool, int, float, int, int, str, str]
"""(Gives way to others, minus its length, minus its score, start, end, kind, detector): the least one goes first."""


class _Rule(msgspec.Struct, frozen=True):
    """A rule as it is tried: this is where texts full of numbers spend their time, so nothing is looked up twice."""

    index: int
    search: Callable[[str, int, int], re.Match[str] | None]
    match: Callable[[str, int], re.Match[str] | None]
    holds: Callable[[str, int, int], re.Match[str] | None] | None
    check: Callable[[str], bool] | None
    group: str | int
    need: bool
    listens: bool
    """Whether words before it matter, as far as ``reach``."""
    reach: int
    before: int
    trailing: bool
    after: int
    least: int
    lead: int
    score: float
    sure: float
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
        ordered = [*needy, *plain]
        self._rules = [_ready(index, rule) for index, rule in enumerate(ordered)]
        self._first = len(needy)
        self._shapes = Shapes(plain)
        self._words = Words(ordered)

    def find(self, text: Normal, out: list[Spot]) -> None:
        """Every match in ``text`` goes to ``out``; of several at the very same place perhaps only the surest."""
        clusters, places = self._shapes.places(text.text)
        if not clusters:
            return
        heard = self._words.heard(
            text.lower, merged([(a - AHEAD if a > AHEAD else 0, b + BEHIND) for a, b in clusters])
        )
        best: dict[Span, float] = {}
        for rule, these in zip(self._rules[self._first :], places, strict=True):
            if these:
                lead, most = rule.lead, rule.most
                # A place that is known as a whole, and more surely than this rule can tell, is not looked at again.
                left = [(a - lead if a > lead else 0, b + EDGE) for a, b in these if best.get((a, b), 0.0) <= most]
                self._try(rule, text.text, [(a, b, b) for a, b in merged(left)], heard, best, out)
        ends = [end for _, end in clusters]
        for index, windows in heard.windows().items():
            self._try(self._rules[index], text.text, _beside(merged(sorted(windows)), clusters, ends), heard, best, out)

    def _try(
        self, rule: _Rule, whole: str, windows: Sequence[Window], heard: Heard, best: dict[Span, float], out: list[Spot]
    ) -> None:
        size, floor = len(whole), self._floor
        search, holds, least, most = rule.search, rule.holds, rule.least, rule.most
        group, check, listens = rule.group, rule.check, rule.listens
        for at, stop, last in windows:
            if holds is not None and holds(whole, at, stop) is None:
                continue
            stop = min(stop, size)  # noqa: PLW2901 - texts end
            while at <= last and stop - at >= least and (match := search(whole, at, stop)) is not None:
                begun, done = match.span()
                if begun > last:
                    break
                at = begun + 1  # noqa: PLW2901 - the window is used up from its beginning
                if done == stop < size:
                    # The window may have cut it, or what it must not be followed by.
                    match = rule.match(whole, begun)
                    if match is None:
                        continue
                    done = match.end()
                span = match.span(group)
                if span in best and best[span] > most:
                    at = done  # noqa: PLW2901 - as above
                    continue
                nearness = heard.before(rule.index, begun, rule.before, rule.reach) if listens else 0.0
                if rule.trailing and nearness >= 0:
                    nearness = max(nearness, heard.behind(rule.index, done, rule.after))
                if nearness <= 0 and (rule.need or nearness < 0):
                    continue
                if check is not None and not check(match[group]):
                    continue
                if done > at:  # noqa: PLR1730 - a call costs more
                    at = done  # noqa: PLW2901 - as above
                score = round(min(1.0, rule.sure + CLOSER * nearness), 3) if nearness else rule.score
                if score >= floor:
                    out.append((rule.yields, span[0] - span[1], -score, *span, rule.kind, rule.name))
                    if not rule.yields and score > best.get(span, 0.0):
                        best[span] = score


def _beside(windows: Sequence[Span], clusters: Sequence[Span], ends: Sequence[int]) -> list[Window]:
    """Of the windows in which a match may begin the parts that have digits."""
    found: list[Window] = []
    count = len(clusters)
    for start, last in windows:
        index = bisect_right(ends, start)
        first = len(found)
        while index < count and clusters[index][0] - FAR <= last:
            at, end = clusters[index]
            at = max(at - FAR, start)
            if len(found) > first and at <= found[-1][1]:
                found[-1] = (found[-1][0], end + EDGE, last)
            else:
                found.append((at, end + EDGE, last))
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


def _ready(index: int, rule: Rule) -> _Rule:
    row = rule.row
    return _Rule(
        index=index,
        search=rule.regex.search,
        match=rule.regex.match,
        holds=rule.holds.search if rule.holds is not None and not row.need else None,
        check=rule.check,
        group=rule.group,
        need=row.need,
        listens=bool(row.context or row.against),
        reach=max(row.before if row.context else 0, rulebook.AGAINST_REACH if row.against else 0),
        before=row.before,
        trailing=bool(row.trailing),
        after=row.after,
        least=rule.least,
        lead=max(EDGE, row.lead if row.lead < WIDEST else 0),
        score=row.score,
        sure=max(row.score, row.sure),
        most=rule.most,
        yields=row.yields,
        kind=rule.kind,
        name=rule.name,
    )
