"""OpenAI's embeddings, towards clients and providers. It knows neither routes nor places.

Vectors travel as lists of floats or as base64 of little-endian 32-bit floats. OpenAI's own client always asks for
base64, many servers only write lists: what the upstream sends is turned into what the client asked for.
Source: the OpenAI API reference, "Create embeddings".
"""

from __future__ import annotations

import array
import base64
import binascii
import sys
from typing import Any

import msgspec

from nearfar.core.chat import Chunk, EmbeddingsDelta, Request, Usage
from nearfar.core.conversation import Block, Conversation, Message, Opaque, Text
from nearfar.core.errors import BadRequestError, NearfarError, UpstreamError
from nearfar.core.routing import Deployment
from nearfar.wire import reported, strict
from nearfar.wire.base import ClientWire, Outgoing, ProviderWire
from nearfar.wire.failures import upstream_error
from nearfar.wire.fields import integer, refuse_steering, wrong
from nearfar.wire.openai_chat_decode import usage
from nearfar.wire.openai_chat_render import error_body
from nearfar.wire.patch import JSON_HEADERS, patch
from nearfar.wire.plain import PlainDecoder, decode_reply, refuse_error
from nearfar.wire.tokens import of_text

TOKENS = "openai.tokens"
"""Vendor of an Opaque block that holds one input as token ids."""

_encode = msgspec.json.Encoder().encode
_ONE = msgspec.Raw(b'""')


def parse(body: bytes, request_id: str) -> Request:
    """Read an embeddings request; what this gateway has no name for travels. Raises BadRequestError."""
    members, values, compact = strict.parse(body)
    refuse_steering(values)
    model = values.get("model")
    if not isinstance(model, str) or not model:
        raise wrong("model", model, "the name of a model", hint="GET /v1/models lists them.")
    form = values.get("encoding_format")
    if form not in (None, "float", "base64"):  # a tuple: a list or an object cannot be looked up in a set
        raise wrong("encoding_format", form, "float or base64")
    needs = set()
    if integer(values, "dimensions") is not None:
        needs.add("dimensions")
    tokens = _token_count(values.get("input"))
    if tokens is not None:
        needs.add("token_input")
    return Request(
        id=request_id,
        wire="openai.embeddings",
        operation="embeddings",
        model=model,
        body=body,
        fields=members,
        input_tokens=of_text(compact) if tokens is None else tokens,
        needs=frozenset(needs),
    )


def _token_count(value: object) -> int | None:
    """Tokens in an input of token ids; None for texts. Raises BadRequestError for anything else."""
    wanted = "a text, a list of texts, a list of token ids, or a list of such lists"
    if isinstance(value, str) and value:
        return None
    if not isinstance(value, list) or not value:
        raise wrong("input", value, wanted)
    if _all(value, str):
        empty = next((at for at, item in enumerate(value) if not item), None)
        if empty is not None:
            raise wrong(f"input[{empty}]", "", "text")
        return None
    if _all(value, int):
        return len(value)
    if all(isinstance(item, list) and item and _all(item, int) for item in value):
        return sum(len(item) for item in value)
    raise wrong("input", value, wanted)


def _all(items: list[Any], kind: type) -> bool:
    return all(type(item) is kind for item in items)


def conversation(request: Request) -> Conversation:
    """The inputs as the blocks of one message: a text each, or token ids that no other wire understands."""
    extra = {name: raw for name, raw in request.fields.items() if name not in {"model", "input"}}
    value = msgspec.json.decode(request.fields["input"])
    if isinstance(value, str) or isinstance(value[0], int):
        extra["input"] = _ONE
        value = [value]
    blocks: list[Block] = [
        Text(text=item) if isinstance(item, str) else Opaque(vendor=TOKENS, raw=msgspec.Raw(_encode(item)))
        for item in value
    ]
    return Conversation(messages=[Message(role="user", blocks=blocks)], extra=extra)


def encode(request: Request, deployment: Deployment, conversation: Conversation | None) -> Outgoing:
    """The request for ``deployment``: the client's bytes, changed only where they must be; or the conversation."""
    fields, asked, unchanged = request.fields, request.model, request.body
    if conversation is not None:
        items = [block.text if isinstance(block, Text) else block for block in conversation.messages[0].blocks]
        raw = [item.raw if isinstance(item, Opaque) else item for item in items]
        one = conversation.extra.get("input") == _ONE
        fields = {**conversation.extra, "input": msgspec.Raw(_encode(raw[0] if one else raw))}
        asked, unchanged = "", b""
    body, deviations = patch(fields, asked, deployment, {}, unchanged)
    return Outgoing(path="/embeddings", headers=JSON_HEADERS, body=body, deviations=deviations)


class _Item(msgspec.Struct):
    embedding: msgspec.Raw
    index: int | None = None


