"""Vertex AI's text embeddings (predict), towards providers. It knows neither routes nor places.

Source: Vertex AI's "Text embeddings API" and its discovery document of 2026-11-06, read 2026-11-22.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nearfar.core.chat import Chunk, EmbeddingsDelta, Request, Usage
from nearfar.core.conversation import Conversation
from nearfar.core.errors import BadRequestError, UpstreamError
from nearfar.core.routing import Deployment
from nearfar.wire.base import Decoder, Outgoing, ProviderWire
from nearfar.wire.deviations import Deviations
from nearfar.wire.gemini_embed import NAME as CLIENT_NAME
from nearfar.wire.gemini_embed import listed_for
from nearfar.wire.gemini_generate import model_path
from nearfar.wire.gemini_generate_failures import gemini_error, stream_failure
from nearfar.wire.patch import JSON_HEADERS
from nearfar.wire.plain import PlainDecoder, decode_reply

_EACH = {"taskType": "task_type", "title": "title"}
"""What stands beside each text; everything else is said once for all."""


def encode(request: Request, deployment: Deployment, conversation: Conversation | None) -> Outgoing:
    """One prediction for each text. Cutting what is too long is off, so that nothing is cut in silence."""
    note = Deviations()
    instances: list[dict[str, Any]] = []
    parameters: dict[str, Any] = {"autoTruncate": False}
    for item in listed_for(request, conversation, note):
        text = item.text()
        if text is None:
            message = "Vertex AI's text embeddings take text only."
            raise BadRequestError(message, code="unsupported", param="content", hint="Send text parts.")
        own = {name: value for name, value in item.about.items() if name not in deployment.drop}
        for name in item.about.keys() - own.keys():
            note.add(f"dropped:{name}")
        instances.append({"content": text, **{_EACH[name]: own.pop(name) for name in _EACH if name in own}})
        parameters.update(own)
    body = msgspec.json.encode({"instances": instances, "parameters": parameters})
    path = f"{model_path(deployment)}:predict"
    return Outgoing(path=path, headers=JSON_HEADERS, body=body, deviations=note.all())


class _Embeddings(msgspec.Struct):
    values: list[float] = []
    statistics: dict[str, Any] | None = None


class _Prediction(msgspec.Struct):
    embeddings: _Embeddings


class _Reply(msgspec.Struct):
    predictions: list[_Prediction] = []
    error: Any = None


_decode = msgspec.json.Decoder(_Reply).decode


def decoder(request: Request, typed: bool) -> Decoder:
    """The decoder for the reply to ``request``; its chunk always carries events (``typed`` changes nothing)."""
    del request, typed
    return PlainDecoder(_read)


def _read(body: bytes) -> Chunk:
    reply: _Reply = decode_reply(_decode, body)
    if reply.error:
        raise stream_failure(body)
    found = [item.embeddings for item in reply.predictions]
    if not found or not all(item.values for item in found):
        message = "The upstream's reply holds no embeddings."
        raise UpstreamError(message, code="empty_reply", upstream_body=body[:1000])
    counts = [(item.statistics or {}).get("token_count") for item in found]
    known = [int(count) for count in counts if isinstance(count, int | float) and count >= 0]
    usage = Usage(input=sum(known), output=0) if len(known) == len(found) else None
    events = (EmbeddingsDelta([item.values for item in found]),)
    return Chunk(raw=body, events=events, usage=usage, content=True, end=True)


PROVIDER = ProviderWire(
    name="vertex.embed",
    like=frozenset({CLIENT_NAME}),
    operations=frozenset({"embeddings"}),
    encode=encode,
    decoder=decoder,
    error=gemini_error,
)
