"""The callers' keys, and whether one is needed. It knows no request and no caller."""

from __future__ import annotations

import ipaddress
from contextlib import closing

from nearfar.parts.state import ledger_places
from nearfar.settings.load import Loaded
from nearfar.settings.model import Settings
from nearfar.store import keys
from nearfar.store.database import connect
from nearfar.store.keyring import KeyRing


class Keys:
    """The callers' keys, and whether a key is needed at all."""

    def __init__(self, ring: KeyRing, *, force: bool | None) -> None:
        """``force``: what the settings demand; None: as soon as one key exists."""
        self._ring = ring
        self._force = force
        self.lookup = ring.lookup

    @property
    def required(self) -> bool:
        """Whether a request without a key is refused."""
        return self._ring.exists if self._force is None else self._force


def has_keys(loaded: Loaded) -> bool:
    """Whether any caller's key exists and is not revoked."""
    with closing(connect(ledger_places(loaded)[0])) as connection:
        keys.prepare(connection)
        return bool(keys.ls(connection))


def needed(loaded: Loaded) -> bool:
    """Whether requests need a key now. Raises NearfarError when the database cannot be read."""
    force = forced(loaded.settings)
    if force is not None:
        return force
    with closing(connect(ledger_places(loaded)[0])) as connection:
        keys.prepare(connection)
        return bool(keys.ls(connection, revoked=True))


def forced(settings: Settings) -> bool | None:
    """Whether a key is needed from the start: ``force`` of ``Keys``. Listening beyond this machine needs one."""
    if settings.server.require_key is None and not is_loopback(settings.server.host):
        return True
    return settings.server.require_key


def is_loopback(host: str) -> bool:
    """Whether listening on ``host`` reaches nobody but this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False  # a name, which may lead anywhere, 127.example.org among them
