"""Anthropic's counting of tokens: a conversation in, one number out. It knows neither routes nor places.

The request is that for a message without its limit, and travels as it came. Source: the Claude API reference, "Count
Message tokens", read 2026-11-22.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from nearfar.core.chat import Chunk, Request, Usage
from nearfar.core.conversation import Conversation
from nearfar.core.errors import BadRequestError, NearfarError, UpstreamError
from nearfar.core.routing import Deployment
from nearfar.wire.anthropic_messages import like
from nearfar.wire.anthropic_messages_parse import read
from nearfar.wire.anthropic_messages_reply import error_body
from nearfar.wire.base import ClientWire, Decoder, Outgoing, ProviderWire, Renderer
from nearfar.wire.failures import upstream_error
from nearfar.wire.plain import PassedOn, PlainDecoder, decode_reply, refuse_error

NAME = "anthropic.count_tokens"
OPERATION = "count_tokens"


class _Count(msgspec.Struct):
    input_tokens: int | None = None
    error: msgspec.Raw = msgspec.Raw(b"")


_decode = msgspec.json.Decoder(_Count).decode


def parse(body: bytes, request_id: str) -> Request:
    """Read a request to count a conversation. Raises BadRequestError."""
    return read(body, request_id, wire=NAME, operation=OPERATION)


def counted(tokens: int) -> bytes:
    """A reply that says ``tokens``."""
    return b'{"input_tokens":%d}' % tokens


def encode(request: Request, deployment: Deployment, conversation: Conversation | None) -> Outgoing:
    """The client's own bytes, with the deployment's model."""
    if conversation is not None:
        raise BadRequestError("Only a request in Anthropic's own shape can be counted there.", code="unsupported")
    return like(request, deployment, "/messages/count_tokens")


def decoder(request: Request, typed: bool) -> Decoder:  # noqa: ARG001  the contract's signature
    """The decoder for the reply: it is never a stream, and has no events."""
    return PlainDecoder(_read)


def _read(body: bytes) -> Chunk:
    reply: _Count = decode_reply(_decode, body)
    refuse_error(bytes(reply.error) not in {b"", b"null"}, body)
    if reply.input_tokens is None:
        raise UpstreamError("The upstream's reply counts nothing.", code="empty_reply", upstream_body=body[:1000])
    # Counting is free, so nothing was used: the number is the answer, not a bill.
    return Chunk(raw=body, usage=Usage(input=0, output=0), content=True, end=True)


def error(status: int, headers: Mapping[str, str], body: bytes) -> NearfarError:
    """The error of a reply. Many that speak this dialect cannot count: that says nothing against their chat."""
    if status in {404, 405, 501}:
        message = f"The upstream cannot count tokens ({status})."
        return BadRequestError(message, code="unsupported", upstream_status=status, upstream_body=body)
    return upstream_error(status, headers, body)


def renderer(request: Request, like: bool) -> Renderer:  # noqa: ARG001  the contract's signature
    """The upstream's reply is the client's."""
    return PassedOn(request.id, error_body)


CLIENT = ClientWire(name=NAME, parse=parse, renderer=renderer, error=error_body)

PROVIDER = ProviderWire(
    name=NAME,
    like=frozenset({NAME}),
    operations=frozenset({OPERATION}),
    encode=encode,
    decoder=decoder,
    error=error,
)
