"""The certificate's arithmetic by hand, and its promise kept over many draws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.examples import examples

from nearfar.tuning.certificate import binomial, certify, upper_bound


def test_binomial_by_hand() -> None:
    assert binomial(1, 3, 0.5) == pytest.approx(0.5)
    assert binomial(0, 10, 0.1) == pytest.approx(0.9**10)
    assert binomial(-1, 3, 0.5) == 0
    assert binomial(3, 3, 0.5) == 1


def test_clopper_pearson_by_hand() -> None:
    # Nothing lost in n: 1 - δ^(1/n). Published table: 5 of 100, one-sided 95 %: 0.1023.
    assert upper_bound(0, 50, 0.1) == pytest.approx(1 - 0.1 ** (1 / 50), abs=1e-9)
    assert upper_bound(5, 100, 0.05) == pytest.approx(0.1023, abs=5e-4)


def test_too_few_pairs_promise_nothing() -> None:
    found = certify([0.1] * 44, [0] * 44, loss=0.05, confidence=0.9)
    assert not found.certified
    assert "takes 45" in found.reason
    assert certify([0.1] * 45, [0] * 45, loss=0.05, confidence=0.9).certified


def test_the_threshold_stops_before_the_loss_that_is_too_much() -> None:
    doubt = [at / 300 for at in range(300)]
    lost = [1.0 if at % 10 == 9 else 0.0 for at in range(300)]
    found = certify(doubt, lost, loss=0.05, confidence=0.9)
    # Of 300, nine lost are the most that refute a loss of 5 % at 10 %: the tenth stands at place 99.
    assert found.threshold == pytest.approx(98 / 300)
    assert found.local_share == pytest.approx(99 / 300)
    assert found.observed == pytest.approx(9 / 300)
    assert found.bound is not None
    assert found.bound <= 0.05


def test_equal_doubts_stay_or_go_together() -> None:
    found = certify([0.0] * 300, [1.0] * 10 + [0.0] * 290, loss=0.05, confidence=0.9)
    assert not found.certified
    assert "least doubt" in found.reason
    assert certify([0.0] * 300, [1.0] * 9 + [0.0] * 291, loss=0.05, confidence=0.9).local_share == 1


def test_shares_take_the_wider_bound() -> None:
    whole = upper_bound(3, 300, 0.1)
    assert upper_bound(3, 300, 0.1, whole=False) > whole
    found = certify([at / 300 for at in range(300)], [0.02] * 300, loss=0.05, confidence=0.9)
    assert found.certified
    assert found.local_share > 0.5


@pytest.mark.parametrize("graded", [False, True])
def test_the_promise_is_kept(graded: bool) -> None:
    """Drawn 150 times where the truth is known, it is broken in at most 10 % of draws, up to two standard errors."""
    chance = np.random.default_rng(0)
    broken = 0
    for _ in range(150):
        doubt = chance.random(300)
        lost = (chance.random(300) < 0.4 * doubt).astype(float) * (0.5 if graded else 1.0)
        found = certify(doubt.tolist(), lost.tolist(), loss=0.05, confidence=0.9)
        # Loss of keeping all up to t: the integral of 0.4 x from 0 to t.
        true = 0.0 if found.threshold is None else 0.2 * found.threshold**2 * (0.5 if graded else 1.0)
        broken += true > 0.05
        assert found.local_share > 0.2
    assert broken / 150 <= 0.1 + 2 * math.sqrt(0.1 * 0.9 / 150)


@examples(30)
@given(st.lists(st.tuples(st.floats(0, 1), st.sampled_from([0.0, 0.5, 1.0])), min_size=60, max_size=120))
def test_a_promise_is_never_above_what_was_asked(rows: list[tuple[float, float]]) -> None:
    found = certify([row[0] for row in rows], [row[1] for row in rows], loss=0.1, confidence=0.9)
    if found.certified:
        assert found.bound is not None
        assert found.observed is not None
        assert found.observed <= found.bound <= 0.1 + 1e-9
        kept = [row for row in rows if found.threshold is not None and row[0] <= found.threshold]
        assert len(kept) / len(rows) == pytest.approx(found.local_share)


def test_limits_that_are_none() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        certify([0.1], [0], loss=0, confidence=0.9)
