"""The bench of decisions runs and names its figures; their values are nobody's claim."""

from __future__ import annotations

from bench import decide


def test_every_case_is_measured() -> None:
    told = decide.measure(4, labels=60)
    assert told.pop("candidates") == 4
    cases = {"remembered_us", "fastest_us", "cheapest_us", "from_nothing_us", "noting_an_attempt_us", "learned_us"}
    assert set(told) == cases
    assert all(value > 0 for value in told.values())


def test_half_of_the_candidates_are_near() -> None:
    places = [item.place.near for item in decide.deployments(6)]
    assert sum(places) == 3
