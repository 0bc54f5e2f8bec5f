"""How good an order of prompts is for escalating: share of the gap recovered, calls and cost needed, with intervals.

An order is a score for each prompt: the highest goes far first. Equal scores are resolved by their mean, as if the
order among them were drawn by lot very often. It knows no router.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
RESAMPLES: Final = 1000
LEVEL: Final = 0.95
"""Share of resamples that an interval holds."""


class Interval(msgspec.Struct, frozen=True):
    """A figure and its bootstrap interval."""

    value: float
    low: float
    high: float


class Sides(msgspec.Struct, frozen=True):
    """How well near and far did on each prompt, from 0 to 1, and what the far answer costs; same length."""

    near: Array
    far: Array
    cost: Array

    def taken(self, rows: NDArray[np.intp]) -> Sides:
        """Some of the prompts."""
        return Sides(self.near[rows], self.far[rows], self.cost[rows])

    @property
    def gap(self) -> Array:
        """What going far gains on each prompt, from -1 to 1."""
        return self.far - self.near


def sides(near: Sequence[float], far: Sequence[float], cost: Sequence[float] | None = None) -> Sides:
    """Both sides as arrays; without costs, every far answer costs the same."""
    prices = np.ones(len(far)) if cost is None else np.asarray(cost, float)
    return Sides(np.asarray(near, float), np.asarray(far, float), prices)


def _running(score: Array, values: Array) -> Array:
    """Sums of ``values`` over the k highest scores, k = 0 … n; ties share their mean."""
    order = np.argsort(-score, kind="stable")
    sorted_score, sorted_values = score[order], values[order]
    begins = np.flatnonzero(np.r_[True, sorted_score[1:] != sorted_score[:-1]])
    sizes = np.diff(np.r_[begins, len(score)])
    means = np.add.reduceat(sorted_values, begins) / sizes
    return np.concatenate(([0.0], np.cumsum(np.repeat(means, sizes))))


def recovered(score: Array, both: Sides) -> Array:
    """Share of the gap recovered when the k highest scores go far, k = 0 … n. NaN where there is no gap."""
    total = both.gap.sum()
    if total <= 0:
        return np.full(len(score) + 1, np.nan)
    found: Array = _running(score, both.gap) / total
    return found


def apgr(score: Array, both: Sides) -> float:
    """Average share of the gap recovered over all shares of far calls (RouteLLM's APGR): random 0.5."""
    curve = recovered(score, both)
    return float(np.trapezoid(curve, dx=1 / (len(curve) - 1)))


def apgr_charged(score: Array, both: Sides, paid: float) -> float:
    """APGR over budgets instead of calls: ``paid`` goes beforehand, for near answers and opinions.

    Budgets are shares of always going far without them; one that does not reach ``paid`` recovers nothing.
    """
    curve = recovered(score, both)
    at = np.linspace(0, 1, len(curve))
    left = min(1.0, max(0.0, 1 - paid))
    reached = np.append(at[at < left], left)
    return float(np.trapezoid(np.interp(reached, at, curve), reached))


def apgr_at_tenths(score: Array, both: Sides) -> float:
    """The same from RouteLLM's eleven points alone, as its tables have it."""
    curve = recovered(score, both)
    at = np.linspace(0, 1, 11)
    return float(np.trapezoid(np.interp(at, np.linspace(0, 1, len(curve)), curve), dx=0.1))


def calls_for_gap(score: Array, both: Sides, share: float) -> float:
    """Share of prompts that must go far until ``share`` of the gap is recovered: CPT50 is ``share`` 0.5."""
    return _first(recovered(score, both) >= share - 1e-12)


def calls_for_quality(score: Array, both: Sides, share: float) -> float:
    """Share of prompts that must go far until the mean quality is ``share`` of always going far."""
    return _first(_quality(score, both) >= share * both.far.mean() - 1e-12)


def cost_for_quality(score: Array, both: Sides, share: float) -> float:
    """The far cost at that point, as a share of always going far."""
    reached = _quality(score, both) >= share * both.far.mean() - 1e-12
    if not reached.any():
        return float("nan")
    spent = _running(score, both.cost)
    return float(spent[int(np.argmax(reached))] / spent[-1]) if spent[-1] else float("nan")


def _quality(score: Array, both: Sides) -> Array:
    found: Array = both.near.mean() + _running(score, both.gap) / len(score)
    return found


def _first(reached: NDArray[np.bool_]) -> float:
    return float(np.argmax(reached) / (len(reached) - 1)) if reached.any() else float("nan")


Metric = Callable[[Array, Sides], float]


def bootstrap(metric: Metric, score: Array, both: Sides, *, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """The figure with its percentile interval over resampled prompts."""
    found = _resampled(lambda rows: metric(score[rows], both.taken(rows)), len(score), resamples, seed)
    return Interval(metric(score, both), *found)


def paired(
    metric: Metric,
    score: Array,
    baseline: Array,
    both: Sides,
    *,
    its: Metric | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """How much better ``score`` is than ``baseline`` on the same prompts, resampled together.

    ``its``: the baseline's metric, where it pays for other things.
    """

    def gain(rows: NDArray[np.intp]) -> float:
        some = both.taken(rows)
        return metric(score[rows], some) - (its or metric)(baseline[rows], some)

    return Interval(gain(np.arange(len(score))), *_resampled(gain, len(score), resamples, seed))


def _resampled(
    figure: Callable[[NDArray[np.intp]], float], size: int, resamples: int, seed: int
) -> tuple[float, float]:
    random = np.random.default_rng(seed)
    values = np.array([figure(random.integers(0, size, size)) for _ in range(resamples)])
    values = values[np.isfinite(values)]
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(values, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(low), float(high)
