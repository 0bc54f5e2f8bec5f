"""Finds a wire by its name: ``openai.chat`` lives in ``openai_chat.py``. It knows no wire: there is no list to edit."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from types import ModuleType

from nearfar import wire
from nearfar.wire.base import ClientWire, ProviderWire


def client_wire(name: str) -> ClientWire:
    """The client side of the wire ``name``; LookupError with the nearest names when there is none."""
    found = getattr(_module(name), "CLIENT", None)
    if isinstance(found, ClientWire):
        return found
    raise LookupError(f"The wire {name!r} is not spoken to clients.")


def provider_wire(name: str) -> ProviderWire:
    """The provider side of the wire ``name``; LookupError with the nearest names when there is none."""
    found = getattr(_module(name), "PROVIDER", None)
    if isinstance(found, ProviderWire):
        return found
    raise LookupError(f"The wire {name!r} is not spoken to providers.")


def client_wires() -> list[ClientWire]:
    """All wires spoken to clients. Imports every module of the room: for tests and documentation."""
    found = [getattr(importlib.import_module(f"{wire.__name__}.{name}"), "CLIENT", None) for name in _modules()]
    return [item for item in found if isinstance(item, ClientWire)]


def provider_wires() -> list[ProviderWire]:
    """All wires spoken to providers. Imports every module of the room: for tests and documentation."""
    found = [getattr(importlib.import_module(f"{wire.__name__}.{name}"), "PROVIDER", None) for name in _modules()]
    return [item for item in found if isinstance(item, ProviderWire)]


def _modules() -> list[str]:
    return sorted(info.name for info in pkgutil.iter_modules(wire.__path__))


def _module(name: str) -> ModuleType:
    file = name.replace(".", "_")
    path = f"{wire.__name__}.{file}"
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as exc:
        if exc.name != path:  # the wire is there, something it needs is not
            raise
        near = difflib.get_close_matches(file, _modules(), n=2)
        hint = f" Nearest: {', '.join(near)}." if near else ""
        raise LookupError(f"There is no wire named {name!r}.{hint}") from exc
