"""``nearfar doctor``: looks at everything a gateway needs here, and says what to do about what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from nearfar.cli import output
from nearfar.cli.state import ConfigFile, Json, Quiet, Sets, State, of
from nearfar.core.errors import NearfarError
from nearfar.settings.errors import SettingsError
from nearfar.settings.load import Loaded

if TYPE_CHECKING:  # the checks are only needed when the command runs
    from nearfar.cli.checkup import Check

MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


def doctor(
    ctx: typer.Context, config: ConfigFile = None, sets: Sets = None, json: Json = False, quiet: Quiet = False
) -> None:
    """Check versions, folders, port, engine, models, keys, runtimes, ledger, audit and configuration.

    Asks nobody beyond loopback and changes nothing. Exits with 1 when something fails.
    """
    found = []
    for item in examine(of(ctx), config, sets):
        found.append(item)
        if not json and not (quiet and item.state == "ok"):
            output.line(f"{MARKS[item.state]}  {item.name}: {item.detail}")
            if item.next:
                output.line(f"        → {item.next}")
    failed = sum(item.state == "fail" for item in found)
    if json:
        output.json({"ok": not failed, "checks": found})
    elif not quiet:
        warned = sum(item.state == "warn" for item in found)
        output.line(f"{len(found)} checks: {failed} failed, {warned} with a warning")
    if failed:
        raise typer.Exit(1)


def examine(state: State, config: Path | None, sets: list[str] | None) -> Iterator[Check]:
    """All checks, one after the other; where the configuration is broken, they look at what is sound in it."""
    from nearfar.cli import checkup, checkup_audit, checkup_database, checkup_detectors, checkup_learning

    yield from checkup.versions()
    draft = state.examine(config, sets)
    loaded = draft.loaded
    yield from checkup.configuration(draft)
    for name, check in (
        ("policy", checkup.policy),
        ("folders", checkup.folders),
        ("port", checkup.edge),
        ("network", checkup.network),
        ("provider keys", checkup.provider_keys),
        ("engine", checkup.engine),
        ("models", checkup.models),
        ("local runtimes", checkup.runtimes),
        ("database", checkup_database.database),
        ("ledger", checkup.ledger),
        ("kept responses", checkup.responses),
        ("learning", checkup_learning.learning),
        ("audit", checkup_audit.audit),
        ("detectors", checkup_detectors.detectors),
    ):
        yield from _kept(name, check, loaded)


def _kept(name: str, check: Callable[[Loaded], Iterator[Check]], loaded: Loaded) -> Iterator[Check]:
    """The check's lines; an error it meets is a line too, and never the end of the report."""
    from nearfar.cli.checkup import Check

    try:
        yield from check(loaded)
    except NearfarError as error:
        yield from _failed(name, error)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        mend = "Run it as the user who owns that, or mend its permissions."
        step = mend if isinstance(error, PermissionError) else ""
        yield Check(name=name, state="fail", detail=f"{where}{error.strerror or error}", next=step)


def _failed(name: str, error: NearfarError) -> Iterator[Check]:
    """The error as lines: one for each problem of the settings."""
    from nearfar.cli.checkup import Check

    if isinstance(error, SettingsError) and error.problems:
        for problem in error.problems:
            yield Check(name=name, state="fail", detail=problem.text, next=problem.hint or "nearfar config check")
    else:
        yield Check(name=name, state="fail", detail=error.message, next=error.hint)
