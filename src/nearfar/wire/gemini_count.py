"""Gemini's countTokens: a request in, one number out. It knows neither routes nor places.

Source: the Gemini API reference, "models.countTokens", and Vertex AI's discovery document of 2026-11-06, read
2026-11-22.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nearfar.core.chat import Chunk, Request, Usage
from nearfar.core.conversation import Conversation
from nearfar.core.errors import BadRequestError, UpstreamError
from nearfar.core.routing import Deployment
from nearfar.wire import strict
from nearfar.wire.base import ClientWire, Decoder, Outgoing, ProviderWire, Renderer
from nearfar.wire.elsewhere import frozen
from nearfar.wire.fields import refuse_steering, wrong
from nearfar.wire.gemini_generate import is_vertex, model_path
from nearfar.wire.gemini_generate_failures import error_body, gemini_error, stream_failure
from nearfar.wire.gemini_generate_members import camel
from nearfar.wire.gemini_generate_read import read_body
from nearfar.wire.gemini_generate_render import JSON
from nearfar.wire.patch import JSON_HEADERS
from nearfar.wire.plain import PassedOn, PlainDecoder, decode_reply

NAME = "gemini.count"
OPERATION = "count_tokens"
_WHOLE = "generateContentRequest"


def read(body: bytes, request_id: str, *, model: str) -> Request:
    """A request to count for ``model``: contents, or a whole request to generate. Raises BadRequestError."""
    members, values, compact = strict.parse(body)
    refuse_steering(values)
    inner = camel(values).get(_WHOLE)
    if inner is not None and not isinstance(inner, dict):
        raise wrong(_WHOLE, inner, "an object")
    asked = values if inner is None else inner
    refuse_steering(asked)
    found = read_body(asked)
    if not model:
        named = asked.get("model")
        model = named.removeprefix("models/") if isinstance(named, str) else ""
        if not model:
            raise wrong("model", named, "the name of a model", hint="GET /v1beta/models lists them.")
    return Request(
        id=request_id,
        wire=NAME,
        operation=OPERATION,
        model=model,
        body=body,
        fields=members,
        input_tokens=found.tokens(compact),
        needs=frozenset(found.needs),
        elsewhere=frozen(found.elsewhere),
    )


def parse(body: bytes, request_id: str) -> Request:
    """A request that names its model in the body."""
    return read(body, request_id, model="")


def counted(tokens: int) -> bytes:
    """A reply that says ``tokens``."""
    return b'{"totalTokens":%d}' % tokens


def encode(request: Request, deployment: Deployment, conversation: Conversation | None) -> Outgoing:
    """The client's own bytes, with the deployment's model. Vertex AI takes the inner request's members themselves."""
    if conversation is not None:
        raise BadRequestError("Only a request in Gemini's own shape can be counted there.", code="unsupported")
    path = model_path(deployment)
    fields: dict[str, Any] = dict(camel(request.fields))
    inner = fields.pop(_WHOLE, None)
    fields.pop("model", None)
    if inner is None:
        changed = fields.keys() != request.fields.keys()
        body = msgspec.json.encode(fields) if changed else request.body
    else:
        asked = {**msgspec.json.decode(inner, type=dict[str, msgspec.Raw])}
        asked.pop("model", None)
        named: dict[str, Any] = {"model": path.removeprefix("/"), **asked}
        body = msgspec.json.encode(asked if is_vertex(deployment) else {_WHOLE: named})
    return Outgoing(path=f"{path}:countTokens", headers=JSON_HEADERS, body=body)


class _Reply(msgspec.Struct, rename="camel"):
    total_tokens: int | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Reply).decode


def decoder(request: Request, typed: bool) -> Decoder:
    """The decoder for the reply: it is never a stream, and has no events."""
    del request, typed
    return PlainDecoder(_read)


def _read(body: bytes) -> Chunk:
    reply: _Reply = decode_reply(_decode, body)
    if reply.error:
        raise stream_failure(body)
    if reply.total_tokens is None:
        raise UpstreamError("The upstream's reply counts nothing.", code="empty_reply", upstream_body=body[:1000])
    # Counting is free, so nothing was used: the number is the answer, not a bill.
    return Chunk(raw=body, usage=Usage(input=0, output=0), content=True, end=True)


def renderer(request: Request, like: bool) -> Renderer:  # noqa: ARG001  the contract's signature
    """The upstream's reply is the client's."""
    return PassedOn(request.id, error_body, JSON)


CLIENT = ClientWire(name=NAME, parse=parse, renderer=renderer, error=error_body)

PROVIDER = ProviderWire(
    name=NAME,
    like=frozenset({NAME}),
    operations=frozenset({OPERATION}),
    encode=encode,
    decoder=decoder,
    error=gemini_error,
)
