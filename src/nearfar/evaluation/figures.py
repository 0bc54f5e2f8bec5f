"""Means with bootstrap intervals, paired differences, percentiles. Plain arithmetic; it knows no prompt."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Final

import msgspec

RESAMPLES: Final = 1000
LEVEL: Final = 0.95
"""Share of resamples that an interval holds."""
_MANY = 2000
"""Values from which the mean is normal enough, and resampling would only take time."""
_NORMAL = 1.96


class Interval(msgspec.Struct, frozen=True):
    """A figure and the interval of LEVEL around it."""

    value: float
    low: float
    high: float

    @property
    def resolved(self) -> bool:
        """Whether zero lies outside: a difference that is not explained by the choice of prompts."""
        return self.low > 0 or self.high < 0


def mean(values: Sequence[float], *, least: float, most: float, seed: int = 0) -> Interval | None:
    """The mean, with the interval of a bootstrap over ``values`` between ``least`` and ``most``; None of nothing.

    Where all values are the same, resampling would claim certainty: the interval is then 3/n of the whole range wide on
    each side (the rule of three: what was not seen in n trials is at most so frequent, with 95 % confidence).
    """
    count = len(values)
    if not count:
        return None
    middle = math.fsum(values) / count
    if max(values) == min(values):
        slack = 3 / count * (most - least)
        return Interval(middle, max(least, middle - slack), min(most, middle + slack))
    if count > _MANY:
        spread = math.sqrt(math.fsum((value - middle) ** 2 for value in values) / (count - 1) / count) * _NORMAL
        return Interval(middle, max(least, middle - spread), min(most, middle + spread))
    chance = random.Random(seed)  # noqa: S311  nothing is kept secret by it, and a report must come out the same twice
    drawn = sorted(math.fsum(chance.choices(values, k=count)) / count for _ in range(RESAMPLES))
    return Interval(middle, percentile(drawn, (1 - LEVEL) / 2), percentile(drawn, (1 + LEVEL) / 2))


def percentile(ordered: Sequence[float], share: float) -> float:
    """Between the two nearest of values in ascending order. Raises ValueError for none."""
    if not ordered:
        raise ValueError("no values")
    at = share * (len(ordered) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)
