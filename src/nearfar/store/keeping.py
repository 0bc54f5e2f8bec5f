"""Rows that are kept for a while: one connection for all calls, opened anew after trouble. It knows no table.

A sweep in a thread of its own removes what is over. What is removed is overwritten (SQLite, ``secure_delete``), and
older copies of it in SQLite's write-ahead log go within ``SWEEP_SECONDS``, beside the calls and not in them. PostgreSQL
clears removed rows away in its own time.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Protocol, TypeVar

from nearfar.core.errors import StoreUnavailable
from nearfar.store.connection import Connection
from nearfar.store.database import Migration, connect, migrate

T = TypeVar("T")

LOCK_SECONDS = 2.0
"""How long a call waits for somebody else's lock."""
FIRST_SWEEP_SECONDS = 5.0
"""After the start: by then others have prepared the database."""
SWEEP_SECONDS = 60.0
_SCRUB_SECONDS = 0.1
"""How long emptying the log, which keeps writers out, waits for readers; then it is tried again at the next sweep."""


class Encrypts(Protocol):
    """What makes the content unreadable: ``cipher.Cipher``, which needs an extra."""

    id: str

    def encrypt(self, plain: bytes, beside: str) -> str:
        """``plain`` as text that can be read only beside the same words."""
        ...

    def decrypt(self, text: str, beside: str) -> bytes:
        """The inverse; raises StoreUnavailable for anything else."""
        ...


def beside(*values: object) -> str:
    """What stands in the clear in a row, as the words that its ciphertext is bound to."""
    return "\0".join(str(value) for value in values)


class Keeping:
    """One room's rows in a database. Every call may block, and raises StoreUnavailable."""

    def __init__(
        self,
        url: str,
        room: str,
        migrations: Sequence[Migration],
        *,
        purge: Callable[[Connection], int],
        migrated: Callable[[Connection, list[str]], None] | None = None,
    ) -> None:
        """``purge`` removes what is over, and returns how many rows. ``migrated``: hears of steps just applied."""
        self._url = url
        self._room = room
        self._migrations = migrations
        self._purge = purge
        self._migrated = migrated
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._traces = True
        """Whether the log may hold what was removed: at first because an earlier process may have been killed."""

    def start(self) -> None:
        """Sweep from now on: remove what is over, and traces of what was removed."""
        self._thread = threading.Thread(target=self._watch, name=f"nearfar-{self._room}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop, and give the connection back. The next call opens another."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        with self._lock:
            self._disconnect()

    def do(self, work: Callable[[Connection], T]) -> T:
        """The result of ``work``."""
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._opened()
                return work(self._connection)
            except StoreUnavailable:
                self._disconnect()
                raise

    def remove(self, work: Callable[[Connection], int]) -> int:
        """As ``do``, where ``work`` returns how many rows it removed."""
        count = self.do(work)
        self.removed(count)
        return count

    def removed(self, count: int) -> None:
        """``count`` rows were removed: the next sweep looks for their traces."""
        if count:
            self._traces = True

    def purge(self) -> int:
        """Remove what is over; returns how many rows."""
        return self.remove(self._purge)

    def sweep(self) -> None:
        """Remove what is over, and what older removals left in the log, unless somebody reads it just now."""
        self.purge()
        if not self._traces or not self._url.startswith("sqlite:"):
            return
        self._traces, done = False, False  # first: what is removed meanwhile leaves traces again
        try:
            with closing(connect(self._url, wait=_SCRUB_SECONDS)) as connection:  # calls need not wait for this one
                done = log_emptied(connection)
        finally:
            self._traces = self._traces or not done

    def _watch(self) -> None:
        pause = FIRST_SWEEP_SECONDS
        while not self._stop.wait(pause):
            pause = SWEEP_SECONDS
            try:
                self.sweep()
            except StoreUnavailable as error:
                log = logging.getLogger(f"nearfar.{self._room}")
                log.warning("%s whose time is over could not be removed: %s", self._room, error.text)

    def _opened(self) -> Connection:
        connection = connect(self._url, wait=LOCK_SECONDS)
        try:
            if connection.dialect == "sqlite":
                connection.execute("PRAGMA secure_delete = ON")
            applied = migrate(connection, self._room, self._migrations)
            if applied and self._migrated is not None:
                self._migrated(connection, applied)
        except BaseException:
            connection.close()
            raise
        return connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()


def log_emptied(connection: Connection) -> bool:
    """Empty SQLite's write-ahead log, where older copies of overwritten pages stand; False when others hold it."""
    return bool(connection.rows("PRAGMA wal_checkpoint(TRUNCATE)")[0][0] == 0)
