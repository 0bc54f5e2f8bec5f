"""Opening the database at an address, and bringing its schema up to date. It knows no table but its own.

Addresses: ``sqlite:///relative.db``, ``sqlite:////absolute/path.db``, ``postgresql://user@host/name``.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from nearfar.core.errors import StoreUnavailable
from nearfar.store.connection import Connection, redacted

WAIT = 5.0
"""Seconds to wait for somebody else's lock before giving up."""


def connect(url: str, *, wait: float = WAIT) -> Connection:
    """Open the database at ``url``; raises StoreUnavailable.

    A missing SQLite file is created, readable by its owner only. Waits ``wait`` seconds at most for others' locks,
    now and in every later call.
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "sqlite" and rest.startswith("/") and rest not in {"/", "/:memory:"}:
        from nearfar.store.sqlite import SqliteConnection

        return SqliteConnection(Path(rest[1:]), wait=wait)
    if separator and scheme in {"postgresql", "postgres"}:
        from nearfar.store.postgres import PostgresConnection

        return PostgresConnection(url, wait=wait)
    raise StoreUnavailable(
        f"{redacted(url)!r} is not the address of a database that nearfar knows.",
        code="bad_database_url",
        hint="Use sqlite:///PATH (sqlite:////ABSOLUTE/PATH) or postgresql://USER@HOST/NAME.",
    )


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a schema. Once released it never changes; what comes later is another step."""

    name: str
    statements: tuple[str, ...]


_APPLIED = (
    "CREATE TABLE IF NOT EXISTS nearfar_migrations (room TEXT, name TEXT, applied_at BIGINT, PRIMARY KEY (room, name))"
)


def migrate(connection: Connection, room: str, migrations: Sequence[Migration]) -> list[str]:
    """Apply the steps of ``room`` that are missing, in order, all or none; returns their names.

    Safe when several processes start at once: one applies, the others wait and find nothing left to do. Raises
    StoreUnavailable when the database was written by a newer nearfar, whose tables this one cannot know.
    """
    applied = _applied(connection, room)
    known = [migration.name for migration in migrations]
    if applied == set(known):
        return []
    _refuse(room, sorted(applied - set(known)))
    with connection.transaction():
        connection.exclusive("nearfar.migrations")
        connection.execute(_APPLIED)
        applied = _applied(connection, room)
        _refuse(room, sorted(applied - set(known)))
        missing = [migration for migration in migrations if migration.name not in applied]
        for migration in missing:
            for statement in migration.statements:
                connection.execute(statement)
            connection.execute(
                "INSERT INTO nearfar_migrations (room, name, applied_at) VALUES (?, ?, ?)",
                (room, migration.name, time.time_ns()),
            )
    return [migration.name for migration in missing]


class Steps(msgspec.Struct, frozen=True, kw_only=True):
    """How a room's tables differ from those that this nearfar writes."""

    newer: tuple[str, ...] = ()
    """Steps that it does not know: a newer one has been here."""
    missing: tuple[str, ...] = ()
    """Steps that the next start will apply; none of a room that was never made."""


def steps(connection: Connection, room: str, migrations: Sequence[Migration]) -> Steps:
    """How the tables of ``room`` stand. Changes nothing. Raises StoreUnavailable."""
    applied = _applied(connection, room)
    known = [migration.name for migration in migrations]
    missing = tuple(name for name in known if name not in applied) if applied else ()
    return Steps(newer=tuple(sorted(applied - set(known))), missing=missing)


def refuse_newer(connection: Connection, room: str, migrations: Sequence[Migration]) -> None:
    """For who reads without bringing anything up to date: raises StoreUnavailable as ``migrate`` does."""
    _refuse(room, steps(connection, room, migrations).newer)


def _refuse(room: str, newer: Sequence[str]) -> None:
    if newer:
        raise StoreUnavailable(
            f"The database was written by a newer nearfar ({room}: {', '.join(newer)}).",
            code="database_too_new",
            hint="Upgrade nearfar, or configure another database.",
        )


def _applied(connection: Connection, room: str) -> set[str]:
    if not connection.table_exists("nearfar_migrations"):
        return set()
    return {name for (name,) in connection.rows("SELECT name FROM nearfar_migrations WHERE room = ?", (room,))}
