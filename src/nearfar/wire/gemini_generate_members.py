"""Names of members in Gemini's API: both spellings, one list or one object, and the seal on foreign signatures.

It knows no request as a whole. Google's JSON is protobuf's: ``maxOutputTokens`` and ``max_output_tokens`` are one
member, and a list of one may be written as the object alone. Source: the ProtoJSON format, read 2026-11-22.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TypeVar

import msgspec

from nearfar.core.errors import BadRequestError
from nearfar.wire.members import Members, decode, is_null, starts

T = TypeVar("T")

MARK = base64.b64encode(b"nearfar1:")
"""How a sealed foreign signature begins: nine bytes, so that it can be found in a body by its text."""

SKIP = "skip_thought_signature_validator"
"""What Gemini takes instead of a signature for a call that another model made.

Source: Gemini API documentation, "Thought signatures", read 2026-11-22.
"""

_SNAKE = re.compile(r"_([a-z0-9])")


def camel(members: dict[str, T], where: str = "") -> dict[str, T]:
    """``members`` with their names in camel case; BadRequestError when both spellings of one are there."""
    if not any("_" in name for name in members):
        return members
    found: dict[str, T] = {}
    for given, value in members.items():
        name = _SNAKE.sub(lambda letter: letter[1].upper(), given)
        if name in found:
            param = f"{where}{name}"
            message = f"{param} is given in two spellings; which one counts would be a guess."
            raise BadRequestError(message, code="duplicate_key", param=param, hint="Send it once.")
        found[name] = value
    return found


def objects(raw: msgspec.Raw | None, where: str) -> list[Members]:
    """A list of objects, or the only one of them; none when it is null or absent."""
    if raw is None or is_null(raw):
        return []
    if starts(raw, b"{"):
        return [camel(decode(raw, Members, where), f"{where}.")]
    items = decode(raw, list[Members], where)
    return [camel(item, f"{where}[{at}].") for at, item in enumerate(items)]


def version(model: str) -> tuple[int, int]:
    """(2, 5) of ``gemini-2.5-flash``; names without a number are aliases of the newest, so (99, 0)."""
    found = re.search(r"gemini-(\d+)(?:\.(\d+))?", model)
    return (int(found[1]), int(found[2] or 0)) if found else (99, 0)


def seal(vendor: str, kind: str, text: str) -> str:
    """Another vendor's signature as the bytes (base64) that Gemini's clients keep and send back."""
    return base64.b64encode(f"nearfar1:{vendor}:{kind}:{text}".encode()).decode()


def unseal(signature: str) -> tuple[str, str, str]:
    """(vendor, kind, text) of a signature; Google's own has vendor ``google`` and is its own text.

    Clients may write base64 in either alphabet.
    """
    if signature.startswith(MARK.decode()):
        try:
            plain = base64.b64decode(signature.replace("-", "+").replace("_", "/"), validate=True).decode()
            _, vendor, kind, text = plain.split(":", 3)
        except (binascii.Error, ValueError) as exc:
            message = "A thoughtSignature was changed on its way."
            raise BadRequestError(message, code="invalid_value", hint="Send it back as it came.") from exc
        return vendor, kind, text
    return "google", "signature", signature
