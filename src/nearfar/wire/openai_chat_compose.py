"""A Conversation as the members of a chat completion request in OpenAI's shape. It knows no upstream and no client.

The inverse of openai_chat_conversation for requests that came in this shape; see there for what ``extra`` keeps.
"""

from __future__ import annotations

from typing import Any

import msgspec

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
from nearfar.wire.openai_chat_conversation import THINKING, TOOL_CALL

_encode = msgspec.json.Encoder().encode
_BESIDE = msgspec.Raw(b'""')
_NOTHING = msgspec.Raw(b"")
_LIMITS = ("max_tokens", "max_completion_tokens")


def members(conversation: Conversation) -> dict[str, msgspec.Raw]:
    """The request's members except ``model`` and ``stream``, encoded."""
    values: dict[str, Any] = dict(conversation.extra)
    _put_settings(values, conversation.settings)
    if not conversation.tools and "tools" not in values and conversation.settings.tool_choice in {"auto", "none"}:
        # It asks for nothing then, and OpenAI's servers refuse it without tools.
        del values["tool_choice"]
    if conversation.tools:
        values["tools"] = [_tool(tool) for tool in conversation.tools]
    values["messages"] = [part for message in conversation.messages for part in _messages(message)]
    return {name: msgspec.Raw(_encode(value)) for name, value in values.items()}


def _inner(extra: Extra, name: str) -> dict[str, Any]:
    """The members that were left of an object after the named ones were taken."""
    raw = extra.get(name)
    return {} if raw is None else msgspec.json.decode(raw, type=dict[str, msgspec.Raw])


def _messages(message: Message) -> list[dict[str, Any]]:
    """One message, or one per tool result: OpenAI's shape holds a single result in each."""
    results = [block for block in message.blocks if isinstance(block, ToolResult)]
    if not results:
        return [_message(message)]
    found: list[dict[str, Any]] = []
    for result in results:
        value: dict[str, Any] = {"role": "tool", "tool_call_id": result.id, **message.extra}
        blocks: list[Block] = list(result.content)
        _put_content(value, blocks)
        found.append(value)
    rest: list[Block] = [block for block in message.blocks if not isinstance(block, ToolResult)]
    if rest:
        found.append(_message(Message(role=message.role, blocks=rest, name=message.name)))
    if message.name:
        found[0]["name"] = message.name
    return found


def _message(message: Message) -> dict[str, Any]:
    value: dict[str, Any] = {"role": message.role, **message.extra}
    if message.name:
        value["name"] = message.name
    blocks = list(message.blocks)
    calls = [block for block in blocks if _is_call(block)]
    thoughts = [block for block in blocks if _is_thought(block)]
    content = [block for block in blocks if not _is_call(block) and not _is_thought(block)]
    beside = message.extra.get("refusal", _NOTHING) == _BESIDE or message.extra.keys().isdisjoint(
        {"refusal", "content"}
    )
    if beside and content and isinstance(content[-1], Refusal):
        refusal = content.pop()
        assert isinstance(refusal, Refusal)
        value["refusal"] = refusal.text
    _put_content(value, content)
    _put_thoughts(value, thoughts)
    if calls:
        value["tool_calls"] = [_call(block) for block in calls]
    return value


def _is_call(block: Block) -> bool:
    return isinstance(block, ToolCall) or (isinstance(block, Opaque) and block.vendor == TOOL_CALL)


def _is_thought(block: Block) -> bool:
    return isinstance(block, Reasoning) or (isinstance(block, Opaque) and block.vendor == THINKING)


def _put_content(value: dict[str, Any], blocks: list[Block]) -> None:
    one = blocks[0] if len(blocks) == 1 else None
    if "content" not in value and isinstance(one, Text) and not one.extra:
        value["content"] = one.text
    elif blocks:
        value["content"] = [_part(block) for block in blocks]


