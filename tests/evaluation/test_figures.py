"""Means, their intervals, percentiles."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.evaluation.figures import Interval, mean, percentile


def test_a_mean_lies_in_its_interval_and_the_interval_narrows() -> None:
    few = mean([0, 1] * 10, least=0, most=1)
    many = mean([0, 1] * 200, least=0, most=1)
    most = mean([0, 1] * 2000, least=0, most=1)
    assert few is not None
    assert many is not None
    assert most is not None
    assert few.value == many.value == most.value == 0.5
    assert few.low < many.low < most.low < 0.5 < most.high < many.high < few.high
    # Of 20 fair coins, 95 % of means lie about 0.22 around the middle.
    assert 0.15 < 0.5 - few.low < 0.3


def test_values_that_are_all_the_same_are_no_certainty() -> None:
    assert mean([1, 1, 1], least=-1, most=1) == Interval(1, -1, 1)
    assert mean([1.0] * 30, least=0, most=1) == Interval(1, 0.9, 1)
    assert mean([0.0] * 30, least=-1, most=1) == Interval(0, -0.2, 0.2)
    assert mean([], least=0, most=1) is None


def test_a_difference_is_resolved_when_zero_lies_outside() -> None:
    assert Interval(0.2, 0.1, 0.3).resolved
    assert Interval(-0.2, -0.3, -0.1).resolved
    assert not Interval(0.2, 0.0, 0.3).resolved


def test_the_same_values_give_the_same_interval() -> None:
    assert mean([0, 1, 1, 0, 1], least=0, most=1) == mean([0, 1, 1, 0, 1], least=0, most=1)


@pytest.mark.slow
def test_intervals_hold_what_they_claim() -> None:
    """Over samples of a known mean, about 95 % of intervals hold it."""
    chance = random.Random(1)
    missed = 0
    for _ in range(300):
        found = mean([float(chance.random() < 0.7) for _ in range(60)], least=0, most=1)
        assert found is not None
        missed += not found.low <= 0.7 <= found.high
    assert missed < 36


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40))
def test_intervals_stay_in_range(values: list[float]) -> None:
    found = mean(values, least=-1, most=1)
    assert found is not None
    assert -1 <= found.low <= found.value + 1e-9
    assert found.value - 1e-9 <= found.high <= 1


def test_percentiles() -> None:
    assert percentile([1, 2, 3, 4], 0.5) == 2.5
    assert percentile([7], 0.95) == 7
    assert percentile([0, 10], 0.95) == 9.5
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)
