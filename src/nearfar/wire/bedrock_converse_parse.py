"""Reads a client's Converse request: what decides about it, and what may not be asked for here. It knows no upstream.

What this gateway has no name for travels. Source: the service model bedrock-runtime 2023-09-30 in botocore 1.44, read
2026-11-22.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nearfar.core.chat import Request
from nearfar.wire import strict
from nearfar.wire.elsewhere import References, frozen, note
from nearfar.wire.fields import integer, no_tools, refuse_steering, wrong
from nearfar.wire.tokens import AUDIO_BYTES_PER_TOKEN, IMAGE_TOKENS, of_text

NAME = "bedrock.converse"

_MEDIA = {"image": "images", "document": "documents", "audio": "audio", "video": "video"}
_ELSEWHERE = frozenset({"promptVariables"})
_ELSEWHERE_INSIDE = frozenset({"container", "mcp_servers", "thread", "tools"})
"""Members of ``additionalModelRequestFields`` that bring in content from elsewhere, or tools that a provider runs."""


class _Found(msgspec.Struct):
    """What the content needs, and what media add to the estimate and take out of its text."""

    needs: set[str]
    elsewhere: References = {}
    bytes: int = 0
    tokens: int = 0


def read(body: bytes, request_id: str, *, model: str, stream: bool) -> Request:
    """A request to ``model``, which the path names. Raises BadRequestError."""
    members, values, compact = strict.parse(body)
    refuse_steering(values)
    asked = model or values.get("modelId")
    if not isinstance(asked, str) or not asked:
        raise wrong("modelId", asked, "the name of a model", hint="GET /v1/models lists them.")
    found = _Found(needs=set())
    for name in _ELSEWHERE & values.keys():
        note(found.elsewhere, name, name)
    _read_messages(values.get("messages"), found)
    _read_blocks(values.get("system", []), "system", found)
    _read_features(values, found)
    inference = _object(values, "inferenceConfig")
    return Request(
        id=request_id,
        wire=NAME,
        operation="chat",
        model=asked,
        body=body,
        fields=members,
        stream=stream,
        max_output=integer(inference, "maxTokens"),
        input_tokens=of_text(compact, found.bytes) + found.tokens,
        needs=frozenset(found.needs),
        elsewhere=frozen(found.elsewhere),
    )


def parse(body: bytes, request_id: str) -> Request:
    """A plain request that names its model in the body, as botocore's parameters do."""
    return read(body, request_id, model="", stream=False)


def _object(values: dict[str, Any], name: str) -> dict[str, Any]:
    value = values.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise wrong(name, value, "an object")
    return value


def _read_messages(messages: object, found: _Found) -> None:
    if not isinstance(messages, list) or not messages:
        raise wrong("messages", messages, "a list with at least one message")
    for position, message in enumerate(messages):
        where = f"messages[{position}]"
        if not isinstance(message, dict):
            raise wrong(where, message, "an object")
        if message.get("role") not in ("user", "assistant", "system"):  # a tuple: a list cannot be looked up in a set
            raise wrong(f"{where}.role", message.get("role"), "user, assistant or system")
        _read_blocks(message.get("content"), f"{where}.content", found)


def _read_blocks(blocks: object, where: str, found: _Found) -> None:
    if not isinstance(blocks, list):
        raise wrong(where, blocks, "a list of blocks")
    for position, block in enumerate(blocks):
        at = f"{where}[{position}]"
        if not isinstance(block, dict) or len(block) != 1:
            raise wrong(at, block, "an object with one member")
        [(kind, value)] = block.items()
        if kind in _MEDIA:
            _read_media(kind, value, at, found)
        elif kind == "toolResult":
            if not isinstance(value, dict):
                raise wrong(f"{at}.toolResult", value, "an object")
            _read_blocks(value.get("content"), f"{at}.toolResult.content", found)
        elif kind == "guardContent" and isinstance(value, dict) and "image" in value:
            _read_media("image", value["image"], f"{at}.guardContent", found)


def _read_media(kind: str, value: object, where: str, found: _Found) -> None:
    source = value.get("source") if isinstance(value, dict) else None
    if not isinstance(source, dict):
        raise wrong(f"{where}.{kind}.source", source, "an object with the bytes")
    if source.keys() - {"bytes", "text", "content"}:
        note(found.elsewhere, "storage_url", f"{where}.{kind}.source")
    data = source.get("bytes")
    if data is None and kind == "document":
        return  # text, which is no medium
    found.needs.add(_MEDIA[kind])
    size = len(data) if isinstance(data, str) else 0
    found.bytes += size
    found.tokens += IMAGE_TOKENS if kind == "image" else max(IMAGE_TOKENS, size // AUDIO_BYTES_PER_TOKEN)


def _read_features(values: dict[str, Any], found: _Found) -> None:
    needs = found.needs
    config = _object(values, "toolConfig")
    tools = config.get("tools", [])
    if not isinstance(tools, list):
        raise wrong("toolConfig.tools", tools, "a list of tools")
    for position, tool in enumerate(tools):
        where = f"toolConfig.tools[{position}]"
        if not isinstance(tool, dict) or len(tool) != 1:
            raise wrong(where, tool, "an object with one member")
        if tool.keys() - {"toolSpec", "cachePoint"}:
            [(kind, about)] = tool.items()
            named = about.get("name") if isinstance(about, dict) else None
            note(found.elsewhere, named if isinstance(named, str) else str(kind), where)
        needs.add("tools")
    choice = config.get("toolChoice")
    if isinstance(choice, dict) and choice.keys() & {"any", "tool"}:
        if not tools:
            raise no_tools("toolConfig.toolChoice")
        needs.add("tool_choice")
    if _object(_object(values, "outputConfig"), "textFormat"):
        needs.add("json_schema")
    inside = _object(values, "additionalModelRequestFields")
    refuse_steering(inside)
    for name in sorted(_ELSEWHERE_INSIDE & inside.keys()):
        note(found.elsewhere, name, f"additionalModelRequestFields.{name}")
