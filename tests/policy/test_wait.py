"""Expected times: arithmetic that can be checked by hand, and by playing it through."""

from __future__ import annotations

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.policy.wait import ANSWER, FAR, NEAR, NOW, Answers, Pace, begins, place_all

LENGTHS = st.lists(st.integers(1, 500), min_size=1, max_size=40)
PACE = Pace(first=0.1, prefill=0.001, decode=0.02, crowd=0.01, crowded=(1.0, 1.5) + (2.0,) * 6)


@given(LENGTHS, st.integers(1, 600))
def test_a_mean_answer_is_cut_at_its_limit(lengths: list[int], limit: int) -> None:
    answers = Answers.of(lengths)
    assert answers.mean() == pytest.approx(statistics.fmean(lengths))
    assert answers.mean(limit) == pytest.approx(statistics.fmean(min(length, limit) for length in lengths))


@given(LENGTHS, st.integers(0, 600), st.one_of(st.none(), st.integers(1, 600)))
def test_what_is_left_is_the_mean_of_those_that_went_on(lengths: list[int], said: int, limit: int | None) -> None:
    cut = [length if limit is None else min(length, limit) for length in lengths]
    longer = [length - said for length, whole in zip(cut, lengths, strict=True) if whole > said]
    left = Answers.of(lengths).rest(said, limit)
    if longer and (limit is None or said <= limit):
        assert left == pytest.approx(max(0.0, statistics.fmean(longer)))
    assert left >= 0
    if limit is not None:
        assert left <= max(0, limit - said)


def test_without_an_answer_yet_a_usual_length_is_assumed() -> None:
    nothing = Answers()
    assert (nothing.mean(), nothing.mean(10), nothing.rest(5)) == (ANSWER, 10, ANSWER)
    assert Answers.of([10]).rest(30) == 30, "longer than all before: as likely half done as not"


def test_the_spread_tells_equal_from_unequal_lengths() -> None:
    assert Answers.of([50] * 9).spread() == 0
    assert Answers.of([1, 99]).spread() == pytest.approx(0.9604)
    assert Answers.of([50, 500]).spread(50) == 0, "a limit makes them equal"
    assert Answers().spread() == 1
    assert Answers().spread(20) == 0


def test_times_of_one_request() -> None:
    assert PACE.begin(100) == pytest.approx(0.2)
    assert PACE.begin(100, 1) == pytest.approx(0.3)
    assert PACE.begin(100, 99) == pytest.approx(0.4), "a crowd beyond the last one counts as the last one"
    assert PACE.token(2) == pytest.approx(0.04)
    assert PACE.turn().whole(100, 10) == pytest.approx(0.2 + 0.2)
    assert PACE.turn(1).whole(100, 10) == pytest.approx(0.3 + 0.3)


def test_what_is_left_of_a_request_under_way() -> None:
    known = Pace(first=0.1, prefill=0.0, decode=0.1, answers=Answers.of([10, 20])).turn()
    assert known.left(5, None, 0.04, None) == pytest.approx(0.06 + 1.5)
    assert known.left(5, None, 1.0, 0.5) == pytest.approx(1.0), "5 said; 5 or 15 to come"
    assert known.left(5, None, 1.1, None) == pytest.approx(1.0), "late is taken to have begun"
    assert known.left(5, 6, 1.0, 0.5) == pytest.approx(0.1)


def test_the_assumed_paces_differ_by_place() -> None:
    assert NEAR.begin(0) < FAR.begin(0)
    assert NEAR.begin(2000) > FAR.begin(2000)
    assert NEAR.samples == FAR.samples == 0


def test_everybody_takes_the_first_slot_that_they_may_have() -> None:
    free = [[3.0, 1.0], [2.0]]
    ahead = [((0,), (5.0,)), ((0, 1), (5.0, 5.0)), ((0, 1), (1.0, 1.0))]
    assert place_all(free, ahead) == [1.0, 2.0, 3.0]
    assert sorted(free[0]) == [4.0, 6.0]


def test_a_free_slot_means_now() -> None:
    assert begins(0.0, 3, [1.0], 1.0, 1.0) == NOW


def test_certain_times_are_taken_as_they_are() -> None:
    begin = begins(2.0, 0, [2.0, 4.0], 5.0, 0.0)
    assert (begin.mean, begin.sure) == (2.0, 2.0)


@pytest.mark.parametrize("ahead", [0, 2])
def test_uncertain_times_agree_with_playing_them_through(ahead: int) -> None:
    left, turn = [2.0, 3.0, 4.0], 3.0
    dice = random.Random(3)
    played = []
    for _ in range(4000):
        free = sorted(dice.expovariate(1 / seconds) for seconds in left)
        for _ in range(ahead):
            free = sorted([*free[1:], free[0] + dice.expovariate(1 / turn)])
        played.append(free[0])
    begin = begins(2.0 + ahead, ahead, left, turn, 1.0)
    assert begin.mean == pytest.approx(statistics.fmean(played), rel=0.15)
    assert 0.75 < statistics.fmean(seconds <= begin.sure for seconds in played) < 0.95
