"""PostgreSQL behind the store's interface, through psycopg 3; imported only when configured. It knows no table."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from nearfar.core.errors import StoreUnavailable
from nearfar.store.connection import Row, Value, redacted

try:
    import psycopg
except ImportError as error:
    raise StoreUnavailable(
        "PostgreSQL is configured, but its driver is not installed.",
        code="postgres_missing",
        hint='Install it: pip install "nearfar[postgres]".',
    ) from error

_CONNECT_SECONDS = 5


class PostgresConnection:
    """An open PostgreSQL session. After a lost connection every call fails: open another."""

    dialect = "postgresql"

    def __init__(self, url: str, *, wait: float) -> None:
        self._where = redacted(url)
        self._translations: dict[str, str] = {}
        with self._translated():
            # No server-side prepared statements: poolers in transaction mode do not keep them.
            self._raw = psycopg.connect(
                url,
                autocommit=True,
                prepare_threshold=None,
                connect_timeout=_CONNECT_SECONDS,
                application_name="nearfar",
            )
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
        except psycopg.errors.InsufficientPrivilege as error:
            raise self._unavailable(
                error, "Grant the user of the address the right to create and write tables."
            ) from error
        except (psycopg.OperationalError, psycopg.InternalError, psycopg.InterfaceError) as error:
            raise self._unavailable(error, "Check that the server runs and that nobody locks its tables.") from error

    def _unavailable(self, error: psycopg.Error, hint: str) -> StoreUnavailable:
        why = " ".join(str(error).split()) or type(error).__name__
        return StoreUnavailable(f"The database {self._where} cannot be used: {why}.", hint=hint)
