from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from tests.attempts import NOON, begin, end
from tests.examples import examples
from tests.ledger.test_records import begins, ends

from nearfar.core.chat import Usage
from nearfar.ledger import replay, segments
from nearfar.ledger.query import Entry, entries, open_ledger, usage
from nearfar.ledger.records import Record, to_line
from nearfar.store.connection import Connection

WRITER = "0123456789abcdef"


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    opened = open_ledger(database_url)
    yield opened
    opened.close()


@pytest.fixture
def segment(tmp_path: Path) -> Iterator[segments.Segment]:
    made, _ = segments.create(tmp_path / "journal", WRITER, 1)
    yield made
    made.close()


def append(segment: segments.Segment, *records: Record) -> None:
    for record in records:
        segment.size += os.write(segment.fd, to_line(record))


def store(connection: Connection, *records: Record) -> None:
    replay.store(connection, b"".join(map(to_line, records)), WRITER)


def only(connection: Connection) -> Entry:
    (entry,) = entries(connection)
    return entry


def test_begin_and_end_together_are_one_entry_with_every_field(connection: Connection) -> None:
    first = begin(
        "a",
        request="r",
        parent="z",
        purpose="judge",
        operation="embeddings",
        caller="key_1",
        route="auto",
        asked="gpt",
        reason="because",
        price="openai/mini@2026-11-22",
        bound=77,
        input_estimate=5,
        stream=True,
        deviations=("failover", 'dropped:seed, or "so"'),
    )
    last = end(
        "a",
        cost=12,
        outcome="error",
        status=429,
        error="rate_limit_exceeded",
        usage=Usage(input=1, output=2, cached=3, cache_write=4, reasoning=5),
        finish="stop",
        answered="mini-2024",
        first_byte_ms=1.5,
        total_ms=2.5,
        deviations=("cut",),
    )
    store(connection, first, last)
    assert only(connection) == Entry(
        attempt="a",
        request="r",
        parent="z",
        begun=NOON,
        purpose="judge",
        operation="embeddings",
        caller="key_1",
        route="auto",
        asked="gpt",
        deployment="mini",
        provider="openai",
        model="gpt-4o-mini",
        place="cloud",
        class_="internal",
        decision="dec-a",
        reason="because",
        price="openai/mini@2026-11-22",
        bound=77,
        input_estimate=5,
        stream=True,
        deviations=("failover", 'dropped:seed, or "so"', "cut"),
        outcome="error",
        ended=NOON + 5_000_000,
        status=429,
        error="rate_limit_exceeded",
        input_tokens=1,
        output_tokens=2,
        cached_tokens=3,
        cache_write_tokens=4,
        reasoning_tokens=5,
        cost=12,
        finish="stop",
        answered="mini-2024",
        first_byte_ms=1.5,
        total_ms=2.5,
        writer=WRITER,
    )


def test_what_was_not_reported_stays_unknown(connection: Connection) -> None:
    store(connection, begin("a", bound=None), end("a", cost=None, usage=None))
    entry = only(connection)
    assert (entry.cost, entry.bound, entry.input_tokens, entry.first_byte_ms) == (None, None, None, None)


def test_begin_and_end_in_different_batches_become_the_same_entry(connection: Connection) -> None:
    store(connection, begin("a", deviations=("failover",)))
    assert only(connection).outcome == "open"
    assert only(connection).cost is None
    store(connection, end("a", cost=5, deviations=("cut",)))
    together = only(connection)
    assert (together.outcome, together.cost, together.deviations) == ("ok", 5, ("failover", "cut"))
    assert together.deployment == "mini"


def test_the_first_end_counts_and_reading_twice_adds_nothing(connection: Connection) -> None:
    records: list[Record] = [begin("a"), end("a", cost=5), end("a", cost=6), begin("a", bound=9)]
    store(connection, *records)
    before = only(connection)
    store(connection, *records)
    store(connection, end("a", cost=7, outcome="error"))
    assert only(connection) == before
    assert before.cost == 5


def test_an_end_without_its_begin_still_counts(connection: Connection) -> None:
    store(connection, end("a", cost=5))
    assert only(connection).cost == 5
    assert only(connection).outcome == "ok"


def test_the_dead_are_settled_at_their_bound_and_nobody_else(connection: Connection) -> None:
    store(connection, begin("done"), end("done", cost=1), begin("priced", bound=50), begin("unpriced", bound=None))
    replay.store(connection, to_line(begin("alive")), "another")
    assert replay.settle(connection, WRITER) == 2
    assert replay.settle(connection, WRITER) == 0
    found = {entry.attempt: (entry.outcome, entry.cost) for entry in entries(connection)}
    assert found == {
        "done": ("ok", 1),
        "priced": ("unknown", 50),
        "unpriced": ("unknown", None),
        "alive": ("open", None),
    }


