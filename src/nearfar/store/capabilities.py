"""What probes found out about deployments, in the state database. It knows no deployment and probes nothing.

A finding belongs to a deployment as it was when it was probed: its ``target`` says provider, model and address, and
whoever reads compares it.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from nearfar.store.connection import Connection
from nearfar.store.database import Migration, migrate, refuse_newer

MIGRATIONS = (
    Migration(
        name="1-capabilities",
        statements=(
            """
            CREATE TABLE nearfar_capabilities (
                deployment TEXT NOT NULL,
                target TEXT NOT NULL,
                what TEXT NOT NULL,
                can BIGINT,
                detail TEXT NOT NULL,
                probed TEXT NOT NULL,
                PRIMARY KEY (deployment, what)
            )
            """,
        ),
    ),
)


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a deployment can, cannot, or may be able to do."""

    deployment: str
    target: str
    what: str
    can: bool | None
    """None when the probe did not settle it."""
    detail: str = ""
    """In words: what was seen. It holds nothing of any answer."""
    date: str
    """The day of the probe, ISO 8601."""


def prepare(connection: Connection) -> None:
    """Make the table where it is missing."""
    migrate(connection, "capabilities", MIGRATIONS)


def save(connection: Connection, deployment: str, findings: Iterable[Finding]) -> None:
    """Put ``findings`` in the place of everything known about ``deployment``."""
    rows = [
        (item.deployment, item.target, item.what, None if item.can is None else int(item.can), item.detail, item.date)
        for item in findings
    ]
    assert all(row[0] == deployment for row in rows), "a finding of another deployment"
    with connection.transaction():
        connection.execute("DELETE FROM nearfar_capabilities WHERE deployment = ?", (deployment,))
        if rows:
            connection.insert(
                "INSERT INTO nearfar_capabilities (deployment, target, what, can, detail, probed)",
                rows,
            )


def load(connection: Connection) -> list[Finding]:
    """Everything known, by deployment; nothing where nobody has probed yet. Raises StoreUnavailable."""
    if not connection.table_exists("nearfar_capabilities"):
        return []
    refuse_newer(connection, "capabilities", MIGRATIONS)
    rows = connection.rows(
        "SELECT deployment, target, what, can, detail, probed FROM nearfar_capabilities ORDER BY deployment, what"
    )
    return [
        Finding(
            deployment=row[0],
            target=row[1],
            what=row[2],
            can=None if row[3] is None else bool(row[3]),
            detail=row[4],
            date=row[5],
        )
        for row in rows
    ]


def forget(connection: Connection, deployment: str) -> int:
    """Remove everything known about ``deployment``; returns how many findings those were."""
    if not connection.table_exists("nearfar_capabilities"):
        return 0
    refuse_newer(connection, "capabilities", MIGRATIONS)
    return connection.execute("DELETE FROM nearfar_capabilities WHERE deployment = ?", (deployment,))
