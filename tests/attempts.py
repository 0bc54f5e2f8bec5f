"""Attempt records for tests: everything that does not matter to a test is filled in."""

from __future__ import annotations

from typing import Any

from nearfar.core.attempts import Begin, End
from nearfar.core.chat import Usage

NOON = 1_795_262_400_000_000_000
"""2026-11-21 12:00 UTC in nanoseconds."""


def begin(attempt: str, **fields: Any) -> Begin:
    """The first record of an attempt at a cloud deployment."""
    values: dict[str, Any] = {
        "request": f"req-{attempt}",
        "at": NOON,
        "deployment": "mini",
        "provider": "openai",
        "model": "gpt-4o-mini",
        "place": "cloud",
        "class_": "internal",
        "decision": f"dec-{attempt}",
        "bound": 1000,
    }
    return Begin(attempt=attempt, **(values | fields))


def end(attempt: str, cost: int | None = 10, **fields: Any) -> End:
    """The last record of an attempt that went well."""
    values: dict[str, Any] = {
        "at": NOON + 5_000_000,
        "outcome": "ok",
        "status": 200,
        "usage": Usage(input=3, output=4),
        "total_ms": 5.0,
    }
    return End(attempt=attempt, cost=cost, **(values | fields))
