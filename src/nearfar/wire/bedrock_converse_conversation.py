"""A Converse request as a Conversation. It knows no upstream.

The inverse of bedrock_converse_compose: what the Conversation has no name for stays undecoded in ``extra``, blocks that
only Bedrock understands stay whole. Cache points become the mark that Anthropic's dialect puts on the block before
them. Source: the service model bedrock-runtime 2023-09-30 in botocore 1.44, read 2026-11-22.
"""

from __future__ import annotations

import base64

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
    Settings,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from nearfar.core.errors import BadRequestError
from nearfar.wire.bedrock_converse_media import mime_of
from nearfar.wire.bedrock_converse_names import VENDOR
from nearfar.wire.members import Members, decode, need, take

_OWN = ("modelId",)


def conversation(request: Request) -> Conversation:
    """The request as a Conversation. Raises BadRequestError for a member of the wrong type.

    A guardrail is refused here (code ``unsupported``): only Bedrock itself has one.
    """
    members = {name: raw for name, raw in request.fields.items() if name not in _OWN}
    if "guardrailConfig" in members:
        message = "Only Bedrock itself has its guardrails, and nothing else may answer without one."
        hint = "Leave it out, or ask for a deployment at Bedrock."
        raise BadRequestError(message, code="unsupported", param="guardrailConfig", hint=hint)
    messages = []
    system = take(members, "system", list[Members], "system")
    if system:
        messages.append(Message(role="system", blocks=_blocks(system, "system")))
    for at, raw in enumerate(need(members, "messages", list[Members], "body")):
        where = f"messages[{at}]"
        content = need(raw, "content", list[Members], where)
        messages.append(Message(role=need(raw, "role", str, where), blocks=_blocks(content, f"{where}.content")))
    settings = Settings()
    tools = _tools(members, settings)
    _put_inference(members, settings)
    _put_output(members, settings)
    _put_additional(members, settings)
    return Conversation(messages=messages, tools=tools, settings=settings, extra=members)


def _blocks(found: list[Members], where: str) -> list[Block]:
    blocks: list[Block] = []
    for at, members in enumerate(found):
        [(kind, raw)] = members.items()
        if kind == "cachePoint":
            _mark(blocks[-1] if blocks else None, raw, f"{where}[{at}]")
        else:
            blocks.append(_block(kind, raw, f"{where}[{at}].{kind}"))
    return blocks


def _mark(block: Block | Tool | None, raw: msgspec.Raw, where: str) -> None:
    """Mark what stands before a cache point."""
    if block is None or isinstance(block, Opaque):
        return
    ttl = take(decode(raw, Members, where), "ttl", str, f"{where}.ttl")
    value = {"type": "ephemeral", **({"ttl": ttl} if ttl else {})}
    block.extra = {**block.extra, "cache_control": msgspec.Raw(msgspec.json.encode(value))}


def _block(kind: str, raw: msgspec.Raw, where: str) -> Block:
    if kind == "text":
        return Text(text=decode(raw, str, where))
    if kind in {"image", "audio", "document"}:
        return _media(kind, decode(raw, Members, where), where) or _opaque(kind, raw)
    if kind == "toolUse":
        members = decode(raw, Members, where)
        if "type" in members:  # a call that Bedrock ran itself
            return _opaque(kind, raw)
        arguments = bytes(need(members, "input", msgspec.Raw, where)).decode()
        return ToolCall(
            id=need(members, "toolUseId", str, where), name=need(members, "name", str, where), arguments=arguments
        )
    if kind == "toolResult":
        return _result(decode(raw, Members, where), where)
    if kind == "reasoningContent":
        return _reasoning(decode(raw, Members, where), where) or _opaque(kind, raw)
    return _opaque(kind, raw)


def _opaque(kind: str, raw: msgspec.Raw) -> Opaque:
    return Opaque(vendor=VENDOR, raw=msgspec.Raw(msgspec.json.encode({kind: raw})))


def _media(kind: str, members: Members, where: str) -> Media | None:
    source = need(members, "source", Members, where)
    form = take(members, "format", str, f"{where}.format") or "txt"
    data = take(source, "bytes", str, f"{where}.source.bytes")
    if data is None and "text" in source:
        data = base64.b64encode(need(source, "text", str, f"{where}.source").encode()).decode()
    mime = mime_of(kind, form)
    if data is None or not mime:
        return None
    name = members.pop("name", None)
    extra: Extra = {**members, **({"title": name} if name is not None else {})}
    return Media(kind=kind, mime=mime, data=data, extra=extra)


