"""A Conversation as a request to Anthropic's Messages API. It knows no client.

Source: the Claude API reference, "Create a Message", and the types of its Python SDK 2.12, read 2026-11-22.

What happens to each setting that Anthropic does not share:

====================================== ==================================================================
max_output missing                     ``max_tokens`` = the deployment's limit or 4096   (deviation)
choices > 1, logprobs, top_logprobs    refused: the reply would not be what was asked for
json_mode                              refused: there is only a schema
tools or tool_choice of another kind   refused
temperature above 1                    refused: Anthropic's scale ends at 1
temperature, top_p, top_k              dropped for models from 4.7 on, which refuse them   (deviation)
seed, penalties, logit_bias            dropped: they shape sampling, not meaning           (deviation)
reasoning_effort                       ``output_config.effort``; dropped before 4.6        (deviation)
reasoning without signature            dropped: Anthropic takes only its own               (deviation)
system messages after the first turn   moved to the top: there is no other place           (deviation)
other vendors' blocks that have words  as text                                             (deviation)
white space at the end of a prefill    trimmed: Anthropic refuses it                       (deviation)
other members of the client's wire     dropped (deviation), except those Anthropic has under the same name
====================================== ==================================================================
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from nearfar.core.conversation import (
    Block,
    Conversation,
    Extra,
    Media,
    Message,
    Reasoning,
    Refusal,
    Settings,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from nearfar.core.errors import BadRequestError
from nearfar.wire.deviations import Deviations, rest_of_format, says_something, unsupported
from nearfar.wire.fields import call_arguments

DEFAULT_MAX_TOKENS = 4096

_OWN = frozenset({"thinking", "context_management", "cache_control", "output_config", "inference_geo", "speed"})
"""Anthropic's members that a client of another wire may give under their own name."""

_MESSAGE_OWN = frozenset({"cache_control"})
"""A mark on a whole message is a mark on its last block."""

_BLOCK_OWN = frozenset({"cache_control", "caller", "citations", "context", "title", "toolset_name", "transformations"})
_TOOL_OWN = frozenset({"allowed_callers", "cache_control", "defer_loading", "eager_input_streaming", "input_examples"})
_REFUSED = frozenset({"functions", "function_call", "tool_choice", "audio", "mcp_servers", "container"})
"""Members left in ``extra`` whose loss would change what is asked for."""

_VERSION = re.compile(r"claude-[a-z]+-(\d+)(?:-(\d{1,2})(?!\d))?")
_BAD_ID = re.compile(r"[^a-zA-Z0-9_-]")
_EFFORT = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}
_ANY_OBJECT: dict[str, Any] = {"type": "object", "properties": {}}


def _refuse(what: str, param: str) -> BadRequestError:
    return unsupported("Anthropic's API", what, param)


