"""The bench of decisions runs and names its figures; their values are nobody's claim."""

from __future__ import annotations

import pytest

from bench import decide


def test_every_case_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decide, "ROUNDS", 2)
    monkeypatch.setattr(decide, "EACH", 5)
    told = decide.measure(4, labels=60)
    assert told.pop("candidates") == 4
    cases = {*decide.ROUTES, "fastest_plain", "cheapest_plain", "fastest_busy", "from_nothing", "noting_an_attempt"}
    assert set(told) == {f"{case}_us" for case in (*cases, "learned")}
    assert all(value > 0 for value in told.values())


def test_half_of_the_candidates_are_near() -> None:
    places = [item.place.near for item in decide.deployments(6)]
    assert sum(places) == 3
