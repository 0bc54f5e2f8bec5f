"""Takes Google's signatures out of a request that another account of Google's refused. It knows no upstream.

A signature over a thought is good for the account (and model) that made it: in a conversation that moved to another
key, project or door Google answers 400, "Corrupted thought signature". Then the thoughts go without, and the first call
of each turn carries Google's word for a call that another model made. Source: Gemini API documentation, "Thought
signatures", read 2026-11-22.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nearfar.wire.gemini_generate_members import SKIP

_SIGNATURES = ("thoughtSignature", "thought_signature")
_CALLS = ("functionCall", "function_call")


def unsigned(body: bytes) -> bytes:
    """``body`` without signatures; the same object where it held none and lacks none."""
    value = msgspec.json.decode(body)
    changed = False
    for content in _many(value.get("contents") if isinstance(value, dict) else None):
        called = False
        for part in _many(content.get("parts")):
            before = dict(part)
            for name in _SIGNATURES:
                part.pop(name, None)
            if any(isinstance(part.get(name), dict) for name in _CALLS) and not called:
                called = True
                part["thoughtSignature"] = SKIP
            changed = changed or part != before
    return msgspec.json.encode(value) if changed else body


def _many(value: Any) -> list[dict[str, Any]]:
    """The objects of a list, or the only one."""
    if isinstance(value, dict):
        return [value]
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
