"""The learned routers that routes name: their files, certificates and promises. It knows no request.

NumPy, and everything that needs it, is imported only where a route has a router.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from nearfar.core.errors import NearfarError, StoreUnavailable, UnprocessableEntityError
from nearfar.gateway.decider import Decider
from nearfar.parts.basis import Basis
from nearfar.parts.state import own_key
from nearfar.settings.errors import Problem, refuse
from nearfar.settings.load import Loaded
from nearfar.settings.model import RouterSetting
from nearfar.settings.shape import dotted
from nearfar.store.connection import Connection
from nearfar.store.database import connect

if TYPE_CHECKING:
    from nearfar.gateway.routers import Routers
    from nearfar.tuning.online import Online
    from nearfar.tuning.saved import Kept

_SQLITE = "sqlite:///"

log = logging.getLogger("nearfar.router")


def routers(loaded: Loaded, base: Basis, decider: Decider, promised: str = "") -> Routers | None:
    """The routers of all routes; None where no route has one.

    ``promised``: the database that knows how their promises stand, unless it is the gateway's own. Raises SettingsError
    for a file that is missing, broken or of another router.
    """
    if all(route.router is None for route in loaded.settings.routes.values()):
        return None
    used = in_use(loaded, promised or base.url)
    from nearfar.gateway.routers import Routers

    return Routers(decider, used, base.metrics, key=own_key(loaded, "conversations"))


def problems(loaded: Loaded) -> list[Problem]:
    """What is wrong with the files that routes name as routers and certificates."""
    return _read(loaded, lambda: None)[1]


def in_use(loaded: Loaded, url: str) -> dict[str, Online]:
    """Route → its router, with its promise as the database at ``url`` knows it. Raises SettingsError."""
    found, wrong = _read(loaded, _opening(url))
    if wrong:
        raise refuse(wrong)
    for used in found.values():
        try:
            used.refresh()
        except StoreUnavailable as error:
            if error.code == "promise_unreadable":
                raise
            # A gateway that starts will meet the database again; a command that only looks can do without.
            log.warning("the state of promises cannot be read", extra={"error": error.text})
    return found


def _read(loaded: Loaded, opening: Callable[[], Connection | None]) -> tuple[dict[str, Online], list[Problem]]:
    wrong: list[Problem] = []
    found: dict[str, Online] = {}
    files: dict[str, Kept] = {}
    for name, route in loaded.settings.routes.items():
        if route.router is None:
            continue
        try:
            _needs_numpy()
            found[name] = _online(name, route.router, files, opening)
        except NearfarError as error:
            path = ("routes", name, "router")
            key = dotted((*path, error.param) if error.param else path)
            origin = loaded.origins.get(key, "")
            wrong.append(Problem(key=key, origin=origin, message=error.message.rstrip("."), hint=error.hint))
    return found, wrong


def _needs_numpy() -> None:
    try:
        import numpy as np
    except ImportError as error:
        raise UnprocessableEntityError("a learned router needs NumPy", hint="pip install 'nearfar[tuning]'") from error
    del np


def _online(
    name: str, setting: RouterSetting, files: dict[str, Kept], opening: Callable[[], Connection | None]
) -> Online:
    from nearfar.tuning import certified, saved
    from nearfar.tuning.online import Online, Use

    try:
        digest = certified.digest(Path(setting.file))
        kept = files.get(setting.file) or saved.load(Path(setting.file))
    except OSError as error:
        hint = "nearfar router fit --labels L.jsonl --out R makes one."
        message = f"{setting.file} cannot be read: {error.strerror or error}"
        raise UnprocessableEntityError(message, param="file", hint=hint) from error
    except NearfarError as error:
        error.param = "file"
        raise
    files[setting.file] = kept
    promise, threshold = None, setting.threshold
    if setting.certificate:
        try:
            promise = certified.read(Path(setting.certificate), digest)
        except NearfarError as error:
            error.param = "certificate"
            raise
        threshold = promise.threshold
    assert threshold is not None  # the settings are checked: it has one of both
    if kept.router.embedded is not None:
        hint = "Fit one without: leave embedding out of the labels."
        raise UnprocessableEntityError(f"{setting.file} was fitted with embeddings", param="file", hint=hint)
    use = Use(
        route=name,
        mode=setting.mode,
        share=setting.share,
        threshold=threshold,
        certified=promise,
        digest=digest,
    )
    return Online(kept.router, use, opening)


def _opening(url: str) -> Callable[[], Connection | None]:
    """Opens the database; None where there is none yet, because looking makes none."""

    def opening() -> Connection | None:
        if url.startswith(_SQLITE) and not Path(url.removeprefix(_SQLITE)).exists():
            return None
        return connect(url)

    return opening
