"""Reading the ledger: sums by any grouping, the last entries, one request's attempts. It writes nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import msgspec

from nearfar.ledger.schema import COLUMNS, MIGRATIONS, OPEN, UNKNOWN
from nearfar.store.connection import Connection, Row, Value
from nearfar.store.database import connect, migrate

_DAY = 86_400 * 10**9
_GROUPS = {
    "day": f"begun / {_DAY}",
    "route": "route",
    "deployment": "deployment",
    "provider": "provider",
    "model": "model",
    "place": "place",
    "class": "class",
    "caller": "caller",
    "purpose": "purpose",
    "operation": "operation",
    "outcome": "outcome",
}
GROUPS = tuple(_GROUPS)
"""What sums can be grouped by. ``day`` is the day in UTC on which the attempt began."""


class Filter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which entries count. None chooses all; an empty text chooses entries where that field is empty."""

    since: int | None = None
    """Begun at or after this, in nanoseconds since the epoch."""
    until: int | None = None
    """Begun before this, in nanoseconds since the epoch."""
    caller: str | None = None
    route: str | None = None
    deployment: str | None = None
    provider: str | None = None
    model: str | None = None
    place: str | None = None
    class_: str | None = msgspec.field(name="class", default=None)
    purpose: str | None = None
    operation: str | None = None
    outcome: str | None = None


EVERYTHING = Filter()


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over the entries of one group. Tokens count what upstreams reported; money is in nano-USD."""

    group: dict[str, str]
    """Grouping → its value here; empty for the sum of all. A day is ``2026-11-22``."""
    requests: int
    attempts: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost: int
    """Of all attempts whose cost is known; it includes ``cost_at_bound``."""
    cost_at_bound: int
    """The part that is not a bill but a bound: attempts whose end nobody saw."""
    cost_unknown: int
    """Ended attempts without a known cost: their money is missing from ``cost``."""
    outcome_unknown: int
    """Attempts whose process died before their end."""
    open: int
    """Attempts that have begun and not ended: their money is not in ``cost`` yet."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt, as Begin and End told it."""

    attempt: str
    request: str
    parent: str
    begun: int
    """Nanoseconds since the epoch."""
    purpose: str
    operation: str
    caller: str
    route: str
    asked: str
    deployment: str
    provider: str
    model: str
    place: str
    class_: str = msgspec.field(name="class")
    decision: str
    reason: str
    price: str
    bound: int | None
    input_estimate: int
    stream: bool
    deviations: tuple[str, ...]
    """What was changed on the way out, then what on the way back."""
    outcome: str
    """``ok``, ``error``, ``cut``, ``cancelled``; ``open`` while it runs; ``unknown`` when its process died."""
    ended: int | None
    status: int
    error: str
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    cost: int | None
    finish: str
    answered: str
    first_byte_ms: float | None
    total_ms: float
    writer: str
    """The journal it came from."""


def open_ledger(url: str) -> Connection:
    """A connection for the functions here; makes the tables where they are missing. Raises StoreUnavailable."""
    connection = connect(url)
    try:
        migrate(connection, "ledger", MIGRATIONS)
    except BaseException:
        connection.close()
        raise
    return connection


def spent(connection: Connection, purposes: Sequence[str], *, since: int) -> int:
    """Nano-USD of the attempts for ``purposes`` begun from ``since`` on; at their bound where nobody knows the cost."""
    marks = ", ".join("?" * len(purposes))
    sql = f"SELECT SUM(COALESCE(cost, bound, 0)) FROM nearfar_entries WHERE begun >= ? AND purpose IN ({marks})"  # noqa: S608 - marks alone
    ((found,),) = connection.rows(sql, (since, *purposes))
    return int(found or 0)


