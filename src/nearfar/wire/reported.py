"""What may be kept of an upstream's words about its own reply: the ledger reads them. It knows no dialect.

A reply is content, and the ledger holds none. So a finish reason is kept if it is a known word, and a model's name if
it has the shape of one; the client, when it speaks the upstream's dialect, still reads what the upstream wrote.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

OTHER = "other"
"""Stands for every finish reason that is none of the known ones."""

_FINISHES = frozenset(
    {
        "abort",  # vLLM
        "content_filter",
        "error",  # OpenRouter, Mistral
        "function_call",
        "insufficient_system_resource",  # DeepSeek
        "length",
        "model_length",  # Mistral
        "stop",
        "tool_calls",
    }
)
_MODEL = re.compile(r"[!-~]{1,128}")


def finish(word: str) -> str:
    """``word`` if it is a known finish reason or empty, else ``other``."""
    return word if not word or word in _FINISHES else OTHER


def model(name: object) -> str:
    """``name`` if it is printable ASCII without spaces, at most 128 characters; else empty."""
    return name if isinstance(name, str) and _MODEL.fullmatch(name) else ""


def logprobs(raw: msgspec.Raw) -> list[dict[str, Any]]:
    """Log-probabilities in OpenAI's shape: every ``token`` a text, ``top_logprobs`` always a list of entries."""
    value = msgspec.json.decode(raw)
    found = _objects(value.get("content")) if isinstance(value, dict) else []
    return [
        {**_entry(item), "top_logprobs": [_entry(top) for top in _objects(item.get("top_logprobs"))]} for item in found
    ]


def _objects(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _entry(item: dict[str, Any]) -> dict[str, Any]:
    token = item.get("token")
    return {**item, "token": token if isinstance(token, str) else ""}