class _Reply(msgspec.Struct):
    data: list[_Item] | None = None
    model: Any = None
    usage: Any = None
    error: Any = None
    object: Any = None


_decode = msgspec.json.Decoder(_Reply).decode


def wants_base64(request: Request) -> bool:
    """Whether the client asked for base64."""
    raw = request.fields.get("encoding_format")
    return raw is not None and bytes(raw) == b'"base64"'


def decoder(request: Request, typed: bool) -> PlainDecoder:
    """The decoder for the reply to ``request``; the vectors come in the form the client asked for."""
    to_base64 = wants_base64(request)
    return PlainDecoder(lambda body: _read_plain(body, typed, to_base64))


def _read_plain(body: bytes, typed: bool, to_base64: bool) -> Chunk:
    reply: _Reply = decode_reply(_decode, body)
    refuse_error(reply.error or reply.object == "error", body)
    if not reply.data:
        message = "The upstream's reply holds no embeddings."
        raise UpstreamError(message, code="empty_reply", upstream_body=body[:1000])
    chunk = Chunk(raw=body, content=True, end=True, usage=_usage(reply.usage), model=reported.model(reply.model))
    if typed:
        items = sorted(enumerate(reply.data), key=lambda pair: pair[0] if pair[1].index is None else pair[1].index)
        chunk.events = (EmbeddingsDelta([read_vector(item.embedding) for _, item in items]),)
    elif any((bytes(item.embedding)[:1] == b'"') is not to_base64 for item in reply.data):
        chunk.raw = _converted(body, to_base64)
    return chunk


def _usage(value: object) -> Usage | None:
    found = usage(value)
    return None if found is None else Usage(input=found.input, output=found.output or 0, cached=found.cached)


def _converted(body: bytes, to_base64: bool) -> bytes:
    """``body`` with every vector in the other form; all else stays."""
    members = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    items = []
    for item in msgspec.json.decode(members["data"], type=list[dict[str, msgspec.Raw]]):
        vector = read_vector(item["embedding"])
        items.append({**item, "embedding": to_text(vector) if to_base64 else vector})
    return strict.replace(members, {"data": _encode(items)})


def read_vector(raw: msgspec.Raw) -> list[float]:
    """A vector in either form. Raises UpstreamError when it is neither."""
    try:
        if bytes(raw)[:1] != b'"':
            return msgspec.json.decode(raw, type=list[float])
        values = array.array("f", base64.b64decode(msgspec.json.decode(raw, type=str), validate=True))
    except (msgspec.DecodeError, binascii.Error, ValueError) as exc:
        raise UpstreamError("The upstream sent a vector in neither of its two forms.", code="malformed_reply") from exc
    if sys.byteorder == "big":
        values.byteswap()
    return values.tolist()


def to_text(vector: list[float]) -> str:
    """Base64 of the vector as little-endian 32-bit floats."""
    values = array.array("f", vector)
    if sys.byteorder == "big":
        values.byteswap()
    return base64.b64encode(values).decode()


def renderer(request: Request, like: bool) -> Renderer:
    """The renderer for the reply to ``request``; ``like``: the chunk is already in this shape."""
    return Renderer(request, like)


class Renderer:
    """One body."""

    content_type = "application/json"

    def __init__(self, request: Request, like: bool) -> None:
        self._request = request
        self._like = like
        self._vectors: list[list[float]] = []
        self._usage: Usage | None = None
        self._model = request.model

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
        """The body in the form the client asked for."""
        if self._like:
            return b""
        text = wants_base64(self._request)
        data = [
            {"object": "embedding", "index": index, "embedding": to_text(vector) if text else vector}
            for index, vector in enumerate(self._vectors)
        ]
        value: dict[str, Any] = {"object": "list", "data": data, "model": self._model}
        if self._usage is not None and self._usage.input is not None:
            value["usage"] = {"prompt_tokens": self._usage.input, "total_tokens": self._usage.input}
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


CLIENT = ClientWire(
    name="openai.embeddings", parse=parse, renderer=renderer, conversation=conversation, error=error_body
)

PROVIDER = ProviderWire(
    name="openai.embeddings",
    like=frozenset({"openai.embeddings"}),
    operations=frozenset({"embeddings"}),
    encode=encode,
    decoder=decoder,
    error=upstream_error,
)


def only_text(conversation: Conversation, system: str) -> list[str]:
    """The inputs as texts, for a wire that knows nothing else. Raises BadRequestError for token ids."""
    blocks = conversation.messages[0].blocks
    texts = [block.text for block in blocks if isinstance(block, Text)]
    if len(texts) < len(blocks):
        message = f"{system} embeds text only, not token ids."
        raise BadRequestError(message, code="unsupported", param="input", hint="Send the texts.")
    return texts
