"""Lines of a journal become entries of the database, each exactly once. It knows no thread and claims no file.

Two things make it once. How far a segment was read is stored in the transaction that stores what was read, and
only moves on from where this reader believed it to be: a reader with old news changes nothing. And an entry's key is
its attempt: of several ends the first counts, so reading lines again adds nothing either.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from nearfar.core.attempts import Begin, End
from nearfar.core.chat import Usage
from nearfar.ledger.records import Record, from_lines
from nearfar.ledger.schema import COLUMNS, END_COLUMNS, OPEN, UNKNOWN
from nearfar.ledger.segments import Segment
from nearfar.store.connection import Connection, Value

CHUNK = 1024 * 1024
"""Bytes of journal per transaction: a thousand attempts, a hundredth of a second. Each statement asks for the
interpreter lock again, and while it waits every callback of a busy event loop wakes it in vain: few long transactions
cost the loop less than many short ones."""

MOST = 2**53 - 1
"""Larger amounts and counts are stored as this (nine million dollars for one attempt): an upstream that reports
nonsense must not be able to make sums overflow."""
_ENDS_OF_TIME = 2**63 - 1
"""In nanoseconds before and after the epoch: the years 1677 and 2262, and the largest BIGINT."""
_TEXT = 500
"""Characters kept of one text."""
_LISTS = {"deviations", "end_deviations"}

_INSERT = f"INSERT INTO nearfar_entries ({', '.join(COLUMNS)})"
_ENDING = (
    f"ON CONFLICT (attempt) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in END_COLUMNS)} "
    f"WHERE nearfar_entries.outcome IN ('{OPEN}', '{UNKNOWN}') AND excluded.outcome <> '{OPEN}'"
)
_NOT_ENDED = (OPEN, None, 0, "", None, None, None, None, None, None, "", "", None, 0.0, "")
_NO_USAGE = Usage()


class Moved(Exception):
    """The segment's stored position is not the one expected, so nothing was stored.

    Not a failure: somebody else read on, or the answer to our own last commit was lost with the connection.
    """


def position(connection: Connection, segment: str) -> int:
    """How far ``segment`` has been read, in bytes."""
    rows = connection.rows("SELECT position FROM nearfar_segments WHERE segment = ?", (segment,))
    if rows:
        return int(rows[0][0])
    connection.execute(
        "INSERT INTO nearfar_segments (segment, position) VALUES (?, 0) ON CONFLICT (segment) DO NOTHING", (segment,)
    )
    return 0


def advance(connection: Connection, segment: Segment, writer: str, start: int) -> tuple[int, int]:
    """Store the next whole lines of ``segment`` after ``start`` in one transaction.

    Returns where to go on (``start`` when there is no whole line left) and how many lines were unreadable. Raises
    Moved, and StoreUnavailable from the database: then nothing was stored.
    """
    size = CHUNK
    data = segment.read(start, size)
    while b"\n" not in data:
        if len(data) < size:
            return start, 0
        size *= 2  # one line longer than a chunk
        data = segment.read(start, size)
    data = data[: data.rfind(b"\n") + 1]
    entries, damaged = _entries(data, writer)
    stop = start + len(data)
    with connection.transaction():
        moved = connection.execute(
            "UPDATE nearfar_segments SET position = ? WHERE segment = ? AND position = ?", (stop, segment.name, start)
        )
        if moved != 1:
            raise Moved
        connection.insert(_INSERT, entries, _ENDING)
    return stop, damaged


def store(connection: Connection, lines: bytes, writer: str) -> int:
    """Store lines that no segment holds; returns how many were unreadable."""
    entries, damaged = _entries(lines, writer)
    with connection.transaction():
        connection.insert(_INSERT, entries, _ENDING)
    return damaged


def settle(connection: Connection, writer: str) -> int:
    """``writer`` is dead and all it wrote is stored: what it left open is ``unknown``, at its upper bound.

    Returns how many attempts that were. Positions are kept until the files are gone: see ``forget``.
    """
    with connection.transaction():
        return connection.execute(
            # The old outcome stands in the text, so that the index of open entries is used.
            "UPDATE nearfar_entries SET outcome = ?, cost = bound WHERE writer = ? AND outcome = 'open'",
            (UNKNOWN, writer),
        )


def forget(connection: Connection, segment: str) -> None:
    """The file of ``segment`` is gone, so its position is of no use any more."""
    connection.execute("DELETE FROM nearfar_segments WHERE segment = ?", (segment,))


def to_entries(records: Iterable[Record], writer: str) -> list[tuple[Value, ...]]:
    """Rows in the order of COLUMNS, one per attempt: begin and end together where both are here."""
    begins: dict[str, Begin] = {}
    ends: dict[str, End] = {}
    for record in records:
        if isinstance(record, Begin):
            begins.setdefault(record.attempt, record)
        else:
            ends.setdefault(record.attempt, record)
    rows = [(*_begun(begin), *_ended(ends.pop(attempt, None)), writer) for attempt, begin in begins.items()]
    # An end whose begin was stored before completes that entry; one whose begin is lost still counts its cost.
    rows += [(*_begun(_stub(end)), *_ended(end), writer) for end in ends.values()]
    return rows


def _entries(data: bytes, writer: str) -> tuple[list[tuple[Value, ...]], int]:
    records, damaged = from_lines(data)
    rows = to_entries(records, writer)
    # Looking at the lines first spares nearly every row a look at each of its values.
    if b"\\u0000" in data or max(map(len, data.split(b"\n"))) > _TEXT:
        rows = [_storable(row) for row in rows]
    return rows, damaged


def _stub(end: End) -> Begin:
    return Begin(
        attempt=end.attempt,
        request="",
        at=end.at,
        deployment="",
        provider="",
        model="",
        place="",
        class_="",
        decision="",
    )


# Nearly every number is an ordinary one: a look at it here costs half of what a call would.


def _begun(begin: Begin) -> tuple[Value, ...]:
    at, bound, estimate, deviations = begin.at, begin.bound, begin.input_estimate, begin.deviations
    return (
        begin.attempt,
        begin.request,
        begin.parent,
        at if -_ENDS_OF_TIME <= at <= _ENDS_OF_TIME else _time(at),
        begin.purpose,
        begin.operation,
        begin.caller,
        begin.route,
        begin.asked,
        begin.deployment,
        begin.provider,
        begin.model,
        begin.place,
        begin.class_,
        begin.decision,
        begin.reason,
        begin.price,
        bound if bound is None or 0 <= bound <= MOST else _amount(bound),
        estimate if 0 <= estimate <= MOST else _amount(estimate),
        int(begin.stream),
        _list(deviations) if deviations else "",
    )


def _ended(end: End | None) -> tuple[Value, ...]:
    if end is None:
        return _NOT_ENDED
    usage = end.usage or _NO_USAGE
    at, status, cost, deviations = end.at, end.status, end.cost, end.deviations
    given, made, cached = usage.input, usage.output, usage.cached
    written, reasoned = usage.cache_write, usage.reasoning
    return (
        end.outcome,
        at if -_ENDS_OF_TIME <= at <= _ENDS_OF_TIME else _time(at),
        status if 0 <= status <= MOST else _amount(status),
        end.error,
        given if given is None or 0 <= given <= MOST else _amount(given),
        made if made is None or 0 <= made <= MOST else _amount(made),
        cached if cached is None or 0 <= cached <= MOST else _amount(cached),
        written if written is None or 0 <= written <= MOST else _amount(written),
        reasoned if reasoned is None or 0 <= reasoned <= MOST else _amount(reasoned),
        cost if cost is None or 0 <= cost <= MOST else _amount(cost),
        end.finish,
        end.answered,
        end.first_byte_ms,
        end.total_ms,
        _list(deviations) if deviations else "",
    )


def _amount(number: int | None) -> int | None:
    if number is None or -MOST <= number <= MOST:
        return number
    return MOST if number > 0 else -MOST


def _time(nanoseconds: int) -> int:
    return min(max(nanoseconds, -_ENDS_OF_TIME), _ENDS_OF_TIME)


def _list(items: tuple[str, ...]) -> str:
    return msgspec.json.encode(items).decode() if items else ""


def _storable(row: tuple[Value, ...]) -> tuple[Value, ...]:
    """PostgreSQL knows no character NUL and cannot index long texts, and nobody needs a novel in a column."""
    return tuple(
        value.replace("\0", "\ufffd")[:_TEXT] if isinstance(value, str) and name not in _LISTS else value
        for name, value in zip(COLUMNS, row, strict=True)
    )