def usage(connection: Connection, by: Sequence[str] = (), where: Filter = EVERYTHING) -> list[Totals]:
    """Sums of the entries that ``where`` chooses, one per distinct combination of ``by``, in its order.

    Without ``by`` there is exactly one. Raises ValueError for a grouping that does not exist.
    """
    if unknown := [name for name in by if name not in _GROUPS]:
        raise ValueError(f"cannot group by {', '.join(unknown)}: use {', '.join(GROUPS)}")
    condition, params = _condition(where)
    keys = [_GROUPS[name] for name in by]
    grouping = f"GROUP BY {', '.join(keys)} ORDER BY {', '.join(keys)}" if keys else ""
    sums = ", ".join([*keys, *_SUMS])
    sql = f"SELECT {sums} FROM nearfar_entries WHERE {condition} {grouping}"  # noqa: S608 - no value among these
    rows = connection.rows(sql, params)
    return [_totals(by, row) for row in rows]


_SUMS = (
    "COUNT(DISTINCT request)",
    "COUNT(*)",
    "SUM(input_tokens)",
    "SUM(output_tokens)",
    "SUM(cached_tokens)",
    "SUM(cache_write_tokens)",
    "SUM(reasoning_tokens)",
    "SUM(cost)",
    f"SUM(CASE WHEN outcome = '{UNKNOWN}' THEN cost END)",
    f"SUM(CASE WHEN cost IS NULL AND outcome <> '{OPEN}' THEN 1 END)",
    f"SUM(CASE WHEN outcome = '{UNKNOWN}' THEN 1 END)",
    f"SUM(CASE WHEN outcome = '{OPEN}' THEN 1 END)",
)


def _totals(by: Sequence[str], row: Row) -> Totals:
    group = {name: _day(value) if name == "day" else value for name, value in zip(by, row, strict=False)}
    # PostgreSQL's sums are Decimal, and a sum over nothing is NULL.
    numbers = [int(value or 0) for value in row[len(by) :]]
    names = Totals.__struct_fields__[1:]
    return Totals(group=group, **dict(zip(names, numbers, strict=True)))


def entries(connection: Connection, where: Filter = EVERYTHING, *, limit: int = 50) -> list[Entry]:
    """The last ``limit`` entries that ``where`` chooses, newest first."""
    condition, params = _condition(where)
    return _entries(connection, f"WHERE {condition} ORDER BY begun DESC, attempt DESC LIMIT ?", (*params, limit))


def request(connection: Connection, id: str) -> list[Entry]:
    """All attempts of one request, in the order they were made; empty when there is no such request."""
    return _entries(connection, "WHERE request = ? ORDER BY begun, attempt", (id,))


def _entries(connection: Connection, rest: str, params: Sequence[Value]) -> list[Entry]:
    sql = f"SELECT {', '.join(COLUMNS)} FROM nearfar_entries {rest}"  # noqa: S608 - no value among these
    return [_entry(row) for row in connection.rows(sql, params)]


def _entry(row: Row) -> Entry:
    values = dict(zip(COLUMNS, row, strict=True))
    values["class_"] = values.pop("class")
    values["stream"] = bool(values["stream"])
    values["deviations"] = _list(values["deviations"]) + _list(values.pop("end_deviations"))
    return Entry(**values)


def _list(text: str) -> tuple[str, ...]:
    return msgspec.json.decode(text, type=tuple[str, ...]) if text else ()


def _condition(where: Filter) -> tuple[str, list[Value]]:
    parts = ["1 = 1"]
    params: list[Value] = []
    if where.since is not None:
        parts.append("begun >= ?")
        params.append(where.since)
    if where.until is not None:
        parts.append("begun < ?")
        params.append(where.until)
    for name in where.__struct_fields__[2:]:
        value = getattr(where, name)
        if value is not None:
            parts.append(f"{name.rstrip('_')} = ?")
            params.append(value)
    return " AND ".join(parts), params


def _day(number: int) -> str:
    return str(dt.date(1970, 1, 1) + dt.timedelta(days=number))
