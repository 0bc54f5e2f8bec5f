"""Who gets a slot when: by hand for a few, and never later for who comes earlier."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.gateway.forecast import forecast, places
from nearfar.gateway.lines import Run, Ticket
from nearfar.gateway.load import Loads
from nearfar.gateway.speed import Load
from nearfar.policy.wait import Answers, Pace

PACE = Pace(first=1.0, prefill=0.0, decode=0.1, answers=Answers.of([10] * 5), samples=5)
"""Every request takes two seconds, and all take the same: nothing is uncertain."""


def load(loads: Loads, name: str, slots: int, *busy: float) -> Load:
    """A deployment whose slots are taken by requests that began so many seconds ago."""
    known = Deployment(name=name, provider="p", model="m", wire="w", base_url=name, place=Place.DEVICE, slots=slots)
    made = loads.of(known)
    made.adopt(PACE)
    for ago in busy:
        made.line.runs[Run(made, 100.0 - ago, 10, None, None)] = None
    made.line.busy = len(busy)
    return made


def ticket(*choices: Load, since: float = 100.0) -> Ticket:
    return Ticket(choices, tokens=10, limit=None, since=since)


def test_the_one_that_has_least_left_frees_the_slot() -> None:
    loads = Loads()
    one = load(loads, "one", 2, 0.5, 1.5)
    assert forecast([one.line], 100.0, ticket(one)).mean == pytest.approx(0.5)


def test_a_slot_nobody_has_is_free_now() -> None:
    one = load(Loads(), "one", 2, 0.5)
    assert forecast([one.line], 100.0, ticket(one)).mean == 0


def test_those_before_count_and_those_elsewhere_do_not() -> None:
    loads = Loads()
    one, two = load(loads, "one", 1, 1.0), load(loads, "two", 1, 0.0)
    one.line.waiting = [ticket(one, since=90.0), ticket(one, since=91.0)]
    assert forecast([one.line], 100.0, ticket(one)).mean == pytest.approx(1.0 + 2 * 2.0)
    assert forecast([two.line], 100.0, ticket(two)).mean == pytest.approx(2.0)


def test_who_may_go_to_both_takes_the_first_free_one() -> None:
    loads = Loads()
    one, two = load(loads, "one", 1, 1.0), load(loads, "two", 1, 0.0)
    both = ticket(one, two, since=90.0)
    one.line.waiting = [both]
    two.line.waiting = [both]
    assert forecast([one.line, two.line], 100.0, ticket(one, two)).mean == pytest.approx(2.0)


def test_a_slot_that_was_given_a_moment_ago_is_not_free() -> None:
    one = load(Loads(), "one", 1)
    one.line.busy = 1
    other = load(Loads(), "other", 2, 1.0)
    other.line.busy = 2
    assert forecast([other.line], 100.0, ticket(other)).mean == pytest.approx(1.0)


@given(st.lists(st.floats(0, 1.9), min_size=1, max_size=4), st.integers(1, 6))
def test_nobody_begins_before_who_stands_ahead(busy: list[float], waiting: int) -> None:
    one = load(Loads(), "one", len(busy), *busy)
    one.line.waiting = [ticket(one, since=90.0 + number) for number in range(waiting)]
    order, begins = places([one.line], 100.0)
    assert order == one.line.waiting
    means = [begin.mean for begin in begins]
    assert means == sorted(means)
    assert all(begin.sure >= begin.mean for begin in begins)


@given(
    st.lists(st.lists(st.floats(0, 3), min_size=1, max_size=3), min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(1, 900), st.none() | st.integers(1, 40)), max_size=6),
)
def test_a_queue_that_all_share_is_forecast_like_any_other(
    busy: list[list[float]], asked: list[tuple[int, int | None]]
) -> None:
    loads = Loads()
    side = [load(loads, f"d{number}", len(began), *began) for number, began in enumerate(busy)]
    for number, one in enumerate(side):
        one.adopt(Pace(first=0.5, prefill=0.001 * number, decode=0.1, answers=Answers.of([5, 20, 30]), samples=5))
    waiting = [
        Ticket(tuple(side), tokens=tokens, limit=limit, since=90.0 + number)
        for number, (tokens, limit) in enumerate(asked)
    ]
    for one in side:
        one.line.waiting = list(waiting)
    lines = [one.line for one in side]
    more = Ticket(tuple(side), tokens=50, limit=None, since=100.0)
    order, begins = places(lines, 100.0, more)
    told = forecast(lines, 100.0, more)
    assert told.mean == pytest.approx(begins[order.index(more)].mean)
    assert told.sure == pytest.approx(begins[order.index(more)].sure)


def test_how_long_slots_are_taken_is_worked_out_anew_when_others_have_them() -> None:
    one = load(Loads(), "one", 1, 0.5)
    assert forecast([one.line], 100.0, ticket(one)).mean == pytest.approx(1.5)
    assert forecast([one.line], 100.001, ticket(one)).mean == pytest.approx(1.5, abs=0.01)
    one.line.runs.clear()
    one.line.runs[Run(one, 100.0, 10, None, None)] = None
    assert forecast([one.line], 100.002, ticket(one)).mean == pytest.approx(2.0, abs=0.01)
    assert forecast([one.line], 101.0, ticket(one)).mean == pytest.approx(1.0)
