"""The items of a Responses request, as they are kept and listed. It knows no store.

Source: the OpenAI API reference, "List input items", and the types of its Python SDK 3.54, read 2026-11-22.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nearfar.core.errors import BadRequestError
from nearfar.wire.fields import wrong

_encode = msgspec.json.Encoder().encode
_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
}


def as_items(raw: msgspec.Raw | None) -> list[msgspec.Raw]:
    """``input`` as a list of items: a text is the user's message. Raises BadRequestError."""
    if raw is None:
        return []
    value = bytes(raw).lstrip()
    if value[:1] == b'"':
        text = msgspec.json.decode(raw, type=str)
        content = [{"type": "input_text", "text": text}]
        return [msgspec.Raw(_encode({"type": "message", "role": "user", "content": content}))]
    try:
        return msgspec.json.decode(raw, type=list[msgspec.Raw])
    except (msgspec.DecodeError, RecursionError) as exc:
        raise wrong("input", msgspec.json.decode(raw), "text, or a list of items") from exc


def listed(raw: msgspec.Raw, mark: str) -> list[dict[str, Any]]:
    """Items as the API lists them: each with an id and a type, content as parts. ``mark`` makes given ids unique."""
    return [_listed(item, mark, place) for place, item in enumerate(msgspec.json.decode(raw, type=list[Any]))]


def _listed(item: object, mark: str, place: int) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise BadRequestError(f"input[{place}] is no item.", code="invalid_type", param=f"input[{place}]")
    value = {"type": "message", **item}
    prefix = _PREFIXES.get(str(value["type"]), "item")
    value["id"] = value.get("id") or f"{prefix}_{mark}_in{place}"
    if prefix != "rs":
        value.setdefault("status", "completed")
    if value["type"] == "message":
        content = value.get("content")
        if isinstance(content, str):
            part: dict[str, Any] = {"type": "input_text", "text": content}
            if value.get("role") == "assistant":
                part = {"type": "output_text", "text": content, "annotations": []}
            value["content"] = [part]
    return value
