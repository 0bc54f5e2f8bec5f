"""Ollama's own embeddings, towards providers. It knows neither routes nor places.

Source: Ollama's docs/api.md and api/types.go of 2026-08, read 2026-11-22.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nearfar.core.chat import Chunk, EmbeddingsDelta, Request, Usage
from nearfar.core.conversation import Conversation
from nearfar.core.errors import UpstreamError
from nearfar.core.routing import Deployment
from nearfar.wire import reported
from nearfar.wire.base import Outgoing, ProviderWire
from nearfar.wire.deviations import Deviations
from nearfar.wire.failures import upstream_error
from nearfar.wire.openai_embeddings import only_text
from nearfar.wire.patch import JSON_HEADERS
from nearfar.wire.plain import PlainDecoder, decode_reply, refuse_error

_OWN = frozenset({"dimensions"})
_ANSWERED_HERE = frozenset({"encoding_format", "input"})
"""The renderer gives the form that was asked for; ``input`` only marks its spelling."""


def encode(request: Request, deployment: Deployment, conversation: Conversation | None) -> Outgoing:
    """The texts for ``deployment``; ``truncate`` off, so that nothing is cut in silence."""
    assert conversation is not None, "no client wire is like this one"
    del request
    note = Deviations()
    kept = note.keep({name: raw for name, raw in conversation.extra.items() if name not in _ANSWERED_HERE}, _OWN)
    value: dict[str, Any] = {
        "model": deployment.model,
        "input": only_text(conversation, "Ollama"),
        "truncate": False,
        **kept,
    }
    for name in deployment.drop:
        if value.pop(name, None) is not None:
            note.add(f"dropped:{name}")
    return Outgoing(path="/api/embed", headers=JSON_HEADERS, body=msgspec.json.encode(value), deviations=note.all())


class _Reply(msgspec.Struct):
    model: str = ""
    embeddings: list[list[float]] = []
    prompt_eval_count: int | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Reply).decode


def decoder(request: Request, typed: bool) -> PlainDecoder:
    """The decoder for the reply to ``request``; its chunk always carries events (``typed`` changes nothing)."""
    del request, typed
    return PlainDecoder(_read)


def _read(body: bytes) -> Chunk:
    reply: _Reply = decode_reply(_decode, body)
    refuse_error(reply.error, body)
    if not reply.embeddings:
        message = "The upstream's reply holds no embeddings."
        raise UpstreamError(message, code="empty_reply", upstream_body=body[:1000])
    usage = None if reply.prompt_eval_count is None else Usage(input=reply.prompt_eval_count, output=0)
    events = (EmbeddingsDelta(reply.embeddings),)
    return Chunk(raw=body, events=events, usage=usage, content=True, end=True, model=reported.model(reply.model))


PROVIDER = ProviderWire(
    name="ollama.embed",
    operations=frozenset({"embeddings"}),
    encode=encode,
    decoder=decoder,
    error=upstream_error,
)
