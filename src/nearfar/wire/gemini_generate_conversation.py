"""A generateContent request as a Conversation. It knows no upstream.

What the Conversation has no name for stays undecoded in ``extra``; members of ``generationConfig`` stand there beside
the request's own. Ids that the client leaves out are minted, and answers are matched with calls by order and name.
Source: the Gemini API reference, "GenerateContentRequest" and "Content", read 2026-11-22.
"""

from __future__ import annotations

import itertools
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
from nearfar.wire.gemini_generate_members import camel, objects, unseal
from nearfar.wire.gemini_generate_schema import to_json_schema
from nearfar.wire.members import Members, decode, is_null, need, starts, take

VENDOR = "google"
PART = "google.part"

_OWN = frozenset({"safetySettings", "serviceTier", "toolConfig"})
_ROLES = {"user": "user", "model": "assistant", "function": "tool", "tool": "tool"}
_EFFORTS = {"MINIMAL": "minimal", "LOW": "low", "MEDIUM": "medium", "HIGH": "high", "XHIGH": "xhigh"}
_DATA = ("text", "inlineData", "functionCall", "functionResponse")
_BESIDE = frozenset({"thought", "thoughtSignature", "videoMetadata", "mediaResolution", "partMetadata"})


def conversation(request: Request) -> Conversation:
    """The request as a Conversation. Raises BadRequestError for a member of the wrong type."""
    members = camel(dict(request.fields))
    given = dict(zip(members, request.fields, strict=True))
    members.pop("model", None)
    messages: list[Message] = []
    pairs = _Pairs()
    system = take(members, "systemInstruction", Members, "systemInstruction")
    if system is not None:
        found = _content(camel(system), "systemInstruction", pairs)
        messages.append(Message(role="system", blocks=found.blocks, extra=found.extra))
    contents = objects(members.pop("contents", None), "contents")
    messages += [_content(item, f"contents[{at}]", pairs) for at, item in enumerate(contents)]
    tools = [tool for at, item in enumerate(_tools(members)) for tool in _declared(item, f"tools[{at}]")]
    settings = _settings(members)
    tools = _choose(members, tools, settings)
    # What is not Google's own keeps its name: ``logit_bias`` is the same elsewhere.
    extra = {name if name in _OWN else given.get(name, name): raw for name, raw in _telling(members).items()}
    return Conversation(messages=messages, tools=tools, settings=settings, extra=extra)


def _telling(members: Members) -> Members:
    return {name: raw for name, raw in members.items() if not is_null(raw)}


