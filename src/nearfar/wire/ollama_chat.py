"""Ollama's own chat API, towards clients and providers. It knows neither routes nor places.

Requests of other dialects are composed in ollama_chat_compose (with the table of what is refused and dropped).
Between like wires the bytes travel, with the model's name and the context length patched.
Source: Ollama's docs/openapi.yaml, api/types.go and server/routes.go of 2026-08, read 2026-11-22.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nearfar.core.chat import Request
from nearfar.core.conversation import Conversation
from nearfar.core.routing import Deployment
from nearfar.wire import strict
from nearfar.wire.base import ClientWire, Outgoing, ProviderWire
from nearfar.wire.elsewhere import References, frozen, note
from nearfar.wire.failures import upstream_error
from nearfar.wire.fields import refuse_steering, wrong
from nearfar.wire.ollama_chat_compose import enough_context, to_ollama
from nearfar.wire.ollama_chat_conversation import conversation as conversation_of
from nearfar.wire.ollama_chat_decode import decoder
from nearfar.wire.ollama_common import (
    asks_nothing,
    check_logprobs,
    check_think,
    error_body,
    format_need,
    image_weight,
    images_of,
    max_output,
    model_of,
    options_of,
    streams,
    without,
)
from nearfar.wire.ollama_render import renderer
from nearfar.wire.patch import JSON_HEADERS, patch
from nearfar.wire.tokens import of_text

_encode = msgspec.json.Encoder().encode
_ROLES = frozenset({"system", "user", "assistant", "tool", "developer"})


def parse(body: bytes, request_id: str) -> Request:
    """Read a chat request; what this gateway has no name for travels. Raises BadRequestError.

    One without messages asks for no answer but for the model's loading: see ``is_empty``.
    """
    members, values, compact = strict.parse(body)
    refuse_steering(values)
    options = options_of(values)
    needs: set[str] = set()
    text, tokens = _read_messages(values.get("messages"), needs)
    found: References = {}
    _read_tools(values.get("tools"), needs, found)
    check_think(values)
    if check_logprobs(values):
        needs.add("logprobs")
    shape = format_need(values)
    if shape:
        needs.add(shape)
    return Request(
        id=request_id,
        wire=CLIENT.name,
        operation="chat",
        model=model_of(values),
        body=body,
        fields=members,
        stream=streams(values),
        max_output=max_output(options),
        input_tokens=of_text(compact, text) + tokens,
        needs=frozenset(needs),
        elsewhere=frozen(found),
    )


def is_empty(request: Request) -> bool:
    """Whether the request has no messages: the model is to be loaded, or, with ``keep_alive`` 0, unloaded."""
    return asks_nothing(request.fields.get("messages"))


def _read_messages(messages: object, needs: set[str]) -> tuple[int, int]:
    """(bytes of text that are media, tokens of media). Raises BadRequestError."""
    size = tokens = 0
    if messages is None:
        return size, tokens
    if not isinstance(messages, list):
        raise wrong("messages", messages, "a list of messages")
    for position, message in enumerate(messages):
        where = f"messages[{position}]"
        if not isinstance(message, dict):
            raise wrong(where, message, "an object")
        role = message.get("role")
        if not isinstance(role, str) or role not in _ROLES:
            raise wrong(f"{where}.role", role, "system, user, assistant or tool")
        for name in ("content", "thinking", "tool_name", "name", "tool_call_id"):
            value = message.get(name)
            if value is not None and not isinstance(value, str):
                raise wrong(f"{where}.{name}", value, "text")
        images = images_of(message.get("images"), f"{where}.images")
        if images:
            needs.add("images")
            more, each = image_weight(images)
            size += more
            tokens += each
        _read_calls(message.get("tool_calls"), f"{where}.tool_calls")
    return size, tokens


def _read_calls(calls: object, where: str) -> None:
    if calls is None:
        return
    if not isinstance(calls, list):
        raise wrong(where, calls, "a list of calls")
    for position, call in enumerate(calls):
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise wrong(f"{where}[{position}]", call, "an object with a function and its name")
        arguments, call_id = function.get("arguments"), call.get("id")
        if not (arguments is None or isinstance(arguments, dict | str)):
            raise wrong(f"{where}[{position}].function.arguments", arguments, "an object")
        if not (call_id is None or isinstance(call_id, str)):
            raise wrong(f"{where}[{position}].id", call_id, "text")


def _read_tools(tools: object, needs: set[str], found: References) -> None:
    if tools is None or tools == []:  # official clients send an empty list with every request
        return
    if not isinstance(tools, list):
        raise wrong("tools", tools, "a list of tools")
    needs.add("tools")
    for position, tool in enumerate(tools):
        where = f"tools[{position}]"
        if not isinstance(tool, dict):
            raise wrong(where, tool, "an object with a function")
        kind = tool.get("type")
        if kind not in (None, "function"):  # a tuple: a list cannot be looked up in a set
            if not isinstance(kind, str):
                raise wrong(f"{where}.type", kind, "function")
            note(found, kind, f"{where}.type")
            continue
        function = tool.get("function")
        if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"]:
            raise wrong(f"{where}.function", function, "an object with a name")
        description, schema = function.get("description"), function.get("parameters")
        if not (description is None or isinstance(description, str)):
            raise wrong(f"{where}.function.description", description, "text")
        if not (schema is None or isinstance(schema, dict)):
            raise wrong(f"{where}.function.parameters", schema, "a JSON schema")


def encode(request: Request, deployment: Deployment, conversation: Conversation | None) -> Outgoing:
    """The request for ``deployment``: the client's bytes, changed only where they must be; or the conversation.

    Raises ContextTooLong for a prompt beyond what the model was trained for, BadRequestError (code ``unsupported``).
    """
    if conversation is None:
        return like("/api/chat", request, deployment)
    value, deviations = to_ollama(conversation, deployment, request.input_tokens)
    value["stream"] = request.stream  # Ollama streams unless told not to
    for name in deployment.drop:
        if value.pop(name, None) is not None or value["options"].pop(name, None) is not None:
            deviations += (f"dropped:{name}",)
    context = value["options"].get("num_ctx")
    return Outgoing(path="/api/chat", headers=JSON_HEADERS, body=_encode(value), deviations=deviations, context=context)


def like(path: str, request: Request, deployment: Deployment) -> Outgoing:
    """The client's bytes for ``deployment``: its model's name, enough context, and no silent cut.

    What the client itself says about cutting stands; a context that is too small for its own prompt is raised, and
    that is told.
    """
    fields = request.fields
    raw = fields.get("options")
    options: dict[str, Any] = (msgspec.json.decode(raw, type=dict[str, msgspec.Raw] | None) if raw else None) or {}
    asked = msgspec.json.decode(options["num_ctx"]) if "num_ctx" in options else None
    context = enough_context(request.input_tokens, request.max_output, deployment, asked or 0)
    extra: dict[str, bytes] = {name: b"false" for name in ("truncate", "shift") if is_unsaid(fields, name)}
    told: tuple[str, ...] = ()
    if context != asked:
        extra["options"] = _encode({**options, "num_ctx": context})
        told = (f"adapted:num_ctx={context}",) if asked else ()
    name = fields.get("model")
    body, deviations = patch(
        fields,
        "" if name is None else msgspec.json.decode(name),
        without(request, deployment),
        extra,
        unchanged=request.body,
    )
    return Outgoing(path=path, headers=JSON_HEADERS, body=body, deviations=(*told, *deviations), context=context)


def is_unsaid(fields: dict[str, msgspec.Raw], name: str) -> bool:
    """Whether a member is absent or null."""
    raw = fields.get(name)
    return raw is None or bytes(raw) == b"null"


CLIENT = ClientWire(name="ollama.chat", parse=parse, renderer=renderer, conversation=conversation_of, error=error_body)

PROVIDER = ProviderWire(
    name="ollama.chat", like=frozenset({"ollama.chat"}), encode=encode, decoder=decoder, error=upstream_error
)
