"""A chat completion request as a Conversation, and back, without loss. It knows no upstream.

What the Conversation has no name for stays undecoded in ``extra``. Where OpenAI's shape has two spellings of one
thing, ``extra`` keeps an empty value of the spelling the client chose, under the member's name: ``content: []`` (a list
of parts), ``content: null``, ``stop: ""`` (one string), ``refusal: ""`` (beside the content, not a part of it). The two
names of the output limit stay in ``extra`` beside the limit.

Reasoning comes back from clients as they got it: ``thinking_blocks`` with their signatures, which win over
``reasoning_content`` (their text alone); the latter then stays in ``extra``.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from nearfar.core.chat import Request
from nearfar.core.conversation import (
    Block,
    Conversation,
    Extra,
    Media,
    Message,
    Opaque,
    Reasoning,
    Refusal,
    Settings,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from nearfar.core.errors import BadRequestError
from nearfar.wire.members import EMPTY_LIST, EMPTY_TEXT, Members, decode, is_null, need, starts, take

PART = "openai.part"
TOOL_CALL = "openai.tool_call"
THINKING = "openai.thinking_block"

_DATA_URL = re.compile(r"data:([^;,]*);base64,(.*)", re.DOTALL)

_SETTINGS: dict[str, tuple[str, type]] = {
    "temperature": ("temperature", float),
    "top_p": ("top_p", float),
    "top_k": ("top_k", int),
    "seed": ("seed", int),
    "n": ("choices", int),
    "presence_penalty": ("presence_penalty", float),
    "frequency_penalty": ("frequency_penalty", float),
    "logprobs": ("logprobs", bool),
    "top_logprobs": ("top_logprobs", int),
    "parallel_tool_calls": ("parallel_tools", bool),
    "reasoning_effort": ("reasoning_effort", str),
    "user": ("user", str),
}
"""Member → name and type in Settings."""

_OWN = frozenset({"model", "stream", "stream_options"})
"""Members that say how to answer, not what was said: they stay with the Request."""


def conversation(request: Request) -> Conversation:
    """The request as a Conversation. Raises BadRequestError for a member of the wrong type."""
    members = {name: raw for name, raw in request.fields.items() if name not in _OWN}
    raw_messages = take(members, "messages", list[Members], "messages") or []
    raw_tools = take(members, "tools", list[Members], "tools")
    found = Conversation(
        messages=[_message(raw, f"messages[{at}]") for at, raw in enumerate(raw_messages)],
        tools=[_tool(raw, f"tools[{at}]") for at, raw in enumerate(raw_tools or [])],
        settings=_settings(members),
        extra=members,
    )
    if raw_tools is not None and not raw_tools:
        members["tools"] = EMPTY_LIST
    return found


def _message(members: Members, where: str) -> Message:
    role = need(members, "role", str, where)
    name = take(members, "name", str, f"{where}.name")
    blocks: list[Block] = []
    if role == "tool":
        result = ToolResult(id=need(members, "tool_call_id", str, where), content=[])
        for block in _content(members, where):
            if not isinstance(block, Text | Media | Opaque):
                message = f"{where}.content holds a part that no tool result can hold."
                raise BadRequestError(message, code="invalid_value", param=f"{where}.content")
            result.content.append(block)
        blocks.append(result)
    else:
        blocks += _reasoning(members, where)
        blocks += _content(members, where)
        refusal = take(members, "refusal", str, f"{where}.refusal")
        if refusal is not None:
            blocks.append(Refusal(text=refusal))
            members["refusal"] = EMPTY_TEXT
        blocks += _tool_calls(members, where)
    return Message(role=role, blocks=blocks, name=name or "", extra=members)


def _content(members: Members, where: str) -> list[Text | Media | Refusal | Opaque]:
    raw = members.get("content")
    if raw is None or is_null(raw):
        return []
    del members["content"]
    if starts(raw, b'"'):
        return [Text(text=decode(raw, str, f"{where}.content"))]
    members["content"] = EMPTY_LIST
    parts = decode(raw, list[msgspec.Raw], f"{where}.content")
    return [_part(part, f"{where}.content[{at}]") for at, part in enumerate(parts)]


def _part(raw: msgspec.Raw, where: str) -> Text | Media | Refusal | Opaque:
    members = decode(raw, Members, where)
    kind = need(members, "type", str, where)
    if kind == "text":
        return Text(text=need(members, "text", str, where), extra=members)
    if kind == "refusal":
        return Refusal(text=need(members, "refusal", str, where), extra=members)
    read = {"image_url": _image, "input_audio": _audio, "file": _file}.get(kind)
    inner = members.pop(kind, None)
    if read is not None and inner is not None and starts(inner, b"{"):
        media = read(decode(inner, Members, f"{where}.{kind}"), f"{where}.{kind}")
        if media is not None:
            media.extra = {**members, **media.extra}
            return media
    return Opaque(vendor=PART, raw=raw)


def _image(members: Members, where: str) -> Media | None:
    url = need(members, "url", str, where)
    return _from_url("image", url, _rest("image_url", members))


def _from_url(kind: str, url: str, extra: Extra) -> Media:
    inline = _DATA_URL.fullmatch(url)
    if inline is None:
        return Media(kind=kind, url=url, extra=extra)
    return Media(kind=kind, mime=inline[1], data=inline[2], extra=extra)


def _audio(members: Members, where: str) -> Media | None:
    data, form = need(members, "data", str, where), need(members, "format", str, where)
    return Media(kind="audio", mime=f"audio/{form}", data=data, extra=_rest("input_audio", members))


def _file(members: Members, where: str) -> Media | None:
    data = take(members, "file_data", str, f"{where}.file_data")
    return None if data is None else _from_url("document", data, _rest("file", members))


def _rest(name: str, members: Members) -> Extra:
    """What is left of an object after its known members were taken, as one member called ``name``."""
    return {name: msgspec.Raw(msgspec.json.encode(members))} if members else {}


def _reasoning(members: Members, where: str) -> list[Block]:
    raw_blocks = take(members, "thinking_blocks", list[msgspec.Raw], f"{where}.thinking_blocks")
    if raw_blocks:
        return [_thinking(raw, f"{where}.thinking_blocks[{at}]") for at, raw in enumerate(raw_blocks)]
    if raw_blocks is not None:
        members["thinking_blocks"] = EMPTY_LIST
    for name in ("reasoning_content", "reasoning"):
        raw = members.get(name)
        if raw is not None and starts(raw, b'"'):
            del members[name]
            return [Reasoning(text=decode(raw, str, f"{where}.{name}"), vendor=name)]
    return []


def _thinking(raw: msgspec.Raw, where: str) -> Reasoning | Opaque:
    members = decode(raw, Members, where)
    kind = need(members, "type", str, where)
    if kind == "thinking" and {"thinking", "signature"} <= members.keys():
        text, signature = need(members, "thinking", str, where), need(members, "signature", str, where)
        return Reasoning(text=text, signature=signature, vendor="anthropic", extra=members)
    if kind == "redacted_thinking" and "data" in members:
        return Reasoning(redacted=need(members, "data", str, where), vendor="anthropic", extra=members)
    return Opaque(vendor=THINKING, raw=raw)


def _tool_calls(members: Members, where: str) -> list[Block]:
    raw_calls = take(members, "tool_calls", list[msgspec.Raw], f"{where}.tool_calls")
    if raw_calls is not None and not raw_calls:
        members["tool_calls"] = EMPTY_LIST
    return [_tool_call(raw, f"{where}.tool_calls[{at}]") for at, raw in enumerate(raw_calls or [])]


def _tool_call(raw: msgspec.Raw, where: str) -> ToolCall | Opaque:
    members = decode(raw, Members, where)
    if "function" not in members or (take(members, "type", str, f"{where}.type") or "function") != "function":
        return Opaque(vendor=TOOL_CALL, raw=raw)
    function = need(members, "function", Members, where)
    call = ToolCall(
        id=need(members, "id", str, where),
        name=need(function, "name", str, f"{where}.function"),
        arguments=need(function, "arguments", str, f"{where}.function"),
        extra=members,
    )
    members.update(_rest("function", function))
    return call


def _tool(members: Members, where: str) -> Tool:
    if "function" not in members:  # a custom tool, or one that the provider runs: only its own wire knows it
        return Tool(name="", extra=members)
    kind = need(members, "type", str, where)
    if kind != "function":
        members["type"] = msgspec.Raw(msgspec.json.encode(kind))
    function = need(members, "function", Members, where)
    description = take(function, "description", str, f"{where}.function.description")
    if description == "":
        function["description"] = EMPTY_TEXT
    tool = Tool(
        name=need(function, "name", str, f"{where}.function"),
        description=description or "",
        schema=take(function, "parameters", msgspec.Raw, f"{where}.function.parameters"),
        strict=take(function, "strict", bool, f"{where}.function.strict"),
        extra=members,
    )
    members.update(_rest("function", function))
    return tool


def _settings(members: Members) -> Settings:
    values: dict[str, Any] = {}
    for name, (own, kind) in _SETTINGS.items():
        value = take(members, name, kind, name)
        if value is not None:
            values[own] = value
    settings = Settings(**values)
    for name in ("max_tokens", "max_completion_tokens"):
        raw = members.get(name)
        if raw is not None and not is_null(raw):
            settings.max_output = decode(raw, int, name)
    _stop(members, settings)
    _tool_choice(members, settings)
    _response_format(members, settings)
    return settings


def _stop(members: Members, settings: Settings) -> None:
    raw = members.get("stop")
    if raw is None or is_null(raw):
        return
    if starts(raw, b'"'):
        settings.stop = [decode(raw, str, "stop")]
        members["stop"] = EMPTY_TEXT
    else:
        settings.stop = take(members, "stop", list[str], "stop")


def _tool_choice(members: Members, settings: Settings) -> None:
    raw = members.get("tool_choice")
    if raw is None or is_null(raw):
        return
    choice = decode(raw, Any, "tool_choice")
    if isinstance(choice, str):
        settings.tool_choice = choice
    elif isinstance(choice, dict) and choice.keys() == {"type", "function"} and choice["type"] == "function":
        function = choice["function"]
        if not isinstance(function, dict) or function.keys() != {"name"} or not isinstance(function["name"], str):
            return
        settings.tool_choice = f"tool:{function['name']}"
    else:
        return
    del members["tool_choice"]


def _response_format(members: Members, settings: Settings) -> None:
    raw = members.get("response_format")
    if raw is None or is_null(raw):
        return
    shape = decode(raw, Members, "response_format")
    kind = need(shape, "type", str, "response_format")
    if kind == "json_object":
        settings.json_mode = True
    elif kind == "json_schema":
        where = "response_format.json_schema"
        inner = need(shape, "json_schema", Members, "response_format")
        settings.json_schema = need(inner, "schema", msgspec.Raw, where)
        settings.json_schema_name = take(inner, "name", str, f"{where}.name") or ""
        settings.json_schema_strict = take(inner, "strict", bool, f"{where}.strict")
        shape.update(_rest("json_schema", inner))
    else:
        return  # text, or a grammar that only its own server knows
    if shape:
        members["response_format"] = msgspec.Raw(msgspec.json.encode(shape))
    else:
        del members["response_format"]
