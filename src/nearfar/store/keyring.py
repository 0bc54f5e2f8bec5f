"""Callers' keys in memory, kept in step with the database. It knows no request and judges nobody."""

from __future__ import annotations

import hashlib
import threading
import time

import msgspec

from nearfar.core.errors import StoreUnavailable
from nearfar.core.places import Class
from nearfar.store import keys
from nearfar.store.connection import LOCKED, Connection
from nearfar.store.database import connect

REFRESH_SECONDS = 0.5
"""How often the database is asked for changes: a revoked key stops working everywhere within a second."""
START_SECONDS = 5.0
_TOUCH_SECONDS = 60.0
_LOCK_SECONDS = 0.3
_LONGEST_SECRET = 200


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who a key belongs to."""

    id: str
    """The key's id: what requests, entries and budgets carry."""
    name: str
    floor: Class | None = None
    """The caller's requests are at least this sensitive; None when the key says nothing."""
    operator: bool = False
    """Whether the caller may change what runs: load and unload models."""


class KeyRing:
    """Looks keys up on the hot path, without the database.

    While the database cannot be reached, the keys stand as they were last read: ``reason`` says so.
    """

    def __init__(self, url: str, *, refresh_seconds: float = REFRESH_SECONDS) -> None:
        self.exists = False
        """Whether a key was ever made. Revoking the last one must close the door, not open it to everybody."""
        self.reason = ""
        """Why the keys may be out of date; empty when they are not."""
        self._url = url
        self._refresh_seconds = refresh_seconds
        self._callers: dict[bytes, Caller] = {}
        self._used: set[str] = set()
        self._touch_at = 0.0
        self._version = -1
        self._connection: Connection | None = None
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __len__(self) -> int:
        """How many keys work."""
        return len(self._callers)

    def lookup(self, secret: str) -> Caller | None:
        """The caller whose key this is; None for unknown and revoked ones.

        It compares digests, not secrets, and that through a hash table: how long it takes could tell something of
        the digest at most, and nobody can choose secrets by their digest.
        """
        if len(secret) > _LONGEST_SECRET:
            return None
        caller = self._callers.get(hashlib.sha256(secret.encode("utf-8", "replace")).digest())
        if caller is not None:
            self._used.add(caller.id)
        return caller

    def start(self) -> None:
        """Read the keys now, then keep them in step in the background. Raises StoreUnavailable.

        A new SQLite file that several processes prepare at once answers "locked" without waiting: it is asked again.
        """
        give_up = time.monotonic() + START_SECONDS
        while True:
            try:
                self.refresh()
                break
            except StoreUnavailable as error:
                if error.code != LOCKED or time.monotonic() >= give_up:
                    raise
                time.sleep(0.02)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="nearfar-keys", daemon=True)
            self._thread.start()

    def refresh(self) -> bool:
        """Read the keys again if any changed; returns whether. Raises StoreUnavailable: the keys stand as they were."""
        with self._lock:
            try:
                changed = self._refresh()
            except StoreUnavailable as error:
                self.reason = f"Keys are as they were last read. {error.text}"
                self._disconnect()
                raise
            self.reason = ""
            return changed

    def _refresh(self) -> bool:
        if self._connection is None:
            connection = connect(self._url, wait=_LOCK_SECONDS)
            try:
                keys.prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        changed = self._read(self._connection)
        if self._used and time.monotonic() >= self._touch_at:
            self._touch(self._connection)
        return changed

    def _read(self, connection: Connection) -> bool:
        version = keys.version(connection)  # asked first: a change in between is then seen next time
        if version == self._version:
            return False
        read = keys.digests(connection)
        self._callers = {
            digest: Caller(
                id=key.id,
                name=key.name,
                floor=Class.parse(key.class_) if key.class_ else None,
                operator=key.operator,
            )
            for digest, key in read
            if key.revoked is None
        }
        self.exists = bool(read)
        self._version = version
        return True

    def _touch(self, connection: Connection) -> None:
        used, self._used = self._used, set()
        try:
            keys.touch(connection, list(used))
        except StoreUnavailable:  # somebody is writing: that can wait, a revoked key cannot
            self._used |= used
        else:
            self._touch_at = time.monotonic() + _TOUCH_SECONDS

    def _run(self) -> None:
        while not self._stop.wait(self._refresh_seconds):
            try:
                self.refresh()
            except StoreUnavailable:
                continue
            except Exception as error:  # noqa: BLE001 - the thread must live: it reports, and tries again
                self.reason = f"Keys are as they were last read: {type(error).__name__}: {error}."

    def close(self) -> None:
        """Stop, and give the connection back."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        with self._lock:
            self._disconnect()

    def _disconnect(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()
