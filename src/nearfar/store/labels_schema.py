"""The tables of kept pairs, and which rows somebody means. It opens nothing and reads no content."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from nearfar.store.connection import Value
from nearfar.store.database import Migration

SEALED: Final = "2-sealed-scores"
"""The step after which scores that stand in the table are sealed once; later, none without a seal is believed."""
MIGRATIONS: Final = (
    Migration(
        name="1-labels",
        statements=(
            """
            CREATE TABLE nearfar_labels (
                id TEXT PRIMARY KEY,
                route TEXT NOT NULL,
                class TEXT NOT NULL,
                created BIGINT NOT NULL,
                expires BIGINT NOT NULL,
                propensity DOUBLE PRECISION NOT NULL,
                expected DOUBLE PRECISION,
                served TEXT NOT NULL,
                request TEXT NOT NULL,
                caller TEXT NOT NULL,
                near DOUBLE PRECISION,
                far DOUBLE PRECISION,
                judge TEXT NOT NULL DEFAULT '',
                trusted SMALLINT NOT NULL DEFAULT 0,
                judged BIGINT NOT NULL DEFAULT 0,
                claimed BIGINT NOT NULL DEFAULT 0,
                tries BIGINT NOT NULL DEFAULT 0,
                key TEXT NOT NULL,
                content TEXT NOT NULL
            )
            """,
            "CREATE INDEX nearfar_labels_expires ON nearfar_labels (expires)",
            "CREATE INDEX nearfar_labels_judge ON nearfar_labels (judge, created)",
            """
            CREATE TABLE nearfar_judges (
                judge TEXT PRIMARY KEY,
                at BIGINT NOT NULL,
                agreement DOUBLE PRECISION NOT NULL,
                pairs BIGINT NOT NULL,
                trusted SMALLINT NOT NULL,
                anchors TEXT NOT NULL
            )
            """,
            "CREATE TABLE nearfar_label_files (path TEXT PRIMARY KEY, at BIGINT NOT NULL, labels BIGINT NOT NULL)",
        ),
    ),
    Migration(name=SEALED, statements=("ALTER TABLE nearfar_labels ADD COLUMN sealed TEXT NOT NULL DEFAULT ''",)),
)


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows are meant: those for which everything that is said holds. Says nothing: all."""

    route: str | None = None
    before: int | None = None
    """Made before this, in seconds since the epoch."""
    callers: tuple[str, ...] | None = None
    """Ids of keys; any of them."""
    request: str | None = None


def where(selection: Selection, hashed: Callable[[str, str], str]) -> tuple[str, list[Value]]:
    """A condition and its parameters. ``hashed``: what stands in the table for a kind and a value."""
    said: list[str] = ["1 = 1"]
    params: list[Value] = []
    if selection.route is not None:
        said.append("route = ?")
        params.append(selection.route)
    if selection.before is not None:
        said.append("created < ?")
        params.append(selection.before)
    if selection.callers is not None:
        said.append(f"caller IN ({', '.join('?' * len(selection.callers))})" if selection.callers else "1 = 0")
        params += [hashed("caller", item) for item in selection.callers]
    if selection.request is not None:
        said.append("request = ?")
        params.append(hashed("request", selection.request))
    return " AND ".join(said), params
