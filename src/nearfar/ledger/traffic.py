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
    # Two passes without sorting, because a million entries are read: sums over the table, hours over their index.
    (row,) = connection.rows(
        f"SELECT {', '.join(_SUMS)} FROM nearfar_entries "  # noqa: S608 - no value among these
        f"WHERE operation = ? AND purpose = 'serve'{when}",
        [operation, *params],
    )
    calls, attempts, answered, tokens_in, tokens_out, reasoning, cached, *classes = (int(each or 0) for each in row)
    if not calls:
        return None
    hours = connection.rows(
        f"SELECT begun / {_HOUR}, COUNT(*) FROM nearfar_entries WHERE 1 = 1{when} GROUP BY 1",  # noqa: S608
        params,
    )
    busy = {int(hour): int(count) for hour, count in hours}
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


def _when(where: Filter) -> tuple[str, list[Value]]:
    params: list[Value] = []
    condition = ""
    for moment, sign in ((where.since, ">="), (where.until, "<")):
        if moment is not None:
            condition += f" AND begun {sign} ?"
            params.append(moment)
    return condition, params


_FIRST = "parent = ''"
_ANSWERED = "outcome = 'ok'"
_SUMS = (
    f"SUM(CASE WHEN {_FIRST} THEN 1 ELSE 0 END)",
    "COUNT(*)",
    f"SUM(CASE WHEN {_ANSWERED} THEN 1 ELSE 0 END)",
    f"SUM(CASE WHEN {_ANSWERED} THEN input_tokens ELSE 0 END)",
    f"SUM(CASE WHEN {_ANSWERED} THEN output_tokens ELSE 0 END)",
    f"SUM(CASE WHEN {_ANSWERED} THEN reasoning_tokens ELSE 0 END)",
    f"SUM(CASE WHEN {_ANSWERED} THEN cached_tokens ELSE 0 END)",
    *(f"SUM(CASE WHEN class = '{item.label}' THEN 1 ELSE 0 END)" for item in Class),
)
