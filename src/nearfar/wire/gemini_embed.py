"""Gemini's embeddings: embedContent, batchEmbedContents, and Vertex AI's predict towards clients. It knows no route.

The three differ in how the inputs are listed; each is read into one list and answered in the shape that was asked in.
Towards the Gemini API everything goes as a batch. Vertex AI's side is vertex_embed.
Source: the Gemini API reference, "Embeddings", and Vertex AI's "Text embeddings API", read 2026-11-22.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nearfar.core.chat import Chunk, EmbeddingsDelta, Request, Usage
from nearfar.core.conversation import Block, Conversation, Message, Opaque, Text
from nearfar.core.errors import BadRequestError, NearfarError, UpstreamError
from nearfar.core.routing import Deployment
from nearfar.wire import base as wires
from nearfar.wire import strict
from nearfar.wire.base import ClientWire, Decoder, Outgoing, ProviderWire
from nearfar.wire.deviations import Deviations
from nearfar.wire.elsewhere import frozen
from nearfar.wire.fields import integer, refuse_steering, wrong
from nearfar.wire.gemini_generate import model_path
from nearfar.wire.gemini_generate_failures import error_body, gemini_error, stream_failure
from nearfar.wire.gemini_generate_members import camel
from nearfar.wire.gemini_generate_read import Body, many, read_content
from nearfar.wire.gemini_generate_render import JSON
from nearfar.wire.openai_embeddings import only_text
from nearfar.wire.patch import JSON_HEADERS
from nearfar.wire.plain import PlainDecoder, decode_reply
from nearfar.wire.tokens import of_text

NAME = "gemini.embed"
CONTENT = "google.content"
"""Vendor of an Opaque block that holds one input that is more than a text."""

MAX_INPUTS = 2048
_PREDICT: dict[str, str] = {"task_type": "taskType", "title": "title", "mimeType": "mimeType"}

_encode = msgspec.json.Encoder().encode


class Input(msgspec.Struct):
    """One input: its content, and what the client says about it (``taskType``, ``outputDimensionality``, …)."""

    content: dict[str, Any]
    about: dict[str, Any] = {}

    def text(self) -> str | None:
        """The input as one text; None when it holds anything else."""
        parts = many(self.content.get("parts"), "parts")
        texts = [part.get("text") for part in parts]
        return "\n".join(texts) if all(isinstance(text, str) for text in texts) else None


def inputs(values: dict[str, Any]) -> list[Input]:
    """The inputs of a body in any of its three shapes. Raises BadRequestError."""
    values = camel(values)
    if "instances" in values:
        shared = values.get("parameters") or {}
        if not isinstance(shared, dict):
            raise wrong("parameters", shared, "an object")
        return [_instance(item, at, camel(shared)) for at, item in enumerate(many(values["instances"], "instances"))]
    if "requests" in values:
        return [_input(item, f"requests[{at}]") for at, item in enumerate(many(values["requests"], "requests"))]
    return [_input(values, "body")]


def _input(value: object, where: str) -> Input:
    if not isinstance(value, dict):
        raise wrong(where, value, "an object with a content")
    about = camel(value, f"{where}.")
    content = about.get("content")
    if not isinstance(content, dict):
        raise wrong("content" if where == "body" else f"{where}.content", content, "an object with parts")
    rest = {name: item for name, item in about.items() if name not in {"content", "model"} and item is not None}
    inner = rest.pop("embedContentConfig", None)
    if isinstance(inner, dict):
        rest = {**camel(inner, f"{where}.embedContentConfig."), **rest}
    return Input(content=camel(content), about=rest)


def _instance(value: object, at: int, shared: dict[str, Any]) -> Input:
    where = f"instances[{at}]"
    if not isinstance(value, dict) or not isinstance(value.get("content"), str):
        message = f"{where} holds no text under content; nothing else is embedded here."
        raise BadRequestError(message, code="unsupported", param=where)
    about: dict[str, Any] = dict(shared)
    for name, item in value.items():
        if name != "content" and item is not None:
            about[_PREDICT.get(name) or name] = item
    return Input(content={"parts": [{"text": value["content"]}]}, about=about)


def read(body: bytes, request_id: str, *, model: str) -> Request:
    """A request to ``model``. Raises BadRequestError."""
    members, values, compact = strict.parse(body)
    refuse_steering(values)
    if not model:
        named = values.get("model")
        model = named.removeprefix("models/") if isinstance(named, str) else ""
        if not model:
            raise wrong("model", named, "the name of a model", hint="GET /v1beta/models lists them.")
    found = Body()
    listed = inputs(values)
    if not 0 < len(listed) <= MAX_INPUTS:
        message = f"There are {len(listed)} inputs; there must be 1 to {MAX_INPUTS}."
        raise BadRequestError(message, code="invalid_value", param="requests")
    for at, item in enumerate(listed):
        read_content(item.content, f"requests[{at}].content", found, roles=False)
        if not many(item.content.get("parts"), "parts"):
            raise wrong(f"requests[{at}].content.parts", [], "a list with at least one part")
        if integer(item.about, "outputDimensionality") is not None:
            found.needs.add("dimensions")
    return Request(
        id=request_id,
        wire=NAME,
        operation="embeddings",
        model=model,
        body=body,
        fields=members,
        input_tokens=of_text(compact, found.media_bytes) + found.media_tokens,
        needs=frozenset(found.needs),
        elsewhere=frozen(found.elsewhere),
    )


def parse(body: bytes, request_id: str) -> Request:
    """A request that names its model in the body."""
    return read(body, request_id, model="")


def conversation(request: Request) -> Conversation:
    """The inputs as the blocks of one message; what only Google knows is told as dropped."""
    listed = inputs(msgspec.json.decode(request.body))
    note = Deviations()
    sizes = {item.about.get("outputDimensionality") for item in listed}
    if len(sizes) > 1:
        message = "The inputs ask for vectors of different sizes; only Gemini itself can do that."
        raise BadRequestError(message, code="unsupported", param="requests")
    for item in listed:
        for name in item.about:
            if name != "outputDimensionality":
                note.add(f"dropped:{name}")
    blocks: list[Block] = []
    for item in listed:
        text = item.text()
        opaque = Opaque(vendor=CONTENT, raw=msgspec.Raw(_encode(item.content)))
        blocks.append(opaque if text is None else Text(text=text))
    [size] = sizes
    extra = {} if size is None else {"dimensions": msgspec.Raw(_encode(size))}
    return Conversation(messages=[Message(role="user", blocks=blocks)], extra=extra, deviations=note.all())


def listed_for(request: Request, conversation: Conversation | None, note: Deviations) -> list[Input]:
    """The inputs of a request of this dialect, or of another one's conversation."""
    if conversation is None:
        return inputs(msgspec.json.decode(request.body))
    about: dict[str, Any] = {}
    for name, raw in conversation.extra.items():
        if name == "dimensions":
            about["outputDimensionality"] = raw
        elif name not in {"encoding_format", "input"}:  # the renderer's business, and a mark of spelling
            note.keep({name: raw}, frozenset())
    return [Input(content={"parts": [{"text": text}]}, about=about) for text in only_text(conversation, "Gemini")]


