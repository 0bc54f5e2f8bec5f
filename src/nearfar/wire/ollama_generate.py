"""Ollama's ``/api/generate``, towards clients, and as it came towards Ollama itself. It knows no routes, no places.

Elsewhere a prompt is a chat of one turn. What only Ollama's own templates can do (``raw``, ``template``, ``suffix``)
is refused there; ``context``, the tokens of an earlier answer, is refused everywhere, because nobody can read it.
Source: Ollama's docs/openapi.yaml, api/types.go and server/routes.go of 2026-08, read 2026-11-22.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nearfar.core.chat import Request
from nearfar.core.conversation import Conversation, Message, Text
from nearfar.core.errors import BadRequestError
from nearfar.core.routing import Deployment
from nearfar.wire import strict
from nearfar.wire.base import ClientWire, Outgoing, ProviderWire
from nearfar.wire.deviations import Deviations, unsupported
from nearfar.wire.failures import upstream_error
from nearfar.wire.fields import boolean, refuse_steering, wrong
from nearfar.wire.ollama_chat import like
from nearfar.wire.ollama_chat_compose import to_ollama
from nearfar.wire.ollama_chat_decode import decoder
from nearfar.wire.ollama_common import (
    asks_nothing,
    check_logprobs,
    check_think,
    error_body,
    format_need,
    image_weight,
    images_of,
    left_out,
    max_output,
    media,
    model_of,
    options_of,
    settings_of,
    streams,
)
from nearfar.wire.ollama_render import renderer
from nearfar.wire.patch import JSON_HEADERS
from nearfar.wire.tokens import of_text

_KNOWN = frozenset(
    {"model", "name", "stream", "prompt", "system", "images", "format", "options", "think", "logprobs", "top_logprobs"}
)
_OWN = frozenset({"truncate", "shift", "context"})
_TEMPLATING = ("raw", "template", "suffix")
_DRAWING = ("width", "height", "steps")


def parse(body: bytes, request_id: str) -> Request:
    """Read a request for one answer; what this gateway has no name for travels. Raises BadRequestError.

    One without a prompt asks for no answer but for the model's loading: see ``is_empty``.
    """
    members, values, compact = strict.parse(body)
    refuse_steering(values)
    for name in ("prompt", "system", "template", "suffix"):
        value = values.get(name)
        if value is not None and not isinstance(value, str):
            raise wrong(name, value, "text")
    boolean(values, "raw")
    options = options_of(values)
    images = images_of(values.get("images"), "images")
    size, tokens = image_weight(images)
    needs = {"images"} if images else set()
    if values.get("context"):
        message = "context holds tokens of an earlier answer, which this gateway cannot read."
        hint = "Send the earlier turns as messages to /api/chat."
        raise BadRequestError(message, code="unsupported", param="context", hint=hint)
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
        input_tokens=of_text(compact, size) + tokens,
        needs=frozenset(needs),
    )


def is_empty(request: Request) -> bool:
    """Whether the request has no prompt: the model is to be loaded, or, with ``keep_alive`` 0, unloaded."""
    return asks_nothing(request.fields.get("prompt"))


def conversation(request: Request) -> Conversation:
    """The prompt as a chat of one turn. Raises BadRequestError (code ``unsupported``) for what only Ollama can do."""
    fields = request.fields
    values: dict[str, Any] = {name: msgspec.json.decode(raw) for name, raw in fields.items()}
    for name in _TEMPLATING + _DRAWING:
        if values.get(name):
            raise unsupported("A model elsewhere than in Ollama", f"{name} in a request for one answer", name)
    settings, extra, dropped = settings_of(values, fields)
    messages = []
    if values.get("system"):
        messages.append(Message(role="system", blocks=[Text(text=values["system"])]))
    pictures = [media(image, f"images[{at}]") for at, image in enumerate(values.get("images") or [])]
    messages.append(Message(role="user", blocks=[Text(text=values.get("prompt") or ""), *pictures]))
    dropped += left_out(fields, _KNOWN | _OWN | {name for name in (*_TEMPLATING, *_DRAWING) if not values.get(name)})
    return Conversation(messages=messages, settings=settings, extra=extra, deviations=tuple(dict.fromkeys(dropped)))


def encode(request: Request, deployment: Deployment, conversation: Conversation | None) -> Outgoing:
    """The client's bytes for ``deployment``; a conversation only if it is one turn. Raises BadRequestError."""
    if conversation is None:
        return like("/api/generate", request, deployment)
    value, deviations = to_ollama(conversation, deployment, request.input_tokens)
    note = Deviations()
    messages: list[dict[str, Any]] = value.pop("messages")
    system = [message["content"] for message in messages if message["role"] == "system"]
    turns = [message for message in messages if message["role"] != "system"]
    if len(turns) != 1 or turns[0]["role"] != "user" or "tools" in value:
        raise unsupported("Ollama's /api/generate", "conversation", "messages")
    value["prompt"] = turns[0]["content"]
    if "images" in turns[0]:
        value["images"] = turns[0]["images"]
    if system:
        value["system"] = "\n".join(system)
    value["stream"] = request.stream
    for name in deployment.drop:
        if value.pop(name, None) is not None or value["options"].pop(name, None) is not None:
            note.add(f"dropped:{name}")
    body = msgspec.json.encode(value)
    return Outgoing(path="/api/generate", headers=JSON_HEADERS, body=body, deviations=(*deviations, *note.all()))


CLIENT = ClientWire(name="ollama.generate", parse=parse, renderer=renderer, conversation=conversation, error=error_body)

PROVIDER = ProviderWire(
    name="ollama.generate", like=frozenset({"ollama.generate"}), encode=encode, decoder=decoder, error=upstream_error
)
