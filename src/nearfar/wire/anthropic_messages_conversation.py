"""A request to Anthropic's Messages API as a Conversation. It knows no upstream.

The inverse of anthropic_messages_compose: what the Conversation has no name for stays undecoded in ``extra``, blocks
and tools that only Anthropic understands stay whole. Where something is said in a place or by a member of Anthropic's
own, ``extra`` keeps an empty value as the sign of it: ``messages: []`` (a system message that stands among the turns),
``reasoning_effort: ""`` (an effort read from ``thinking`` or ``output_config``, which stay in ``extra`` too).
Source: the Claude API reference, "Create a Message".
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from nearfar.core.chat import Request
from nearfar.core.conversation import (
    Block,
    Conversation,
    Media,
    Message,
    Opaque,
    Reasoning,
    Settings,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from nearfar.core.errors import BadRequestError
from nearfar.wire.members import EMPTY_LIST, EMPTY_TEXT, Members, decode, is_null, need, starts, take

VENDOR = "anthropic"

_OWN = ("model", "stream")
_EFFORT = {"low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}
"""Anthropic's efforts in words that every system with efforts knows."""
_BUDGETS = ((4096, "low"), (16384, "medium"))
"""Tokens of a thinking budget, and the effort that is nearest to it; above them all it is high."""
_SIGNED = re.compile(r"([a-z]+):(.*)", re.DOTALL)
"""A signature of another vendor as anthropic_messages_reply gives it out; Anthropic's own are base64."""


def conversation(request: Request) -> Conversation:
    """The request as a Conversation. Raises BadRequestError for a member of the wrong type."""
    return _read(dict(request.fields))


def from_anthropic(body: bytes) -> Conversation:
    """The request in ``body``. Raises BadRequestError for a member of the wrong type."""
    return _read(decode(msgspec.Raw(body), Members, "body"))


def _read(members: Members) -> Conversation:
    for name in _OWN:
        members.pop(name, None)
    messages = []
    system = take(members, "system", msgspec.Raw, "system")
    if system is not None:
        messages.append(Message(role="system", blocks=_content(system, "system")))
    for at, raw in enumerate(need(members, "messages", list[Members], "body")):
        messages.append(_message(raw, f"messages[{at}]"))
    tools = [_tool(raw, f"tools[{at}]") for at, raw in enumerate(take(members, "tools", list[Members], "tools") or [])]
    return Conversation(messages=messages, tools=tools, settings=_settings(members), extra=members)


def _message(members: Members, where: str) -> Message:
    role = need(members, "role", str, where)
    content = need(members, "content", msgspec.Raw, where)
    if role == "system":
        members["messages"] = EMPTY_LIST
    return Message(role=role, blocks=_content(content, f"{where}.content"), extra=members)


def _content(raw: msgspec.Raw, where: str) -> list[Block]:
    if starts(raw, b'"'):
        return [Text(text=decode(raw, str, where))]
    return [_block(item, f"{where}[{at}]") for at, item in enumerate(decode(raw, list[msgspec.Raw], where))]


def _block(raw: msgspec.Raw, where: str) -> Block:
    members = decode(raw, Members, where)
    kind = need(members, "type", str, where)
    if kind == "text":
        return Text(text=need(members, "text", str, where), extra=members)
    if kind in {"image", "document"}:
        return _media(kind, members, where) or Opaque(vendor=VENDOR, raw=raw, text=in_words(raw))
    if kind == "tool_use":
        return ToolCall(
            id=need(members, "id", str, where),
            name=need(members, "name", str, where),
            arguments=bytes(need(members, "input", msgspec.Raw, where)).decode(),
            extra=members,
        )
    if kind == "tool_result":
        return _tool_result(members, where)
    if kind == "thinking":
        text = need(members, "thinking", str, where)
        vendor, signature = VENDOR, take(members, "signature", str, f"{where}.signature") or ""
        foreign = _SIGNED.fullmatch(signature)
        if foreign:
            vendor, signature = foreign[1], foreign[2]
        return Reasoning(text=text, signature=signature, vendor=vendor, extra=members)
    if kind == "redacted_thinking":
        return Reasoning(redacted=need(members, "data", str, where), vendor=VENDOR, extra=members)
    return Opaque(vendor=VENDOR, raw=raw, text=in_words(raw))


def _media(kind: str, members: Members, where: str) -> Media | None:
    source = decode(members.get("source", msgspec.Raw(b"{}")), Members, f"{where}.source")
    how = take(source, "type", str, f"{where}.source.type")
    if how == "url":
        media = Media(kind=kind, url=need(source, "url", str, f"{where}.source"))
    elif how == "base64":
        mime, data = (need(source, name, str, f"{where}.source") for name in ("media_type", "data"))
        media = Media(kind=kind, mime=mime, data=data)
    else:
        return None  # files stored there, text with citations
    del members["source"]
    media.extra = {**members, **_rest("source", source)}
    return media


