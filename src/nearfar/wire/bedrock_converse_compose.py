"""A Conversation as a request to Amazon Bedrock's Converse API. It knows no client.

Source: the service model bedrock-runtime 2023-09-30 in botocore 1.44 and the Bedrock user guide, read 2026-11-22.

What happens to what Converse does not share:

======================================= ================================================================
choices > 1, logprobs                   refused: the reply would not be what was asked for
json_mode                               refused: there is only a schema
temperature above 1                     refused: Bedrock's scale ends at 1
temperature, top_p, top_k               dropped for Claude from 4.7 on, which refuses them (deviation)
top_k, reasoning_effort                 ``additionalModelRequestFields`` or ``outputConfig`` of the model's
                                        family; dropped where the family has none          (deviation)
seed, penalties, parallel_tools, user   dropped                                            (deviation)
tool_choice none, or calls in the       there is no "none", and calls need their tools: the calls and
history of a request without tools      results are told as text                           (deviation)
media elsewhere (URLs), video           refused: Bedrock takes inline media only
system messages after the first turn    moved to the top                                   (deviation)
a conversation that begins elsewhere    a user turn is put before it: Bedrock wants one    (deviation)
blank text                              left out; a blank tool result says "(empty)"       (deviation)
reasoning of another vendor             dropped: a model takes only its own                (deviation)
``cache_control``                       a ``cachePoint`` behind its block
======================================= ================================================================
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from nearfar.core.conversation import (
    Block,
    Conversation,
    Extra,
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
from nearfar.core.conversation import Media as MediaBlock
from nearfar.core.errors import BadRequestError
from nearfar.wire.bedrock_converse_media import Media, refuse
from nearfar.wire.bedrock_converse_names import VENDOR, call_id, family, version
from nearfar.wire.deviations import Deviations, rest_of_format, says_something
from nearfar.wire.fields import call_arguments
from nearfar.wire.turns import SYSTEM, gather

EMPTY = "(empty)"
"""Stands where Bedrock wants text and there is none."""

_OWN = frozenset({"guardrailConfig", "performanceConfig", "requestMetadata", "serviceTier"})
"""Converse's members that a client of another wire may give under their own name."""

_REFUSED = frozenset({"functions", "function_call", "tool_choice", "audio", "additionalModelRequestFields"})
"""Members left in ``extra`` whose loss would change what is asked for."""

_CACHE = frozenset({"cache_control"})
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_EFFORT = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}
_ANY_OBJECT = msgspec.Raw(b'{"type":"object","properties":{}}')


def to_converse(conversation: Conversation, model: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The request's members and the deviations. Raises BadRequestError (code ``unsupported``)."""
    note = Deviations()
    settings = conversation.settings
    tools = [] if settings.tool_choice == "none" else conversation.tools
    turns = _Turns(model, note, with_tools=bool(tools))
    system, messages = turns.read(conversation.messages)
    value: dict[str, Any] = {"messages": messages}
    if system:
        value["system"] = system
    if conversation.tools and not tools:
        note.add("dropped:tools")
    extra = conversation.extra
    if tools:
        value["toolConfig"] = _tool_config(tools, settings, note)
    _put_settings(value, settings, extra, model, note)
    _put_extra(value, extra, model, note)
    return value, note.all()


def _put_extra(value: dict[str, Any], extra: Extra, model: str, note: Deviations) -> None:
    for name, raw in extra.items():
        if name in _OWN:
            value[name] = raw
        elif name == "thinking" and family(model) == "claude":
            _additional(value, "thinking", raw)
        elif not says_something(name, raw):
            continue
        elif name == "response_format":
            rest_of_format(raw, note, refuse)
        elif name in _REFUSED:
            raise refuse(f"{name} like this one", name)
        else:
            note.add(f"dropped:{name}")


def _additional(value: dict[str, Any], name: str, given: object) -> None:
    value.setdefault("additionalModelRequestFields", {})[name] = given


def _put_settings(value: dict[str, Any], settings: Settings, extra: Extra, model: str, note: Deviations) -> None:
    if settings.choices is not None and settings.choices > 1:
        raise refuse("second choice in one reply (n > 1)", "n")
    if settings.logprobs or settings.top_logprobs:
        raise refuse("log-probabilities", "logprobs")
    if settings.json_mode:
        raise refuse("JSON mode without a schema", "response_format")
    _put_sampling(value, settings, model, note)
    for name in ("seed", "presence_penalty", "frequency_penalty", "user"):
        if getattr(settings, name) is not None:
            note.add(f"dropped:{name}")
    if settings.parallel_tools is False and "toolConfig" in value:
        note.add("dropped:parallel_tool_calls")
    if settings.json_schema is not None:
        inner = {"schema": bytes(settings.json_schema).decode()}
        if settings.json_schema_name:
            inner["name"] = settings.json_schema_name
        value["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": inner}}}
    if settings.reasoning_effort is not None:
        _put_effort(value, settings.reasoning_effort, model, note, own="thinking" in extra)


