"""A promise in use: what counts, when it alarms, and what is left near then."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.outcome import Outcome
from nearfar.tuning.promise import ENOUGH, RECENT, State, begin, counts, heard, recommended

GOOD = Outcome(
    request="req-1",
    route="r",
    privacy="public",
    near=1.0,
    far=1.0,
    propensity=0.05,
    score=0.0,
    served="near",
    trusted=True,
)


def outcome(**more: object) -> Outcome:
    return msgspec.structs.replace(GOOD, **more)


def after(state: State, outcomes: list[Outcome]) -> State:
    for number, item in enumerate(outcomes):
        state = heard(state, item, now=1000 + number)
    return state


def stream(rate: float, count: int, *, seed: int = 0) -> list[Outcome]:
    """Half of the requests lie within the threshold; of those, ``2 * rate`` lose."""
    chance = random.Random(seed)
    made = []
    for number in range(count):
        inside = number % 2 == 0
        near = 0.0 if inside and chance.random() < 2 * rate else 1.0
        made.append(outcome(near=near, score=chance.uniform(-0.5, 0.1) if inside else 0.5))
    return made


@pytest.mark.parametrize(
    "more", [{"trusted": False}, {"score": None}, {"score": float("nan")}, {"propensity": 0.0}, {"near": 1.5}]
)
def test_what_says_nothing_about_the_promise_does_not_count(more: dict[str, object]) -> None:
    state = begin(0.1, 0.05)
    assert not counts(outcome(**more))
    assert heard(state, outcome(**more), now=1) == state


def test_only_what_stays_near_can_lose_and_everything_counts() -> None:
    state = begin(0.1, 0.05)
    state = heard(state, outcome(near=0.0, score=0.1), now=1)
    assert (state.seen, state.kept, state.loss) == (1, 1, 1.0)
    state = heard(state, outcome(near=0.0, score=0.2), now=1)
    assert (state.seen, state.kept, state.loss) == (2, 1, 0.5)
    better = heard(state, outcome(near=1.0, far=0.0, score=0.0), now=1)
    assert better.loss == pytest.approx(1 / 3), "what near does better is not set off"


def test_who_really_answered_changes_nothing() -> None:
    """So a router that is only observed is tested like one that decides."""
    one, other = outcome(near=0.0, served="near"), outcome(near=0.0, served="far")
    assert heard(begin(0.1, 0.05), one, now=1) == heard(begin(0.1, 0.05), other, now=1)


def test_an_alarm_tightens_at_once_and_the_evidence_begins_anew() -> None:
    state = begin(0.1, 0.05)
    outcomes = iter(stream(0.25, 2000))
    while not state.alarms:
        state = heard(state, next(outcomes), now=77)
    assert state.threshold is not None
    assert -0.5 < state.threshold < 0.1
    assert state.alarmed_at == 77
    assert state.watch is not None
    assert (state.watch.seen, state.watch.alarmed, state.watch.loss) == (0, False, 0.05)
    kept = [gap for gap in state.recent if gap <= 0.1]
    assert sum(gap <= state.threshold for gap in kept) == len(kept) // 2


def test_if_it_goes_on_losing_nothing_stays_near_in_the_end() -> None:
    state = after(begin(0.1, 0.05), [outcome(near=0.0, score=0.05)] * 300)
    assert state.threshold is None
    assert state.alarms == 1, "what goes far loses nothing"


def test_a_kept_promise_hardly_ever_alarms() -> None:
    alarms = sum(after(begin(0.1, 0.05), stream(0.05, 600, seed=seed)).alarms > 0 for seed in range(60))
    assert alarms / 60 <= 0.05 + 2 * (0.05 * 0.95 / 60) ** 0.5


def test_unequal_propensities_are_weighed() -> None:
    """Losses that are looked for ten times as often count a tenth."""
    outcomes = [outcome(near=0.0, propensity=1.0)] * 10 + [outcome(propensity=0.1)] * 9
    assert after(begin(0.1, None), outcomes).loss == pytest.approx(0.1)


def test_the_next_mode_is_recommended_by_evidence_alone() -> None:
    quiet = after(begin(0.1, 0.05), [GOOD] * (ENOUGH - 1))
    assert recommended(quiet, "observe") == "observe"
    enough = heard(quiet, GOOD, now=1)
    assert recommended(enough, "observe") == "canary"
    assert recommended(enough, "canary") == "on"
    assert len(after(enough, [GOOD] * RECENT).recent) == RECENT
    assert recommended(after(begin(0.1, 0.05), [outcome(near=0.0)] * 50), "on") == "observe"
    assert recommended(begin(0.1, None), "canary") == "canary", "nothing is promised, so nothing is tested"


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(-1, 1), st.floats(0.01, 1)), max_size=30))
def test_a_state_survives_being_written(values: list[tuple[float, float, float, float]]) -> None:
    state = begin(0.1, 0.05)
    for near, far, score, propensity in values:
        state = heard(state, outcome(near=near, far=far, score=score, propensity=propensity), now=1)
        assert msgspec.json.decode(msgspec.json.encode(state), type=State) == state
        assert state.threshold is None or state.threshold <= 0.1