class _Pairs:
    """Gives calls without an id one, and finds the call that an answer without an id belongs to."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._open: list[tuple[str, str]] = []

    def call(self, given: str, name: str) -> str:
        """The id of a call."""
        made = given or f"call_{next(self._numbers)}"
        self._open.append((made, name))
        return made

    def answer(self, given: str, name: str) -> str:
        """The id of the call that is answered: the one named, else the first unanswered one of this name."""
        for at, (known, called) in enumerate(self._open):
            if known == given if given else called == name:
                del self._open[at]
                return known
        return given or f"call_{next(self._numbers)}"


def _content(members: Members, where: str, pairs: _Pairs) -> Message:
    role = take(members, "role", str, f"{where}.role") or "user"
    parts = objects(members.pop("parts", None), f"{where}.parts")
    blocks = [_part(part, f"{where}.parts[{at}]", pairs) for at, part in enumerate(parts)]
    return Message(role=_ROLES.get(role, role), blocks=blocks, extra=_telling(members))


def _part(members: Members, where: str, pairs: _Pairs) -> Block:
    kind = next((name for name in _DATA if name in members and not is_null(members[name])), "")
    if kind == "functionCall":
        return _call(members, where, pairs)
    if kind == "functionResponse":
        return _answer(members, where, pairs)
    if take(members, "thought", bool, f"{where}.thought") and kind in {"", "text"}:
        return _thought(members, where)
    if kind == "inlineData":
        return _media(members, where)
    if kind == "text" or (not kind and members.keys() <= _BESIDE):
        text = take(members, "text", str, f"{where}.text") or ""
        return Text(text=text, extra=_telling(members))
    return Opaque(vendor=PART, raw=msgspec.Raw(msgspec.json.encode(members)))


def _thought(members: Members, where: str) -> Reasoning:
    text = take(members, "text", str, f"{where}.text") or ""
    signature = take(members, "thoughtSignature", str, f"{where}.thoughtSignature") or ""
    if not signature:
        return Reasoning(text=text, vendor=VENDOR, extra=_telling(members))
    vendor, kind, own = unseal(signature)
    if kind == "redacted":
        return Reasoning(redacted=own, vendor=vendor)
    return Reasoning(text=text, signature=own, vendor=vendor, extra=_telling(members))


def _media(members: Members, where: str) -> Media:
    where = f"{where}.inlineData"
    blob = camel(need(members, "inlineData", Members, where), f"{where}.")
    mime = need(blob, "mimeType", str, where)
    data = need(blob, "data", str, where)
    kind = mime.partition("/")[0]
    # Google's base64 may use the alphabet for URLs; nobody else reads that.
    data = data.replace("-", "+").replace("_", "/")
    data += "=" * (-len(data) % 4)
    rest = {**_telling(members), **_telling(blob)}
    return Media(kind=kind if kind in {"image", "audio", "video"} else "document", mime=mime, data=data, extra=rest)


def _call(members: Members, where: str, pairs: _Pairs) -> ToolCall:
    where = f"{where}.functionCall"
    call = camel(need(members, "functionCall", Members, where), f"{where}.")
    name = need(call, "name", str, where)
    given = take(call, "id", str, f"{where}.id") or ""
    arguments = take(call, "args", dict[str, msgspec.Raw], f"{where}.args")
    text = "{}" if arguments is None else msgspec.json.encode(arguments).decode()
    rest = {**_telling(members), **_telling(call)}
    return ToolCall(id=pairs.call(given, name), name=name, arguments=text, extra=rest)


def _answer(members: Members, where: str, pairs: _Pairs) -> ToolResult:
    where = f"{where}.functionResponse"
    answer = camel(need(members, "functionResponse", Members, where), f"{where}.")
    name = need(answer, "name", str, where)
    given = take(answer, "id", str, f"{where}.id") or ""
    result = ToolResult(id=pairs.answer(given, name), name=name, content=[])
    response = take(answer, "response", msgspec.Raw, f"{where}.response")
    if response is not None:
        text, result.error = _said(decode(response, dict[str, msgspec.Raw], f"{where}.response"))
        result.content.append(Text(text=text))
    for at, part in enumerate(objects(answer.pop("parts", None), f"{where}.parts")):
        if "inlineData" in part:
            result.content.append(_media(part, f"{where}.parts[{at}]"))
        else:
            result.content.append(Opaque(vendor=PART, raw=msgspec.Raw(msgspec.json.encode(part))))
    result.extra = {**_telling(members), **_telling(answer)}
    return result


def _said(response: dict[str, msgspec.Raw]) -> tuple[str, bool]:
    """The words of an answer and whether it tells of a failure: Google's ``output`` and ``error``, else its JSON."""
    if len(response) == 1:
        [(name, raw)] = response.items()
        if name in {"output", "error"}:
            return decode(raw, str, name) if starts(raw, b'"') else bytes(raw).decode(), name == "error"
    return msgspec.json.encode(response).decode(), False


def _tools(members: Members) -> list[Members]:
    return objects(members.pop("tools", None), "tools")


def _declared(members: Members, where: str) -> list[Tool]:
    found = []
    for at, item in enumerate(objects(members.pop("functionDeclarations", None), f"{where}.functionDeclarations")):
        place = f"{where}.functionDeclarations[{at}]"
        tool = Tool(
            name=need(item, "name", str, place),
            description=take(item, "description", str, f"{place}.description") or "",
        )
        schema = take(item, "parametersJsonSchema", msgspec.Raw, f"{place}.parametersJsonSchema")
        googles = take(item, "parameters", msgspec.Raw, f"{place}.parameters")
        if schema is None and googles is not None:
            schema = to_json_schema(googles, f"{place}.parameters")
        tool.schema = schema
        tool.extra = _telling(item)
        found.append(tool)
    rest = _telling(members)
    return [*found, Tool(name="", vendor=VENDOR, extra=rest)] if rest else found


