"""A Responses request as a Conversation, for deployments that speak another dialect. It knows no upstream.

Source: the OpenAI API reference, "Create a model response", and the types of its Python SDK 3.54, read 2026-11-22.

============================= ========================================================================================
instructions                  the first system message
reasoning.effort              the setting; ``reasoning.summary``: the model's own reasoning is given      (deviation)
text.format, text.verbosity   the schema; ``verbosity``, where the target has it
tool_choice allowed_tools     only those tools are offered                                                (deviation)
metadata, include             belong to the reply, which this gateway writes
max_tool_calls                bounds calls that the provider runs: there are none
truncation = disabled         what every other dialect does anyway
store = true                  upstream nothing is stored                                                  (deviation)
reasoning items               back to who wrote them; OpenAI's own, which only OpenAI can read, are left out (deviation)
web_search_call items         left out: they hold no words                                                (deviation)
other native items            refused
============================= ========================================================================================
"""

from __future__ import annotations

import base64
import binascii
import re

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
    ToolCall,
    ToolResult,
)
from nearfar.core.errors import BadRequestError
from nearfar.wire.deviations import Deviations, unsupported
from nearfar.wire.members import Members, decode, is_null, need, starts, take
from nearfar.wire.openai_responses_tools import Offer, is_search, offer

SEAL = "nearfar:"
"""What ``encrypted_content`` begins with when it holds another vendor's signature, not OpenAI's own ciphertext."""

_OWN = frozenset(
    {"model", "input", "stream", "include", "metadata", "max_tool_calls", "previous_response_id", "background"}
)
"""Members that say how to answer, not what was said: they stay with the Request."""

_DATA_URL = re.compile(r"data:([^;,]*);base64,(.*)", re.DOTALL)
_TEXT = frozenset({"input_text", "output_text", "text", "summary_text"})
_NOTHING: frozenset[str] = frozenset()


class Seal(msgspec.Struct, frozen=True, omit_defaults=True):
    """Another vendor's mark on a reasoning block, as the client carries it in ``encrypted_content``."""

    signature: str = ""
    redacted: str = ""
    vendor: str = ""
    """Who signed, where it is not Anthropic."""
    call: str = ""
    """The call that is signed; empty for a reasoning block or a whole turn."""


def sealed(seal: Seal) -> str:
    """The ``encrypted_content`` that carries ``seal``."""
    return SEAL + base64.b64encode(msgspec.json.encode(seal)).decode()


def unsealed(text: str) -> Seal | None:
    """The seal in ``encrypted_content``; None when it is OpenAI's own, or broken."""
    if not text.startswith(SEAL):
        return None
    try:
        return msgspec.json.decode(base64.b64decode(text.removeprefix(SEAL), validate=True), type=Seal)
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError):
        return None


def conversation(request: Request) -> Conversation:
    """The request as a Conversation. Raises BadRequestError for a member of the wrong type."""
    members = {name: raw for name, raw in request.fields.items() if name not in _OWN}
    note = Deviations()
    offered = offer(request.fields.get("tools"))
    members.pop("tools", None)
    messages: list[Message] = []
    instructions = take(members, "instructions", str, "instructions")
    if instructions:
        messages.append(Message(role="system", blocks=[Text(text=instructions)]))
    messages += _items(request.fields["input"], offered, note)
    if take(members, "store", bool, "store"):
        note.add("dropped:store")
    if take(members, "truncation", str, "truncation") == "auto":
        note.add("dropped:truncation")
    settings = _settings(request, members, offered, note)
    tools = offered.tools
    allowed = _tool_choice(members, settings, offered, note)
    if allowed is not None:
        tools = [tool for tool in tools if tool.name in allowed]
    return Conversation(
        messages=messages,
        tools=tools,
        settings=settings,
        extra=members,
        deviations=(*offered.deviations, *note.all()),
    )


# Items ---------------------------------------------------------------------------------------------


def _items(raw: msgspec.Raw, offered: Offer, note: Deviations) -> list[Message]:
    if starts(raw, b'"'):
        return [Message(role="user", blocks=[Text(text=decode(raw, str, "input"))])]
    messages: list[Message] = []
    for at, members in enumerate(decode(raw, list[Members], "input")):
        where = f"input[{at}]"
        kind = take(members, "type", str, f"{where}.type") or "message"
        role, blocks = _item(kind, members, where, offered, note)
        if not blocks:
            continue
        # A turn of the assistant is one message: its reasoning, its words and its calls. So are results in a row.
        last = messages[-1] if messages else None
        if last is not None and last.role == role and role in {"assistant", "tool"} and _joins(last, kind):
            last.blocks += blocks
        else:
            messages.append(Message(role=role, blocks=blocks))
    for message in messages:
        _place_signatures(message)
    return [message for message in messages if message.blocks]


