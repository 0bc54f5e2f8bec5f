"""How fast one deployment has been lately, learned from its own attempts. It does not know what is asked of it next.

The path of a request only notes; what was noted is added up when somebody asks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import msgspec

from nearfar.core.chat import Usage
from nearfar.gateway.lines import Line, Unread
from nearfar.policy.wait import CROWDS, Answers, Pace, Quick, Turn

KEPT = 64
"""Attempts of a deployment that wait to be added up, and answers whose lengths are kept."""
FORGET = 0.96
"""What an attempt's weight becomes with each one after it: about the last 25 count."""
_CALM = 0.1
"""Seconds after which new attempts are added up, where there are fewer than ``_MANY``."""
_MANY = 16
_FEW = 4
"""Attempts each of which is added up at once: the first ones teach the most."""
_MISSED = 50
"""Attempts elsewhere after which what was measured of a near deployment counts for half, while it is not asked."""
_OLD = 0.25
"""The least that it counts for: so many times faster it may have become, and no more."""
_LOOK = 5.0
"""Seconds after which that is worked out again."""
_PRIOR = 0.5
"""Attempts that the assumed pace counts for."""


_GLANCE = 0.01
"""Seconds for which it is not worked out again how much a line has still to read."""

Noted = tuple[int, int, int, float | None, float, Usage | None]
"""Tokens of prompt, of others' prompts before it, others in flight, seconds to the first content and to the end, usage.
"""


class Fit:
    """A straight line through what was seen lately, y = a + b x, each point with a weight that fades."""

    __slots__ = ("w", "x", "xx", "xy", "y")

    def __init__(self) -> None:
        self.w = self.x = self.y = self.xx = self.xy = 0.0

    def add(self, x: float, y: float, weight: float) -> None:
        """One more point."""
        self.w = self.w * FORGET + weight
        self.x = self.x * FORGET + weight * x
        self.y = self.y * FORGET + weight * y
        self.xx = self.xx * FORGET + weight * x * x
        self.xy = self.xy * FORGET + weight * x * y

    def line(self, a: float, b: float, prior: float) -> tuple[float, float]:
        """(a, b), neither negative. Where all points stand at one x, the mean is shared out as the given a and b do.

        ``prior``: the weight of the given line.
        """
        if not self.w:
            return a, b
        mean_x, mean_y = self.x / self.w, self.y / self.w
        spread = self.xx - self.x * mean_x
        before = a + b * mean_x
        scale = mean_y / before if before > 0 else 1.0
        # The prior has the mean of what was seen and only says how it is shared out.
        pull = prior * max(mean_x, 1.0) ** 2 * 0.1
        slope = (self.xy - mean_x * self.y + pull * b * scale) / (spread + pull)
        slope = min(max(slope, 0.0), mean_y / mean_x if mean_x > 0 else slope)
        return max(0.0, mean_y - slope * mean_x), max(0.0, slope)


