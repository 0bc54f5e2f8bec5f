"""Reports hold what they say; no prompt is judged by a router that has seen it."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from tests.tuning import made

from nearfar.policy.cascade import Rules
from nearfar.tuning import evaluate
from nearfar.tuning.labels import Label, Outcome


def test_a_report_of_knowing_everything() -> None:
    labels = made.labels(200)
    both = evaluate.sides(labels)
    found = evaluate.report(both.gap, labels, resamples=20)
    assert found.apgr is not None
    assert found.oracle == found.apgr.value
    assert found.near == pytest.approx(both.near.mean())
    assert found.cpt50 is not None
    assert found.cpt50.value < 0.3
    assert found.cost95 is not None


def test_without_a_gap_it_says_so() -> None:
    labels = [msgspec.structs.replace(label, cloud=Outcome(score=0)) for label in made.labels(30)]
    found = evaluate.report(np.arange(30.0), labels, resamples=10)
    assert (found.apgr, found.cpt50, found.oracle, found.length) == (None, None, None, None)


def test_no_prompt_is_judged_by_what_has_seen_it() -> None:
    """Labels by coin: whoever remembers them looks good, whoever does not is at 0.5."""
    coin = np.random.default_rng(0)
    labels = [
        Label(
            id=str(at), prompt=f"word{at} other{at}", local=Outcome(score=coin.random() < 0.5), cloud=Outcome(score=1)
        )
        for at in range(400)
    ]
    found = evaluate.report(evaluate.crossed(labels), labels, resamples=100)
    assert found.apgr is not None
    assert found.apgr.low < 0.53
    seen = evaluate.report(evaluate.scores(evaluate.learned(labels, None, []), labels), labels, resamples=10)
    assert seen.apgr is not None
    assert seen.apgr.value > found.apgr.value


def test_the_bill_counts_every_attempt() -> None:
    labels = made.labels(4, answers=True)
    judged = evaluate.judged(labels, ["alpha", "beta"], Rules())
    asked = sum(len(item.opinions) for item in judged)
    found = evaluate.spent(labels, judged, ["alpha", "beta"], [True, True, False, False])
    assert found.cost == pytest.approx((4 + asked + 2 * 50) / 200)
    assert found.kept == 0.5
    assert math.isclose(found.opinions, asked / 4)
    unknown = [msgspec.structs.replace(label, cloud=Outcome(score=1)) for label in labels]
    assert evaluate.spent(unknown, judged, ["alpha", "beta"], [True] * 4).cost is None
