"""Claude's own messages at Amazon Bedrock, by InvokeModel. It knows neither routes nor places.

Bodies are Anthropic's without ``model`` and ``stream``, which the path says, and with Bedrock's version; a client's
betas move from the header into the body. Streams are Anthropic's events, each in base64 in a message of AWS's event
stream.

Source: the Bedrock user guide, "Anthropic Claude Messages API", and the service model bedrock-runtime 2023-09-30 in
botocore 1.44, read 2026-11-22.
"""

from __future__ import annotations

import binascii

import msgspec

from nearfar.core.chat import Request
from nearfar.core.conversation import Conversation
from nearfar.core.errors import UpstreamError
from nearfar.core.routing import Deployment
from nearfar.wire import anthropic_messages, strict
from nearfar.wire.anthropic_messages_decode import decoder as messages_decoder
from nearfar.wire.aws_event_stream import Message
from nearfar.wire.aws_failures import aws_error
from nearfar.wire.aws_unwrap import Unwrapped
from nearfar.wire.base import Decoder, Outgoing, ProviderWire
from nearfar.wire.bedrock_converse import STREAM_HEADERS, model_path
from nearfar.wire.patch import JSON_HEADERS
from nearfar.wire.stream import MALFORMED

VERSION = "bedrock-2023-05-31"


def encode(request: Request, deployment: Deployment, conversation: Conversation | None) -> Outgoing:
    """The request for ``deployment``: the client's members, or the conversation. Raises BadRequestError."""
    out = anthropic_messages.encode(request, deployment, conversation)
    changes: dict[str, bytes | None] = {
        "model": None,
        "stream": None,
        "anthropic_version": msgspec.json.encode(VERSION),
    }
    deviations = out.deviations
    for name, value in out.headers:
        if name == "anthropic-beta":
            changes["anthropic_beta"] = msgspec.json.encode([beta.strip() for beta in value.split(",")])
        elif name == "anthropic-version" and value != anthropic_messages.VERSION:
            deviations += ("adapted:anthropic-version",)
    return Outgoing(
        path=model_path(deployment.model, "invoke-with-response-stream" if request.stream else "invoke"),
        headers=STREAM_HEADERS if request.stream else JSON_HEADERS,
        body=strict.replace(strict.members(out.body), changes),
        deviations=deviations,
    )


class _Part(msgspec.Struct):
    data: bytes = msgspec.field(name="bytes", default=b"")


class _Event(msgspec.Struct):
    type: str = ""


_decode_part = msgspec.json.Decoder(_Part).decode
_decode_event = msgspec.json.Decoder(_Event).decode


def decoder(request: Request, typed: bool) -> Decoder:
    """The decoder for the reply to ``request``."""
    inner = messages_decoder(request, typed)
    return Unwrapped(inner, _event) if request.stream else inner


def _event(message: Message) -> bytes:
    """Anthropic's event as its own service would send it."""
    if message.header(":event-type") != "chunk":
        return b""
    try:
        data = _decode_part(message.payload).data
        kind = _decode_event(data).type.encode()
    except (msgspec.DecodeError, UnicodeDecodeError, binascii.Error, RecursionError) as exc:
        text = "The upstream sent an event that is not one of Anthropic's."
        raise UpstreamError(text, code=MALFORMED, upstream_body=message.payload[:1000]) from exc
    if b"\n" in data:
        data = bytes(msgspec.json.format(data, indent=-1))
    return b"event: %b\ndata: %b\n\n" % (kind, data)


PROVIDER = ProviderWire(
    name="bedrock.anthropic",
    like=frozenset({"anthropic.messages"}),
    encode=encode,
    decoder=decoder,
    error=aws_error,
)
