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
    from nearfar.gateway.hedge import Runs
    from nearfar.gateway.routers import Routers
    from nearfar.tuning.online import Online
    from nearfar.tuning.saved import Kept

_SQLITE = "sqlite:///"

log = logging.getLogger("nearfar.router")


def routers(loaded: Loaded, base: Basis, decider: Decider, attempts: Runs, promised: str = "") -> Routers | None:
    """The routers of all routes; None where no route has one.

    ``promised``: the database that knows how their promises stand, unless it is the gateway's own; then nobody is asked
    for embeddings. Raises SettingsError for a file that is missing, broken or of another router, and for an embedder
    that is not near.
    """
    if all(route.router is None for route in loaded.settings.routes.values()):
        return None
    used = in_use(loaded, promised or base.url)
    from nearfar.gateway.routers import Routers
    from nearfar.gateway.routers_embedding import Embedder

    names = {name: route.router.embedder for name, route in loaded.settings.routes.items() if route.router is not None}
    far = [_not_near(loaded, base, route, name) for route, name in names.items() if name]
    if wrong := [problem for problem in far if problem is not None]:
        raise refuse(wrong)
    asking = {} if promised else {route: Embedder(name, decider, attempts) for route, name in names.items() if name}
    return Routers(decider, used, base.metrics, key=own_key(loaded, "conversations"), embed=asking)


def _not_near(loaded: Loaded, base: Basis, route: str, name: str) -> Problem | None:
    """Why a deployment cannot embed prompts: they are embedded whatever their class, so it is near."""
    target = base.fleet.snapshot.targets.get(name)
    if target is None:
        return None  # it cannot be used at present, which is said anyway; routes are decided without it then
    if target.deployment.place.near and "embeddings" in target.deployment.operations:
        return None
    key = dotted(("routes", route, "router", "embedder"))
    lacks = "makes no embeddings" if target.deployment.place.near else f"is at {target.deployment.place.label}"
    hint = "Name a deployment at device or lan that makes embeddings."
    return Problem(key=key, origin=loaded.origins.get(key, ""), message=f"{name!r} {lacks}", hint=hint)


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
        kept = files.get(setting.file) or saved.load(Path(setting.file))
    except NearfarError as error:
        error.param = "file"
        raise
    files[setting.file] = kept
    promise, threshold = None, setting.threshold
    if setting.certificate:
        try:
            promise = certified.read(Path(setting.certificate), kept.digest)
        except NearfarError as error:
            error.param = "certificate"
            raise
        threshold = promise.threshold
    assert threshold is not None  # the settings are checked: it has one of both
    if kept.router.embedded is not None and not setting.embedder:
        hint = "Set embedder to a near deployment of the same embedding model, or fit one on labels without embedding."
        raise UnprocessableEntityError(f"{setting.file} was fitted with embeddings", param="file", hint=hint)
    if kept.router.embedded is None and setting.embedder:
        hint = "Leave embedder out, or fit a router on labels that each have an embedding."
        raise UnprocessableEntityError(f"{setting.file} needs no embeddings", param="embedder", hint=hint)
    use = Use(
        route=name,
        mode=setting.mode,
        share=setting.share,
        threshold=threshold,
        certified=promise,
        digest=kept.digest,
    )
    return Online(kept.router, use, opening)


def _opening(url: str) -> Callable[[], Connection | None]:
    """Opens the database; None where there is none yet, because looking makes none."""

    def opening() -> Connection | None:
        if url.startswith(_SQLITE) and not Path(url.removeprefix(_SQLITE)).exists():
            return None
        return connect(url)

    return opening
