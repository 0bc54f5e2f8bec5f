from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from tests.attempts import NOON, begin, end
from tests.examples import examples

from nearfar.core.attempts import Begin, End
from nearfar.core.chat import Usage
from nearfar.ledger import replay
from nearfar.ledger.query import GROUPS, Filter, Totals, entries, open_ledger, request, usage
from nearfar.ledger.records import to_line
from nearfar.store.connection import Connection

DAY = 86_400 * 10**9


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    opened = open_ledger(database_url)
    yield opened
    opened.close()


def store(connection: Connection, *records: Begin | End, writer: str = "w") -> None:
    replay.store(connection, b"".join(map(to_line, records)), writer)


def test_an_empty_ledger_sums_to_zero(connection: Connection) -> None:
    assert usage(connection) == [
        Totals(
            group={},
            requests=0,
            attempts=0,
            input_tokens=0,
            output_tokens=0,
            cached_tokens=0,
            cache_write_tokens=0,
            reasoning_tokens=0,
            cost=0,
            cost_at_bound=0,
            cost_unknown=0,
            outcome_unknown=0,
            open=0,
        )
    ]
    assert usage(connection, ["route"]) == []
    assert entries(connection) == []
    assert request(connection, "r") == []


def test_sums_say_what_is_missing_from_them(connection: Connection) -> None:
    store(
        connection, begin("dead", request="r1", bound=500), begin("unpriced", request="r2", bound=None), writer="dead"
    )
    replay.settle(connection, "dead")
    store(
        connection,
        begin("failed", request="r1"),
        end("failed", cost=0, outcome="error", usage=None),
        begin("good", request="r1", parent="failed"),
        end("good", cost=30, usage=Usage(input=10, output=20, cached=4, cache_write=2, reasoning=7)),
        begin("free", request="r3"),
        end("free", cost=None),
        begin("running", request="r4"),
    )
    (totals,) = usage(connection)
    assert msgspec.structs.asdict(totals) == {
        "group": {},
        "requests": 4,
        "attempts": 6,
        "input_tokens": 13,
        "output_tokens": 24,
        "cached_tokens": 4,
        "cache_write_tokens": 2,
        "reasoning_tokens": 7,
        "cost": 530,
        "cost_at_bound": 500,
        "cost_unknown": 2,
        "outcome_unknown": 2,
        "open": 1,
    }


def test_groups_come_in_order_and_days_are_utc_days(connection: Connection) -> None:
    evening = NOON + 12 * 3600 * 10**9 - 1
    for attempt, at, route in [
        ("a", NOON, "auto"),
        ("b", evening, "auto"),
        ("c", evening + 1, "auto"),
        ("d", NOON, "x"),
    ]:
        store(connection, begin(attempt, at=at, route=route), end(attempt, cost=1))
    assert [(totals.group, totals.cost) for totals in usage(connection, ["day", "route"])] == [
        ({"day": "2026-11-21", "route": "auto"}, 2),
        ({"day": "2026-11-21", "route": "x"}, 1),
        ({"day": "2026-11-22", "route": "auto"}, 1),
    ]


@pytest.mark.parametrize("by", GROUPS)
def test_every_grouping_works(connection: Connection, by: str) -> None:
    store(connection, begin("a"), end("a"))
    (totals,) = usage(connection, [by])
    assert list(totals.group) == [by]
    assert totals.attempts == 1


def test_an_unknown_grouping_names_those_that_exist(connection: Connection) -> None:
    with pytest.raises(ValueError, match="cannot group by moon: use day, route"):
        usage(connection, ["moon"])


@pytest.mark.parametrize(
    ("where", "found"),
    [
        (Filter(), "abc"),
        (Filter(since=NOON + 1), "bc"),
        (Filter(until=NOON + 2), "ab"),
        (Filter(since=NOON + 1, until=NOON + 2), "b"),
        (Filter(caller="key_1"), "a"),
        (Filter(caller=""), "c"),
        (Filter(route="auto", place="device"), "b"),
        (Filter(class_="restricted"), "c"),
        (Filter(outcome="open"), "c"),
        (Filter(purpose="judge"), "b"),
        (Filter(operation="embeddings"), "c"),
        (Filter(deployment="mini", provider="openai", model="gpt-4o-mini"), "abc"),
        (Filter(route="'; DROP TABLE nearfar_entries; --"), ""),
    ],
)
def test_filters_choose(connection: Connection, where: Filter, found: str) -> None:
    store(
        connection,
        begin("a", at=NOON, caller="key_1", route="auto"),
        end("a"),
        begin("b", at=NOON + 1, caller="key_2", route="auto", place="device", purpose="judge"),
        end("b"),
        begin("c", at=NOON + 2, class_="restricted", operation="embeddings"),
    )
    assert "".join(sorted(entry.attempt for entry in entries(connection, where))) == found
    assert usage(connection, (), where)[0].attempts == len(found)


def test_the_last_entries_come_newest_first(connection: Connection) -> None:
    for number in range(5):
        store(connection, begin(f"a{number}", at=NOON + number))
    assert [entry.attempt for entry in entries(connection, limit=3)] == ["a4", "a3", "a2"]


def test_a_requests_attempts_come_in_the_order_they_were_made(connection: Connection) -> None:
    store(connection, begin("b", request="r", at=NOON + 1, parent="a"), begin("other"))
    store(connection, begin("a", request="r", at=NOON))
    assert [(entry.attempt, entry.parent) for entry in request(connection, "r")] == [("a", ""), ("b", "a")]


def _model(rows: list[dict[str, Any]], by: list[str]) -> dict[tuple[str, ...], tuple[int, int, int, int]]:
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[name] for name in by)].append(row)
    return {
        key: (
            len({row["request"] for row in group}),
            len(group),
            sum(row["cost"] or 0 for row in group),
            sum(row["cost"] is None for row in group),
        )
        for key, group in groups.items()
    }


words = st.sampled_from(["", "a", "b", "字", "x' OR 1=1"])
row = st.fixed_dictionaries(
    {
        "day": st.integers(-3, 3),
        "route": words,
        "place": words,
        "caller": words,
        "request": words,
        "cost": st.none() | st.integers(0, 2**53 - 1),
    }
)


@examples(40, suppress=[HealthCheck.function_scoped_fixture])
@given(st.lists(row, max_size=12), st.lists(st.sampled_from(["day", "route", "place", "caller"]), unique=True))
def test_sums_equal_a_plain_count(connection: Connection, rows: list[dict[str, Any]], by: list[str]) -> None:
    connection.execute("DELETE FROM nearfar_entries")
    for number, one in enumerate(rows):
        fields = {name: one[name] for name in ("route", "place", "caller", "request")}
        store(
            connection, begin(f"a{number}", at=NOON + one["day"] * DAY, **fields), end(f"a{number}", cost=one["cost"])
        )
    noon = dt.date(2026, 11, 21)
    named = [one | {"day": str(noon + dt.timedelta(days=one["day"]))} for one in rows]
    found = {
        tuple(totals.group[name] for name in by): (totals.requests, totals.attempts, totals.cost, totals.cost_unknown)
        for totals in usage(connection, by)
    }
    assert found == (_model(named, by) if by or rows else {(): (0, 0, 0, 0)})
