from __future__ import annotations

from nearfar.advisor.figures import exact, spread, total


def test_ranges_add_and_scale() -> None:
    both = total([exact(10, "a"), spread(100, 0.5, 2, "b")], "sum")
    assert (both.low, both.value, both.high, both.basis) == (60, 110, 210, "sum")
    twice = both.times(2)
    assert (twice.low, twice.value, twice.high, twice.basis) == (120, 220, 420, "sum")
    assert both.times(1, "other").basis == "other"
