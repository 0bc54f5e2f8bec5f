"""A conversation as alternating turns of user and model, for wires that want it so. It knows no dialect's blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from nearfar.core.conversation import Message
from nearfar.core.errors import BadRequestError
from nearfar.wire.deviations import Deviations

SYSTEM = frozenset({"system", "developer"})

Turns = list[tuple[str, list[Any]]]
"""(role, blocks): one entry for each run of one role, none of them empty."""


def gather(
    messages: Iterable[Message],
    blocks_of: Callable[[Message], list[Any]],
    note: Deviations,
    refuse: Callable[[str, str], BadRequestError],
    *,
    model: str,
) -> tuple[list[Any], Turns]:
    """System blocks, and the turns; results of tools are the user's. ``model``: the dialect's name of the model's role.

    A system message after the first turn moves to the front, which is noted. ``refuse`` makes the error for a role
    that nobody knows.
    """
    system: list[Any] = []
    turns: Turns = []
    for message in messages:
        blocks = blocks_of(message)
        if message.role in SYSTEM:
            if turns and blocks:
                note.add("moved:system")
            system += blocks
            continue
        if message.role not in {"user", "assistant", "tool"}:
            raise refuse(f"role {message.role!r}", "messages")
        role = model if message.role == "assistant" else "user"
        if not blocks:
            continue
        if turns and turns[-1][0] == role:
            turns[-1][1].extend(blocks)
        else:
            turns.append((role, blocks))
    return system, turns