def to_anthropic(
    conversation: Conversation, model: str, max_output: int | None
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The request's members except ``stream``, and the deviations. ``max_output``: the deployment's own limit.

    Raises BadRequestError (code ``unsupported``) for what may not get lost.
    """
    note = Deviations()
    settings = conversation.settings
    limit = settings.max_output
    if limit is None:
        limit = max_output or DEFAULT_MAX_TOKENS
        note.add(f"default:max_tokens={limit}")
    system, messages = _turns(conversation.messages, note)
    value: dict[str, Any] = {"model": model, "max_tokens": limit, "messages": messages}
    if system:
        value["system"] = system
    _put_extra(value, conversation.extra, note)
    _put_tools(value, conversation.tools, settings, note)
    _put_settings(value, settings, model, note)
    _put_output(value, settings, model, note, said="reasoning_effort" in conversation.extra)
    return value, note.all()


def _put_extra(value: dict[str, Any], extra: Extra, note: Deviations) -> None:
    for name, raw in extra.items():
        if name in _OWN:
            value[name] = raw
        elif not says_something(name, raw):
            continue
        elif name == "response_format":
            rest_of_format(raw, note, _refuse)
        elif name in _REFUSED:
            raise _refuse(f"{name} like this one", name)
        else:
            note.add(f"dropped:{name}")


def _put_settings(value: dict[str, Any], settings: Settings, model: str, note: Deviations) -> None:
    if settings.choices is not None and settings.choices > 1:
        raise _refuse("second choice in one reply (n > 1)", "n")
    if settings.logprobs or settings.top_logprobs:
        raise _refuse("log-probabilities", "logprobs")
    if settings.json_mode:
        raise _refuse("JSON mode without a schema", "response_format")
    version = _version(model)
    for name in ("temperature", "top_p", "top_k"):
        number = getattr(settings, name)
        if number is None:
            continue
        if version >= (4, 7):
            note.add(f"dropped:{name}")
        elif name == "temperature" and number > 1:
            raise _refuse("temperature above 1", "temperature")
        else:
            value[name] = number
    for name in ("seed", "presence_penalty", "frequency_penalty"):
        if getattr(settings, name) is not None:
            note.add(f"dropped:{name}")
    if settings.stop:
        stops = [text for text in settings.stop if text.strip()]
        if len(stops) < len(settings.stop):
            note.add("dropped:stop")  # Anthropic refuses sequences of white space
        if stops:
            value["stop_sequences"] = stops
    if settings.user is not None:
        value["metadata"] = {"user_id": settings.user}


def _put_output(value: dict[str, Any], settings: Settings, model: str, note: Deviations, *, said: bool) -> None:
    """The schema and the effort. ``said``: the effort was read from Anthropic's own members, which say it already."""
    given = msgspec.json.decode(value["output_config"], type=Extra) if "output_config" in value else {}
    output: dict[str, Any] = dict(given)
    if settings.json_schema is not None:
        rest = msgspec.json.decode(given["format"], type=Extra) if "format" in given else {}
        output["format"] = {"type": "json_schema", "schema": settings.json_schema, **rest}
    effort = _EFFORT.get(settings.reasoning_effort or "")
    if not said and effort is not None and _version(model) >= (4, 6):
        output["effort"] = effort
        value.setdefault("thinking", {"type": "adaptive"})
    elif not said and settings.reasoning_effort is not None:
        note.add("dropped:reasoning_effort")
    if output:
        value["output_config"] = output


def _version(model: str) -> tuple[int, int]:
    """(5, 5) of ``claude-sonnet-5-5``; (0, 0) of names in the old order, which are older than 4."""
    if "claude-mythos" in model and not _VERSION.search(model):
        return (5, 0)
    found = _VERSION.search(model)
    return (int(found[1]), int(found[2] or 0)) if found else (0, 0)


def _put_tools(value: dict[str, Any], tools: list[Tool], settings: Settings, note: Deviations) -> None:
    if tools:
        value["tools"] = [_tool(tool, note) for tool in tools]
    choice = settings.tool_choice
    if not tools or (choice is None and settings.parallel_tools is not False):
        return
    kinds = {None: "auto", "auto": "auto", "none": "none", "required": "any"}
    if choice in kinds:
        chosen: dict[str, Any] = {"type": kinds[choice]}
    elif choice is not None and choice.startswith("tool:"):
        chosen = {"type": "tool", "name": choice.removeprefix("tool:")}
    else:
        raise _refuse(f"tool_choice {choice!r}", "tool_choice")
    if settings.parallel_tools is False and chosen["type"] != "none":
        chosen["disable_parallel_tool_use"] = True
    value["tool_choice"] = chosen


def _tool(tool: Tool, note: Deviations) -> dict[str, Any]:
    if tool.vendor == "anthropic":
        return dict(tool.extra)
    if not tool.name:
        raise _refuse("tools of this type", "tools")
    value: dict[str, Any] = {"name": tool.name}
    if tool.description:
        value["description"] = tool.description
    schema = msgspec.json.decode(tool.schema) if tool.schema is not None else _ANY_OBJECT
    value["input_schema"] = {"type": "object", **schema} if isinstance(schema, dict) else schema
    if tool.strict:
        value["strict"] = True
    return {**value, **note.keep(tool.extra, _TOOL_OWN)}


def _turns(messages: list[Message], note: Deviations) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """System blocks, and the turns: one message per run of one role, tool results first in theirs."""
    system: list[Any] = []
    turns: list[tuple[str, list[Any]]] = []
    for message in messages:
        blocks = _blocks(message, note)
        if message.role == "system" and "messages" in message.extra:
            turns.append(("system", blocks))  # it came in Anthropic's own shape, from this very place
            continue
        if message.role in {"system", "developer"}:
            if any(block.get("type") != "text" for block in blocks if isinstance(block, dict)):
                raise _refuse("media in system messages", "messages")
            if turns and blocks:
                note.add("moved:system")
            system += blocks
            continue
        if message.role not in {"user", "assistant", "tool"}:
            raise _refuse(f"role {message.role!r}", "messages")
        role = "assistant" if message.role == "assistant" else "user"
        if turns and turns[-1][0] == role:
            turns[-1][1].extend(blocks)
        else:
            turns.append((role, blocks))
    turns = [(role, blocks) for role, blocks in turns if blocks]
    if not turns and system:  # there must be a message
        note.add("moved:system")
        return [], [{"role": "user", "content": system}]
    _trim_prefill(turns, note)
    return system, [{"role": role, "content": _results_first(blocks)} for role, blocks in turns]


def _results_first(blocks: list[Any]) -> list[Any]:
    return sorted(blocks, key=lambda block: not (isinstance(block, dict) and block.get("type") == "tool_result"))


def _trim_prefill(turns: list[tuple[str, list[Any]]], note: Deviations) -> None:
    if not turns or turns[-1][0] != "assistant":
        return
    last = turns[-1][1][-1]
    if isinstance(last, dict) and last.get("type") == "text" and last["text"] != last["text"].rstrip():
        last["text"] = last["text"].rstrip()
        note.add("trimmed:prefill")


def _blocks(message: Message, note: Deviations) -> list[Any]:
    found = [value for block in message.blocks if (value := _block(block, note)) is not None]
    if "function_call" in message.extra:
        raise _refuse("function_call in a message; send tool_calls", "messages")
    if message.name:
        note.add("dropped:name")
    own = note.keep(message.extra, _MESSAGE_OWN)
    if found and isinstance(found[-1], dict):
        found[-1] = {**own, **found[-1]}
    return found


def _block(block: Block, note: Deviations) -> Any:
    """The block in Anthropic's shape; None for one that has no content Anthropic takes."""
    if isinstance(block, Text):
        own = note.keep(block.extra, _BLOCK_OWN)
        return {"type": "text", "text": block.text, **own} if block.text.strip() else None
    if isinstance(block, Refusal):
        return {"type": "text", "text": block.text} if block.text.strip() else None
    if isinstance(block, Media):
        return _media(block, note)
    if isinstance(block, ToolCall):
        return {
            "type": "tool_use",
            "id": _id(block.id),
            "name": block.name,
            "input": call_arguments(block, "Anthropic"),
            **note.keep(block.extra, _BLOCK_OWN),
        }
    if isinstance(block, ToolResult):
        return _tool_result(block, note)
    if isinstance(block, Reasoning):
        return _reasoning(block, note)
    if block.vendor == "anthropic":
        return block.raw
    if block.vendor == "openai.thinking_block":
        note.add("dropped:reasoning")
        return None
    if block.text:
        note.add("adapted:content")
        return {"type": "text", "text": block.text}
    raise _refuse("content of this type", "messages")


def _reasoning(block: Reasoning, note: Deviations) -> dict[str, Any] | None:
    own = note.keep(block.extra, _BLOCK_OWN)
    if block.vendor == "anthropic" and block.redacted:
        return {"type": "redacted_thinking", "data": block.redacted, **own}
    if block.vendor == "anthropic" and block.signature:
        return {"type": "thinking", "thinking": block.text, "signature": block.signature, **own}
    note.add("dropped:reasoning")
    return None


def _media(block: Media, note: Deviations) -> dict[str, Any]:
    if block.kind not in {"image", "document"}:
        raise _refuse(f"{block.kind} input", "messages")
    source: dict[str, Any] = (
        {"type": "url", "url": block.url}
        if block.url
        else {"type": "base64", "media_type": block.mime, "data": block.data}
    )
    value: dict[str, Any] = {"type": block.kind, "source": source}
    extra = dict(block.extra)
    source |= msgspec.json.decode(extra.pop("source", b"{}"), type=dict[str, Any])
    for name in ("image_url", "file"):  # what is left of OpenAI's object
        rest = msgspec.json.decode(extra.pop(name, b"{}"), type=dict[str, msgspec.Raw])
        if block.kind == "document" and "filename" in rest:
            value["title"] = rest.pop("filename")
        extra.update(rest)
    return {**value, **note.keep(extra, _BLOCK_OWN)}


def _id(call: str) -> str:
    """Ids that other systems made may hold characters that Anthropic refuses; the same id always gives the same."""
    return _BAD_ID.sub("_", call) or "call"


def _tool_result(block: ToolResult, note: Deviations) -> dict[str, Any]:
    value: dict[str, Any] = {"type": "tool_result", "tool_use_id": _id(block.id)}
    content = [found for item in block.content if (found := _block(item, note)) is not None]
    if content:
        value["content"] = content
    if block.error:
        value["is_error"] = True
    return {**value, **note.keep(block.extra, _BLOCK_OWN)}
