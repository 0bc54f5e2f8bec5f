"""Counters, gauges, histograms and their text."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.gateway.exposition import Counter, Gauge, Histogram, Registry, merged, without_gauges


def registry() -> tuple[Registry, Counter, Gauge, Histogram]:
    made = Registry()
    return (
        made,
        made.add(Counter("seen", "Things seen.", ("kind",))),
        made.add(Gauge("open", "Things open.", (), over_workers=sum)),
        made.add(Histogram("size", "Sizes.", ("kind",), (1.0, 10.0))),
    )


def test_the_text_format() -> None:
    made, seen, opened, size = registry()
    seen.inc(("a",))
    seen.inc(("a",), 2)
    opened.add((), 2)
    opened.add((), -1)
    for value in (0.5, 1.0, 5.0, 50.0):
        size.observe(("a",), value)
    assert made.text(made.snapshot()).decode().splitlines() == [
        "# HELP seen_total Things seen.",
        "# TYPE seen_total counter",
        'seen_total{kind="a"} 3',
        "# HELP open Things open.",
        "# TYPE open gauge",
        "open 1",
        "# HELP size Sizes.",
        "# TYPE size histogram",
        'size_bucket{kind="a",le="1.0"} 2',
        'size_bucket{kind="a",le="10.0"} 3',
        'size_bucket{kind="a",le="+Inf"} 4',
        'size_sum{kind="a"} 56.5',
        'size_count{kind="a"} 4',
    ]


def test_workers_are_joined_and_a_dead_one_keeps_its_counts() -> None:
    made, seen, opened, size = registry()
    seen.inc(("a",))
    opened.add((), 3)
    size.observe(("a",), 0.5)
    other = made.snapshot()
    both = made.text(made.snapshot(), other).decode()
    assert 'seen_total{kind="a"} 2' in both
    assert "open 6" in both
    assert 'size_count{kind="a"} 2' in both
    dead = made.text(made.snapshot(), without_gauges(other, ("open",))).decode()
    assert 'seen_total{kind="a"} 2' in dead
    assert "open 3" in dead


def test_a_snapshot_does_not_move_with_what_it_was_taken_of() -> None:
    made, seen, _, _ = registry()
    seen.inc(("a",))
    before = made.snapshot()
    seen.inc(("a",))
    assert 'seen_total{kind="a"} 1' in made.text(before).decode()


def test_merged_counts_are_the_counts_of_all() -> None:
    (one, seen, _, size), (other, also, _, sized) = registry(), registry()
    for count in (seen, also):
        count.inc(("a",))
    also.inc(("b",), 4)
    size.observe(("a",), 0.5)
    sized.observe(("a",), 50.0)
    snapshots = one.snapshot(), other.snapshot()
    before = one.text(*snapshots)
    together = merged(*snapshots)
    assert one.text(together) == before
    assert one.text(merged(together)) == before
    assert one.text(*snapshots) == before, "what was merged is left as it was"
    assert merged() == []


def test_what_another_version_counts_is_left_out() -> None:
    made, _, _, _ = registry()
    other = Registry()
    other.add(Counter("unheard_of", "?", ())).inc(())
    assert b"unheard_of" not in made.text(other.snapshot())


def test_names_are_unique() -> None:
    made, _, _, _ = registry()
    with pytest.raises(AssertionError):
        made.add(Counter("seen", "Again.", ()))


@given(st.text(max_size=30), st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_every_line_is_well_formed(label: str, value: float) -> None:
    made, seen, _, size = registry()
    seen.inc((label,), abs(value))
    size.observe((label,), value)
    for line in made.text(made.snapshot()).decode().split("\n")[:-1]:
        assert line.startswith("#") or re.fullmatch(
            r'[a-z_]+(\{([a-z]+="([^"\\\n]|\\["\\n])*",?)*\})? -?[0-9.e+-]+', line
        ), line
