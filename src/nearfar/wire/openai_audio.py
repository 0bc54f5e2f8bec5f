"""OpenAI's audio transcriptions, passed on to servers that have the same door. It knows neither routes nor places.

The form travels as it came; only the model's name is replaced. Nothing is translated: a deployment without the door is
refused. Source: the OpenAI API reference, "Create transcription", read 2026-11-22.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nearfar.core.chat import Chunk, Request, Usage
from nearfar.core.conversation import Conversation
from nearfar.core.errors import BadRequestError, NearfarError, UpstreamError
from nearfar.core.routing import Deployment
from nearfar.wire import multipart, sse
from nearfar.wire.base import ClientWire, Decoder, Outgoing, ProviderWire
from nearfar.wire.elsewhere import References, frozen, note
from nearfar.wire.failures import stream_error, upstream_error
from nearfar.wire.fields import STEERING, wrong
from nearfar.wire.openai_chat_render import KEEP_ALIVE, error_body
from nearfar.wire.plain import PlainDecoder, decode_reply, refuse_error
from nearfar.wire.stream import MALFORMED, StreamDecoder

NAME = "openai.audio"
BYTES_PER_TOKEN = 150
"""Bytes of sound per token: speech at 32 kbit/s and 25 tokens per second is 160."""

_ELSEWHERE = frozenset({"url", "file_url", "audio_url", "file_id", "file_ids"})
"""Fields by which some servers fetch the sound themselves."""

_FORMATS = {
    "json": "application/json",
    "verbose_json": "application/json",
    "diarized_json": "application/json",
    "text": "text/plain; charset=utf-8",
    "srt": "text/plain; charset=utf-8",
    "vtt": "text/plain; charset=utf-8",
}
_STREAM = "text/event-stream"


def parse(body: bytes, request_id: str) -> Request:
    """Read a form with one ``file`` and the settings beside it. Raises BadRequestError."""
    form = multipart.read(body)
    values: dict[str, str] = {}
    found: References = {}
    sound = -1
    for part in form.parts:
        if part.name == "file":
            if part.filename is None or part.start == part.end:
                raise wrong("file", "", "a file with a name and a content")
            sound = part.end - part.start
            continue
        if part.filename is not None:
            raise wrong(part.name[:100], "", "a value; the file is called file")
        name = part.name.removesuffix("[]")
        _refuse(name)
        if name in _ELSEWHERE:
            note(found, "file_id" if name.startswith("file_id") else "media_url", name)
        try:
            values[part.name] = body[part.start : part.end].decode()
        except UnicodeDecodeError as exc:
            raise wrong(part.name[:100], "", "text in UTF-8") from exc
    if sound < 0:
        raise wrong("file", None, "a file with a name and a content")
    if not values.get("model"):
        raise wrong("model", values.get("model"), "the name of a model", hint="GET /v1/models lists them.")
    shape = values.get("response_format", "json")
    if shape not in _FORMATS:
        raise BadRequestError(
            f"response_format must be one of {', '.join(_FORMATS)}.", code="invalid_value", param="response_format"
        )
    return Request(
        id=request_id,
        wire=NAME,
        operation="transcription",
        model=values["model"],
        body=body,
        fields={name: msgspec.Raw(msgspec.json.encode(value)) for name, value in values.items()},
        stream=_boolean(values, "stream"),
        input_tokens=max(1, sound // BYTES_PER_TOKEN) + sum(len(value) for value in values.values()) // 3,
        elsewhere=frozen(found),
    )


def _refuse(name: str) -> None:
    if name in STEERING:
        message = f"{name} is not accepted in a request: where it goes and with which key is the owner's configuration."
        raise BadRequestError(message, code="steering_parameter", param=name, hint="Leave it out.")


def _boolean(values: dict[str, str], name: str) -> bool:
    value = values.get(name, "false").lower()
    if value not in {"true", "false", "1", "0"}:
        raise wrong(name, value, "true or false")
    return value in {"true", "1"}


def encode(request: Request, deployment: Deployment, conversation: Conversation | None) -> Outgoing:
    """The client's form, with the deployment's own name for the model."""
    del conversation  # there is no other dialect of this
    form = multipart.read(request.body)
    body = request.body
    if request.model != deployment.model:
        [model] = [part for part in form.parts if part.name == "model"]
        name = deployment.model.encode()
        if f"--{form.boundary}".encode() in name:
            raise BadRequestError("The form's boundary is part of the model's name.", code="invalid_multipart")
        body = b"".join((body[: model.start], name, body[model.end :]))
    headers = (("content-type", form.content_type),)
    return Outgoing(path="/audio/transcriptions", headers=headers, body=body)


class _Reply(msgspec.Struct):
    text: str | None = None
    usage: Any = None
    error: Any = None


class _Event(msgspec.Struct):
    type: str = ""
    usage: Any = None
    error: Any = None


_decode = msgspec.json.Decoder(_Reply).decode
_decode_event = msgspec.json.Decoder(_Event).decode


def _format(request: Request) -> str:
    raw = request.fields.get("response_format")
    return "json" if raw is None else msgspec.json.decode(raw, type=str)


def decoder(request: Request, typed: bool) -> Decoder:
    """The decoder for the reply to ``request``; ``typed`` changes nothing, for no other dialect is rendered."""
    del typed
    if request.stream:
        return StreamDecoder(sse.Splitter(), _read_event)
    if _FORMATS[_format(request)] == "application/json":
        return PlainDecoder(_read_json)
    return PlainDecoder(_read_text)


def _read_json(body: bytes) -> Chunk:
    reply: _Reply = decode_reply(_decode, body)
    refuse_error(reply.error, body)
    if reply.text is None:
        raise UpstreamError("The upstream's reply holds no text.", code="empty_reply", upstream_body=body[:1000])
    return Chunk(raw=body, content=True, end=True, usage=usage(reply.usage))


def _read_text(body: bytes) -> Chunk:
    """Words without a frame: that they are whole is known from the transport alone."""
    return Chunk(raw=body, content=True, end=True)


def _read_event(raw: sse.Event) -> Chunk | None:
    if raw.data == b"[DONE]":
        return None  # the text's own end came before it, or the stream is cut
    try:
        event = _decode_event(raw.data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        message = "The upstream sent an event that is no piece of a transcript."
        raise UpstreamError(message, code=MALFORMED, upstream_body=raw.data[:1000]) from exc
    if event.error or event.type == "error":
        raise stream_error(msgspec.json.decode(raw.data), raw.data)
    end = event.type == "transcript.text.done"
    return Chunk(raw=raw.raw, content=True, end=end, usage=usage(event.usage))


def usage(value: object) -> Usage | None:
    """Token counts; None where none or only the duration is reported."""
    if not isinstance(value, dict):
        return None
    read = Usage(input=_count(value, "input_tokens"), output=_count(value, "output_tokens"))
    return None if read.input is None and read.output is None else read


def _count(value: dict[str, Any], key: str) -> int | None:
    number = value.get(key)
    return number if isinstance(number, int) and number >= 0 and number is not True else None


def renderer(request: Request, like: bool) -> Renderer:
    """The renderer for the reply to ``request``; its chunks are always in this shape."""
    del like
    return Renderer(request)


class Renderer:
    """The upstream's own bytes. The event that ends a stream waits for the clean ending."""

    def __init__(self, request: Request) -> None:
        self.content_type = _STREAM if request.stream else _FORMATS[_format(request)]
        self._stream = request.stream
        self._id = request.id
        self._end = b""

    def render(self, chunk: Chunk) -> bytes:
        """The chunk's bytes, but for the last ones of a stream."""
        if self._stream and chunk.end:
            self._end = chunk.raw
            return b""
        return chunk.raw

    def finish(self) -> bytes:
        """The last event of a stream."""
        return self._end

    def error(self, error: NearfarError) -> bytes:
        """The error's body, or an event that official clients raise."""
        body = error_body(error, self._id)
        return b"data: %b\n\n" % body if self._stream else body

    def keep_alive(self) -> bytes:
        """A comment of one line in a stream; a plain body tolerates no filling."""
        return KEEP_ALIVE if self._stream else b""

    def note(self, text: str) -> bytes:
        """A comment of one line in a stream."""
        return b": %b\n" % text.encode("ascii", "replace") if self._stream else b""


CLIENT = ClientWire(name=NAME, parse=parse, renderer=renderer, error=error_body)

PROVIDER = ProviderWire(
    name=NAME,
    like=frozenset({NAME}),
    operations=frozenset({"transcription"}),
    encode=encode,
    decoder=decoder,
    error=upstream_error,
)
