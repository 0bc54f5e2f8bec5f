"""A request to Anthropic's Messages API as a Conversation. It knows no upstream.

The inverse of anthropic_messages_compose: what the Conversation has no name for stays undecoded in ``extra``, blocks
that only Anthropic understands stay whole. Source: the Claude API reference, "Create a Message".
"""

from __future__ import annotations

import msgspec

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
from nearfar.wire.members import Members, decode, need, starts, take

VENDOR = "anthropic"

_OWN = ("model", "stream")


def from_anthropic(body: bytes) -> Conversation:
    """The request in ``body``. Raises BadRequestError for a member of the wrong type."""
    members = decode(msgspec.Raw(body), Members, "body")
    for name in _OWN:
        members.pop(name, None)
    messages = []
    if "system" in members:
        messages.append(Message(role="system", blocks=_content(members.pop("system"), "system")))
    for at, raw in enumerate(need(members, "messages", list[Members], "body")):
        messages.append(_message(raw, f"messages[{at}]"))
    tools = [_tool(raw, f"tools[{at}]") for at, raw in enumerate(take(members, "tools", list[Members], "tools") or [])]
    return Conversation(messages=messages, tools=tools, settings=_settings(members), extra=members)


def _message(members: Members, where: str) -> Message:
    role = need(members, "role", str, where)
    content = need(members, "content", msgspec.Raw, where)
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
        return _media(kind, members, where) or Opaque(vendor=VENDOR, raw=raw)
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
        text, signature = need(members, "thinking", str, where), need(members, "signature", str, where)
        return Reasoning(text=text, signature=signature, vendor=VENDOR, extra=members)
    if kind == "redacted_thinking":
        return Reasoning(redacted=need(members, "data", str, where), vendor=VENDOR, extra=members)
    return Opaque(vendor=VENDOR, raw=raw)


def _media(kind: str, members: Members, where: str) -> Media | None:
    source = decode(members.pop("source", msgspec.Raw(b"{}")), Members, f"{where}.source")
    how = take(source, "type", str, f"{where}.source.type")
    if how == "url":
        return Media(kind=kind, url=need(source, "url", str, f"{where}.source"), extra=members)
    if how == "base64":
        mime, data = (need(source, name, str, f"{where}.source") for name in ("media_type", "data"))
        return Media(kind=kind, mime=mime, data=data, extra=members)
    return None  # files stored there, text with citations


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
    if "input_schema" not in members:  # a tool that Anthropic runs or defines
        return Tool(name="", extra=members)
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
    choice = take(members, "tool_choice", Members, "tool_choice")
    if choice is not None:
        _tool_choice(choice, settings)
    _output(members, settings)
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
    output = take(members, "output_config", Members, "output_config")
    if output is None:
        return
    form = take(output, "format", Members, "output_config.format")
    if form is not None:
        settings.json_schema = need(form, "schema", msgspec.Raw, "output_config.format")
    if output:
        members["output_config"] = msgspec.Raw(msgspec.json.encode(output))