class Load:
    """What one deployment has done lately, and what it is doing."""

    __slots__ = (
        "_assumed",
        "_crowded",
        "_decode",
        "_error",
        "_first",
        "_late",
        "_lengths",
        "_missed",
        "_pace",
        "_read",
        "_samples",
        "_turn",
        "clock",
        "line",
        "name",
        "near",
        "noted",
        "paces",
        "slots",
        "stale",
    )

    def __init__(self, name: str, line: Line, assumed: Pace, clock: Callable[[], float], *, near: bool) -> None:
        self.name = name
        self.near = near
        self.clock = clock
        self.line = line
        self.slots: int | None = None
        """What its deployment was said to answer at once when somebody last looked."""
        self.noted: deque[Noted] = deque(maxlen=KEPT)
        self._assumed = assumed
        self._pace = assumed
        self.paces: tuple[Quick, ...] | None = None
        """What ``quick`` said last, while nothing has been learned since."""
        self.stale = float("inf")
        """When that is to be worked out again all the same."""
        self._first, self._decode = Fit(), Fit()
        self._crowded = [1.0] * CROWDS
        self._lengths: deque[int] = deque(maxlen=KEPT)
        self._samples = 0
        self._error: float | None = None
        self._late = 0.0
        self._read = 0.0
        self._missed = 0
        self._turn: Turn | None = None

    def pace(self, now: float) -> Pace:
        """How fast it has been up to ``now`` (seconds of any steady clock)."""
        noted = self.noted
        if noted and (len(noted) >= _MANY or now - self._read >= _CALM or self._samples < _MANY):
            self._read = now
            while noted:
                self._learn(noted.popleft())
                if self._samples < _FEW:
                    self._pace = self._summed()
            self._pace = self._summed()
            self.renew()
        return self._pace

    def renew(self) -> None:
        """What was worked out from its pace is no longer true."""
        self.paces = self._turn = None

    def quick(self, now: float, attempts: Callable[[], int]) -> tuple[Quick, ...]:
        """Its pace for comparisons. ``attempts`` says how many all deployments had so far."""
        pace = self.pace(now)
        if self.paces is not None and now <= self.stale:
            return self.paces
        fresh = 1.0
        if self.near:  # to try a far one costs money, and it is tried whenever near ones are busy
            count = attempts()
            if self.paces is None:
                self._missed = count
            fresh = max(_OLD, 0.5 ** ((count - self._missed) / _MISSED))
        self.paces = pace.quick(fresh)
        self.stale = now + _LOOK
        return self.paces

    def unread(self, now: float) -> int:
        """Tokens of prompts that its line has still to read: an engine reads them before or with the next one."""
        line = self.line
        newest = next(reversed(line.runs))
        known = line.unread
        if known is not None and known.newest is newest and 0 <= now - known.at < _GLANCE:
            return known.tokens
        each = self._pace.prefill
        left = 0.0
        for run in line.runs:
            if run.first_at() is None:
                left = max(left, run.tokens + run.ahead - ((now - run.began) / each if each else 0.0))
        line.unread = Unread(now, newest, round(left))
        return line.unread.tokens

    def attempts(self) -> int:
        """How many were noted of it so far."""
        return self._samples + len(self.noted)

    def _learn(self, noted: Noted) -> None:
        tokens, ahead, others, first, total, usage = noted
        pace = self._pace
        self._samples += 1
        output = None
        if usage is not None:
            output = usage.output
            if usage.cached and usage.input:
                tokens = round(tokens * max(0.0, 1 - usage.cached / usage.input))
            if not output and first is None:
                first = total  # vectors: what they take is their prompt
        tokens += ahead
        expected = pace.begin(tokens, others)
        if first is not None and first > 0:
            self._learn_first(tokens, others, first, expected)
        if output:
            self._lengths.append(output)
            begun = expected if first is None else first
            if first is None and self._samples == 1:
                # Nobody has seen yet how the time is shared between prompt and answer.
                begun = total * begun / (begun + pace.token(others) * output)
                self._first.add(tokens, begun, 1 / max(begun, 1e-4) ** 2)
            steps = output if first is None else output - 1
            if steps > 0:
                each = max(0.0, total - begun) / steps
                self._decode.add(others, each, steps / max(pace.token(others), 1e-5) ** 2)

    def _learn_first(self, tokens: int, others: int, first: float, expected: float) -> None:
        if self._samples > 1:
            off = min(9.0, abs(expected - first) / first)
            self._error = off if self._error is None else 0.9 * self._error + 0.1 * off
            late = min(3.0, max(0.0, first / max(expected, 1e-4) - 1))
            self._late = 0.9 * self._late + 0.1 * late
        if self._samples > _MANY:
            # One that was held up by something else is not what the next one is to expect.
            first = min(first, 4 * expected)
        crowd = min(others, CROWDS - 1)
        if crowd and expected > 0:
            calm = self._pace.begin(tokens)
            self._crowded[crowd] += 0.1 * (max(1.0, first / calm) - self._crowded[crowd])
        self._first.add(tokens, first / self._crowded[crowd], 1 / max(expected, 1e-4) ** 2)

    def _summed(self) -> Pace:
        assumed = self._assumed
        first, prefill = self._first.line(assumed.first, assumed.prefill, _PRIOR * self._weight(self._first))
        decode, crowd = self._decode.line(assumed.decode, assumed.crowd, _PRIOR * self._weight(self._decode))
        return Pace(
            first=first,
            prefill=prefill,
            decode=decode,
            crowd=crowd,
            crowded=tuple(self._crowded),
            answers=Answers.of(self._lengths) if self._lengths else assumed.answers,
            samples=self._samples,
            error=self._error,
            late=self._late,
        )

    def _weight(self, fit: Fit) -> float:
        """The weight of one attempt in ``fit``."""
        return fit.w / min(self._samples, 1 / (1 - FORGET)) if self._samples else 0.0

    def assume(self, pace: Pace) -> None:
        """Begin with what another process has measured, until this one knows better by itself."""
        self._assumed = msgspec.structs.replace(pace, samples=0)
        if not self._samples:
            self._pace = self._assumed
            self.renew()

    def adopt(self, pace: Pace) -> None:
        """Believe what another process has measured."""
        self._pace, self._samples = pace, pace.samples
        self.renew()

    def turn(self, now: float) -> Turn:
        """How long its slots are taken when all of them are."""
        self.pace(now)
        if self._turn is None:
            self._turn = self._pace.turn((self.line.slots or 1) - 1)
        return self._turn
