"""A Conversation as a request to Ollama's own chat API. It knows no client.

The native API is used because Ollama's OpenAI door ignores the context length and splits messages of several parts.
Ollama cuts prompts that do not fit, silently, unless it is told the context it needs and that it must not cut.
Source: Ollama's docs/api.md and api/types.go of 2026-08, read 2026-11-22.

==================================== ======================================================================
context                              ``options.num_ctx``: a power of two that holds prompt and answer, and no less
                                     than the model is loaded with
choices > 1                          refused: the reply would not be what was asked for
tool_choice required or named        refused: Ollama ignores it
tool_choice none                     the tools are left out                                     (deviation)
media elsewhere (URLs), documents    refused: Ollama takes inline images only
reasoning_effort                     ``think`` where the model is known to think; else dropped  (deviation)
parallel_tools = false, user, others dropped                                                    (deviation)
==================================== ======================================================================
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
from nearfar.core.errors import BadRequestError, ContextTooLong
from nearfar.core.routing import Deployment
from nearfar.wire.deviations import Deviations, says_something, unsupported
from nearfar.wire.fields import call_arguments

SMALLEST_CONTEXT = 4096
"""Ollama's own smallest default: asking for less would only reload the model."""

OUTPUT_RESERVE = 2048
"""Tokens kept for the answer when neither the client nor the deployment states a limit."""

_OPTIONS = frozenset({"min_p", "typical_p", "repeat_last_n", "repeat_penalty", "num_keep"})
"""Ollama's options that clients of OpenAI's dialect give at the top level, as to other local servers."""

_REFUSED = frozenset({"functions", "function_call", "tool_choice", "audio"})
_ANY_OBJECT = msgspec.Raw(b'{"type":"object","properties":{}}')
_NOTHING: frozenset[str] = frozenset()


def _refuse(what: str, param: str) -> BadRequestError:
    return unsupported("Ollama", what, param)


def context_for(input_tokens: int, output_tokens: int, limit: int | None) -> int:
    """Tokens of context to ask for: few different sizes, because each change reloads the model."""
    size = SMALLEST_CONTEXT
    while size < input_tokens + output_tokens:
        size *= 2
    return size if limit is None else min(size, limit)


def enough_context(input_tokens: int, max_output: int | None, deployment: Deployment, asked: int = 0) -> int:
    """Tokens of context to ask ``deployment`` for: nothing is cut, and the model is not loaded anew without need.

    ``input_tokens`` is an estimate on the high side; ``asked`` is what the client itself asked for. What the model is
    loaded with already is never made smaller. Raises ContextTooLong when the prompt is beyond the deployment's context.
    """
    limit = deployment.context
    if limit is not None and input_tokens >= limit:
        message = f"About {input_tokens} tokens of prompt do not fit the {limit} that {deployment.model} can read."
        raise ContextTooLong(message, param="messages", hint="Shorten the prompt, or ask for a larger model.")
    output = max_output or deployment.max_output or OUTPUT_RESERVE
    if asked >= input_tokens + output:
        return asked
    return max(context_for(input_tokens, output, limit), deployment.loaded_context or 0)


