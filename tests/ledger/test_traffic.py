"""The owner's own traffic, from entries to a month's workload."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.attempts import NOON, begin, end

from nearfar.core.chat import Usage
from nearfar.ledger import replay
from nearfar.ledger.query import EVERYTHING, Filter, open_ledger
from nearfar.ledger.records import to_line
from nearfar.ledger.traffic import traffic
from nearfar.store.connection import Connection

HOUR = 3600 * 10**9


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    opened = open_ledger(database_url)
    yield opened
    opened.close()


def call(
    name: str, hour: int, *, usage: Usage, class_: str = "internal", parent: str = "", outcome: str = "ok"
) -> bytes:
    began = begin(name, at=NOON + hour * HOUR, class_=class_, parent=parent, operation="chat")
    return to_line(began) + to_line(end(name, usage=usage, outcome=outcome))


def test_no_traffic_is_none(connection: Connection) -> None:
    assert traffic(connection, EVERYTHING) is None


def test_calls_sizes_hours_and_classes(connection: Connection) -> None:
    usage = Usage(input=100, output=30, cached=40, reasoning=10)
    lines = [call(f"a{n}", 0, usage=usage) for n in range(6)]
    lines += [call(f"b{n}", 9, usage=usage, class_="restricted") for n in range(2)]
    lines.append(call("c", 9, usage=Usage(), outcome="error", parent=""))
    lines.append(call("d", 9, usage=usage, parent="c"))
    replay.store(connection, b"".join(lines), "w")
    found = traffic(connection, EVERYTHING)
    assert found is not None
    assert found.seen == 9
    assert found.days == pytest.approx(10 / 24)
    assert found.calls == pytest.approx(9 / 10 * 730)
    assert (found.input, found.output, found.reasoning) == (100, 20, 10)
    assert found.cached_share == pytest.approx(0.4)
    assert found.retries == pytest.approx(1 / 9)
    assert found.hours == pytest.approx(2 / 10 * 730)
    assert found.peak == pytest.approx(6 * 2 / 10)
    assert found.classes == pytest.approx({"internal": 8 / 10, "restricted": 2 / 10})


def test_only_the_chosen_time_counts(connection: Connection) -> None:
    usage = Usage(input=10, output=3)
    replay.store(connection, call("old", 0, usage=usage) + call("new", 50, usage=Usage(input=20, output=5)), "w")
    found = traffic(connection, Filter(since=NOON + HOUR))
    assert found is not None
    assert (found.seen, found.input) == (1, 20)


def test_a_small_part_and_a_large_one_are_counted_alike(connection: Connection) -> None:
    """The one is looked up over the index, the other read with the whole table."""
    usage = Usage(input=10, output=3)
    replay.store(connection, b"".join(call(f"old{n}", n, usage=usage) for n in range(40)), "w")
    replay.store(connection, call("new", 100, usage=Usage(input=20, output=5)), "w")
    small = traffic(connection, Filter(since=NOON + 99 * HOUR))
    large = traffic(connection, Filter(since=NOON + 1 * HOUR))
    assert small is not None
    assert large is not None
    assert (small.seen, small.input) == (1, 20)
    assert (large.seen, large.input) == (40, (39 * 10 + 20) / 40)
