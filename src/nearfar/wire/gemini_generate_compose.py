"""A Conversation as a generateContent request. It knows no client.

Source: the Gemini API reference, "GenerateContentRequest", and its page "Thought signatures", read 2026-11-22.

==================================== =====================================================================
call without Google's signature      Gemini 3 and later: the first one of a turn carries Google's word for
                                     "skip the check", which it otherwise refuses               (deviation)
reasoning of other vendors           dropped: it says nothing to Google                         (deviation)
system messages after the first turn moved to the top: there is no other place                  (deviation)
reasoning_effort                     ``thinkingLevel``; before Gemini 3 a ``thinkingBudget``     (deviation
                                     where the word has no equal)
parallel_tools = false, strict, user dropped: Google has no such setting                        (deviation)
media inside answers of tools        in the answer; before Gemini 3 beside it                   (deviation)
media elsewhere (URLs)               refused: they travel inline
tools of other kinds, custom tools   refused
other members of the client's wire   dropped (deviation), except those Google has under the same name
==================================== =====================================================================
"""

from __future__ import annotations

import contextlib
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
from nearfar.core.errors import BadRequestError
from nearfar.wire.deviations import Deviations, rest_of_format, says_something, unsupported
from nearfar.wire.fields import call_arguments
from nearfar.wire.gemini_generate_conversation import PART, VENDOR
from nearfar.wire.gemini_generate_members import SKIP, version
from nearfar.wire.turns import gather

_TOP = frozenset({"safetySettings", "labels", "store", "serviceTier"})
_GENERATION = frozenset(
    {
        "audioTimestamp",
        "enableAffectiveDialog",
        "enableEnhancedCivicAnswers",
        "imageConfig",
        "mediaResolution",
        "speechConfig",
        "thinkingConfig",
    }
)
"""Google's members that a client of another wire may give under their own name."""

_REFUSED = frozenset({"functions", "function_call", "tool_choice", "audio", "mcp_servers", "container"})
"""Members left in ``extra`` whose loss would change what is asked for."""

_PART_OWN = frozenset({"thoughtSignature", "videoMetadata", "mediaResolution", "displayName"})
_BLOB_OWN = frozenset({"displayName"})
_TOOL_OWN = frozenset({"behavior", "response", "responseJsonSchema"})
_BUDGETS = {"none": 0, "minimal": 512, "low": 1024, "medium": 8192, "high": 24576}
_LEVELS = {"minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM", "high": "HIGH"}
_NOTHING: frozenset[str] = frozenset()
_SEPARATE = (3, 0)
"""From this version on Gemini checks signatures, takes levels of thinking, and media inside answers of tools."""


def _refuse(what: str, param: str) -> BadRequestError:
    return unsupported("Gemini's API", what, param)


