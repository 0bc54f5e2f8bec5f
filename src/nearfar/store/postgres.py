"""PostgreSQL behind the store's interface, through psycopg 3; imported only when configured. It knows no table."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from nearfar.core import install
from nearfar.core.errors import StoreUnavailable
from nearfar.store.connection import Row, Value, redacted

try:
    import psycopg
except ImportError as error:
    raise StoreUnavailable(
        "PostgreSQL is configured, but its driver is not installed.",
        code="postgres_missing",
        hint=f"Install it: {install.command('postgres')}",
    ) from error

_CONNECT_SECONDS = 5

_ADDRESS_HINT = "Use postgresql://USER@HOST/NAME; characters such as @ : / % in a password are written %40 %3A %2F %25."
_CONNECT_HINT = "Check that the server runs there, that the database exists, and that it lets this user in."
_OUTAGE_HINT = "Check that the server runs and that nobody locks its tables."
_FOREIGN_HINT = "Its tables are not those of this nearfar: give it a database or a schema of its own."
_HINTS: tuple[tuple[type[psycopg.Error], str], ...] = (
    (psycopg.errors.InsufficientPrivilege, "Grant the user of the address the right to create and write tables."),
    (psycopg.errors.InvalidSchemaName, "Create the schema that its search_path names: CREATE SCHEMA name."),
    (psycopg.errors.ReadOnlySqlTransaction, "It can only be read, as a standby: name the server that takes writes."),
    (psycopg.errors.DiskFull, "Make room on its disk."),
    (psycopg.errors.TooManyConnections, "Raise its max_connections, or use fewer workers."),
    (psycopg.NotSupportedError, "nearfar is tested with PostgreSQL 18; this one lacks something it needs."),
    (psycopg.ProgrammingError, _FOREIGN_HINT),
)
"""What to do, by what the server says; the first that fits."""
_OURS = (psycopg.errors.SyntaxError, psycopg.IntegrityError, psycopg.DataError)
"""Not the database's fault: a broken statement, a value or a rule that the caller deals with."""


class PostgresConnection:
    """An open PostgreSQL session. After a lost connection every call fails: open another."""

    dialect = "postgresql"

    def __init__(self, url: str, *, wait: float) -> None:
        self._where = redacted(url)
        self._translations: dict[str, str] = {}
        try:
            # No server-side prepared statements: poolers in transaction mode do not keep them.
            self._raw = psycopg.connect(
                url,
                autocommit=True,
                prepare_threshold=None,
                connect_timeout=_CONNECT_SECONDS,
                application_name="nearfar",
            )
        except psycopg.ProgrammingError as error:
            # The driver's text repeats the address, password included: neither it nor its cause is shown.
            raise self._unavailable("its address is not one", _ADDRESS_HINT) from _nameless(error)
        except psycopg.Error as error:
            raise self._unavailable(_words(error), _CONNECT_HINT) from error
        try:
            self.execute(f"SET lock_timeout = {max(1, round(wait * 1000))}")
        except BaseException:
            self._raw.close()
            raise

    def execute(self, sql: str, params: Sequence[Value] = ()) -> int:
        """Run one statement; returns how many rows it changed."""
        with self._translated():
            return self._raw.execute(self._sql(sql), params).rowcount

    def rows(self, sql: str, params: Sequence[Value] = ()) -> list[Row]:
        """All rows of one query."""
        with self._translated():
            return self._raw.execute(self._sql(sql), params).fetchall()

    def insert(self, head: str, rows: Sequence[Sequence[Value]], tail: str = "") -> None:
        """Insert many equally long rows, pipelined: one wait for all."""
        if not rows:
            return
        sql = f"{head} VALUES ({', '.join('?' * len(rows[0]))}) {tail}"
        with self._translated(), self._raw.cursor() as cursor:
            cursor.executemany(self._sql(sql), rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing."""
        with self._translated(), self._raw.transaction():
            yield

    def exclusive(self, name: str) -> None:
        """Wait until no other transaction holds the lock ``name``; held to the end of this transaction."""
        number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
        self.execute("SELECT pg_advisory_xact_lock(?)", (number,))

    def table_exists(self, name: str) -> bool:
        """Whether the search path leads to a table of this name."""
        return self.rows("SELECT to_regclass(?) IS NOT NULL", (name,)) == [(True,)]

    def close(self) -> None:
        """End the session."""
        with self._translated():
            self._raw.close()

    def _sql(self, sql: str) -> str:
        """``sql`` with psycopg's marks for parameters."""
        try:
            return self._translations[sql]
        except KeyError:
            return self._translations.setdefault(sql, sql.replace("%", "%%").replace("?", "%s"))

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except _OURS:
            raise
        except psycopg.Error as error:
            hint = next((text for kind, text in _HINTS if isinstance(error, kind)), _OUTAGE_HINT)
            raise self._unavailable(_words(error), hint) from error

    def _unavailable(self, why: str, hint: str) -> StoreUnavailable:
        return StoreUnavailable(f"The database {self._where} cannot be used: {why}.", hint=hint)


def _words(error: psycopg.Error) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def _nameless(error: psycopg.Error) -> psycopg.Error:
    return type(error)("the driver could not read it")
