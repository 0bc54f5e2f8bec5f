"""Embeddings of Titan and Cohere at Amazon Bedrock, by InvokeModel. It knows neither routes nor places.

Titan embeds one text a call, Cohere up to 96 and wants to know what they are for.

Source: the Bedrock user guide, "Amazon Titan Embeddings Text" and "Cohere Embed", read 2026-11-22.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nearfar.core.chat import Chunk, EmbeddingsDelta, Request, Usage
from nearfar.core.conversation import Conversation, Extra
from nearfar.core.errors import UpstreamError
from nearfar.core.routing import Deployment
from nearfar.wire.aws_failures import aws_error
from nearfar.wire.base import Outgoing, ProviderWire
from nearfar.wire.bedrock_converse import model_path
from nearfar.wire.deviations import Deviations, unsupported
from nearfar.wire.openai_embeddings import only_text
from nearfar.wire.patch import JSON_HEADERS
from nearfar.wire.plain import PlainDecoder, decode_reply

PURPOSE = "search_document"
"""What Cohere is told the texts are for, when the client does not say."""

_ANSWERED_HERE = frozenset({"encoding_format", "input"})
"""The renderer gives the form that was asked for; ``input`` only marks its spelling."""


def encode(request: Request, deployment: Deployment, conversation: Conversation | None) -> Outgoing:
    """The texts for ``deployment``. Raises BadRequestError (code ``unsupported``) for what its model cannot embed."""
    assert conversation is not None, "no client wire is like this one"
    del request
    note = Deviations()
    texts = only_text(conversation, "Bedrock")
    extra = {name: raw for name, raw in conversation.extra.items() if name not in _ANSWERED_HERE}
    # Titan's ids name it; a provisioned model's ARN does not, and is asked in Cohere's shape.
    value = _titan(texts, extra, note) if "titan-embed" in deployment.model else _cohere(texts, extra, note)
    for name in deployment.drop:
        if value.pop(name, None) is not None:
            note.add(f"dropped:{name}")
    path = model_path(deployment.model, "invoke")
    return Outgoing(path=path, headers=JSON_HEADERS, body=msgspec.json.encode(value), deviations=note.all())


def _titan(texts: list[str], extra: Extra, note: Deviations) -> dict[str, Any]:
    if len(texts) > 1:
        raise unsupported("Amazon Titan", "embeddings of several texts in one call", "input")
    return {"inputText": texts[0], **note.keep(extra, frozenset({"dimensions", "normalize"}))}


def _cohere(texts: list[str], extra: Extra, note: Deviations) -> dict[str, Any]:
    own = note.keep(extra, frozenset({"dimensions", "input_type"}))
    value: dict[str, Any] = {"texts": texts, "truncate": "NONE", "embedding_types": ["float"]}
    value["input_type"] = own.get("input_type", PURPOSE)
    if "input_type" not in own:
        note.add(f"default:input_type={PURPOSE}")
    if "dimensions" in own:
        value["output_dimension"] = own["dimensions"]
    return value


class _Reply(msgspec.Struct):
    embedding: list[float] = []
    embeddings: Any = None
    inputTextTokenCount: int | None = None  # noqa: N815  Titan's spelling


_decode = msgspec.json.Decoder(_Reply).decode


def decoder(request: Request, typed: bool) -> PlainDecoder:
    """The decoder for the reply to ``request``; its chunk always carries events (``typed`` changes nothing)."""
    del request, typed
    return PlainDecoder(_read)


def _read(body: bytes) -> Chunk:
    reply: _Reply = decode_reply(_decode, body)
    vectors = [reply.embedding] if reply.embedding else _vectors(reply.embeddings, body)
    count = reply.inputTextTokenCount
    usage = None if count is None else Usage(input=count, output=0)
    return Chunk(raw=body, events=(EmbeddingsDelta(vectors),), usage=usage, content=True, end=True)


def _vectors(found: object, body: bytes) -> list[list[float]]:
    """Cohere's vectors: a list of them, or one such list for each type that was asked for."""
    if isinstance(found, dict):
        found = found.get("float")
    try:
        vectors = msgspec.convert(found, list[list[float]])
    except msgspec.ValidationError:
        vectors = []
    if not vectors:
        message = "The upstream's reply holds no embeddings."
        raise UpstreamError(message, code="empty_reply", upstream_body=body[:1000])
    return vectors


PROVIDER = ProviderWire(
    name="bedrock.embed",
    operations=frozenset({"embeddings"}),
    encode=encode,
    decoder=decoder,
    error=aws_error,
)
