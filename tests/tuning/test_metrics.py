"""The figures, on curves drawn by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.tuning import metrics
from nearfar.tuning.metrics import Sides, sides


def four() -> Sides:
    """Far gains on the first two prompts of four, loses on none."""
    return sides([0, 0, 1, 1], [1, 1, 1, 1], [4, 2, 2, 2])


def order(*values: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.array(values, float)


def test_the_curve_by_hand() -> None:
    both = four()
    assert metrics.recovered(order(4, 3, 2, 1), both).tolist() == [0, 0.5, 1, 1, 1]
    assert metrics.recovered(order(1, 2, 3, 4), both).tolist() == [0, 0, 0, 0.5, 1]


def test_apgr_by_hand() -> None:
    # Trapezoids of width 1/4 under 0, 1/2, 1, 1, 1: (1/4 + 3/4 + 1 + 1) / 4.
    assert metrics.apgr(order(4, 3, 2, 1), four()) == pytest.approx(0.75)
    assert metrics.apgr(order(1, 2, 3, 4), four()) == pytest.approx(0.25)


def test_what_is_paid_beforehand_moves_the_curve() -> None:
    best = order(4, 3, 2, 1)
    assert metrics.apgr_charged(best, four(), 0) == pytest.approx(0.75)
    # A quarter is paid: budgets up to it recover nothing, the last quarter of the curve is never reached.
    assert metrics.apgr_charged(best, four(), 0.25) == pytest.approx(0.5)
    assert metrics.apgr_charged(best, four(), 0.125) == pytest.approx(0.625)
    assert metrics.apgr_charged(best, four(), 2) == 0
    gain = metrics.paired(
        lambda score, both: metrics.apgr_charged(score, both, 0.25), best, best, four(), its=metrics.apgr, resamples=1
    )
    assert gain.value == pytest.approx(-0.25)


def test_equal_scores_are_worth_their_lot() -> None:
    assert metrics.apgr(order(0, 0, 0, 0), four()) == pytest.approx(0.5)
    assert metrics.recovered(order(2, 1, 1, 0), four()).tolist() == [0, 0.5, 0.75, 1, 1]


def test_calls_and_cost_by_hand() -> None:
    both, best = four(), order(4, 3, 2, 1)
    assert metrics.calls_for_gap(best, both, 0.5) == 0.25
    assert metrics.calls_for_gap(best, both, 0.8) == 0.5
    assert metrics.calls_for_quality(best, both, 0.75) == 0.25
    assert metrics.calls_for_quality(best, both, 0.5) == 0
    assert metrics.cost_for_quality(best, both, 0.75) == pytest.approx(0.4)


def test_far_may_be_worse_on_some_prompts() -> None:
    both = sides([1, 0, 0], [0, 1, 1])
    assert metrics.recovered(order(0, 2, 1), both).tolist() == [0, 1, 2, 1]
    assert metrics.apgr(both.gap, both) > 1


def test_eleven_points_agree_where_a_curve_is_straight() -> None:
    both = sides([0] * 100, [1] * 100)
    assert metrics.apgr_at_tenths(np.zeros(100), both) == pytest.approx(0.5)


def test_without_a_gap_there_is_no_figure() -> None:
    both = sides([1, 1], [0, 1])
    assert math.isnan(metrics.apgr(order(1, 2), both))
    assert math.isnan(metrics.calls_for_gap(order(1, 2), both, 0.5))


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 3)), min_size=2, max_size=40))
def test_ends_and_bounds(rows: list[tuple[bool, bool, int]]) -> None:
    both = sides([row[0] for row in rows], [row[1] for row in rows])
    score = np.array([row[2] for row in rows], float)
    if both.gap.sum() <= 0:
        return
    curve = metrics.recovered(score, both)
    assert curve[0] == 0
    assert curve[-1] == pytest.approx(1)
    assert metrics.apgr(score, both) <= metrics.apgr(both.gap, both) + 1e-9
    assert metrics.apgr(score, both) + metrics.apgr(-score, both) == pytest.approx(1)


def test_intervals_hold_the_figure_and_pairs_tell_better_from_worse() -> None:
    chance = np.random.default_rng(0)
    near = (chance.random(600) < 0.6).astype(float)
    both = sides(near.tolist(), [1.0] * 600)
    good, poor = both.gap + chance.normal(0, 1, 600), both.gap + chance.normal(0, 6, 600)
    found = metrics.bootstrap(metrics.apgr, good, both, resamples=100)
    assert found.low < found.value < found.high
    assert metrics.paired(metrics.apgr, good, poor, both, resamples=100).low > 0
    same = metrics.paired(metrics.apgr, good, good, both, resamples=20)
    assert (same.low, same.value, same.high) == (0, 0, 0)
