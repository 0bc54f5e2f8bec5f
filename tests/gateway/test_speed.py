"""What is learned from attempts: speeds that were really there are found again, whatever order they come in."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gateway.office import Exchange, Office, deployment

from nearfar.core.chat import Usage
from nearfar.gateway.speed import Fit


def test_speeds_of_streams_are_found_again() -> None:
    office, known = Office(), deployment()
    dice = random.Random(5)
    for _ in range(60):
        tokens, output = dice.randint(10, 900), dice.randint(2, 200)
        first = 0.05 + tokens * 0.002
        office.attempt(known, tokens, output, first, first + (output - 1) * 0.03)
    pace = office.pace(known)
    assert pace.begin(500) == pytest.approx(1.05, rel=0.1)
    assert pace.token() == pytest.approx(0.03, rel=0.05)
    assert pace.samples == 60
    assert pace.error is not None
    assert pace.error < 0.1
    assert 50 < pace.answers.mean() < 150


def test_plain_replies_teach_what_a_whole_answer_takes() -> None:
    office, known = Office(), deployment()
    for number in range(40):
        output = 20 + 5 * (number % 10)
        office.attempt(known, 100, output, None, 0.5 + output * 0.02)
    assert office.pace(known).turn().whole(100, 40) == pytest.approx(1.2, rel=0.2)


def test_a_change_of_speed_is_noticed_within_a_few_dozen_attempts() -> None:
    office, known = Office(), deployment()
    for _ in range(40):
        office.attempt(known, 100, 10, 0.2, 0.4)
    for _ in range(40):
        office.attempt(known, 100, 10, 0.6, 1.2)
    assert office.pace(known).begin(100) == pytest.approx(0.6, rel=0.25)


def test_one_that_was_held_up_does_not_count_for_more_than_it_is() -> None:
    office, known = Office(), deployment()
    for _ in range(30):
        office.attempt(known, 100, 10, 0.2, 0.4)
    office.attempt(known, 100, 10, 50.0, 51.0)
    assert office.pace(known).begin(100) < 0.3


def test_what_the_runtime_had_in_its_cache_is_not_counted_as_read() -> None:
    office, known = Office(), deployment()
    for number in range(30):
        tokens = 100 + 10 * number
        office.attempt(known, tokens, 10, tokens * 0.002, tokens * 0.002 + 0.1)
        office.attempt(known, 1000, 10, 0.1 * 0.002 * 1000, 0.3, cached=900)
    assert office.pace(known).begin(400) == pytest.approx(0.8, rel=0.15)


def test_vectors_take_what_their_prompt_takes() -> None:
    office, known = Office(), deployment()
    for number in range(30):
        tokens = 100 * (1 + number % 5)
        office.attempt(known, tokens, 0, None, tokens * 0.001)
    assert office.pace(known).begin(300) == pytest.approx(0.3, rel=0.15)


def test_a_crowd_makes_everything_slower_and_that_is_told_apart() -> None:
    office, known = Office(), deployment(slots=2)
    for number in range(80):
        began = office.clock.now
        crowd = number % 2
        beside = [office.loads.started(known, 10, None, None) for _ in range(crowd)]
        run = office.loads.started(known, 100, None, Exchange(began, 0.2 * (1 + crowd)))
        office.clock.now = began + 0.2 * (1 + crowd) + 9 * 0.02 * (1 + crowd)
        office.loads.ended(run, well=True, usage=Usage(input=100, output=10))
        for other in beside:
            office.loads.ended(other, well=False, usage=None)
        office.clock.now += 1.0
    pace = office.pace(known)
    assert pace.token(0) == pytest.approx(0.02, rel=0.15)
    assert pace.token(1) == pytest.approx(0.04, rel=0.15)
    assert pace.begin(100, 1) == pytest.approx(0.4, rel=0.25)


@given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e3)), min_size=1, max_size=30))
def test_a_line_through_anything_is_never_negative(points: list[tuple[float, float]]) -> None:
    fit = Fit()
    for x, y in points:
        fit.add(x, y, 1.0)
    a, b = fit.line(0.1, 0.001, 0.5)
    assert a >= 0
    assert b >= 0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32))
def test_every_attempt_is_added_up_once(seed: int) -> None:
    office, known = Office(), deployment()
    dice = random.Random(seed)
    count = dice.randint(1, 60)
    for _ in range(count):
        office.attempt(known, dice.randint(1, 500), dice.randint(0, 50), dice.choice([None, 0.1]), 0.5)
        if dice.random() < 0.2:
            office.pace(known)
    assert office.pace(known).samples == count
