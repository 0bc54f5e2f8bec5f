"""A copy of the chains in a database, to be queried. The files are the audit; this proves nothing by itself."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import msgspec

from nearfar.ledger.audit_prove import Exported, export
from nearfar.ledger.audit_records import Attempted, Refused, Replied
from nearfar.store.connection import Connection, Value
from nearfar.store.database import Migration, connect, migrate

MIGRATIONS = (
    Migration(
        name="1-audit",
        statements=(
            """
            CREATE TABLE nearfar_audit (
                writer TEXT NOT NULL,
                n BIGINT NOT NULL,
                at BIGINT NOT NULL,
                type TEXT NOT NULL,
                request TEXT NOT NULL,
                attempt TEXT NOT NULL,
                caller TEXT NOT NULL,
                route TEXT NOT NULL,
                class TEXT NOT NULL,
                decision TEXT NOT NULL,
                policy TEXT NOT NULL,
                policy_version TEXT NOT NULL,
                deployment TEXT NOT NULL,
                place TEXT NOT NULL,
                host TEXT NOT NULL,
                treatment TEXT NOT NULL,
                code TEXT NOT NULL,
                bytes BIGINT NOT NULL,
                body_hash TEXT NOT NULL,
                kinds TEXT NOT NULL,
                hash TEXT NOT NULL,
                record TEXT NOT NULL,
                PRIMARY KEY (writer, n)
            )
            """,
            "CREATE INDEX nearfar_audit_by_time ON nearfar_audit (at)",
            "CREATE INDEX nearfar_audit_by_request ON nearfar_audit (request)",
        ),
    ),
)
_COLUMNS = (
    *("writer", "n", "at", "type", "request", "attempt", "caller", "route", "class", "decision", "policy"),
    *("policy_version", "deployment", "place", "host", "treatment", "code", "bytes", "body_hash", "kinds"),
    *("hash", "record"),
)
_AT_ONCE = 500


def copy(folder: Path, url: str) -> int:
    """Bring into the database at ``url`` what it lacks; returns how many records that were. Raises StoreUnavailable."""
    with closing(connect(url)) as connection:
        migrate(connection, "audit", MIGRATIONS)
        reached = {
            str(writer): int(last)
            for writer, last in connection.rows("SELECT writer, MAX(n) FROM nearfar_audit GROUP BY writer")
        }
        waiting: list[Exported] = []
        count = 0

        def take(record: Exported) -> None:
            nonlocal count
            if record.entry.n > reached.get(record.writer, -1):
                waiting.append(record)
                count += 1
            if len(waiting) >= _AT_ONCE:
                _store(connection, waiting)
                waiting.clear()

        export(folder, take)
        _store(connection, waiting)
    return count


def _store(connection: Connection, records: list[Exported]) -> None:
    if not records:
        return
    with connection.transaction():
        connection.exclusive("nearfar.audit")
        head = f"INSERT INTO nearfar_audit ({', '.join(_COLUMNS)})"
        connection.insert(head, [_row(record) for record in records], "ON CONFLICT (writer, n) DO NOTHING")


def _row(record: Exported) -> list[Value]:
    entry, body = record.entry, record.entry.body
    asked = body if isinstance(body, Attempted | Refused | Replied) else None
    tried = body if isinstance(body, Attempted | Replied) else None
    sent = body if isinstance(body, Attempted) else None
    return [
        record.writer,
        entry.n,
        entry.at,
        str(type(body).__struct_config__.tag),
        asked.request if asked else "",
        tried.attempt if tried else "",
        asked.caller if asked else "",
        asked.route if asked else "",
        asked.class_ if asked else "",
        asked.decision if asked else "",
        asked.policy if asked else "",
        asked.policy_version if asked else "",
        tried.deployment if tried else "",
        tried.place if tried else "",
        sent.host if sent else "",
        sent.treatment if sent else "",
        body.code if isinstance(body, Refused) else "",
        sent.bytes if sent else 0,
        sent.body_hash if sent else "",
        msgspec.json.encode(asked.kinds).decode() if asked else "{}",
        record.hash,
        msgspec.json.encode(entry).decode(),
    ]
