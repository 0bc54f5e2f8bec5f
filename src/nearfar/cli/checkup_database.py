"""The check of ``nearfar doctor`` on the database's tables: whether this nearfar can read and write them.

It changes nothing, and reads nothing but which steps were applied.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from nearfar.cli.checkup import Check, is_loopback
from nearfar.settings.load import Loaded

_SQLITE = "sqlite:///"
NAME = "database"


def database(loaded: Loaded) -> Iterator[Check]:
    """Nothing where there is no database yet, or one on another machine, which is not asked."""
    from nearfar.ledger import audit_copy, schema
    from nearfar.store import capabilities, keys, labels_schema, promises, responses
    from nearfar.store.database import connect, steps

    url = loaded.ledger_url
    local = url.startswith(_SQLITE)
    if local and not Path(url.removeprefix(_SQLITE)).exists():
        return
    if not local and not is_loopback(urlsplit(url).hostname or "localhost"):
        return
    rooms = {
        "ledger": schema.MIGRATIONS,
        "keys": keys.MIGRATIONS,
        "labels": labels_schema.MIGRATIONS,
        "responses": responses.MIGRATIONS,
        "capabilities": capabilities.MIGRATIONS,
        "promises": promises.MIGRATIONS,
        "audit": audit_copy.MIGRATIONS,
    }
    with contextlib.closing(connect(url, wait=1.0)) as connection:
        found = {room: steps(connection, room, migrations) for room, migrations in rooms.items()}
    newer = [f"{room}: {', '.join(item.newer)}" for room, item in found.items() if item.newer]
    older = [f"{room}: {', '.join(item.missing)}" for room, item in found.items() if item.missing]
    if newer:
        yield Check(
            name=NAME,
            state="fail",
            detail=f"It was written by a newer nearfar ({'; '.join(newer)})",
            next="Upgrade nearfar, or configure another database (ledger.url). Nothing is written to it meanwhile.",
        )
    elif older:
        yield Check(
            name=NAME,
            state="ok",
            detail=f"Written by an older nearfar; the next start brings it up to date ({'; '.join(older)})",
            next="Keep a copy if you may go back: an older nearfar refuses it afterwards.",
        )
    else:
        yield Check(name=NAME, state="ok", detail="Its tables are those that this nearfar writes")
