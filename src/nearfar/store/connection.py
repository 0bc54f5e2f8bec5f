"""What SQLite and PostgreSQL have in common: one small synchronous interface. It opens nothing and knows no table.

For background threads and commands only: every call may block. SQL is written once, with ``?`` for parameters and
the types TEXT, BIGINT, DOUBLE PRECISION and SMALLINT (booleans as 0 and 1), which both databases understand.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

Value = str | int | float | None
Row = tuple[Any, ...]


LOCKED = "database_locked"
"""Code of a StoreUnavailable that somebody else's lock caused: asking again may help."""


class Connection(Protocol):
    """An open database. One thread at a time; every failure of the database is a StoreUnavailable."""

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        ...

    def execute(self, sql: str, params: Sequence[Value] = ()) -> int:
        """Run one statement; returns how many rows it changed."""
        ...

    def rows(self, sql: str, params: Sequence[Value] = ()) -> list[Row]:
        """All rows of one query."""
        ...

    def insert(self, head: str, rows: Sequence[Sequence[Value]], tail: str = "") -> None:
        """Insert many equally long rows: ``head VALUES (…), (…) tail``, in as few statements as the database likes."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing.

        On SQLite the one writer's lock is held from the beginning, so no transaction fails half way because somebody
        else wrote meanwhile.
        """
        ...

    def exclusive(self, name: str) -> None:
        """Wait until no other transaction holds the lock ``name``; held to the end of this transaction."""
        ...

    def table_exists(self, name: str) -> bool:
        """Whether there is a table of this name."""
        ...

    def close(self) -> None:
        """Give the connection back. Closing twice does nothing."""
        ...


def redacted(url: str) -> str:
    """``url`` without a password: what messages may show."""
    scheme, separator, rest = url.partition("://")
    user, at, host = rest.rpartition("@")
    host = host.partition("?")[0]
    if not separator or not at:
        return f"{scheme}{separator}{host}"
    return f"{scheme}://{user.partition(':')[0]}@{host}"