def to_gemini(conversation: Conversation, model: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The request's members and the deviations. Raises BadRequestError (code ``unsupported``)."""
    note = Deviations()
    system, contents = _Turns(version(model), note).read(conversation.messages)
    value: dict[str, Any] = {"contents": contents}
    if system:
        value["systemInstruction"] = {"parts": system}
    generation: dict[str, Any] = {}
    _put_extra(value, generation, conversation.extra, note)
    _put_tools(value, conversation.tools, conversation.settings, note)
    _put_settings(generation, conversation.settings, version(model), note)
    if generation:
        value["generationConfig"] = generation
    return value, note.all()


def _put_extra(value: dict[str, Any], generation: dict[str, Any], extra: Extra, note: Deviations) -> None:
    for name, raw in extra.items():
        if name in _TOP or (name == "toolConfig"):
            value[name] = raw
        elif name in _GENERATION:
            generation[name] = raw
        elif name == "includeThoughts":
            generation["thinkingConfig"] = {"includeThoughts": True}
        elif not says_something(name, raw):
            continue
        elif name == "response_format":
            rest_of_format(raw, note, _refuse)
        elif name in _REFUSED:
            raise _refuse(f"{name} like this one", name)
        else:
            note.add(f"dropped:{name}")


def _put_settings(generation: dict[str, Any], settings: Settings, known: tuple[int, int], note: Deviations) -> None:
    simple = {
        "maxOutputTokens": settings.max_output,
        "temperature": settings.temperature,
        "topP": settings.top_p,
        "topK": settings.top_k,
        "seed": settings.seed,
        "stopSequences": settings.stop,
        "candidateCount": settings.choices,
        "presencePenalty": settings.presence_penalty,
        "frequencyPenalty": settings.frequency_penalty,
        "responseLogprobs": settings.logprobs,
        "logprobs": settings.top_logprobs if settings.logprobs else None,
    }
    generation.update({name: value for name, value in simple.items() if value is not None})
    if settings.json_mode or settings.json_schema is not None:
        generation["responseMimeType"] = "application/json"
    if settings.json_schema is not None:
        generation["responseJsonSchema"] = settings.json_schema
    if settings.reasoning_effort is not None:
        _put_effort(generation, settings.reasoning_effort, known, note)
    if settings.parallel_tools is False:
        note.add("dropped:parallel_tool_calls")
    if settings.user:
        note.add("dropped:user")


def _put_effort(generation: dict[str, Any], effort: str, known: tuple[int, int], note: Deviations) -> None:
    given = generation.get("thinkingConfig") or {}
    thinking = dict(given) if isinstance(given, dict) else msgspec.json.decode(given)
    if known >= _SEPARATE:
        level = _LEVELS.get(effort, "MINIMAL" if effort == "none" else "HIGH")
        if effort not in _LEVELS:
            note.add("adapted:reasoning_effort")
        thinking["thinkingLevel"] = level
    else:
        if effort not in _BUDGETS:
            note.add("adapted:reasoning_effort")
        thinking["thinkingBudget"] = _BUDGETS.get(effort, _BUDGETS["high"])
    generation["thinkingConfig"] = thinking


def _put_tools(value: dict[str, Any], tools: list[Tool], settings: Settings, note: Deviations) -> None:
    if not tools:
        return
    value["tools"] = [{"functionDeclarations": [_tool(tool, note) for tool in tools]}]
    choice = settings.tool_choice
    if choice is None:
        return
    modes = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
    calling: dict[str, Any] = {}
    if choice in modes:
        calling["mode"] = modes[choice]
    elif choice.startswith("tool:"):
        calling = {"mode": "ANY", "allowedFunctionNames": [choice.removeprefix("tool:")]}
    else:
        raise _refuse(f"tool_choice {choice!r}", "tool_choice")
    given = msgspec.json.decode(value.get("toolConfig", b"{}"))
    value["toolConfig"] = {**given, "functionCallingConfig": calling}


def _tool(tool: Tool, note: Deviations) -> dict[str, Any]:
    if not tool.name:
        raise _refuse("tools of this type", "tools")
    if tool.strict:
        note.add("dropped:strict")
    found: dict[str, Any] = {"name": tool.name}
    if tool.description:
        found["description"] = tool.description
    if tool.schema is not None:
        # The older ``parameters`` refuses whole requests for keywords that every schema has.
        found["parametersJsonSchema"] = tool.schema
    return {**found, **note.keep(tool.extra, _TOOL_OWN)}


class _Turns:
    """Contents: one for each run of one role. Remembers the names of calls, by which Google finds answers."""

    def __init__(self, known: tuple[int, int], note: Deviations) -> None:
        self._known = known
        self._note = note
        self._names: dict[str, str] = {}

    def read(self, messages: list[Message]) -> tuple[list[Any], list[dict[str, Any]]]:
        """System parts, and the turns."""
        system, turns = gather(messages, self._message, self._note, _refuse, model="model")
        if not turns and system:  # there must be a turn
            self._note.add("moved:system")
            return [], [{"role": "user", "parts": system}]
        return system, [{"role": role, "parts": self._signed(role, parts)} for role, parts in turns]

    def _signed(self, role: str, parts: list[Any]) -> list[Any]:
        """The first call of a turn needs a signature, which only Google can give."""
        first = next((part for part in parts if isinstance(part, dict) and "functionCall" in part), None)
        if role == "model" and first is not None and "thoughtSignature" not in first and self._known >= _SEPARATE:
            first["thoughtSignature"] = SKIP
            self._note.add("adapted:thought_signature")
        return parts

    def _message(self, message: Message) -> list[Any]:
        if "function_call" in message.extra:
            raise _refuse("function_call in a message; send tool_calls", "messages")
        if message.name:
            self._note.add("dropped:name")
        extra = dict(message.extra)
        signature = google_signature(extra.pop("extra_content", None))
        self._note.keep(extra, _NOTHING)
        parts = [part for block in message.blocks for part in self._block(block)]
        if signature and parts and isinstance(parts[-1], dict):
            texts = [part for part in parts if isinstance(part, dict) and "text" in part]
            if texts:
                texts[-1].setdefault("thoughtSignature", signature)
        return parts

    def _block(self, block: Block) -> list[Any]:
        """The block as parts; none for one without content that Google takes."""
        if isinstance(block, Text):
            own = self._note.keep(block.extra, _PART_OWN)
            return [{"text": block.text, **own}] if block.text or own else []
        if isinstance(block, Refusal):
            return [{"text": block.text}] if block.text else []
        if isinstance(block, Media):
            return [self._media(block)]
        if isinstance(block, ToolCall):
            return [self._call(block)]
        if isinstance(block, ToolResult):
            return self._answer(block)
        if isinstance(block, Reasoning):
            return self._reasoning(block)
        return self._opaque(block)

    def _opaque(self, block: Opaque) -> list[Any]:
        if block.vendor == PART:
            return [block.raw]
        if block.vendor == "openai.thinking_block":
            self._note.add("dropped:reasoning")
            return []
        if block.text:
            self._note.add("adapted:content")
            return [{"text": block.text}]
        raise _refuse("content of this type", "messages")

    def _reasoning(self, block: Reasoning) -> list[Any]:
        if block.vendor != VENDOR or block.redacted:
            self._note.add("dropped:reasoning")
            return []
        signed = {"thoughtSignature": block.signature} if block.signature else {}
        # A signature without a thought stood on the last text: its place in the turn is all that is left of that.
        thought = {"thought": True} if block.text or not signed else {}
        return [{"text": block.text, **thought, **signed}]

    def _media(self, block: Media) -> dict[str, Any]:
        if block.url:
            raise _refuse("media from elsewhere here; send it inline", "messages")
        if not block.mime:
            raise _refuse("media without a type", "messages")
        extra = dict(block.extra)
        for name in ("image_url", "input_audio", "file"):  # what is left of OpenAI's object
            rest = msgspec.json.decode(extra.pop(name, b"{}"), type=dict[str, msgspec.Raw])
            if "filename" in rest:
                rest["displayName"] = rest.pop("filename")
            extra.update(rest)
        if "title" in extra and "displayName" not in extra:
            extra["displayName"] = extra.pop("title")
        own = self._note.keep(extra, _PART_OWN)
        inner = {name: own.pop(name) for name in _BLOB_OWN if name in own}
        return {"inlineData": {"mimeType": block.mime, "data": block.data, **inner}, **own}

    def _call(self, block: ToolCall) -> dict[str, Any]:
        self._names[block.id] = block.name
        extra = dict(block.extra)
        signature = google_signature(extra.pop("extra_content", None))
        own = self._note.keep(extra, _PART_OWN)
        if signature:
            own.setdefault("thoughtSignature", msgspec.Raw(msgspec.json.encode(signature)))
        call = {"id": block.id, "name": block.name, "args": call_arguments(block, "Gemini")}
        return {"functionCall": call, **own}

    def _answer(self, block: ToolResult) -> list[Any]:
        name = block.name or self._names.get(block.id, "")
        if not name:
            message = f"The result of {block.id!r} answers no call that is in the conversation."
            hint = "Gemini finds calls by the function's name: send the call too."
            raise BadRequestError(message, code="unsupported", param="messages", hint=hint)
        self._note.keep(block.extra, _NOTHING)
        texts = [item.text for item in block.content if isinstance(item, Text)]
        response = _response("\n".join(texts), block.error)
        value: dict[str, Any] = {"id": block.id, "name": name, "response": response}
        others = [part for item in block.content if not isinstance(item, Text) for part in self._block(item)]
        if not others:
            return [{"functionResponse": value}]
        if self._known >= _SEPARATE:
            value["parts"] = others
            return [{"functionResponse": value}]
        self._note.add("moved:media")
        return [{"functionResponse": value}, *others]


def google_signature(raw: msgspec.Raw | None) -> str:
    """The signature in OpenAI's ``extra_content``, where clients of Google's OpenAI door keep it; else empty."""
    try:
        extra = msgspec.json.decode(raw) if raw is not None else None
    except RecursionError:
        return ""
    google = extra.get("google") if isinstance(extra, dict) else None
    found = google.get("thought_signature") if isinstance(google, dict) else None
    return found if isinstance(found, str) else ""


def _response(text: str, error: bool) -> object:
    """An answer must be an object. An object stays what it is; words stand under Google's own names for them."""
    if not error and text.lstrip()[:1] == "{":
        with contextlib.suppress(msgspec.DecodeError, RecursionError):
            return msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    return {"error" if error else "output": text}