def _put_sampling(value: dict[str, Any], settings: Settings, model: str, note: Deviations) -> None:
    inference: dict[str, Any] = {}
    if settings.max_output is not None:
        inference["maxTokens"] = settings.max_output
    steady = version(model) >= (4, 7)
    for name, own in (("temperature", "temperature"), ("top_p", "topP"), ("top_k", "top_k")):
        number = getattr(settings, name)
        if number is None:
            continue
        if steady:
            note.add(f"dropped:{name}")
        elif name == "top_k":
            _put_top_k(value, number, model, note)
        elif number > 1:
            raise refuse(f"{name} above 1", name)
        else:
            inference[own] = number
    if settings.stop:
        stops = [text for text in settings.stop if text.strip()]
        if len(stops) < len(settings.stop):
            note.add("dropped:stop")
        if stops:
            inference["stopSequences"] = stops
    if inference:
        value["inferenceConfig"] = inference


def _put_top_k(value: dict[str, Any], number: int, model: str, note: Deviations) -> None:
    kind = family(model)
    if kind in {"claude", "mistral"}:
        _additional(value, "top_k", number)
    elif kind == "nova":
        _additional(value, "inferenceConfig", {"topK": number})
    elif kind == "cohere":
        _additional(value, "k", number)
    else:
        note.add("dropped:top_k")


def _put_effort(value: dict[str, Any], given: str, model: str, note: Deviations, *, own: bool) -> None:
    kind, effort = family(model), _EFFORT.get(given)
    if kind == "claude" and effort is not None and version(model) >= (4, 6):
        value.setdefault("outputConfig", {})["effort"] = effort
        if not own:
            _additional(value, "thinking", {"type": "adaptive"})
    elif kind == "openai":
        _additional(value, "reasoning_effort", given)
    else:
        note.add("dropped:reasoning_effort")


def _tool_config(tools: list[Tool], settings: Settings, note: Deviations) -> dict[str, Any]:
    config: dict[str, Any] = {"tools": [part for tool in tools for part in _tool(tool, note)]}
    choice = settings.tool_choice
    if choice == "required":
        config["toolChoice"] = {"any": {}}
    elif choice is not None and choice.startswith("tool:"):
        config["toolChoice"] = {"tool": {"name": _name(choice.removeprefix("tool:"))}}
    elif choice == "auto":
        config["toolChoice"] = {"auto": {}}
    elif choice is not None:
        raise refuse(f"tool_choice {choice!r}", "tool_choice")
    return config


def _tool(tool: Tool, note: Deviations) -> list[dict[str, Any]]:
    if not tool.name:
        raise refuse("tools of this type", "tools")
    spec: dict[str, Any] = {"name": _name(tool.name), "inputSchema": {"json": tool.schema or _ANY_OBJECT}}
    if tool.description.strip():
        spec["description"] = tool.description
    if tool.strict:
        spec["strict"] = True
    return [{"toolSpec": spec}, *_cache_point(note.keep(tool.extra, _CACHE))]


def _name(name: str) -> str:
    if _TOOL_NAME.fullmatch(name):
        return name
    message = f"The tool name {name[:80]!r} does not fit Bedrock: 1 to 64 of a-z, A-Z, 0-9, _ and -."
    raise BadRequestError(message, code="unsupported", param="tools", hint="Name it so.")


def _cache_point(extra: Extra) -> list[dict[str, Any]]:
    """The mark that Anthropic's dialect puts on a block, as the block that Converse puts behind it."""
    raw = extra.get("cache_control")
    if raw is None:
        return []
    given = msgspec.json.decode(raw)
    if not isinstance(given, dict):
        return []
    ttl = given.get("ttl")
    return [{"cachePoint": {"type": "default", **({"ttl": ttl} if isinstance(ttl, str) else {})}}]


