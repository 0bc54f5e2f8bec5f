"""How long a request would wait and take, from measured speeds and what is under way. It measures nothing itself."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple

import msgspec

ANSWER = 200.0
"""Tokens of answer expected of a deployment that has not answered anything yet."""
CROWDS = 8
"""Numbers of others in flight that are told apart; more count as the last one."""
_LATER = 2.0
"""How many times the usual lateness is expected: of what comes late, some comes very late."""


class Answers(msgspec.Struct, frozen=True):
    """The lengths of a deployment's latest answers in tokens, ascending, with their running sums."""

    lengths: tuple[int, ...] = ()
    sums: tuple[int, ...] = ()
    squares: int = 0
    """The sum of their squares."""

    @classmethod
    def of(cls, lengths: Iterable[int]) -> Answers:
        """From lengths in any order."""
        ordered = tuple(sorted(lengths))
        return cls(ordered, tuple(accumulate(ordered)), sum([length * length for length in ordered]))

    def mean(self, limit: int | None = None) -> float:
        """Tokens of an answer that has not begun, if ``limit`` tokens are all it may have."""
        count = len(self.lengths)
        if not count:
            return ANSWER if limit is None else min(ANSWER, limit)
        if limit is None:
            return self.sums[-1] / count
        below = bisect_right(self.lengths, limit)
        return ((self.sums[below - 1] if below else 0) + (count - below) * limit) / count

    def spread(self, limit: int | None = None) -> float:
        """How unlike each other the lengths are, cut at ``limit``: variance over squared mean."""
        mean = self.mean(limit)
        if len(self.lengths) < 2 or not mean:
            return 0.0 if limit is not None and limit <= mean else 1.0
        squares = self.squares if limit is None else sum([min(length, limit) ** 2 for length in self.lengths])
        return max(0.0, squares / len(self.lengths) / mean**2 - 1)

    def rest(self, said: float, limit: int | None = None) -> float:
        """Tokens still to come of an answer that has ``said`` so many: what those that went on had left on average."""
        room = None if limit is None else max(0.0, limit - said)
        below = bisect_right(self.lengths, said)
        longer = len(self.lengths) - below
        if not longer:
            # Longer than all before: it may as well be half done, and so on until its limit.
            left = max(said, 1.0) if self.lengths else ANSWER
        elif limit is None:
            left = (self.sums[-1] - (self.sums[below - 1] if below else 0)) / longer - said
        else:
            cut = max(below, bisect_right(self.lengths, limit))
            within = (self.sums[cut - 1] if cut else 0) - (self.sums[below - 1] if below else 0)
            left = (within + (len(self.lengths) - cut) * limit) / longer - said
        return left if room is None else max(0.0, min(left, room))


class Quick(NamedTuple):
    """A pace for comparisons, beside so many others in flight. What came later than predicted is not believed to be
    fast. Times are seconds.
    """

    first: float
    """Until the first content, beside what the prompt takes."""
    prefill: float
    """For each token of prompt."""
    saved: float
    """For each token of prompt that is in its cache."""
    token: float
    """For each token of answer."""
    answer: float
    """Tokens of an answer without a limit."""
    longest: float
    """Tokens of the longest one: a limit beyond it changes nothing."""