def _place_signatures(message: Message) -> None:
    """Put Google's signatures where OpenAI's dialect carries them, beside the call or the turn they belong to."""
    seals = [block for block in message.blocks if isinstance(block, Reasoning) and block.vendor == "google"]
    if not seals:
        return
    message.blocks = [block for block in message.blocks if block not in seals]
    calls = {block.id: block for block in message.blocks if isinstance(block, ToolCall)}
    for seal in seals:
        beside = {"google": {"thought_signature": seal.signature}}
        extra = {"extra_content": msgspec.Raw(msgspec.json.encode(beside))}
        call = calls.get(seal.text)
        if call is not None:
            call.extra = extra
        else:
            message.extra = extra


def _joins(last: Message, kind: str) -> bool:
    """Whether an item belongs to the turn before it: words after calls are a new answer."""
    return kind != "message" or not any(isinstance(block, ToolCall) for block in last.blocks)


def _item(kind: str, members: Members, where: str, offered: Offer, note: Deviations) -> tuple[str, list[Block]]:
    if kind == "message":
        role = need(members, "role", str, where)
        return role, _content(members.get("content"), f"{where}.content", note)
    if kind in {"function_call", "custom_tool_call"}:
        return "assistant", [_call(kind, members, where, offered)]
    if kind in {"function_call_output", "custom_tool_call_output"}:
        return "tool", [_result(members, where, note)]
    if kind == "reasoning":
        return "assistant", _reasoning(members, where, note)
    if kind == "web_search_call":
        note.add("dropped:input.web_search_call")
        return "assistant", []
    raise unsupported("This deployment", f"items of the type {kind!r}", f"{where}.type")


def _content(raw: msgspec.Raw | None, where: str, note: Deviations) -> list[Block]:
    if raw is None or is_null(raw):
        return []
    if starts(raw, b'"'):
        return [Text(text=decode(raw, str, where))]
    parts = decode(raw, list[msgspec.Raw], where)
    return [_part(part, f"{where}[{at}]", note) for at, part in enumerate(parts)]


def _part(raw: msgspec.Raw, where: str, note: Deviations) -> Block:
    members = decode(raw, Members, where)
    kind = need(members, "type", str, where)
    if kind in _TEXT:
        for name in ("annotations", "prompt_cache_breakpoint"):
            if name in members and bytes(members[name]) not in {b"[]", b"null"}:
                note.add(f"dropped:{name}")
        return Text(text=need(members, "text", str, where))
    if kind == "refusal":
        return Refusal(text=need(members, "refusal", str, where))
    if kind == "input_image":
        detail = take(members, "detail", str, f"{where}.detail")
        extra = {"detail": msgspec.Raw(msgspec.json.encode(detail))} if detail not in {None, "auto"} else {}
        return _from_url("image", need(members, "image_url", str, where), extra)
    if kind == "input_audio":
        audio = need(members, "input_audio", Members, where)
        data, form = (need(audio, name, str, f"{where}.input_audio") for name in ("data", "format"))
        return Media(kind="audio", mime=f"audio/{form}", data=data)
    if kind == "input_file":
        return _file(members, where)
    return Opaque(vendor="openai.responses", raw=raw)


def _from_url(kind: str, url: str, extra: Extra) -> Media:
    inline = _DATA_URL.fullmatch(url)
    if inline is None:
        return Media(kind=kind, url=url, extra=extra)
    return Media(kind=kind, mime=inline[1], data=inline[2], extra=extra)


def _file(members: Members, where: str) -> Media:
    name = take(members, "filename", str, f"{where}.filename")
    extra = {"title": msgspec.Raw(msgspec.json.encode(name))} if name else {}
    url = take(members, "file_url", str, f"{where}.file_url")
    if url is not None:
        return Media(kind="document", url=url, extra=extra)
    data = need(members, "file_data", str, where)
    if data.startswith("data:"):
        return _from_url("document", data, extra)
    return Media(kind="document", mime="application/pdf", data=data, extra=extra)


def _call(kind: str, members: Members, where: str, offered: Offer) -> ToolCall:
    name = need(members, "name", str, where)
    namespace = take(members, "namespace", str, f"{where}.namespace") or ""
    if kind == "function_call":
        arguments = need(members, "arguments", str, where)
    else:
        arguments = msgspec.json.encode({"input": need(members, "input", str, where)}).decode()
    return ToolCall(
        id=need(members, "call_id", str, where), name=offered.function(name, namespace), arguments=arguments or "{}"
    )


def _result(members: Members, where: str, note: Deviations) -> ToolResult:
    result = ToolResult(id=need(members, "call_id", str, where), content=[])
    for block in _content(need(members, "output", msgspec.Raw, where), f"{where}.output", note):
        if not isinstance(block, Text | Media | Opaque):
            message = f"{where}.output holds a part that no output can hold."
            raise BadRequestError(message, code="invalid_value", param=f"{where}.output")
        result.content.append(block)
    return result


