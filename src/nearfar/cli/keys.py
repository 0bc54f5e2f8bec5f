"""``nearfar keys``: who may call the gateway. A key's secret is shown once, when it is made, and stored nowhere."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearfar.cli import output
from nearfar.cli.errors import UsageError
from nearfar.cli.state import ConfigFile, Json, Quiet, Sets, of
from nearfar.settings.load import Loaded

if TYPE_CHECKING:  # the store's room is only needed when a command runs
    from nearfar.store.connection import Connection

app = typer.Typer(no_args_is_help=True, help="Keys of callers: make, list, revoke.")

_CLOSED = (
    "Every key is revoked, so nobody is served: make one with `nearfar keys new NAME`, "
    "or set server.require_key = false on loopback."
)


@app.command("new")
def new(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Whose key it is, or what for.")],
    class_: Annotated[
        str, typer.Option("--class", metavar="CLASS", help="Requests with this key are at least this sensitive.")
    ] = "",
    operator: Annotated[bool, typer.Option("--operator", help="It may load and unload models, too.")] = False,
    config: ConfigFile = None,
    sets: Sets = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a key. From the first one on, a gateway answers only to callers that have one."""
    from nearfar.core.places import Class
    from nearfar.store import keys

    try:
        floor = Class.parse(class_) if class_ else None
    except ValueError as error:
        raise UsageError(f"--class: {error}.") from error
    with _database(of(ctx).load(config, sets)) as connection:
        key, secret = keys.new(connection, name, floor=floor, operator=operator)
    if json:
        made = {"id": key.id, "name": key.name, "class": key.class_, "operator": key.operator, "key": secret}
        output.json(made)
        return
    output.line(secret)
    if not quiet:
        output.note(f"This is the key of {key.name} ({key.id}). It is not stored and cannot be shown again.")


@app.command("ls")
def ls(
    ctx: typer.Context,
    revoked: Annotated[bool, typer.Option("--revoked", help="Those that no longer work, too.")] = False,
    config: ConfigFile = None,
    sets: Sets = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the keys, without their secrets."""
    from nearfar.store import keys

    with _database(of(ctx).load(config, sets)) as connection:
        found = keys.ls(connection, revoked=revoked)
        ever = bool(keys.ls(connection, revoked=True))
    if json:
        output.json({"keys": found})
        return
    if quiet:
        for key in found:
            output.line(key.id)
        return
    rows = [
        (
            key.id,
            key.name,
            f"…{key.last4}",
            key.class_ or "-",
            "operator" if key.operator else "-",
            _when(key.created),
            _when(key.last_used),
            _when(key.revoked),
        )
        for key in found
    ]
    output.table(
        ("ID", "NAME", "KEY", "CLASS", "ROLE", "MADE (UTC)", "LAST USED", "REVOKED"),
        rows,
        drop=("MADE (UTC)", "LAST USED", "CLASS", "ROLE"),
    )
    if not found and ever:
        output.note(_CLOSED)
    elif not found:
        output.note("There is no key: a gateway on loopback answers to everybody on this machine.")


@app.command("revoke")
def revoke(
    ctx: typer.Context,
    which: Annotated[str, typer.Argument(metavar="KEY", help="Its id, or its name if only one has it.")],
    config: ConfigFile = None,
    sets: Sets = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a key unusable; running gateways know within a second."""
    from nearfar.store import keys

    with _database(of(ctx).load(config, sets)) as connection:
        key = keys.revoke(connection, which)
        left = keys.ls(connection)
    if json:
        output.json({"revoked": key})
    elif not quiet:
        output.line(f"{key.name} ({key.id}) is revoked")
        if not left:
            output.note(_CLOSED)


@contextlib.contextmanager
def _database(loaded: Loaded) -> Iterator[Connection]:
    from nearfar.settings.paths import private
    from nearfar.store import keys
    from nearfar.store.database import connect

    if loaded.ledger_url.startswith("sqlite:///"):
        private(Path(loaded.ledger_url.removeprefix("sqlite:///")).parent)
    with contextlib.closing(connect(loaded.ledger_url)) as connection:
        keys.prepare(connection)
        yield connection


def _when(nanoseconds: int | None) -> str:
    if nanoseconds is None:
        return "-"
    return dt.datetime.fromtimestamp(nanoseconds / 1e9, dt.UTC).strftime("%Y-%m-%d %H:%M")
