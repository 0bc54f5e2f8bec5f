"""What was really asked: calls, sizes, hours and classes of a stretch of the ledger. It judges nothing."""

from __future__ import annotations

import msgspec

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
    """Hours per month in which calls came."""
    peak: float
    """The busiest hour as a multiple of the mean of those hours."""
    classes: dict[str, float]
    """Class → share of the calls."""


def traffic(connection: Connection, where: Filter, operation: str = "chat") -> Traffic | None:
    """The traffic that ``where`` chooses; None when there was none. Raises StoreUnavailable."""
    params: list[Value] = [operation]
    condition = "operation = ? AND purpose = 'serve'"
    for name, sign in (("since", ">="), ("until", "<")):
        moment = getattr(where, name)
        if moment is not None:
            condition += f" AND begun {sign} ?"
            params.append(moment)
    rows = connection.rows(
        # One pass over the table: an hour and a class have one row, so that a million entries become a few thousand.
        f"SELECT begun / {_HOUR}, class, SUM(CASE WHEN parent = '' THEN 1 ELSE 0 END), COUNT(*), "  # noqa: S608
        "SUM(CASE WHEN outcome = 'ok' THEN 1 ELSE 0 END), "
        "SUM(CASE WHEN outcome = 'ok' THEN input_tokens ELSE 0 END), "
        "SUM(CASE WHEN outcome = 'ok' THEN output_tokens ELSE 0 END), "
        "SUM(CASE WHEN outcome = 'ok' THEN reasoning_tokens ELSE 0 END), "
        "SUM(CASE WHEN outcome = 'ok' THEN cached_tokens ELSE 0 END) "
        f"FROM nearfar_entries WHERE {condition} GROUP BY 1, 2",
        params,
    )
    if not rows:
        return None
    per_hour: dict[int, int] = {}
    per_class: dict[str, int] = {}
    sums = [0] * 7
    for hour, class_, *numbers in rows:
        counts = [int(number or 0) for number in numbers]
        per_hour[int(hour)] = per_hour.get(int(hour), 0) + counts[0]
        per_class[str(class_)] = per_class.get(str(class_), 0) + counts[0]
        sums = [total + count for total, count in zip(sums, counts, strict=True)]
    calls, attempts, answered, tokens_in, tokens_out, reasoning, cached = sums
    if not calls:
        return None
    busy = {hour: count for hour, count in per_hour.items() if count}
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
        peak=max(1.0, max(busy.values()) * len(busy) / calls),
        classes={name: count / calls for name, count in sorted(per_class.items()) if count},
    )
