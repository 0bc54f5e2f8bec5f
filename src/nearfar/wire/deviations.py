"""What an encoder for an unlike wire has to say: what it changed, and what it must refuse. It knows no dialect."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from nearfar.core.conversation import Extra
from nearfar.core.errors import BadRequestError

SPELLINGS = frozenset(
    {
        "content",
        "stop",
        "refusal",
        "tools",
        "max_tokens",
        "max_completion_tokens",
        "reasoning_content",
        "reasoning",
        "type",
    }
)
"""Members in which a dialect's conversation keeps a spelling, or a text that a block says already."""

_EMPTY = frozenset({b"null", b"[]", b"{}", b'""'})


class Deviations:
    """What was changed on the way, each once, in order."""

    def __init__(self) -> None:
        self._found: dict[str, None] = {}

    def add(self, deviation: str) -> None:
        """Note one, e.g. ``dropped:seed``."""
        self._found[deviation] = None

    def all(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(self._found)

    def keep(self, extra: Extra, names: frozenset[str]) -> Extra:
        """The members of ``extra`` that the target has too; others are noted as dropped, unless they say nothing."""
        if not extra:  # the common case
            return {}
        for name, raw in extra.items():
            if name not in names and says_something(name, raw):
                self.add(f"dropped:{name}")
        return {name: raw for name, raw in extra.items() if name in names}


def says_something(name: str, raw: msgspec.Raw) -> bool:
    """Whether leaving the member out loses anything."""
    return name not in SPELLINGS and bytes(raw) not in _EMPTY


def unsupported(system: str, what: str, param: str) -> BadRequestError:
    """The refusal of something that the target cannot do and that must not get lost."""
    hint = "Leave it out, or ask for a model elsewhere."
    return BadRequestError(f"{system} has no {what}.", code="unsupported", param=param, hint=hint)


def rest_of_format(raw: msgspec.Raw, note: Deviations, refuse: Callable[[str, str], BadRequestError]) -> None:
    """What is left of OpenAI's ``response_format``, once its schema was understood, towards a target that has none.

    Plain text says nothing; of a schema its description may be left; all else is a grammar, and ``refuse`` makes the
    error.
    """
    shape = msgspec.json.decode(raw)
    kind = shape.get("type", "json_schema") if isinstance(shape, dict) else ""
    if kind == "json_schema":
        note.add("dropped:response_format.description")
    elif kind != "text":
        raise refuse("response format of this type", "response_format")