def _part(block: Block) -> object:
    if isinstance(block, Text):
        return {"type": "text", "text": block.text, **block.extra}
    if isinstance(block, Refusal):
        return {"type": "refusal", "refusal": block.text, **block.extra}
    if isinstance(block, Media):
        return _media(block)
    assert isinstance(block, Opaque), f"{type(block).__name__} is no part of a message's content"
    return block.raw


def _media(block: Media) -> dict[str, Any]:
    url = block.url or f"data:{block.mime};base64,{block.data}"
    extra = dict(block.extra)
    if block.kind == "image":
        name, inner = "image_url", {"url": url}
    elif block.kind == "audio":
        name, inner = "input_audio", {"data": block.data, "format": block.mime.removeprefix("audio/")}
    else:
        name, inner = "file", {"file_data": url}
    return {"type": name, **extra, name: {**inner, **_inner(extra, name)}}


def _put_thoughts(value: dict[str, Any], blocks: list[Block]) -> None:
    unsigned = [
        block for block in blocks if isinstance(block, Reasoning) and not block.signature and not block.redacted
    ]
    signed = [block for block in blocks if block not in unsigned]
    if signed:
        value["thinking_blocks"] = [_thinking(block) for block in signed]
    for block in unsigned:
        name = block.vendor if block.vendor == "reasoning" else "reasoning_content"
        value[name] = value.get(name, "") + block.text if isinstance(value.get(name, ""), str) else block.text


def _thinking(block: Block) -> object:
    if isinstance(block, Opaque):
        return block.raw
    assert isinstance(block, Reasoning)
    if block.redacted:
        return {"type": "redacted_thinking", "data": block.redacted, **block.extra}
    return {"type": "thinking", "thinking": block.text, "signature": block.signature, **block.extra}


def _call(block: Block) -> object:
    if isinstance(block, Opaque):
        return block.raw
    assert isinstance(block, ToolCall)
    function = {"name": block.name, "arguments": block.arguments, **_inner(block.extra, "function")}
    return {"id": block.id, "type": "function", **block.extra, "function": function}


def _tool(tool: Tool) -> dict[str, Any]:
    if not tool.name:
        return dict(tool.extra)
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    if tool.schema is not None:
        function["parameters"] = tool.schema
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", **tool.extra, "function": {**function, **_inner(tool.extra, "function")}}


def _put_settings(values: dict[str, Any], settings: Settings) -> None:
    simple = {
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "top_k": settings.top_k,
        "seed": settings.seed,
        "n": settings.choices,
        "presence_penalty": settings.presence_penalty,
        "frequency_penalty": settings.frequency_penalty,
        "logprobs": settings.logprobs,
        "top_logprobs": settings.top_logprobs,
        "parallel_tool_calls": settings.parallel_tools,
        "reasoning_effort": settings.reasoning_effort,
        "user": settings.user,
    }
    values.update({name: value for name, value in simple.items() if value is not None})
    if settings.max_output is not None and not any(name in values for name in _LIMITS):
        values["max_completion_tokens"] = settings.max_output
    if settings.stop is not None:
        values["stop"] = settings.stop[0] if "stop" in values and len(settings.stop) == 1 else settings.stop
    choice = settings.tool_choice
    if choice is not None:
        named = choice.startswith("tool:")
        function = {"type": "function", "function": {"name": choice.removeprefix("tool:")}}
        values["tool_choice"] = function if named else choice
    _put_response_format(values, settings)


def _put_response_format(values: dict[str, Any], settings: Settings) -> None:
    if not settings.json_mode and settings.json_schema is None:
        return
    rest = _inner(values, "response_format")
    if settings.json_mode:
        values["response_format"] = {"type": "json_object", **rest}
    elif settings.json_schema is not None:
        inner: dict[str, Any] = {"schema": settings.json_schema}
        if settings.json_schema_name:
            inner["name"] = settings.json_schema_name
        if settings.json_schema_strict is not None:
            inner["strict"] = settings.json_schema_strict
        json_schema = {**inner, **_inner(rest, "json_schema")}
        values["response_format"] = {"type": "json_schema", **rest, "json_schema": json_schema}
