"""Attempts under way and requests that wait, as values."""

from __future__ import annotations

from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.gateway.lines import Run, Ticket
from nearfar.gateway.load import Loads

KNOWN = Deployment(name="d", provider="p", model="m", wire="w", base_url="u", place=Place.DEVICE)


class Exchange:
    started = 10.0
    first: float | None = None


def test_what_a_client_saw_before_an_attempt_is_not_that_attempts() -> None:
    seen = Exchange()
    run = Run(Loads().of(KNOWN), 12.0, 5, None, seen)
    assert run.first_at() is None
    seen.first = 1.0
    assert run.first_at() is None, "content of an earlier attempt"
    seen.first = 2.5
    assert run.first_at() == 12.5
    assert Run(Loads().of(KNOWN), 12.0, 5, None, None).first_at() is None


def test_loading_is_no_part_of_a_models_speed() -> None:
    now = [5.0]
    run = Run(Loads(clock=lambda: now[0]).of(KNOWN), 5.0, 5, None, None)
    now[0] = 9.0
    run.loaded()
    assert run.began == 9.0


def test_priority_is_a_head_start_and_not_a_right_of_way_for_ever() -> None:
    load = Loads().of(KNOWN)

    def ticket(since: float, priority: str) -> Ticket:
        return Ticket((load,), tokens=1, limit=None, since=since, priority=priority)

    assert ticket(20.0, "high") < ticket(0.0, "normal")
    assert ticket(0.0, "normal") < ticket(0.5, "normal")
    assert ticket(0.0, "low") < ticket(40.0, "normal")
    assert ticket(10.0, "normal") < ticket(0.0, "low")
