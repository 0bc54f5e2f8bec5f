"""What Bedrock's model ids and call ids say, and may say. It knows no request.

Source: the Bedrock user guide, "Supported foundation models" and "Supported cross-Region inference profiles"; the
patterns of the service model bedrock-runtime 2023-09-30; read 2026-11-22.
"""

from __future__ import annotations

import hashlib
import re

VENDOR = "bedrock"
"""Vendor of blocks that only Converse understands."""

_ID_LENGTH = 64
_BAD_ID = re.compile(r"[^a-zA-Z0-9_.:-]")
_VERSION = re.compile(r"claude-[a-z]+-(\d+)(?:-(\d{1,2})(?!\d))?")
_FAMILIES = (
    ("anthropic.", "claude"),
    ("amazon.nova", "nova"),
    ("mistral.", "mistral"),
    ("cohere.", "cohere"),
    ("openai.", "openai"),
    ("meta.", "llama"),
    ("deepseek.", "deepseek"),
)


def family(model: str) -> str:
    """The family of a model id, an inference profile's id, or an ARN that ends in one; empty when none is known.

    >>> family("us.anthropic.claude-sonnet-4-5-20250929-v1:0"), family("amazon.nova-lite-v1:0"), family("x")
    ('claude', 'nova', '')
    """
    plain = model.rpartition("/")[2]
    for prefix, name in _FAMILIES:
        if plain.startswith(prefix) or f".{prefix}" in plain:
            return name
    return ""


def version(model: str) -> tuple[int, int]:
    """(4, 5) of ``us.anthropic.claude-sonnet-4-5-20250929-v1:0``; (0, 0) of all others, older than 4 or no Claude."""
    found = _VERSION.search(model) if family(model) == "claude" else None
    return (int(found[1]), int(found[2] or 0)) if found else (0, 0)


def call_id(text: str) -> str:
    """The id of a call as Bedrock takes it: other systems make longer ones, and others. The same gives the same."""
    plain = _BAD_ID.sub("_", text) or "call"
    if len(plain) <= _ID_LENGTH:
        return plain
    return f"{plain[:47]}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