def _choose(members: Members, tools: list[Tool], settings: Settings) -> list[Tool]:
    """Read toolConfig. Several allowed names are what other systems know as these tools and no others."""
    config = camel(take(members, "toolConfig", Members, "toolConfig") or {}, "toolConfig.")
    where = "toolConfig.functionCallingConfig"
    calling = camel(take(config, "functionCallingConfig", Members, where) or {}, f"{where}.")
    mode = take(calling, "mode", str, f"{where}.mode")
    names = take(calling, "allowedFunctionNames", list[str], f"{where}.allowedFunctionNames") or []
    known = {"AUTO": "auto", "NONE": "none", "ANY": "required", "MODE_UNSPECIFIED": None, None: None}
    if mode in known:
        settings.tool_choice = known[mode]
    else:  # VALIDATED and what is to come
        calling["mode"] = msgspec.Raw(msgspec.json.encode(mode))
    if len(names) == 1 and mode == "ANY":
        settings.tool_choice = f"tool:{names[0]}"
    elif names:
        tools = [tool for tool in tools if tool.name in names or not tool.name]
    if calling:
        config["functionCallingConfig"] = msgspec.Raw(msgspec.json.encode(calling))
    if config:
        members["toolConfig"] = msgspec.Raw(msgspec.json.encode(config))
    return tools


_SETTINGS: dict[str, tuple[str, type]] = {
    "maxOutputTokens": ("max_output", int),
    "temperature": ("temperature", float),
    "topP": ("top_p", float),
    "seed": ("seed", int),
    "stopSequences": ("stop", list[str]),
    "candidateCount": ("choices", int),
    "presencePenalty": ("presence_penalty", float),
    "frequencyPenalty": ("frequency_penalty", float),
    "responseLogprobs": ("logprobs", bool),
    "logprobs": ("top_logprobs", int),
}
"""Member of generationConfig → name and type in Settings."""


def _settings(members: Members) -> Settings:
    config = camel(take(members, "generationConfig", Members, "generationConfig") or {}, "generationConfig.")
    values: dict[str, Any] = {}
    for name, (own, kind) in _SETTINGS.items():
        value = take(config, name, kind, f"generationConfig.{name}")
        if value is not None:
            values[own] = value
    settings = Settings(**values)
    top_k = take(config, "topK", float, "generationConfig.topK")
    settings.top_k = None if top_k is None else round(top_k)
    _answer_form(config, settings)
    _thinking(config, settings)
    for name, raw in config.items():
        members.setdefault(name, raw)
    return settings


def _answer_form(config: Members, settings: Settings) -> None:
    where = "generationConfig"
    modalities = take(config, "responseModalities", list[str], f"{where}.responseModalities") or []
    if any(word.upper() not in {"TEXT", "MODALITY_UNSPECIFIED"} for word in modalities):
        message = "Only text can be answered here."
        hint = "Ask for a model at Gemini itself, or leave responseModalities out."
        raise BadRequestError(message, code="unsupported", param=f"{where}.responseModalities", hint=hint)
    mime = take(config, "responseMimeType", str, f"{where}.responseMimeType") or "text/plain"
    schema = take(config, "responseJsonSchema", msgspec.Raw, f"{where}.responseJsonSchema")
    googles = take(config, "responseSchema", msgspec.Raw, f"{where}.responseSchema")
    if mime == "application/json":
        if schema is None and googles is not None:
            schema = to_json_schema(googles, f"{where}.responseSchema")
        settings.json_schema = schema
        settings.json_mode = schema is None
    elif mime != "text/plain":
        message = f"Answers of the type {mime[:100]!r} can be given by Gemini alone."
        raise BadRequestError(message, code="unsupported", param=f"{where}.responseMimeType", hint="Ask for JSON.")


def _thinking(config: Members, settings: Settings) -> None:
    """The member thinkingConfig stays in ``extra`` too: a budget and the wish to see thoughts have no other name."""
    raw = config.get("thinkingConfig")
    if raw is None or is_null(raw):
        return
    thinking = camel(decode(raw, Members, "generationConfig.thinkingConfig"), "generationConfig.thinkingConfig.")
    level = take(thinking, "thinkingLevel", str, "generationConfig.thinkingConfig.thinkingLevel")
    budget = take(thinking, "thinkingBudget", int, "generationConfig.thinkingConfig.thinkingBudget")
    settings.reasoning_effort = "none" if budget == 0 else _EFFORTS.get((level or "").upper())
    if thinking.keys() <= {"includeThoughts"} and budget in {None, 0} and (level is None or settings.reasoning_effort):
        config.pop("thinkingConfig")
        if "includeThoughts" in thinking and bytes(thinking["includeThoughts"]) == b"true":
            config["includeThoughts"] = thinking["includeThoughts"]
