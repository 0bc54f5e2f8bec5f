"""The ledger's tables and the columns of an entry, in one order for writing and reading. It runs nothing."""

from __future__ import annotations

from nearfar.store.database import Migration

BEGIN_COLUMNS = (
    "attempt",
    "request",
    "parent",
    "begun",
    "purpose",
    "operation",
    "caller",
    "route",
    "asked",
    "deployment",
    "provider",
    "model",
    "place",
    "class",
    "decision",
    "reason",
    "price",
    "bound",
    "input_estimate",
    "stream",
    "deviations",
)
END_COLUMNS = (
    "outcome",
    "ended",
    "status",
    "error",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost",
    "finish",
    "answered",
    "first_byte_ms",
    "total_ms",
    "end_deviations",
)
COLUMNS = (*BEGIN_COLUMNS, *END_COLUMNS, "writer")

OPEN = "open"
"""Outcome of an attempt that has begun and not ended."""
UNKNOWN = "unknown"
"""Outcome of an attempt whose process died before its end: it stands at its upper bound."""

MIGRATIONS = (
    Migration(
        name="1-entries",
        statements=(
            """
            CREATE TABLE nearfar_entries (
                attempt TEXT PRIMARY KEY,
                request TEXT NOT NULL,
                parent TEXT NOT NULL,
                begun BIGINT NOT NULL,
                purpose TEXT NOT NULL,
                operation TEXT NOT NULL,
                caller TEXT NOT NULL,
                route TEXT NOT NULL,
                asked TEXT NOT NULL,
                deployment TEXT NOT NULL,
                provider TEXT NOT NULL,
                model TEXT NOT NULL,
                place TEXT NOT NULL,
                class TEXT NOT NULL,
                decision TEXT NOT NULL,
                reason TEXT NOT NULL,
                price TEXT NOT NULL,
                bound BIGINT,
                input_estimate BIGINT NOT NULL,
                stream SMALLINT NOT NULL,
                deviations TEXT NOT NULL,
                outcome TEXT NOT NULL,
                ended BIGINT,
                status BIGINT NOT NULL,
                error TEXT NOT NULL,
                input_tokens BIGINT,
                output_tokens BIGINT,
                cached_tokens BIGINT,
                cache_write_tokens BIGINT,
                reasoning_tokens BIGINT,
                cost BIGINT,
                finish TEXT NOT NULL,
                answered TEXT NOT NULL,
                first_byte_ms DOUBLE PRECISION,
                total_ms DOUBLE PRECISION NOT NULL,
                end_deviations TEXT NOT NULL,
                writer TEXT NOT NULL
            )
            """,
            "CREATE INDEX nearfar_entries_by_time ON nearfar_entries (begun)",
            "CREATE INDEX nearfar_entries_by_request ON nearfar_entries (request)",
            "CREATE INDEX nearfar_entries_open ON nearfar_entries (writer) WHERE outcome = 'open'",
            # How far each segment of a journal has been read: moved in the transaction that stores what was read.
            "CREATE TABLE nearfar_segments (segment TEXT PRIMARY KEY, position BIGINT NOT NULL)",
        ),
    ),
)
