"""How a conversation begins, as a keyed number: every turn resends it, so the number names the conversation.

It keeps nothing, and without the key nobody can tell from the number what was said.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from nearfar.core.chat import Request

LONGEST = 4096
"""Bytes of each part that count: what is equal so far is one conversation as far as a cache is concerned."""
_NAMED = ("prompt_cache_key", "previous_response_id", "conversation")
"""Members by which a client says itself which conversation it is."""
_WHOLE = ("system", "instructions", "systemInstruction", "system_instruction", "prompt")
_TURNS = ("messages", "contents", "input")
_FIRST_TURNS = 3
"""Turns among which the first of a user is looked for: instructions come before it."""

_turns = msgspec.json.Decoder(list[msgspec.Raw])


def beginning(request: Request, key: bytes) -> int:
    """A number from 1 for the conversation that ``request`` continues; 0 where it has no beginning."""
    fields = request.fields
    parts: list[bytes] = []
    for name in _NAMED:
        if name in fields:
            parts = [bytes(fields[name])]
            break
    else:
        parts += [bytes(fields[name])[:LONGEST] for name in _WHOLE if name in fields]
        for name in _TURNS:
            if name in fields:
                parts += _first(bytes(fields[name]))
    if not parts:
        return 0
    digest = blake2b(b"\0".join(parts), digest_size=8, key=key)
    return int.from_bytes(digest.digest(), "big") or 1


def _first(raw: bytes) -> list[bytes]:
    """The turns up to the first one of a user."""
    if not raw.startswith(b"["):
        return [raw[:LONGEST]]
    found = []
    for turn in _turns.decode(raw)[:_FIRST_TURNS]:
        found.append(bytes(turn)[:LONGEST])
        if b'"user"' in found[-1]:
            break
    return found
