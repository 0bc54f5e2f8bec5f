"""``nearfar usage``: what was asked, where it ran, and what it cost. It reads the ledger and adds nothing to it."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearfar.cli import output
from nearfar.cli.errors import UsageError
from nearfar.cli.state import ConfigFile, Json, Quiet, Sets, of
from nearfar.core.money import NANO, usd
from nearfar.core.places import Class, Place
from nearfar.settings.load import Loaded

if TYPE_CHECKING:  # the ledger's room is only needed when a command runs
    from nearfar.ledger.query import Entry, Filter, Totals
    from nearfar.store.connection import Connection

GROUPS = "day, route, deployment, provider, model, place, class, caller, purpose, operation, outcome"
OUTCOMES = ("ok", "error", "cut", "cancelled", "open", "unknown")
"""How an attempt can stand in the ledger: ended in one of four ways, under way, or never ended."""
PURPOSES = ("serve", "probe", "eval", "rewrite", "merge", "opinion", "escalate", "shadow", "judge", "router")
"""What an attempt can have been made for: to answer somebody, to try or score a deployment, or as a step of another."""
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def usage(
    ctx: typer.Context,
    by: Annotated[str, typer.Option("--by", metavar="LIST", help=f"Group by any of: {GROUPS}.")] = "",
    since: Annotated[str, typer.Option("--since", help="From when: 30m, 24h, 7d, 2w, or a date (UTC).")] = "",
    until: Annotated[str, typer.Option("--until", help="Up to when, in the same words.")] = "",
    route: Annotated[str | None, typer.Option("--route")] = None,
    deployment: Annotated[str | None, typer.Option("--deployment")] = None,
    provider: Annotated[str | None, typer.Option("--provider")] = None,
    model: Annotated[str | None, typer.Option("--model")] = None,
    place: Annotated[str | None, typer.Option("--place")] = None,
    class_: Annotated[str | None, typer.Option("--class")] = None,
    caller: Annotated[str | None, typer.Option("--caller", help="A key's id (`nearfar keys ls`).")] = None,
    purpose: Annotated[str | None, typer.Option("--purpose", help=f"One of {', '.join(PURPOSES)}.")] = None,
    operation: Annotated[str | None, typer.Option("--operation")] = None,
    outcome: Annotated[str | None, typer.Option("--outcome", help=f"One of {', '.join(OUTCOMES)}.")] = None,
    entries: Annotated[int, typer.Option("--entries", "-n", min=0, max=100_000, help="The last N attempts.")] = 0,
    request: Annotated[str, typer.Option("--request", metavar="ID", help="All attempts of one request.")] = "",
    config: ConfigFile = None,
    sets: Sets = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Sum up the ledger: requests, tokens and money, by whatever you like; or show single attempts."""
    from nearfar.ledger import query

    _known("--place", place, [item.label for item in Place])
    _known("--class", class_, [item.label for item in Class])
    _known("--outcome", outcome, OUTCOMES)
    _known("--purpose", purpose, PURPOSES)
    grouping = [word for word in re.split(r"[,\s]+", by) if word]
    where = query.Filter(
        since=moment(since, "--since"),
        until=moment(until, "--until"),
        caller=caller,
        route=route,
        deployment=deployment,
        provider=provider,
        model=model,
        place=place,
        class_=class_,
        purpose=purpose,
        operation=operation,
        outcome=outcome,
    )
    if unknown := [word for word in grouping if word not in query.GROUPS]:
        raise UsageError(f"--by: cannot group by {', '.join(unknown)}.", hint=f"Use {GROUPS}.")
    connection = open_ledger(of(ctx).load(config, sets))
    try:
        if request:
            _attempts(query.request(connection, request), json=json, quiet=quiet)
        elif entries:
            _attempts(query.entries(connection, where, limit=entries), json=json, quiet=quiet)
        else:
            _sums(connection, grouping, where, json=json, quiet=quiet)
    finally:
        connection.close()


def _known(flag: str, value: str | None, allowed: Sequence[str]) -> None:
    """Refuse a word that no entry can hold: a sum over nothing would look like an answer."""
    if value is not None and value not in allowed:
        raise UsageError(f"{flag}: no entry has {value!r}.", hint=f"Use one of {', '.join(allowed)}.")


