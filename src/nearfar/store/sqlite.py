"""SQLite behind the store's interface: a file in WAL mode, private to its owner. It knows no table."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from nearfar.core.errors import StoreUnavailable
from nearfar.store.connection import LOCKED, Row, Value

_PARAMETERS = 8000
"""Parameters per INSERT. One long statement gives the interpreter lock away once, not once per row: beside a busy
event loop a row then costs a fifth of the time. SQLite's own limit is 32,766."""
_RETRY = 0.02

# For a None the module searches twice for a way to adapt it, by exceptions, before it binds NULL: as dear as a column.
sqlite3.register_adapter(type(None), {}.get)  # type: ignore[arg-type]  # get has overloads; with one argument it fits

_HINTS = {
    "SQLITE_BUSY": "Another process holds it: stop that process, or wait until it is done.",
    "SQLITE_LOCKED": "Another process holds it: stop that process, or wait until it is done.",
    "SQLITE_FULL": "The disk is full: make room.",
    "SQLITE_CANTOPEN": "Check that its folder exists and that you may write there.",
    "SQLITE_READONLY": "Check that you may write to the file and its folder.",
    "SQLITE_NOTADB": "The file is something else: configure another path.",
    "SQLITE_CORRUPT": "Move the file away and restore a copy; `sqlite3 FILE .recover` saves what can be read.",
    "SQLITE_IOERR": "Check the disk and the room left on it.",
}


class SqliteConnection:
    """An open SQLite file."""

    dialect = "sqlite"

    def __init__(self, path: Path, *, wait: float) -> None:
        self._path = path
        try:
            _create_private(path)
            # One thread at a time, but not always the same one: a server opens in one and closes in another.
            self._raw = sqlite3.connect(path, timeout=wait, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise self._unavailable(error) from error
        try:
            self._configure(wait)
        except BaseException:
            self._raw.close()
            raise

    def _configure(self, wait: float) -> None:
        """WAL: readers and one writer at once.

        NORMAL: a commit survives any death of the process; the last ones may be lost with the machine's power.
        """
        give_up = time.monotonic() + wait
        while True:
            try:
                with self._translated():
                    if self._raw.execute("PRAGMA journal_mode").fetchone() != ("wal",):
                        self._raw.execute("PRAGMA journal_mode = wal")
                    break
            except StoreUnavailable as error:
                # Switching a new file to WAL does not wait for the lock when two processes do it at once.
                if time.monotonic() >= give_up or not _is_busy(error.__cause__):
                    raise
                time.sleep(_RETRY)
        with self._translated():
            self._raw.execute("PRAGMA synchronous = normal")
            self._raw.execute("PRAGMA foreign_keys = on")
            self._raw.execute("PRAGMA journal_size_limit = 16777216")

    def execute(self, sql: str, params: Sequence[Value] = ()) -> int:
        """Run one statement; returns how many rows it changed."""
        with self._translated():
            return self._raw.execute(sql, params).rowcount

    def rows(self, sql: str, params: Sequence[Value] = ()) -> list[Row]:
        """All rows of one query."""
        with self._translated():
            return self._raw.execute(sql, params).fetchall()

    def insert(self, head: str, rows: Sequence[Sequence[Value]], tail: str = "") -> None:
        """Insert many equally long rows."""
        if not rows:
            return
        width = len(rows[0])
        row = f"({', '.join('?' * width)})"
        most = max(1, _PARAMETERS // width)
        start = 0
        with self._translated():
            while start < len(rows):
                # Sizes are powers of two, so that a handful of statements serves every batch: each that SQLite keeps
                # prepared takes hundreds of kilobytes.
                size = 1 << min(most, len(rows) - start).bit_length() - 1
                part = rows[start : start + size]
                sql = f"{head} VALUES {', '.join([row] * size)} {tail}"
                self._raw.execute(sql, [value for values in part for value in values])
                start += size

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, with the writer's lock from the beginning."""
        with self._translated():
            self._raw.execute("BEGIN IMMEDIATE")
        try:
            yield
            with self._translated():
                self._raw.execute("COMMIT")
        except BaseException:
            if self._raw.in_transaction:  # SQLite itself rolls back after some errors, a full disk among them
                with suppress(sqlite3.Error):
                    self._raw.execute("ROLLBACK")
            raise

    def exclusive(self, name: str) -> None:
        """A transaction here has SQLite's only lock already, whatever its name."""

    def table_exists(self, name: str) -> bool:
        """Whether there is a table of this name."""
        return bool(self.rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (name,)))

    def close(self) -> None:
        """Give the file back."""
        with self._translated():
            self._raw.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.IntegrityError, sqlite3.DataError):
            raise
        except sqlite3.ProgrammingError as error:
            if "closed" not in str(error):
                raise
            raise self._unavailable(error) from error
        except sqlite3.DatabaseError as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> StoreUnavailable:
        hint = next((text for name, text in _HINTS.items() if _name(error).startswith(name)), "")
        if isinstance(error, OSError):
            hint = _HINTS["SQLITE_CANTOPEN"]
        code = LOCKED if _is_busy(error) else None
        return StoreUnavailable(f"The database {self._path} cannot be used: {error}.", hint=hint, code=code)


def _name(error: BaseException | None) -> str:
    return str(getattr(error, "sqlite_errorname", ""))


def _is_busy(error: BaseException | None) -> bool:
    return _name(error).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def _create_private(path: Path) -> None:
    """Make the file, and a missing folder, readable by the owner only; SQLite gives its side files the same mode.

    A file that is there is never opened here: closing any descriptor of it would drop every POSIX lock that this
    process holds on it, and another process, seeing none, would delete the write-ahead log under our connections.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
