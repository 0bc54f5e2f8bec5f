"""Ollama's ``/api/embed``, towards clients and providers. It knows neither routes nor places.

Source: Ollama's docs/openapi.yaml, api/types.go and server/routes.go of 2026-08, read 2026-11-22.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec

from nearfar.core.chat import Chunk, EmbeddingsDelta, Request, Usage
from nearfar.core.conversation import Block, Conversation, Message, Text
from nearfar.core.errors import NearfarError, UpstreamError
from nearfar.core.routing import Deployment
from nearfar.wire import reported, strict
from nearfar.wire.base import ClientWire, Outgoing, ProviderWire, Renderer
from nearfar.wire.deviations import Deviations
from nearfar.wire.failures import upstream_error
from nearfar.wire.fields import boolean, integer, refuse_steering, wrong
from nearfar.wire.ollama_common import asks_nothing, error_body, left_out, model_of, options_of, without
from nearfar.wire.openai_embeddings import only_text
from nearfar.wire.patch import JSON_HEADERS, patch
from nearfar.wire.plain import PlainDecoder, decode_reply, refuse_error
from nearfar.wire.tokens import of_text

_OWN = frozenset({"dimensions"})
_ANSWERED_HERE = frozenset({"encoding_format", "input"})
"""The renderer gives the form that was asked for; ``input`` only marks its spelling."""

_KNOWN = frozenset({"model", "name", "input", "dimensions"})
_ONE = msgspec.Raw(b'""')
_encode = msgspec.json.Encoder().encode


def parse(body: bytes, request_id: str) -> Request:
    """Read an embeddings request; what this gateway has no name for travels. Raises BadRequestError."""
    members, values, compact = strict.parse(body)
    refuse_steering(values)
    options_of(values)
    boolean(values, "truncate")
    found = values.get("input")
    texts = [found] if isinstance(found, str) else found
    if texts is not None and not (isinstance(texts, list) and all(isinstance(text, str) for text in texts)):
        raise wrong("input", found, "a text or a list of texts")
    needs = {"dimensions"} if integer(values, "dimensions") is not None else set()
    return Request(
        id=request_id,
        wire=CLIENT.name,
        operation="embeddings",
        model=model_of(values),
        body=body,
        fields=members,
        input_tokens=of_text(compact),
        needs=frozenset(needs),
    )


def is_empty(request: Request) -> bool:
    """Whether the request has no input: the model is to be loaded, or, with ``keep_alive`` 0, unloaded."""
    return asks_nothing(request.fields.get("input"))


def conversation(request: Request) -> Conversation:
    """The inputs as the blocks of one message, as openai_embeddings has them."""
    fields = request.fields
    value = msgspec.json.decode(fields["input"])
    extra = {name: fields[name] for name in ("dimensions",) if name in fields}
    if isinstance(value, str):
        extra["input"] = _ONE
        value = [value]
    blocks: list[Block] = [Text(text=text) for text in value]
    dropped = [told for told in left_out(fields, _KNOWN) if told != "dropped:truncate" or truncates(request)]
    return Conversation(messages=[Message(role="user", blocks=blocks)], extra=extra, deviations=tuple(dropped))


def truncates(request: Request) -> bool:
    """Whether the client itself says that texts may be cut."""
    raw = request.fields.get("truncate")
    return raw is not None and bytes(raw) == b"true"


def encode(request: Request, deployment: Deployment, conversation: Conversation | None) -> Outgoing:
    """The texts for ``deployment``; ``truncate`` off unless the client says otherwise: nothing is cut in silence."""
    if conversation is None:
        fields = request.fields
        said = fields.get("truncate")
        extra = {"truncate": b"false"} if said is None or bytes(said) == b"null" else {}
        name = fields.get("model")
        asked = "" if name is None else msgspec.json.decode(name)
        body, deviations = patch(fields, asked, without(request, deployment), extra, unchanged=request.body)
        return Outgoing(path="/api/embed", headers=JSON_HEADERS, body=body, deviations=deviations)
    note = Deviations()
    kept = note.keep({name: raw for name, raw in conversation.extra.items() if name not in _ANSWERED_HERE}, _OWN)
    value: dict[str, Any] = {
        "model": deployment.model,
        "input": only_text(conversation, "Ollama"),
        "truncate": False,
        **kept,
    }
    for unwanted in deployment.drop:
        if value.pop(unwanted, None) is not None:
            note.add(f"dropped:{unwanted}")
    return Outgoing(path="/api/embed", headers=JSON_HEADERS, body=_encode(value), deviations=note.all())


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


def renderer(request: Request, like: bool) -> Renderer:
    """The renderer for the reply to ``request``; ``like``: the chunk is already in this shape."""
    return EmbedRenderer(request, like)


class EmbedRenderer:
    """One body: ``/api/embed``'s, or with one vector ``/api/embeddings``'."""

    content_type = "application/json; charset=utf-8"

    def __init__(self, request: Request, like: bool) -> None:
        self._request = request
        self._like = like
        self._model = request.model
        self._vectors: list[list[float]] = []
        self._usage: Usage | None = None
        self._began = time.perf_counter_ns()

    def render(self, chunk: Chunk) -> bytes:
        """The body as it came; from another wire nothing until finish()."""
        if self._like:
            return chunk.raw
        self._model = chunk.model or self._model
        self._usage = chunk.usage or self._usage
        for event in chunk.events:
            if isinstance(event, EmbeddingsDelta):
                self._vectors += event.vectors
        return b""

    def finish(self) -> bytes:
        """The body."""
        if self._like:
            return b""
        if self._request.wire == "ollama.embeddings":
            return _encode({"embedding": self._vectors[0] if self._vectors else []})
        value: dict[str, Any] = {
            "model": self._model,
            "embeddings": self._vectors,
            "total_duration": max(1, time.perf_counter_ns() - self._began),
        }
        if self._usage is not None and self._usage.input is not None:
            value["prompt_eval_count"] = self._usage.input
        return _encode(value)

    def error(self, error: NearfarError) -> bytes:
        """The error's body."""
        return error_body(error, "")

    def keep_alive(self) -> bytes:
        """Nothing: a plain body tolerates no filling."""
        return b""

    def note(self, text: str) -> bytes:  # noqa: ARG002  the contract's signature
        """Nothing: what is told of a plain reply stands in its headers."""
        return b""


CLIENT = ClientWire(name="ollama.embed", parse=parse, renderer=renderer, conversation=conversation, error=error_body)

PROVIDER = ProviderWire(
    name="ollama.embed",
    like=frozenset({"ollama.embed"}),
    operations=frozenset({"embeddings"}),
    encode=encode,
    decoder=decoder,
    error=upstream_error,
)
