"""What was really asked: calls, sizes, hours and classes of a stretch of the ledger. It judges nothing."""

from __future__ import annotations

import msgspec

from nearfar.core.places import Class
from nearfar.ledger.query import Filter
from nearfar.store.connection import Connection, Value

_HOUR = 3600 * 10**9
_MONTH_HOURS = 730.0


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """Calls of one operation, as they would be in a month of such hours. Tokens are means per call."""

    calls: float
    """Per month."""
    seen: int
    """Calls that this was made from."""
    days: float
    """How long they took."""
    input: float
    output: float
    """With reasoning taken out."""
    reasoning: float
    cached_share: float
    retries: float
    hours: float
    """Hours per month in which anything was asked."""
    peak: float
    """Attempts in the busiest hour as a multiple of the mean of those hours, of all operations."""
    classes: dict[str, float]
    """Class → share of the attempts."""


def traffic(connection: Connection, where: Filter, operation: str = "chat") -> Traffic | None:
    """The traffic that ``where`` chooses; None when there was none. Raises StoreUnavailable."""
    when, params = _when(where)
    # A million entries are read: hours jump from one to the next over their index, sums go once over the table.
    busy = {int(hour): int(count) for hour, count in connection.rows(_hours(when), params * 3)}
    if _most(connection, sum(busy.values())):
        when = when.replace(" begun ", " +begun ")
    (row,) = connection.rows(
        f"SELECT {', '.join(_SUMS)} FROM nearfar_entries "  # noqa: S608 - no value among these
        f"WHERE operation = ? AND purpose = 'serve'{when}",
        [operation, *params],
    )
    calls, attempts, answered, tokens_in, tokens_out, reasoning, cached, *classes = (int(each or 0) for each in row)
    if not calls:
        return None
    span = max(busy) - min(busy) + 1
    each = max(1, answered)
    return Traffic(
        calls=calls / span * _MONTH_HOURS,
        seen=calls,
        days=span / 24,
        input=tokens_in / each,
        output=max(0, tokens_out - reasoning) / each,
        reasoning=reasoning / each,
        cached_share=min(1.0, cached / tokens_in) if tokens_in else 0.0,
        retries=max(0.0, attempts / calls - 1),
        hours=len(busy) / span * _MONTH_HOURS,
        peak=max(1.0, max(busy.values()) * len(busy) / sum(busy.values())),
        classes={item.label: count / attempts for item, count in zip(Class, classes, strict=True) if count},
    )


_MANY = 5
"""An entry that is looked up over the index costs as much as so many that are read in their order."""


def _most(connection: Connection, chosen: int) -> bool:
    """Whether so much is chosen that SQLite had better read the whole table; its planner looks at no counts."""
    if connection.dialect != "sqlite":
        return False
    ((last,),) = connection.rows("SELECT MAX(rowid) FROM nearfar_entries")
    return chosen * _MANY > (last or 0)


def _hours(when: str) -> str:
    """Each hour with an attempt, and how many; ``when`` stands in it three times. To sort by hours takes five times."""
    first = f"SELECT MIN(begun) / {_HOUR} FROM nearfar_entries WHERE begun >="  # noqa: S608 - no value among these
    counted = f"SELECT COUNT(*) FROM nearfar_entries WHERE begun >= hour * {_HOUR}"  # noqa: S608
    return (
        f"WITH RECURSIVE hours(hour) AS ({first} 0{when} UNION ALL"  # noqa: S608 - nor here
        f" SELECT ({first} (hour + 1) * {_HOUR}{when}) FROM hours WHERE hour IS NOT NULL)"
        f" SELECT hour, ({counted} AND begun < (hour + 1) * {_HOUR}{when}) FROM hours WHERE hour IS NOT NULL"
    )


def _when(where: Filter) -> tuple[str, list[Value]]:
    params: list[Value] = []
    condition = ""
    for moment, sign in ((where.since, ">="), (where.until, "<")):
        if moment is not None:
            condition += f" AND begun {sign} ?"
            params.append(moment)
    return condition, params


_FIRST = "FILTER (WHERE parent = '')"
_ANSWERED = "FILTER (WHERE outcome = 'ok')"
_SUMS = (
    f"COUNT(*) {_FIRST}",
    "COUNT(*)",
    f"COUNT(*) {_ANSWERED}",
    f"SUM(input_tokens) {_ANSWERED}",
    f"SUM(output_tokens) {_ANSWERED}",
    f"SUM(reasoning_tokens) {_ANSWERED}",
    f"SUM(cached_tokens) {_ANSWERED}",
    *(f"COUNT(*) FILTER (WHERE class = '{item.label}')" for item in Class),
)