def to_ollama(
    conversation: Conversation, deployment: Deployment, input_tokens: int
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The request's members except ``stream``, and the deviations. ``input_tokens`` is an estimate of the prompt.

    Raises BadRequestError (code ``unsupported``) for what may not get lost.
    """
    note = Deviations()
    settings = conversation.settings
    options = _options(settings)
    options["num_ctx"] = enough_context(input_tokens, settings.max_output, deployment)
    value: dict[str, Any] = {
        "model": deployment.model,
        "messages": _messages(conversation.messages, note),
        "options": options,
        "truncate": False,
        "shift": False,
    }
    _put_extra(value, conversation.extra, note)
    _put_tools(value, conversation.tools, settings, note)
    _put_settings(value, settings, deployment, note)
    return value, note.all()


def _options(settings: Settings) -> dict[str, Any]:
    options = {
        "num_predict": settings.max_output,
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "top_k": settings.top_k,
        "seed": settings.seed,
        "stop": settings.stop,
        "presence_penalty": settings.presence_penalty,
        "frequency_penalty": settings.frequency_penalty,
    }
    return {name: value for name, value in options.items() if value is not None}


def _put_extra(value: dict[str, Any], extra: Extra, note: Deviations) -> None:
    for name, raw in extra.items():
        if name in _OPTIONS:
            value["options"][name] = raw
        elif name == "think":
            value["think"] = raw
        elif not says_something(name, raw):
            continue
        elif name in _REFUSED:
            raise _refuse(f"{name} like this one", name)
        elif name == "response_format":
            _rest_of_format(msgspec.json.decode(raw))
        else:
            note.add(f"dropped:{name}")


def _rest_of_format(shape: object) -> None:
    kind = shape.get("type", "json_schema") if isinstance(shape, dict) else ""
    if kind not in {"json_schema", "text"}:
        raise _refuse("response format of this type", "response_format")


def _put_settings(value: dict[str, Any], settings: Settings, deployment: Deployment, note: Deviations) -> None:
    if settings.choices is not None and settings.choices > 1:
        raise _refuse("second choice in one reply (n > 1)", "n")
    if settings.json_schema is not None:
        value["format"] = settings.json_schema
    elif settings.json_mode:
        value["format"] = "json"
    if settings.logprobs:
        value["logprobs"] = True
        if settings.top_logprobs:
            value["top_logprobs"] = settings.top_logprobs
    if settings.reasoning_effort is not None and "think" not in value:
        thinks = deployment.capabilities.get("reasoning")
        if thinks is not None and thinks.can:
            value["think"] = {"none": False, "minimal": "low"}.get(settings.reasoning_effort, settings.reasoning_effort)
        else:
            note.add("dropped:reasoning_effort")
    if settings.parallel_tools is False:
        note.add("dropped:parallel_tool_calls")
    if settings.user:
        note.add("dropped:user")


def _put_tools(value: dict[str, Any], tools: list[Tool], settings: Settings, note: Deviations) -> None:
    choice = settings.tool_choice
    if tools and choice == "none":
        note.add("dropped:tools")
        return
    if choice not in {None, "auto", "none"}:
        raise _refuse("tool_choice but auto", "tool_choice")
    if tools:
        value["tools"] = [_tool(tool, note) for tool in tools]


def _tool(tool: Tool, note: Deviations) -> dict[str, Any]:
    if not tool.name:
        raise _refuse("tools of this type", "tools")
    if tool.strict:
        note.add("dropped:strict")
    note.keep(tool.extra, _NOTHING)
    function: dict[str, Any] = {"name": tool.name, "parameters": tool.schema or _ANY_OBJECT}
    if tool.description:
        function["description"] = tool.description
    return {"type": "function", "function": function}


def _messages(messages: list[Message], note: Deviations) -> list[dict[str, Any]]:
    names: dict[str, str] = {}
    """Call id → tool name: Ollama addresses results by name."""
    found: list[dict[str, Any]] = []
    for message in messages:
        role = {"developer": "system"}.get(message.role, message.role)
        if role not in {"system", "user", "assistant", "tool"}:
            raise _refuse(f"role {message.role!r}", "messages")
        if "function_call" in message.extra:
            raise _refuse("function_call in a message; send tool_calls", "messages")
        if message.name:
            note.add("dropped:name")
        note.keep(message.extra, _NOTHING)
        results = [block for block in message.blocks if isinstance(block, ToolResult)]
        rest: list[Block] = [block for block in message.blocks if not isinstance(block, ToolResult)]
        found += [_result(result, names, note) for result in results]
        if rest or not results:
            found.append(_message(role, rest, names, note))
    return found


def _result(result: ToolResult, names: dict[str, str], note: Deviations) -> dict[str, Any]:
    blocks: list[Block] = list(result.content)
    note.keep(result.extra, _NOTHING)
    if result.error:
        note.add("dropped:is_error")
    value = _message("tool", blocks, names, note)
    name = result.name or names.get(result.id, "")
    return {**value, "tool_call_id": result.id, **({"tool_name": name} if name else {})}


def _message(role: str, blocks: list[Block], names: dict[str, str], note: Deviations) -> dict[str, Any]:
    texts: list[str] = []
    images: list[str] = []
    thoughts: list[str] = []
    calls: list[dict[str, Any]] = []
    for block in blocks:
        if isinstance(block, Text | Refusal):
            texts.append(block.text)
            note.keep(block.extra, _NOTHING)
        elif isinstance(block, Media):
            images.append(_image(block))
        elif isinstance(block, Reasoning):
            if block.redacted:
                note.add("dropped:reasoning")
            thoughts.append(block.text)
        elif isinstance(block, ToolCall):
            names[block.id] = block.name
            note.keep(block.extra, _NOTHING)
            function = {"index": len(calls), "name": block.name, "arguments": call_arguments(block, "Ollama")}
            calls.append({"id": block.id, "function": function})
        elif isinstance(block, Opaque) and block.vendor == "openai.thinking_block":
            note.add("dropped:reasoning")
        elif isinstance(block, Opaque) and block.text:
            note.add("adapted:content")
            texts.append(block.text)
        else:
            raise _refuse("content of this type", "messages")
    value: dict[str, Any] = {"role": role, "content": "\n".join(texts)}
    if images:
        value["images"] = images
    if any(thoughts):
        value["thinking"] = "\n".join(text for text in thoughts if text)
    if calls:
        value["tool_calls"] = calls
    return value


def _image(block: Media) -> str:
    if block.kind != "image":
        raise _refuse(f"{block.kind} input", "messages")
    if not block.data:
        raise _refuse("images by URL; send the image inline", "messages")
    return block.data
