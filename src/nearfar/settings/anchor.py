"""Makes the relative paths of a configuration absolute: they count from the folder of the file that names them.

It opens nothing. The current folder never counts: whoever starts nearfar elsewhere must not get other files.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path as FilePath

import msgspec

from nearfar.settings.errors import Problem
from nearfar.settings.model import Settings
from nearfar.settings.shape import Path, dotted

_FILE = re.compile(r"file (?P<path>/.*?)(?::\d+)?", re.DOTALL)
"""How the origin of a value says which file it comes from."""
_FIELDS = ("file", "certificate")


def anchored(settings: Settings, origin: Callable[[Path], str]) -> tuple[Settings, list[Problem]]:
    """The settings with absolute paths of routers, and what is wrong with those that hang in the air.

    ``origin`` says who set a path of the settings.
    """
    problems: list[Problem] = []
    routes = dict(settings.routes)
    for name, route in settings.routes.items():
        if route.router is None:
            continue
        found: dict[str, str] = {}
        for field in _FIELDS:
            text = getattr(route.router, field)
            if not text or text.startswith("/"):
                continue
            at = ("routes", name, "router", field)
            told = _FILE.fullmatch(origin(at))
            if told is None:
                hint = "Write the whole path: the current folder may not decide."
                problems.append(Problem(key=dotted(at), origin=origin(at), message="is no absolute path", hint=hint))
            else:
                found[field] = str(FilePath(told["path"]).parent / text)
        if found:
            routes[name] = msgspec.structs.replace(route, router=msgspec.structs.replace(route.router, **found))
    return (msgspec.structs.replace(settings, routes=routes) if routes != settings.routes else settings), problems
