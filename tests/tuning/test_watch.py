"""The watch alarms when the promise is broken and, looked at after every label, hardly ever when it is kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.tuning.watch import Watch, after_label, tightened


def alarmed(rate: float, labels: int, seed: int, *, propensity: float = 1.0) -> bool:
    chance, watch = np.random.default_rng(seed), Watch(loss=0.05, alpha=0.05)
    for _ in range(labels):
        watch = watch.observe(float(chance.random() < rate), propensity=propensity, usual=propensity)
    return watch.alarmed


def test_a_kept_promise_hardly_ever_alarms_however_often_one_looks() -> None:
    assert sum(alarmed(0.05, 500, seed) for seed in range(60)) / 60 <= 0.05 + 2 * (0.05 * 0.95 / 60) ** 0.5


def test_a_broken_promise_alarms() -> None:
    assert sum(alarmed(0.15, 500, seed) for seed in range(40)) >= 38
    assert sum(alarmed(0.15, 500, seed, propensity=0.03) for seed in range(40)) >= 38


def test_sampling_more_where_it_loses_is_no_alarm() -> None:
    """Doubtful prompts lose 9 %, others 1 %: 5 % in all, though most of the sampled ones are doubtful."""
    alarms = 0
    for seed in range(40):
        chance, watch = np.random.default_rng(seed), Watch(loss=0.05)
        for _ in range(2000):
            doubtful = chance.random() < 0.5
            propensity = 0.4 if doubtful else 0.1
            if chance.random() < propensity:
                lost = float(chance.random() < (0.09 if doubtful else 0.01))
                watch = watch.observe(lost, propensity=propensity, usual=0.25)
        alarms += watch.alarmed
    assert alarms <= 2 + 2 * (40 * 0.05 * 0.95) ** 0.5


def test_by_hand() -> None:
    watch = Watch(loss=0.5).observe(1.0)
    # Every bet f becomes 1 + f (1 / 0.5 - 1) = 1 + f; the mean of the bets is 0.245.
    assert watch.evidence == pytest.approx(1.245)
    assert watch.observe(0.0).evidence < watch.evidence
    assert Watch(loss=0.5).evidence == 1


def test_an_alarm_stays() -> None:
    watch = Watch(loss=0.05)
    for lost in (*[1.0] * 10, *[0.0] * 500):
        watch = watch.observe(lost)
    assert watch.alarmed
    assert watch.evidence < 1


@pytest.mark.parametrize("wrong", [{"lost": 2.0}, {"lost": 1.0, "propensity": 0.0}, {"lost": 0.0, "usual": 2.0}])
def test_what_is_no_label(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Watch(loss=0.05).observe(**wrong)


def test_an_alarm_halves_what_stays_near() -> None:
    assert tightened(0.8, [0.1, 0.2, 0.3, 0.4, 0.9]) == 0.2
    assert tightened(0.8, [0.1, 0.3, 0.3, 0.3]) == 0.1
    assert tightened(0.8, [0.3, 0.3, 0.3]) is None
    assert tightened(0.8, [0.9]) is None


@given(st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.5, 0.9]), max_size=30), st.floats(0, 1))
def test_at_most_half_stays(doubts: list[float], threshold: float) -> None:
    after = tightened(threshold, doubts)
    kept = sum(doubt <= threshold for doubt in doubts)
    assert sum(after is not None and doubt <= after for doubt in doubts) <= kept / 2


def test_the_way_from_observing_to_deciding() -> None:
    calm, loud = Watch(loss=0.05, seen=100), Watch(loss=0.05, seen=100, alarmed=True)
    assert after_label("observe", Watch(loss=0.05, seen=99), enough=100) == "observe"
    assert after_label("observe", calm, enough=100) == "canary"
    assert after_label("canary", calm, enough=100) == "on"
    assert after_label("on", calm, enough=100) == "on"
    assert after_label("on", loud, enough=100) == "observe"