class _Turns:
    """Turns messages into Converse's: strictly alternating, the first one the user's, nothing blank."""

    def __init__(self, model: str, note: Deviations, *, with_tools: bool) -> None:
        self._claude = family(model) == "claude"
        self._note = note
        self._with_tools = with_tools
        self._media = Media(note)

    def read(self, messages: list[Message]) -> tuple[list[Any], list[dict[str, Any]]]:
        """System blocks, and the turns: one message for each run of one role, tool results first in theirs."""
        system, turns = gather(messages, self._checked, self._note, refuse, model="assistant")
        if not turns and system:  # there must be a message
            self._note.add("moved:system")
            return [], [{"role": "user", "content": system}]
        if not turns or turns[0][0] != "user":
            self._note.add("added:user_turn")
            turns.insert(0, ("user", [{"text": EMPTY}]))
        self._trim_prefill(turns)
        return system, [{"role": role, "content": _results_first(blocks)} for role, blocks in turns]

    def _checked(self, message: Message) -> list[Any]:
        blocks = self._blocks(message)
        if message.role in SYSTEM:
            for block in blocks:
                if isinstance(block, dict) and not block.keys() <= {"text", "cachePoint"}:
                    raise refuse("media in system messages", "messages")
        return blocks

    def _trim_prefill(self, turns: list[tuple[str, list[Any]]]) -> None:
        role, blocks = turns[-1]
        last = blocks[-1]
        if role == "assistant" and isinstance(last, dict) and "text" in last and last["text"] != last["text"].rstrip():
            last["text"] = last["text"].rstrip()
            self._note.add("trimmed:prefill")

    def _blocks(self, message: Message) -> list[Any]:
        if "function_call" in message.extra:
            raise refuse("function_call in a message; send tool_calls", "messages")
        if message.name:
            self._note.add("dropped:name")
        found = [part for block in message.blocks for part in self._block(block)]
        return [*found, *(_cache_point(self._note.keep(message.extra, _CACHE)) if found else [])]

    def _block(self, block: Block) -> list[Any]:
        """The block in Converse's shape, and its cache point; nothing for one without content that Bedrock takes."""
        if isinstance(block, Opaque):
            return self._opaque(block)
        extra = {} if isinstance(block, MediaBlock) else self._note.keep(block.extra, _CACHE)
        if isinstance(block, Text | Refusal):
            found: list[Any] = [{"text": block.text}] if block.text.strip() else []
        elif isinstance(block, MediaBlock):
            value, rest = self._media.block(block)
            found, extra = [value], self._note.keep(rest, _CACHE)
        elif isinstance(block, ToolCall):
            found = [self._call(block)]
        elif isinstance(block, ToolResult):
            found = self._result(block)
        else:
            found = self._reasoning(block)
        return [*found, *(_cache_point(extra) if found else [])]

    def _opaque(self, block: Opaque) -> list[Any]:
        if block.vendor == VENDOR:
            return [block.raw]
        if block.vendor == "openai.thinking_block":
            self._note.add("dropped:reasoning")
            return []
        if block.text:
            self._note.add("adapted:content")
            return [{"text": block.text}]
        raise refuse("content of this type", "messages")

    def _reasoning(self, block: Reasoning) -> list[Any]:
        if self._claude and block.vendor == "anthropic" and block.redacted:
            return [{"reasoningContent": {"redactedContent": block.redacted}}]
        if self._claude and block.vendor == "anthropic" and block.signature:
            return [{"reasoningContent": {"reasoningText": {"text": block.text, "signature": block.signature}}}]
        self._note.add("dropped:reasoning")
        return []

    def _call(self, block: ToolCall) -> dict[str, Any]:
        if not self._with_tools:
            self._note.add("adapted:tool_history")
            return {"text": f"(called the tool {block.name}: {block.arguments})"}
        given = call_arguments(block, "Bedrock")
        return {"toolUse": {"toolUseId": call_id(block.id), "name": _name(block.name), "input": given}}

    def _result(self, block: ToolResult) -> list[Any]:
        content = [part for item in block.content for part in self._block(item)]
        if not any(isinstance(part, dict) and "cachePoint" not in part for part in content):
            self._note.add("added:tool_result")
            content = [{"text": EMPTY}, *content]
        if not self._with_tools:
            self._note.add("adapted:tool_history")
            return [{"text": "(the tool answered)"}, *content]
        points = [part for part in content if isinstance(part, dict) and "cachePoint" in part]
        value: dict[str, Any] = {
            "toolUseId": call_id(block.id),
            "content": [part for part in content if part not in points],
        }
        if block.error and self._claude:
            value["status"] = "error"
        elif block.error:
            self._note.add("dropped:is_error")
        return [{"toolResult": value}, *points]


def _results_first(blocks: list[Any]) -> list[Any]:
    """Tool results before all else; a cache point stays behind its block."""
    groups: list[list[Any]] = []
    for block in blocks:
        if isinstance(block, dict) and "cachePoint" in block and groups:
            groups[-1].append(block)
        else:
            groups.append([block])
    groups.sort(key=lambda group: not (isinstance(group[0], dict) and "toolResult" in group[0]))
    return [block for group in groups for block in group]