def open_ledger(loaded: Loaded) -> Connection:
    """The ledger's database, with what dead processes left in the journal brought in."""
    from nearfar.ledger.ledger import drain
    from nearfar.ledger.query import open_ledger as connect
    from nearfar.settings.paths import private

    if loaded.ledger_url.startswith("sqlite:///"):
        private(Path(loaded.ledger_url.removeprefix("sqlite:///")).parent)
    if loaded.journal.is_dir():
        drain(loaded.ledger_url, loaded.journal)
    return connect(loaded.ledger_url)


def _sums(connection: Connection, grouping: list[str], where: Filter, *, json: bool, quiet: bool) -> None:
    from nearfar.ledger import query

    (total,) = query.usage(connection, (), where)
    groups = query.usage(connection, grouping, where) if grouping else []
    if json:
        output.json({"unit": "nano-USD", "by": grouping, "filter": where, "groups": groups, "total": total})
        return
    if quiet:
        output.line(f"{total.cost / NANO:.9f}")
        return
    head = [name.upper() for name in grouping]
    columns = (*head, "REQUESTS", "ATTEMPTS", "INPUT", "CACHED", "OUTPUT", "COST", "NOT PRICED")
    rows = [[*(item.group[name] or "-" for name in grouping), *_numbers(item)] for item in groups]
    if len(groups) != 1:
        rows.append([*(["total"] + [""] * (len(head) - 1) if head else []), *_numbers(total)])
    output.table(
        columns,
        rows,
        right=range(len(head), len(columns)),
        drop=("CACHED", "NOT PRICED", "ATTEMPTS", "INPUT", "OUTPUT"),
    )
    for text in _remarks(total):
        output.line(text)


def _numbers(item: Totals) -> list[object]:
    tokens = (item.input_tokens, item.cached_tokens, item.output_tokens)
    return [item.requests, item.attempts, *(f"{count:,}" for count in tokens), usd(item.cost), item.cost_unknown or ""]


def _remarks(total: Totals) -> list[str]:
    """What a reader of the sum has to know about it."""
    remarks = []
    if total.cost_unknown:
        remarks.append(f"Attempts without a known cost: {total.cost_unknown}. Their money is missing from the sum.")
    if total.outcome_unknown:
        bound = usd(total.cost_at_bound)
        remarks.append(
            f"Attempts that never ended: {total.outcome_unknown}. They count at their upper bound, {bound} in all."
        )
    if total.open:
        remarks.append(f"Attempts under way: {total.open}.")
    return remarks


def _attempts(found: list[Entry], *, json: bool, quiet: bool) -> None:
    if json:
        output.json({"unit": "nano-USD", "entries": found})
        return
    if quiet:
        for item in found:
            output.line(item.attempt)
        return
    rows = [
        (
            _when(item.begun),
            item.request,
            item.asked,
            item.deployment,
            item.place,
            item.outcome if not item.error else f"{item.outcome}: {item.error}",
            item.input_tokens,
            item.output_tokens,
            usd(item.cost),
            f"{item.total_ms:,.0f}",
            item.reason,
            ", ".join(item.deviations),
        )
        for item in found
    ]
    head = ("TIME (UTC)", "REQUEST", "ASKED", "DEPLOYMENT", "PLACE", "OUTCOME", "IN", "OUT", "COST", "MS", "REASON")
    output.table(
        (*head, "DEVIATIONS"),
        rows,
        right=(6, 7, 8, 9),
        drop=("REQUEST", "REASON", "ASKED", "MS", "PLACE", "IN", "OUT", "DEVIATIONS"),
        flow=("OUTCOME", "REASON", "DEVIATIONS"),
        under=True,
    )
    if not found:
        output.note("Nothing in the ledger matches.")


def _when(nanoseconds: int) -> str:
    return dt.datetime.fromtimestamp(nanoseconds / 1e9, dt.UTC).strftime("%Y-%m-%d %H:%M:%S")


def moment(text: str, flag: str) -> int | None:
    """Nanoseconds since the epoch for ``7d``, ``2026-11-22`` or ``2026-11-22T08:00``; None for nothing."""
    if not text:
        return None
    match = re.fullmatch(r"(\d{1,6})([mhdw])", text)
    try:
        if match:
            moment = dt.datetime.now(dt.UTC) - dt.timedelta(**{_UNITS[match[2]]: int(match[1])})
        else:
            moment = dt.datetime.fromisoformat(text)
            moment = moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment
        return int(moment.timestamp() * 1e9)
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"{flag}: {text!r} is no time.", hint="Use 30m, 24h, 7d, 2w, or a date such as 2026-11-22."
        ) from error
