"""The queue: no slot is lost or given twice, nobody waits for ever, and who cannot be served in time is told so."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.gateway.lines import Run, Ticket
from nearfar.gateway.load import Loads
from nearfar.gateway.queue import Queue
from nearfar.gateway.speed import Load
from nearfar.policy.wait import Answers, Pace

PACE = Pace(first=1.0, prefill=0.0, decode=0.1, answers=Answers.of([10] * 5), samples=5)


class Desk:
    def __init__(self, *slots: int, longest: int = 100) -> None:
        loads = Loads()
        self.queue = Queue(longest=longest)
        self.loads = [
            loads.of(
                Deployment(
                    name=f"d{number}", provider="p", model="m", wire="w", base_url=str(number), place=Place.DEVICE,
                    slots=count,
                )
            )
            for number, count in enumerate(slots)
        ]  # fmt: skip
        for load in self.loads:
            load.adopt(PACE)

    def enter(self, now: float = 0.0, *, choices: tuple[Load, ...] = (), **more: Any) -> Ticket:
        ticket = Ticket(choices or tuple(self.loads), tokens=10, limit=None, since=now, **more)
        if self.queue.enter(ticket, now) and ticket.outcome == "slot":
            self.begin(ticket, now)
        return ticket

    def begin(self, ticket: Ticket, now: float) -> None:
        load = ticket.choices[ticket.at]
        load.line.runs[Run(load, now, 10, None, None)] = None

    def leave(self, load: Load, now: float) -> None:
        load.line.runs.pop(next(iter(load.line.runs)))
        self.queue.leave(load.line, now)


def test_free_slots_are_given_at_once_and_freed_ones_in_order() -> None:
    desk = Desk(1)
    first, second, third = (desk.enter(now) for now in (0.0, 0.1, 0.2))
    assert (first.outcome, second.outcome, third.outcome) == ("slot", "", "")
    desk.leave(desk.loads[0], 2.0)
    assert (second.outcome, third.outcome) == ("slot", "")


def test_whichever_of_its_choices_is_free_first_serves_it() -> None:
    desk = Desk(1, 1)
    desk.enter()
    desk.enter()
    waiting = desk.enter(0.5)
    desk.leave(desk.loads[1], 1.0)
    assert (waiting.outcome, waiting.at) == ("slot", 1)
    assert [load.line.waiting for load in desk.loads] == [[], []], "it waits nowhere any more"


def test_a_deployment_without_known_slots_is_never_waited_for() -> None:
    desk = Desk(1)
    desk.loads[0].line.slots = None
    assert [desk.enter().outcome for _ in range(5)] == ["slot"] * 5


def test_who_stands_higher_goes_first() -> None:
    desk = Desk(1)
    desk.enter()
    normal, high = desk.enter(0.1), desk.enter(0.2, priority="high")
    desk.leave(desk.loads[0], 2.0)
    assert (high.outcome, normal.outcome) == ("slot", "")


def test_a_full_queue_takes_nobody() -> None:
    desk = Desk(1, longest=1)
    desk.enter()
    assert desk.enter(0.1).outcome == ""
    assert desk.enter(0.2).outcome == "full"


def test_who_would_wait_too_long_is_told_at_once() -> None:
    desk = Desk(1)
    desk.enter()
    assert desk.enter(0.5, patience=1.0).outcome == "wait", "1.5 s are left of the one before"
    patient = desk.enter(0.5, patience=1.6)
    assert patient.outcome == ""
    assert patient.guess == pytest.approx(1.5)
    assert desk.enter(0.5, patience=3.0).outcome == "wait", "and 2 s of the one that waits already"


def test_who_turns_out_to_wait_too_long_is_told_then() -> None:
    desk = Desk(2)
    desk.enter()
    desk.enter()
    told: list[str] = []
    late = desk.enter(0.5, patience=1.9, wake=lambda: told.append("late"))
    for _ in range(3):
        desk.enter(0.6, priority="high")
    assert late.outcome == ""
    desk.leave(desk.loads[0], 2.0)
    assert (late.outcome, told) == ("wait", ["late"])


def test_time_that_is_up_is_told_once() -> None:
    desk = Desk(1)
    desk.enter()
    told: list[str] = []
    waiting = desk.enter(0.1, wake=lambda: told.append("up"))
    desk.queue.expire(waiting, 0.5)
    desk.queue.expire(waiting, 0.5)
    assert (waiting.outcome, told) == ("wait", ["up"])
    desk.leave(desk.loads[0], 1.0)
    assert desk.loads[0].line.busy == 0


def test_forecasts_become_as_cautious_as_they_turn_out_to_have_to_be() -> None:
    desk = Desk(1)
    [load] = desk.loads
    now = 0.0

    def waits(seconds: float) -> None:
        nonlocal now
        desk.enter(now)
        waiting = desk.enter(now, patience=60.0)
        assert waiting.outcome == ""
        desk.leave(load, now + seconds)
        assert waiting.outcome == "slot"
        desk.begin(waiting, now + seconds)
        desk.leave(load, now + 9.0)
        now += 10.0

    for _ in range(20):
        waits(3.0)  # one second longer than an attempt is known to take
    assert load.line.caution > 1.4
    desk.enter(now)
    assert desk.enter(now, patience=2.1).outcome == "wait", "two seconds are no longer believed"
    desk.leave(load, now + 2.0)
    before = load.line.caution
    for _ in range(60):
        waits(1.0)
    assert load.line.caution < before
    for _ in range(300):
        waits(0.1)
    assert load.line.caution >= 0.4


def test_caution_is_no_trap() -> None:
    """Where nobody waits any more because of it, nothing is learned of waits: it fades by itself."""
    desk = Desk(1)
    [load] = desk.loads
    load.line.caution = 2.5
    refused = 0
    for number in range(100):
        now = 10.0 * number
        desk.enter(now)
        came = desk.enter(now, patience=3.0)
        if came.outcome == "":
            break
        refused += 1
        desk.leave(load, now + 2.0)
    assert 3 < refused < 60, "somebody tries it again, and not at once"


def test_who_withdraws_gets_no_slot() -> None:
    desk = Desk(1)
    desk.enter()
    gone, next_ = desk.enter(0.1), desk.enter(0.2)
    desk.queue.withdraw(gone)
    desk.leave(desk.loads[0], 1.0)
    assert (gone.outcome, next_.outcome) == ("", "slot")


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["enter", "enter", "leave", "withdraw", "expire"]),
        st.integers(0, 5),
        st.sampled_from([math.inf, 0.5, 3.0]),
    ),
    max_size=60,
)


@settings(deadline=None)
@given(STEPS, st.lists(st.integers(1, 3), min_size=1, max_size=3))
def test_slots_and_requests_add_up_whatever_happens(steps: list[tuple[str, int, float]], slots: list[int]) -> None:
    desk = Desk(*slots, longest=4)
    tickets: list[Ticket] = []
    running: list[Load] = []
    clock = [0.0]
    for what, which, patience in steps:
        clock[0] += 0.3
        now = clock[0]
        if what == "enter":
            choices = tuple(load for at, load in enumerate(desk.loads) if at != which) or tuple(desk.loads)

            def wake(number: int = len(tickets)) -> None:
                if tickets[number].outcome == "slot":
                    desk.begin(tickets[number], clock[0])
                    running.append(tickets[number].choices[tickets[number].at])

            tickets.append(Ticket(choices, tokens=10, limit=None, since=now, patience=patience, wake=wake))
            if desk.queue.enter(tickets[-1], now):
                wake()
        elif what == "leave" and running:
            desk.leave(running.pop(which % len(running)), now)
        elif what in {"withdraw", "expire"} and tickets:
            ticket = tickets[which % len(tickets)]
            if not ticket.outcome and what == "withdraw":
                desk.queue.withdraw(ticket)
            elif not ticket.outcome:
                desk.queue.expire(ticket, now)
        for load in desk.loads:
            line = load.line
            assert line.slots is not None
            assert 0 <= line.busy <= line.slots
            assert line.busy == running.count(load) == len(line.runs)
            assert line.waiting == sorted(line.waiting)
            assert not any(ticket.outcome for ticket in line.waiting)
            assert line.busy == line.slots or not line.waiting, "nobody waits beside a free slot"