class Turn(NamedTuple):
    """How long requests have a slot, beside so many others in flight. Times are seconds."""

    least: float
    """What a request without a limit takes beside its prompt."""
    first: float
    prefill: float
    token: float
    mean: float
    """Tokens of an answer without a limit."""
    answers: Answers

    def whole(self, tokens: int, limit: int | None) -> float:
        """Seconds from the slot to the end of an answer."""
        if limit is None:
            return self.least + self.prefill * tokens
        return self.first + self.prefill * tokens + self.token * self.answers.mean(limit)

    def left(self, tokens: int, limit: int | None, elapsed: float, since_first: float | None) -> float:
        """Seconds that a request under way still takes.

        ``elapsed``: seconds since it began. ``since_first``: seconds since its first content, None before it.
        """
        token = self.token
        if since_first is None:
            before = self.first + self.prefill * tokens - elapsed
            if before > 0:
                return before + token * (self.mean if limit is None else self.answers.mean(limit))
            since_first = -before
        return token * self.answers.rest(since_first / token if token else 0.0, limit)


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How fast a deployment has been. Times are seconds."""

    first: float
    """Until the first content of an answer, beside what the prompt takes."""
    prefill: float
    """For each token of prompt."""
    decode: float
    """For each token of answer, when nothing else is in flight."""
    crowd: float = 0.0
    """What each other request in flight adds to ``decode``."""
    crowded: tuple[float, ...] = (1.0,) * CROWDS
    """How many times longer the first content takes with 0, 1, 2, … others in flight."""
    answers: Answers = Answers()
    samples: int = 0
    """Attempts it was measured from; 0 means that it is assumed."""
    error: float | None = None
    """How far its predictions of the first content were off lately, as a share of what came."""
    late: float = 0.0
    """By how much the first content came later than predicted, as a share of that; 0 for what came sooner."""

    def quick(self, fresh: float = 1.0) -> tuple[Quick, ...]:
        """What is asked of it for every request, worked out beforehand: by the others in flight, up to ``CROWDS``.

        ``fresh``, down to 0: how much of it still holds. What is old, and nobody is there to renew, may have become
        faster, or else it would never be tried again.
        """
        doubt = 1 + min(_LATER * self.late, 1.0)
        answer = self.answers.mean()
        longest = self.answers.lengths[-1] if self.answers.lengths else ANSWER
        found = [
            Quick(
                self.first * slower * doubt,
                self.prefill * slower * doubt,
                self.prefill,
                self.token(others),
                answer,
                longest,
            )
            for others, slower in enumerate(self.crowded)
        ]
        if fresh < 1:
            found[0] = found[0]._replace(first=found[0].first * fresh, prefill=found[0].prefill * fresh)
        return tuple(found)

    def begin(self, tokens: int, others: int = 0) -> float:
        """Seconds until the first content of an answer to ``tokens`` of prompt."""
        return (self.first + self.prefill * tokens) * self.crowded[min(others, CROWDS - 1)]

    def token(self, others: int = 0) -> float:
        """Seconds for a token of answer with so many others in flight."""
        return self.decode + self.crowd * others

    def turn(self, others: int = 0) -> Turn:
        """How long its slots are taken, beside so many others."""
        slower = self.crowded[min(others, CROWDS - 1)]
        first, token, mean = self.first * slower, self.token(others), self.answers.mean()
        return Turn(first + token * mean, first, self.prefill * slower, token, mean, self.answers)


NEAR = Pace(first=0.1, prefill=0.002, decode=0.05, crowd=0.01)
"""Assumed of a deployment on this machine or network until it has answered: a small model on a processor."""
FAR = Pace(first=0.6, prefill=0.00005, decode=0.015)
"""Assumed of a cloud until it has answered."""


class Begin(msgspec.Struct, frozen=True):
    """When something is expected to begin, in seconds from now."""

    mean: float
    """What it is on average."""
    sure: float
    """What it will seldom exceed, about one time in seven."""


NOW = Begin(0.0, 0.0)


def begins(exact: float, ahead: float, left: Sequence[float], turn: float, spread: float) -> Begin:
    """When a request gets a slot.

    ``exact``: in how many seconds, if everything took exactly what is expected of it. ``ahead``: how many are served
    before it. ``left``: what each busy slot still takes; ``turn``: what one request takes. ``spread``: how unlike each
    other these times are (variance over squared mean).

    The first of several slots is free sooner than the one that is expected first: with times that are as uncertain as
    exponential ones, their rates add up. What is in between is shared out by ``spread``.
    """
    if exact <= 0:
        return NOW
    rate = sum([1 / seconds if seconds > 1e-3 else 1e3 for seconds in left])
    later = len(left) / max(turn, 1e-3)
    chance = 1 / rate + ahead * 2 / (rate + later)
    share = min(1.0, spread)
    mean = (1 - share) * exact + share * chance
    return Begin(mean, mean * (1 + share / (1 + ahead) ** 0.5))


def place_all(free: Sequence[list[float]], ahead: Iterable[tuple[Sequence[int], Sequence[float]]]) -> list[float]:
    """When each of ``ahead`` begins, in seconds from now, if each takes the first slot that it may have.

    ``free``: for each line, in how many seconds each of its slots is free; the lists become heaps, and hold what is
    true after the last one has been placed. ``ahead``, in order of service: the lines that one may be served by, and
    how long it would take in each.
    """
    for slots in free:
        heapq.heapify(slots)
    begun = []
    for lines, takes in ahead:
        best = 0
        if len(lines) > 1:
            best = min(range(len(lines)), key=lambda at: free[lines[at]][0])
        slots = free[lines[best]]
        at = slots[0]
        begun.append(at)
        heapq.heapreplace(slots, at + takes[best])
    return begun
