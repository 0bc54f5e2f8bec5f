"""How judges did on the anchors, and how much is kept: what people are told of kept pairs. It reads no content."""

from __future__ import annotations

import msgspec

from nearfar.store.connection import Connection
from nearfar.store.database import refuse_newer
from nearfar.store.labels_schema import MIGRATIONS

_COUNT = """
SELECT COUNT(*),
    COALESCE(SUM(CASE WHEN judge = '' THEN 1 ELSE 0 END), 0),
    COALESCE(SUM(CASE WHEN judge <> '' AND trusted = 0 THEN 1 ELSE 0 END), 0)
FROM nearfar_labels
"""


class Judge(msgspec.Struct, frozen=True, kw_only=True):
    """How a judge did on the anchors when it was last tried."""

    judge: str
    at: int
    """Seconds since the epoch."""
    agreement: float
    """Share of the anchors on which it agrees."""
    pairs: int
    trusted: bool
    anchors: str
    """Stands for the anchors that it was tried on."""


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept, for people to read."""

    pairs: int = 0
    waiting: int = 0
    """For a judge."""
    untrusted: int = 0
    judges: tuple[Judge, ...] = ()


def counted(connection: Connection) -> Counted:
    """How much is kept; nothing where the table was never made. Raises StoreUnavailable."""
    if not connection.table_exists("nearfar_labels"):
        return Counted()
    refuse_newer(connection, "labels", MIGRATIONS)
    ((pairs, waiting, untrusted),) = connection.rows(_COUNT)
    return Counted(pairs=int(pairs), waiting=int(waiting), untrusted=int(untrusted), judges=tuple(judges(connection)))


def judges(connection: Connection) -> list[Judge]:
    """All that were ever tried. Raises StoreUnavailable."""
    sql = "SELECT judge, at, agreement, pairs, trusted, anchors FROM nearfar_judges ORDER BY judge"
    return [
        Judge(judge=judge, at=at, agreement=agreement, pairs=pairs, trusted=bool(trusted), anchors=anchors)
        for judge, at, agreement, pairs, trusted, anchors in connection.rows(sql)
    ]