def _reasoning(members: Members, where: str, note: Deviations) -> list[Block]:
    text = "".join(
        need(part, "text", str, f"{where}.{name}")
        for name in ("content", "summary")
        for part in take(members, name, list[Members], f"{where}.{name}") or []
    )
    encrypted = take(members, "encrypted_content", str, f"{where}.encrypted_content")
    if encrypted:
        seal = unsealed(encrypted)
        if seal is not None and seal.vendor == "google":
            return [Reasoning(text=seal.call, signature=seal.signature, vendor="google")]
        if seal is not None:
            return [Reasoning(text=text, signature=seal.signature, redacted=seal.redacted, vendor="anthropic")]
        note.add("dropped:reasoning.encrypted_content")
    return [Reasoning(text=text, vendor="reasoning_content")] if text else []


# Settings ------------------------------------------------------------------------------------------


def _settings(request: Request, members: Members, offered: Offer, note: Deviations) -> Settings:
    top = take(members, "top_logprobs", int, "top_logprobs") or None
    settings = Settings(
        max_output=take(members, "max_output_tokens", int, "max_output_tokens"),
        temperature=take(members, "temperature", float, "temperature"),
        top_p=take(members, "top_p", float, "top_p"),
        presence_penalty=take(members, "presence_penalty", float, "presence_penalty"),
        frequency_penalty=take(members, "frequency_penalty", float, "frequency_penalty"),
        user=take(members, "user", str, "user"),
        logprobs=True if "logprobs" in request.needs else None,
        top_logprobs=top,
    )
    parallel = take(members, "parallel_tool_calls", bool, "parallel_tool_calls")
    if offered.tools:
        settings.parallel_tools = parallel
    reasoning = take(members, "reasoning", Members, "reasoning")
    if reasoning is not None:
        settings.reasoning_effort = take(reasoning, "effort", str, "reasoning.effort")
        for name in ("summary", "generate_summary"):
            if take(reasoning, name, str, f"reasoning.{name}"):
                note.add("adapted:reasoning.summary")
        _rest(reasoning, "reasoning", note)
    text = take(members, "text", Members, "text")
    if text is not None:
        _format(take(text, "format", Members, "text.format"), settings, note)
        verbosity = text.pop("verbosity", None)
        if verbosity is not None and not is_null(verbosity):
            members["verbosity"] = verbosity
        _rest(text, "text", note)
    return settings


def _rest(members: Members, where: str, note: Deviations) -> None:
    for name, raw in members.items():
        if not is_null(raw):
            note.add(f"dropped:{where}.{name}")


def _format(form: Members | None, settings: Settings, note: Deviations) -> None:
    if form is None:
        return
    kind = need(form, "type", str, "text.format")
    if kind == "json_object":
        settings.json_mode = True
    elif kind == "json_schema":
        settings.json_schema = need(form, "schema", msgspec.Raw, "text.format")
        settings.json_schema_name = take(form, "name", str, "text.format.name") or ""
        settings.json_schema_strict = take(form, "strict", bool, "text.format.strict")
        _rest(form, "text.format", note)
    elif kind != "text":
        raise unsupported("This deployment", f"text of the format {kind!r}", "text.format.type")


def _tool_choice(members: Members, settings: Settings, offered: Offer, note: Deviations) -> set[str] | None:
    """Reads the choice; returns the names of the functions it leaves, None for all."""
    raw = members.pop("tool_choice", None)
    if raw is None or is_null(raw) or not offered.tools:
        return None
    if starts(raw, b'"'):
        settings.tool_choice = decode(raw, str, "tool_choice")
        return None
    choice = decode(raw, Members, "tool_choice")
    kind = need(choice, "type", str, "tool_choice")
    if kind in {"function", "custom"}:
        settings.tool_choice = f"tool:{_named(choice, 'tool_choice', offered)}"
        return None
    if kind != "allowed_tools":
        raise unsupported("This deployment", f"a tool_choice of the type {kind!r}", "tool_choice")
    settings.tool_choice = need(choice, "mode", str, "tool_choice")
    note.add("adapted:tool_choice")
    allowed: set[str] = set()
    for at, tool in enumerate(need(choice, "tools", list[Members], "tool_choice")):
        where = f"tool_choice.tools[{at}]"
        listed = take(tool, "type", str, f"{where}.type") or "function"
        if listed not in {"function", "custom"} and not is_search(listed):
            raise unsupported("This deployment", f"tools of the type {listed!r}", f"{where}.type")
        allowed.add(_named(tool, where, offered))
    return allowed


def _named(choice: Members, where: str, offered: Offer) -> str:
    name = need(choice, "name", str, where)
    return offered.function(name, take(choice, "namespace", str, f"{where}.namespace") or "")