def in_words(raw: msgspec.Raw) -> str:
    """What a block of Anthropic's says in plain words; empty when words would not do, or the block is none of these."""
    block = msgspec.json.decode(raw)
    if not isinstance(block, dict):
        return ""
    kind, source = block.get("type"), block.get("source")
    if kind == "search_result":
        parts = [block.get("title"), source, _texts(block.get("content"))]
    elif kind == "document" and isinstance(source, dict):
        words = source.get("data") if source.get("type") == "text" else _texts(source.get("content"))
        parts = [block.get("title"), block.get("context"), words]
    elif kind == "tool_reference":
        parts = [block.get("tool_name")]
    else:
        return ""
    said = [part for part in parts if part is not None]
    return "\n".join(said) if parts[-1] and all(isinstance(part, str) for part in said) else ""


def _texts(content: object) -> str | None:
    """The text of a list of text blocks; None if it holds anything else."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    texts = [block.get("text") for block in content if isinstance(block, dict) and block.get("type") == "text"]
    found: list[Any] = [text for text in texts if isinstance(text, str)]
    return "\n".join(found) if len(found) == len(content) else None


def _rest(name: str, members: Members) -> Members:
    """What is left of an object after its known members were taken, as one member called ``name``."""
    return {name: msgspec.Raw(msgspec.json.encode(members))} if members else {}


def _tool_result(members: Members, where: str) -> ToolResult:
    result = ToolResult(id=need(members, "tool_use_id", str, where), content=[])
    content = take(members, "content", msgspec.Raw, f"{where}.content")
    for block in [] if content is None else _content(content, f"{where}.content"):
        if not isinstance(block, Text | Media | Opaque):
            message = f"{where}.content holds a block that no tool result can hold."
            raise BadRequestError(message, code="invalid_value", param=f"{where}.content")
        result.content.append(block)
    result.error = take(members, "is_error", bool, f"{where}.is_error") or False
    result.extra = members
    return result


def _tool(members: Members, where: str) -> Tool:
    kind = members.get("type")
    if kind is not None and (is_null(kind) or decode(kind, str, f"{where}.type") == "custom"):
        del members["type"]
        kind = None
    if kind is not None or "input_schema" not in members:  # a tool that Anthropic defines
        return Tool(name="", vendor=VENDOR, extra=members)
    return Tool(
        name=need(members, "name", str, where),
        description=take(members, "description", str, f"{where}.description") or "",
        schema=need(members, "input_schema", msgspec.Raw, where),
        strict=take(members, "strict", bool, f"{where}.strict"),
        extra=members,
    )


def _settings(members: Members) -> Settings:
    settings = Settings(
        max_output=take(members, "max_tokens", int, "max_tokens"),
        temperature=take(members, "temperature", float, "temperature"),
        top_p=take(members, "top_p", float, "top_p"),
        top_k=take(members, "top_k", int, "top_k"),
        stop=take(members, "stop_sequences", list[str], "stop_sequences"),
    )
    metadata = take(members, "metadata", Members, "metadata")
    if metadata is not None:
        settings.user = take(metadata, "user_id", str, "metadata.user_id")
        members.update(_rest("metadata", {name: raw for name, raw in metadata.items() if not is_null(raw)}))
    choice = take(members, "tool_choice", Members, "tool_choice")
    if choice is not None:
        _tool_choice(choice, settings)
        members.update(_rest("tool_choice", choice))
    _output(members, settings)
    _effort(members, settings)
    return settings


def _tool_choice(choice: Members, settings: Settings) -> None:
    kind = need(choice, "type", str, "tool_choice")
    if kind == "tool":
        settings.tool_choice = f"tool:{need(choice, 'name', str, 'tool_choice')}"
    else:
        settings.tool_choice = {"any": "required"}.get(kind, kind)
    if take(choice, "disable_parallel_tool_use", bool, "tool_choice.disable_parallel_tool_use"):
        settings.parallel_tools = False


def _output(members: Members, settings: Settings) -> None:
    output = take(members, "output_config", Members, "output_config") or {}
    # ``output_format`` is what a beta called it.
    form = take(output, "format", Members, "output_config.format") or take(
        members, "output_format", Members, "output_format"
    )
    if form is not None:
        kind = need(form, "type", str, "output_config.format")
        if kind != "json_schema":
            message = f"output_config.format.type is {kind[:40]!r}; it must be json_schema."
            raise BadRequestError(message, code="invalid_value", param="output_config.format.type")
        settings.json_schema = need(form, "schema", msgspec.Raw, "output_config.format")
        output.update(_rest("format", form))
    members.update(_rest("output_config", output))


def _effort(members: Members, settings: Settings) -> None:
    """An effort, for systems that know no budgets; what was said stays where it is."""
    raw = members.get("thinking")
    thinking = decode(raw, dict[str, Any], "thinking") if raw is not None and not is_null(raw) else {}
    output = decode(members.get("output_config", msgspec.Raw(b"{}")), dict[str, Any], "output_config")
    if thinking.get("type") == "disabled":
        settings.reasoning_effort = "none"
    elif isinstance(effort := output.get("effort"), str) and effort in _EFFORT:
        settings.reasoning_effort = _EFFORT[effort]
    elif thinking.get("type") == "enabled":
        budget = thinking.get("budget_tokens")
        if isinstance(budget, int):
            settings.reasoning_effort = next((effort for most, effort in _BUDGETS if budget <= most), "high")
    # An adaptive model chooses by itself, as others do that are told nothing.
    if settings.reasoning_effort is not None:
        members["reasoning_effort"] = EMPTY_TEXT
