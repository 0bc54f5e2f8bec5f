"""``nearfar router forget``: what was kept to learn from is removed and overwritten; it says what it cannot reach.

It writes to the database; a gateway need not run.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearfar.cli import output
from nearfar.cli.errors import UsageError
from nearfar.cli.router_labels import OnRoute, exists, labels_of
from nearfar.cli.state import ConfigFile, Json, Quiet, Sets, of
from nearfar.core.errors import StoreUnavailable
from nearfar.settings.load import Loaded

if TYPE_CHECKING:  # the store's room is only needed when a command runs
    from nearfar.store.labels import Labels
    from nearfar.store.labels_schema import Selection


def forget(
    ctx: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Everything that was kept.")] = False,
    before: Annotated[
        str, typer.Option("--before", metavar="DATE", help="What was kept before a date (UTC), or longer ago than 30d.")
    ] = "",
    route: OnRoute = None,
    caller: Annotated[
        str, typer.Option("--caller", metavar="KEY", help="Of the caller with this key: its name or its id.")
    ] = "",
    request: Annotated[str, typer.Option("--request", metavar="ID", help="Of this request (x-nearfar-request).")] = "",
    config: ConfigFile = None,
    sets: Sets = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Remove pairs that were kept to learn from, and overwrite them. With several options, what all of them say."""
    from nearfar.cli.usage import moment
    from nearfar.store.labels_schema import Selection

    some = bool(before or route is not None or caller or request)
    if everything == some:
        raise UsageError(
            "Say what is to be forgotten." if not some else "--all leaves nothing for the other options to choose.",
            hint="--all, or some of --before DATE, --route R, --caller KEY, --request ID.",
        )
    loaded = of(ctx).load(config, sets)
    since = moment(before, "--before")
    count, scrubbed, files, routers = 0, True, [], {}
    if exists(loaded):
        selection = Selection(
            route=route,
            before=None if since is None else since // 1_000_000_000,
            callers=_callers(loaded, caller) if caller else None,
            request=request or None,
        )
        with closing(labels_of(loaded)) as labels:
            routers = fitted(_routers(loaded), _prompts(labels, selection))
            count = labels.forget(selection)
            scrubbed = labels.scrub()
            files = [path for path in labels.files() if Path(path).exists()]
    if json:
        output.json({"forgotten": count, "scrubbed": scrubbed, "files": files, "routers": routers})
        return
    output.line(str(count) if quiet else f"{count} pairs forgotten")
    if not quiet:
        _told(count, scrubbed=scrubbed, files=files, routers=routers)


def _told(count: int, *, scrubbed: bool, files: list[str], routers: dict[str, int | None]) -> None:
    """What is not forgotten by that, and what to do about it."""
    if not scrubbed:
        output.note("their traces in the database's log are still there: somebody reads it; run this once more")
    for path in files:
        output.note(f"labels were written to {path}, in the clear: remove it too")
    for path, known in routers.items():
        if known is None:
            output.note(f"{path}: nobody can tell whether it was fitted from them")
        elif known:
            output.note(f"{path} was fitted from {known} of them")
    if count:
        output.note("A router that was fitted from them keeps what it learned: fit it anew from what is left.")


def fitted(routers: Iterable[Path], prompts: list[str] | None) -> dict[str, int | None]:
    """Router file → how many of ``prompts`` it was fitted from; None where nobody can tell."""
    found: dict[str, int | None] = {}
    for path in routers:
        try:
            found[str(path)] = None if prompts is None else _known(path, prompts)
        except (ImportError, OSError, StoreUnavailable):
            found[str(path)] = None
    return found


def _known(path: Path, prompts: list[str]) -> int | None:
    import numpy as np

    from nearfar.tuning import saved

    try:
        known = saved.load(path).known
    except saved.BadRouter:
        return None
    return int(np.isin(saved.marks(prompts), known).sum())


def _prompts(labels: Labels, selection: Selection) -> list[str] | None:
    """What is about to be forgotten; None where it cannot be read, which is no reason to keep it."""
    try:
        return [kept.content.prompt for kept in labels.selected(selection)]
    except StoreUnavailable as error:
        if error.code != "cipher_mismatch":
            raise
        return None


def _routers(loaded: Loaded) -> list[Path]:
    """The routers that routes name, each once."""
    named = (route.router for route in loaded.settings.routes.values())
    paths = dict.fromkeys(Path(setting.file) for setting in named if setting is not None)
    return [path for path in paths if path.exists()]


def _callers(loaded: Loaded, which: str) -> tuple[str, ...]:
    """Ids of the keys with this name or id, revoked ones too."""
    from nearfar.store import keys
    from nearfar.store.database import connect

    with closing(connect(loaded.ledger_url)) as connection:
        keys.prepare(connection)
        found = tuple(key.id for key in keys.ls(connection, revoked=True) if which in {key.id, key.name})
    if not found:
        raise UsageError(f"There is no key {which!r}.", hint="`nearfar keys ls --revoked` lists them.")
    return found