def encode(request: Request, deployment: Deployment, conversation: Conversation | None) -> Outgoing:
    """A batch for ``deployment``. Each of its requests must name the model again."""
    note = Deviations()
    path = model_path(deployment)
    model = path.removeprefix("/")
    requests = [
        {"model": model, "content": item.content, **_without(item.about, deployment, note)}
        for item in listed_for(request, conversation, note)
    ]
    body = _encode({"requests": requests})
    return Outgoing(path=f"{path}:batchEmbedContents", headers=JSON_HEADERS, body=body, deviations=note.all())


def _without(about: dict[str, Any], deployment: Deployment, note: Deviations) -> dict[str, Any]:
    for name in deployment.drop:
        if name in about:
            note.add(f"dropped:{name}")
    return {name: value for name, value in about.items() if name not in deployment.drop}


class _Vector(msgspec.Struct):
    values: list[float] = []


class _Reply(msgspec.Struct, rename="camel"):
    embeddings: list[_Vector] = []
    embedding: _Vector | None = None
    usage_metadata: dict[str, Any] | None = None
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
    vectors = [item.values for item in reply.embeddings or ([reply.embedding] if reply.embedding else [])]
    if not all(vectors) or not vectors:
        message = "The upstream's reply holds no embeddings."
        raise UpstreamError(message, code="empty_reply", upstream_body=body[:1000])
    count = (reply.usage_metadata or {}).get("promptTokenCount")
    usage = Usage(input=count, output=0) if isinstance(count, int) and count >= 0 else None
    return Chunk(raw=body, events=(EmbeddingsDelta(vectors),), usage=usage, content=True, end=True)


def renderer(request: Request, like: bool) -> wires.Renderer:
    """The renderer for the reply to ``request``; every upstream's vectors are put into the shape that was asked in."""
    del like
    return Renderer(request)


class Renderer:
    """One body."""

    content_type = JSON

    def __init__(self, request: Request) -> None:
        self._request = request
        self._vectors: list[list[float]] = []
        self._usage: Usage | None = None

    def render(self, chunk: Chunk) -> bytes:
        """Nothing yet: the body is written when the reply is complete."""
        self._usage = chunk.usage or self._usage
        for event in chunk.events:
            if isinstance(event, EmbeddingsDelta):
                self._vectors += event.vectors
        return b""

    def finish(self) -> bytes:
        """The body: one embedding, a list of them, or predictions."""
        fields = self._request.fields
        vectors = [{"values": vector} for vector in self._vectors]
        if "instances" in fields:
            return _encode({"predictions": [{"embeddings": vector} for vector in vectors]})
        value: dict[str, Any] = {"embeddings": vectors} if "requests" in fields else {"embedding": (vectors or [{}])[0]}
        if self._usage is not None and self._usage.input is not None:
            value["usageMetadata"] = {"promptTokenCount": self._usage.input, "totalTokenCount": self._usage.input}
        return _encode(value)

    def error(self, error: NearfarError) -> bytes:
        """The error's body."""
        return error_body(error, self._request.id)

    def keep_alive(self) -> bytes:
        """Nothing: a plain body tolerates no filling."""
        return b""

    def note(self, text: str) -> bytes:  # noqa: ARG002  the contract's signature
        """Nothing: what is told of a plain reply stands in its headers."""
        return b""


CLIENT = ClientWire(name=NAME, parse=parse, renderer=renderer, conversation=conversation, error=error_body)

PROVIDER = ProviderWire(
    name=NAME,
    like=frozenset({NAME}),
    operations=frozenset({"embeddings"}),
    encode=encode,
    decoder=decoder,
    error=gemini_error,
)
