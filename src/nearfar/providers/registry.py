"""Finds providers by name: a module in this folder that exports PROVIDER, or a table of ``data/compatible.toml``.

It knows none of them: there is no list to edit.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil

from nearfar import providers
from nearfar.providers import presets
from nearfar.providers.base import Provider

_TOOLS = frozenset({"base", "listing", "presets", "registry"})


def names() -> list[str]:
    """The names of all providers, sorted. Reads the folder and one file, imports no provider."""
    return sorted({*_files(), *presets.names()})


def load_all() -> dict[str, Provider]:
    """Every provider by its name."""
    rows = presets.load()
    files = {name: _import(name) for name in _files()}
    return dict(sorted({**rows, **files}.items()))


def find(name: str) -> Provider:
    """The provider called ``name``; LookupError with the nearest names when there is none."""
    if name in _files():
        return _import(name)
    known = names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"Nearest: {', '.join(near)}." if near else f"There are: {', '.join(known)}."
        raise LookupError(f"There is no provider named {name!r}. {hint}")
    return presets.load()[name]


def _files() -> list[str]:
    found = (info.name for info in pkgutil.iter_modules(providers.__path__) if not info.ispkg)
    return [file.replace("_", "-") for file in found if file not in _TOOLS]


def _import(name: str) -> Provider:
    found: Provider = importlib.import_module(f"{providers.__name__}.{name.replace('-', '_')}").PROVIDER
    return found