def test_a_late_end_is_better_than_a_bound(connection: Connection) -> None:
    store(connection, begin("a", bound=50))
    replay.settle(connection, WRITER)
    store(connection, end("a", cost=3))
    assert (only(connection).outcome, only(connection).cost) == ("ok", 3)


def test_advancing_stores_lines_and_position_together(connection: Connection, segment: segments.Segment) -> None:
    append(segment, begin("a"))
    start = replay.position(connection, segment.name)
    assert start == 0
    stop, damaged = replay.advance(connection, segment, WRITER, start)
    assert (stop, damaged) == (segment.size, 0)
    assert replay.position(connection, segment.name) == stop
    assert replay.advance(connection, segment, WRITER, stop) == (stop, 0)
    append(segment, end("a", cost=4))
    stop, _ = replay.advance(connection, segment, WRITER, stop)
    assert only(connection).cost == 4
    replay.forget(connection, segment.name)
    assert replay.position(connection, segment.name) == 0


def test_old_news_of_the_position_changes_nothing(connection: Connection, segment: segments.Segment) -> None:
    append(segment, begin("a"), end("a"))
    replay.position(connection, segment.name)
    stop, _ = replay.advance(connection, segment, WRITER, 0)
    connection.execute("DELETE FROM nearfar_entries")  # a replay would bring it back
    with pytest.raises(replay.Moved):
        replay.advance(connection, segment, WRITER, 0)
    assert entries(connection) == []
    assert replay.position(connection, segment.name) == stop


def test_a_torn_last_line_is_left_alone(connection: Connection, segment: segments.Segment) -> None:
    append(segment, begin("a"))
    whole = segment.size
    segment.size += os.write(segment.fd, to_line(begin("b"))[:-30])
    replay.position(connection, segment.name)
    stop, damaged = replay.advance(connection, segment, WRITER, 0)
    assert (stop, damaged) == (whole, 0)
    assert replay.advance(connection, segment, WRITER, stop) == (stop, 0)
    assert [entry.attempt for entry in entries(connection)] == ["a"]


def test_lines_longer_than_a_chunk_and_many_chunks(
    connection: Connection, segment: segments.Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "CHUNK", 700)
    append(segment, *(begin(f"a{number}", reason="x" * (400 * number)) for number in range(8)))
    start, steps = replay.position(connection, segment.name), 0
    while start < segment.size:
        start, damaged = replay.advance(connection, segment, WRITER, start)
        assert damaged == 0
        steps += 1
    assert steps > 4
    found = {entry.attempt: entry.reason for entry in entries(connection)}
    assert {attempt: len(reason) for attempt, reason in found.items()} == {f"a{n}": min(500, 400 * n) for n in range(8)}


def test_damaged_lines_are_counted_and_cost_no_other(connection: Connection, segment: segments.Segment) -> None:
    append(segment, begin("a"))
    segment.size += os.write(segment.fd, b'{"k":"begin"}\n\xff\xfe\n\n')
    append(segment, end("a"))
    replay.position(connection, segment.name)
    assert replay.advance(connection, segment, WRITER, 0) == (segment.size, 2)
    assert only(connection).outcome == "ok"


def test_nonsense_from_an_upstream_neither_blocks_nor_breaks_sums(connection: Connection) -> None:
    huge = 10**40
    for number in range(20):
        record = end(f"a{number}", cost=huge, usage=Usage(input=huge, output=-huge), answered="\0" + "x" * 100_000)
        store(connection, begin(f"a{number}", bound=huge), record)
    (totals,) = usage(connection)
    assert totals.cost == 20 * replay.MOST
    assert totals.input_tokens == 20 * replay.MOST
    assert totals.output_tokens == -20 * replay.MOST
    assert {len(entry.answered) for entry in entries(connection)} == {500}


@examples(60, suppress=[HealthCheck.function_scoped_fixture])
@given(st.lists(begins | ends, max_size=6))
def test_whatever_can_be_journalled_can_be_stored_and_read(connection: Connection, records: list[Record]) -> None:
    connection.execute("DELETE FROM nearfar_entries")
    store(connection, *records)
    attempts = {record.attempt.replace("\0", "\ufffd") for record in records}
    assert {entry.attempt for entry in entries(connection)} == attempts
