"""The check of ``nearfar doctor`` on what is kept to learn from: how much, and whether its judge can be believed.

It reads no content and asks no judge.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from nearfar.cli.checkup import Check, is_loopback
from nearfar.settings.load import Loaded
from nearfar.settings.model import Settings
from nearfar.store.labels_judges import Counted, Judge, counted

_SQLITE = "sqlite:///"
NAME = "learning"


def learning(loaded: Loaded) -> Iterator[Check]:
    """Nothing where nothing is kept and nothing ever was."""
    setting = loaded.settings.learning
    kept = found(loaded)
    if not setting.keep:
        if kept.pairs:
            hint = "They stay until you say nearfar router forget --all, or keep some again: then their time ends them."
            yield Check(name=NAME, state="warn", detail=f"{count(kept)}, and learning.keep is empty", next=hint)
        return
    from nearfar.parts.learning import anchors
    from nearfar.store import cipher  # says so where it is not installed

    del cipher
    anchors(setting.anchors)  # raises what is wrong with them
    yield Check(
        name=NAME,
        state="ok",
        detail=f"{' and '.join(setting.keep)} kept for {setting.retention_days:g} days; {count(kept)}",
    )
    if loaded.settings.policy.detect is False:
        yield Check(
            name=NAME,
            state="warn",
            detail="policy.detect is false, so what nobody declares confidential is kept, whatever it says",
            next="Leave policy.detect out: then what would be kept is looked at.",
        )
    yield from _routes(loaded.settings)
    yield from _judge(loaded.settings, kept)


def found(loaded: Loaded) -> Counted:
    """How much is kept; nothing where there is no database, or one on another machine."""
    from nearfar.store.database import connect

    url = loaded.ledger_url
    local = url.startswith(_SQLITE)
    if local and not Path(url.removeprefix(_SQLITE)).exists():
        return Counted()
    if not local and not is_loopback(urlsplit(url).hostname or "localhost"):
        return Counted()  # it is on another machine, and not asked
    with contextlib.closing(connect(url)) as connection:
        return counted(connection)


def count(kept: Counted) -> str:
    """In words."""
    told = f"{kept.pairs} pairs"
    waiting = f", {kept.waiting} wait for a judge" if kept.waiting else ""
    return told + waiting + (f", {kept.untrusted} scored by one that is not trusted" if kept.untrusted else "")


def _routes(settings: Settings) -> Iterator[Check]:
    """Whether anybody is asked twice at all."""
    if any(route.shadow is not None for route in settings.routes.values()):
        return
    yield Check(
        name=NAME,
        state="warn",
        detail="no route asks twice, so there is nothing to keep",
        next='Give a route shadow = { deployment = "far", share = 0.02 }.',
    )


def _judge(settings: Settings, kept: Counted) -> Iterator[Check]:
    setting = settings.learning
    if not setting.judge:
        told = "none: only pairs that comparing decides are kept"
        yield Check(name="judge", state="ok", detail=told)
        return
    state = next((item for item in kept.judges if item.judge == setting.judge), None)
    if state is None:
        yield Check(name="judge", state="ok", detail=f"{setting.judge}, not tried on the anchors yet")
    elif state.trusted:
        yield Check(name="judge", state="ok", detail=agreed(state))
    else:
        yield Check(
            name="judge",
            state="warn",
            detail=f"{agreed(state)}: what it says is NOT USED (learning.agreement = {setting.agreement:g})",
            next="Name a better one in learning.judge; it is tried again after a day.",
        )
    route = settings.routes.get(setting.judge)
    judges = {setting.judge} if route is None else set(route.deployments)
    sides = {name for item in settings.routes.values() if item.shadow is not None for name in item.deployments}
    if own := sorted(judges & sides):
        yield Check(
            name="judge",
            state="warn",
            detail=f"{', '.join(own)} would judge its own answers",
            next="Models prefer their own words: name one of another family in learning.judge.",
        )


def agreed(state: Judge) -> str:
    """How it did on the anchors, in words."""
    day = dt.datetime.fromtimestamp(state.at, dt.UTC).strftime("%Y-%m-%d")
    return f"{state.judge} agreed with {state.agreement:.0%} of {state.pairs} anchors on {day}"