def _result(members: Members, where: str) -> ToolResult:
    result = ToolResult(id=need(members, "toolUseId", str, where), content=[])
    for at, found in enumerate(need(members, "content", list[Members], where)):
        [(kind, raw)] = found.items()
        if kind == "json":
            result.content.append(Text(text=bytes(raw).decode()))
            continue
        block = _block(kind, raw, f"{where}.content[{at}].{kind}")
        if not isinstance(block, Text | Media | Opaque):
            message = f"{where}.content holds a block that no tool result can hold."
            raise BadRequestError(message, code="invalid_value", param=f"{where}.content")
        result.content.append(block)
    result.error = take(members, "status", str, f"{where}.status") == "error"
    members.pop("type", None)
    result.extra = members
    return result


def _reasoning(members: Members, where: str) -> Reasoning | None:
    inner = take(members, "reasoningText", Members, f"{where}.reasoningText")
    if inner is not None:
        text = need(inner, "text", str, f"{where}.reasoningText")
        signature = take(inner, "signature", str, f"{where}.reasoningText.signature") or ""
        return Reasoning(text=text, signature=signature, vendor="anthropic")
    redacted = take(members, "redactedContent", str, f"{where}.redactedContent")
    return Reasoning(redacted=redacted, vendor="anthropic") if redacted else None


def _tools(members: Members, settings: Settings) -> list[Tool]:
    config = take(members, "toolConfig", Members, "toolConfig")
    if config is None:
        return []
    tools: list[Tool] = []
    for at, found in enumerate(take(config, "tools", list[Members], "toolConfig.tools") or []):
        where = f"toolConfig.tools[{at}]"
        [(kind, raw)] = found.items()
        if kind == "cachePoint":
            _mark(tools[-1] if tools else None, raw, where)
        else:
            tools.append(_tool(decode(raw, Members, where), f"{where}.{kind}"))
    choice = take(config, "toolChoice", Members, "toolConfig.toolChoice") or {}
    if "tool" in choice:
        named = need(choice, "tool", Members, "toolConfig.toolChoice")
        settings.tool_choice = f"tool:{need(named, 'name', str, 'toolConfig.toolChoice.tool')}"
    elif choice:
        settings.tool_choice = "required" if "any" in choice else "auto"
    return tools


def _tool(members: Members, where: str) -> Tool:
    schema = need(members, "inputSchema", Members, where)
    return Tool(
        name=need(members, "name", str, where),
        description=take(members, "description", str, f"{where}.description") or "",
        schema=take(schema, "json", msgspec.Raw, f"{where}.inputSchema.json"),
        strict=take(members, "strict", bool, f"{where}.strict"),
        extra=members,
    )


def _put_inference(members: Members, settings: Settings) -> None:
    config = take(members, "inferenceConfig", Members, "inferenceConfig")
    if config is None:
        return
    settings.max_output = take(config, "maxTokens", int, "inferenceConfig.maxTokens")
    settings.temperature = take(config, "temperature", float, "inferenceConfig.temperature")
    settings.top_p = take(config, "topP", float, "inferenceConfig.topP")
    settings.stop = take(config, "stopSequences", list[str], "inferenceConfig.stopSequences")
    if config:
        members["inferenceConfig"] = msgspec.Raw(msgspec.json.encode(config))


def _put_output(members: Members, settings: Settings) -> None:
    output = take(members, "outputConfig", Members, "outputConfig")
    if output is None:
        return
    form = take(output, "textFormat", Members, "outputConfig.textFormat")
    if form is not None:
        where = "outputConfig.textFormat.structure"
        inner = need(need(form, "structure", Members, "outputConfig.textFormat"), "jsonSchema", Members, where)
        text = need(inner, "schema", str, f"{where}.jsonSchema")
        try:
            msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        except (msgspec.DecodeError, RecursionError) as exc:
            message = f"{where}.jsonSchema.schema is no JSON object."
            raise BadRequestError(message, code="invalid_value", param=where) from exc
        settings.json_schema = msgspec.Raw(text.encode())
        settings.json_schema_name = take(inner, "name", str, f"{where}.jsonSchema.name") or ""
    settings.reasoning_effort = take(output, "effort", str, "outputConfig.effort")
    if output:
        members["outputConfig"] = msgspec.Raw(msgspec.json.encode(output))


def _put_additional(members: Members, settings: Settings) -> None:
    """The members that only some models have: those with a name elsewhere get it."""
    inner = take(members, "additionalModelRequestFields", Members, "additionalModelRequestFields")
    if inner is None:
        return
    settings.top_k = take(inner, "top_k", int, "additionalModelRequestFields.top_k")
    if "thinking" in inner:
        members["thinking"] = inner.pop("thinking")
    if inner:
        members["additionalModelRequestFields"] = msgspec.Raw(msgspec.json.encode(inner))
