"""What is known about promises in use, in the state database: one text for each route and subject.

It does not know what a promise is: whoever writes says what follows from what stood there. A subject stands for the
router and the certificate, so that another router begins anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from nearfar.store.connection import Connection
from nearfar.store.database import Migration, migrate, refuse_newer

MIGRATIONS = (
    Migration(
        name="1-promises",
        statements=(
            """
            CREATE TABLE nearfar_promises (
                route TEXT NOT NULL,
                subject TEXT NOT NULL,
                state TEXT NOT NULL,
                changed BIGINT NOT NULL,
                PRIMARY KEY (route, subject)
            )
            """,
        ),
    ),
)


def prepare(connection: Connection) -> None:
    """Make the table where it is missing."""
    migrate(connection, "promises", MIGRATIONS)


def load(connection: Connection, route: str, subject: str) -> str:
    """What stands there; empty for nothing."""
    if not connection.table_exists("nearfar_promises"):
        return ""
    refuse_newer(connection, "promises", MIGRATIONS)
    rows = connection.rows("SELECT state FROM nearfar_promises WHERE route = ? AND subject = ?", (route, subject))
    return str(rows[0][0]) if rows else ""


def change(connection: Connection, route: str, subject: str, how: Callable[[str], str]) -> str:
    """Put ``how(what stands there)`` in its place, alone among all processes; returns it."""
    prepare(connection)
    with connection.transaction():
        connection.exclusive("nearfar.promises")
        state = how(load(connection, route, subject))
        connection.execute("DELETE FROM nearfar_promises WHERE route = ? AND subject = ?", (route, subject))
        connection.insert(
            "INSERT INTO nearfar_promises (route, subject, state, changed)", [(route, subject, state, time.time_ns())]
        )
    return state
