"""Finds providers by file name: a module in this folder that exports PROVIDER is one. It knows none of them."""

from __future__ import annotations

import difflib
import importlib
import pkgutil

from nearfar import providers
from nearfar.providers.base import Provider


def names() -> list[str]:
    """The names of all providers, sorted. Reads the folder, imports nothing."""
    files = (info.name for info in pkgutil.iter_modules(providers.__path__))
    return sorted(file.replace("_", "-") for file in files if file not in {"base", "registry"})


def load_all() -> dict[str, Provider]:
    """Every provider by its name."""
    return {name: find(name) for name in names()}


def find(name: str) -> Provider:
    """The provider called ``name``; LookupError with the nearest names when there is none."""
    known = names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"Nearest: {', '.join(near)}." if near else f"There are: {', '.join(known)}."
        raise LookupError(f"There is no provider named {name!r}. {hint}")
    found: Provider = importlib.import_module(f"{providers.__name__}.{name.replace('-', '_')}").PROVIDER
    return found
