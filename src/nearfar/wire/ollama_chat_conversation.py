"""A request to Ollama's chat API as a Conversation. It knows no upstream.

Ollama's calls had no ids for long, and results name the tool alone: ids are made here, and each result goes to the
first unanswered call of its tool. What the Conversation has no name for is told as a deviation.
Source: Ollama's docs/openapi.yaml and api/types.go of 2026-08, read 2026-11-22.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nearfar.core.chat import Request
from nearfar.core.conversation import (
    Conversation,
    Media,
    Message,
    Opaque,
    Reasoning,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from nearfar.core.errors import BadRequestError
from nearfar.wire.deviations import says_something
from nearfar.wire.ollama_common import left_out, media, settings_of

_NULL = msgspec.Raw(b"null")
_KNOWN = frozenset(
    {"model", "name", "stream", "messages", "tools", "format", "options", "think", "logprobs", "top_logprobs"}
)
_OWN = frozenset({"truncate", "shift"})
"""How Ollama should treat a prompt that does not fit. Elsewhere none is cut in silence, so nothing is lost."""

_MESSAGE = frozenset({"role", "content", "thinking", "images", "tool_calls", "tool_name", "name", "tool_call_id"})


def conversation(request: Request) -> Conversation:
    """The request, which ``parse`` has checked, as a Conversation. Raises BadRequestError for an unreadable image."""
    values = {name: msgspec.json.decode(raw) for name, raw in request.fields.items() if name != "tools"}
    settings, extra, dropped = settings_of(values, request.fields)
    calls = _Calls()
    messages = [
        _message(message, f"messages[{at}]", calls, dropped) for at, message in enumerate(values.get("messages") or [])
    ]
    raw_tools = request.fields.get("tools")
    tools = _functions(raw_tools) if raw_tools is not None else None
    dropped += left_out(request.fields, _KNOWN | _OWN)
    return Conversation(
        messages=messages,
        tools=[_tool(tool) for tool in tools or []],
        settings=settings,
        extra=extra,
        deviations=tuple(dict.fromkeys(dropped)),
    )


class _Function(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: msgspec.Raw = _NULL


class _Tool(msgspec.Struct):
    """What ``parse`` has let through as a tool; further members of it say nothing that a model reads."""

    function: _Function


def _functions(raw: msgspec.Raw) -> list[_Tool] | None:
    try:
        return msgspec.json.decode(raw, type=list[_Tool] | None)
    except msgspec.ValidationError as error:
        # ``parse`` lets tools through that a provider would run; in a Conversation they mean nothing.
        raise BadRequestError(
            "Only functions can be translated for this deployment.",
            code="unsupported",
            param="tools",
            hint="Ask for the provider that runs the tool.",
        ) from error


def _tool(tool: _Tool) -> Tool:
    function = tool.function
    schema = None if bytes(function.parameters) == b"null" else function.parameters
    return Tool(name=function.name, description=function.description or "", schema=schema)


class _Calls:
    """The calls that no result has answered yet."""

    def __init__(self) -> None:
        self._open: list[ToolCall] = []
        self._made = 0

    def asked(self, value: dict[str, Any]) -> ToolCall:
        """A call of the assistant's; it gets an id if it has none."""
        function = value["function"]
        given = function.get("arguments")
        arguments = given if isinstance(given, str) else msgspec.json.encode(given or {}).decode()
        call = ToolCall(id=value.get("id") or self._id(), name=function["name"], arguments=arguments)
        self._open.append(call)
        return call

    def answered(self, name: str, call_id: str) -> ToolCall | None:
        """The call that a result belongs to; None when there is none."""
        for call in self._open:
            if (call.id == call_id) if call_id else (not name or call.name == name):
                self._open.remove(call)
                return call
        return None

    def _id(self) -> str:
        self._made += 1
        return f"call_{self._made}"


def _message(value: dict[str, Any], where: str, calls: _Calls, dropped: list[str]) -> Message:
    role, content = value["role"], value.get("content")
    dropped += [
        f"dropped:messages.{name}"[:80]
        for name, member in value.items()
        if name not in _MESSAGE and says_something(name, msgspec.Raw(msgspec.json.encode(member)))
    ]
    content_blocks: list[Text | Media | Opaque] = []
    if content or role != "assistant":
        content_blocks.append(Text(text=content or ""))
    content_blocks += [media(image, f"{where}.images[{at}]") for at, image in enumerate(value.get("images") or [])]
    if role == "tool":
        return Message(role=role, blocks=[_result(value, content_blocks, calls)])
    thinking = value.get("thinking")
    thoughts = [Reasoning(text=thinking, vendor="reasoning_content")] if thinking else []
    asked = [calls.asked(call) for call in value.get("tool_calls") or []]
    return Message(role=role, blocks=[*thoughts, *content_blocks, *asked])


def _result(value: dict[str, Any], content: list[Text | Media | Opaque], calls: _Calls) -> ToolResult:
    name, call_id = value.get("tool_name") or value.get("name") or "", value.get("tool_call_id") or ""
    call = calls.answered(name, call_id)
    if call is None:  # a result without its call: whoever answers may refuse it, but it is not lost here
        return ToolResult(id=call_id or "call_0", name=name, content=content)
    return ToolResult(id=call.id, name=call.name, content=content)
