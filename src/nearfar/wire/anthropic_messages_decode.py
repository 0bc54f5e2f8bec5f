"""Decodes replies of Anthropic's Messages API, streamed or plain, into chunks. It knows no client and no request body.

Source: the Claude API reference, "Streaming messages", and the types of its Python SDK 2.12, read 2026-11-22.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from nearfar.core.chat import (
    Chunk,
    Event,
    Finish,
    ReasoningDelta,
    ReasoningSeal,
    Request,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from nearfar.core.errors import UpstreamError
from nearfar.wire import reported, sse
from nearfar.wire.base import Decoder
from nearfar.wire.failures import stream_error
from nearfar.wire.plain import PlainDecoder, decode_reply, refuse_error
from nearfar.wire.stream import MALFORMED, StreamDecoder

FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
"""Anthropic's stop reasons in OpenAI's words; a paused turn is an unfinished one."""


class _Block(msgspec.Struct):
    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    data: str = ""
    id: str = ""
    name: str = ""
    input: msgspec.Raw = msgspec.Raw(b"{}")


class _Delta(msgspec.Struct):
    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    partial_json: str = ""
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _Message(msgspec.Struct):
    type: str = ""
    id: str = ""
    model: str = ""
    content: list[_Block] = []
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: dict[str, Any] | None = None
    error: Any = None


class _Event(msgspec.Struct):
    type: str
    index: int = 0
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: dict[str, Any] | None = None
    error: Any = None


_SAYING = frozenset({"text", "thinking"})
"""Kinds of blocks that say nothing yet when they begin."""

_NAME = re.compile(r"[a-z_]{1,64}")

_decode_event = msgspec.json.Decoder(_Event).decode
_decode_message = msgspec.json.Decoder(_Message).decode


def decoder(request: Request, typed: bool) -> Decoder:
    """The decoder for the reply to ``request``."""
    if request.stream:
        return StreamDecoder(sse.Splitter(), _Reader(typed=typed).read)
    return PlainDecoder(lambda body: _read_plain(body, typed=typed))


class _Open:
    """A content block between its start and its stop."""

    def __init__(self, block: _Block, call: int) -> None:
        self.kind = block.type
        self.call = call
        self.signature = block.signature
        self.arguments = False


class _Reader:
    """Turns the events of one stream into chunks. A stream ends with ``message_stop``."""

    def __init__(self, *, typed: bool) -> None:
        self._typed = typed
        self._open: dict[int, _Open] = {}
        self._calls = 0
        self._counts: dict[str, Any] = {}

    def read(self, raw: sse.Event) -> Chunk | None:
        """One event; None for those that say nothing."""
        try:
            event = _decode_event(raw.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            message = "The upstream sent an event that is not one of Anthropic's."
            raise UpstreamError(message, code=MALFORMED, upstream_body=raw.data[:1000]) from exc
        if event.type == "error":
            raise stream_error(msgspec.json.decode(raw.data), raw.data)
        chunk = Chunk(raw=raw.raw)
        known = True
        if event.type == "message_start" and event.message is not None:
            chunk.id, chunk.model = event.message.id, reported.model(event.message.model)
            counts = {name: count for name, count in (event.message.usage or {}).items() if name != "output_tokens"}
            chunk.usage = self._count(counts)  # its output count is only a beginning
        elif event.type == "message_delta":
            chunk.usage = self._count(event.usage or {})
            if event.delta is not None and event.delta.stop_reason:
                chunk.finish = FINISH.get(event.delta.stop_reason, "stop")
                if self._typed:
                    chunk.events = (_finish(event.delta.stop_reason, event.delta.stop_sequence),)
        elif event.type == "message_stop":
            chunk.end = True
        elif self._typed:
            chunk.events = self._block_events(event)
            chunk.content = bool(chunk.events)
            known = event.type.startswith("content_block_")
        else:
            chunk.content = _says(event)
        if self._typed:
            return chunk if known else None  # ping, and kinds to come
        return _named(chunk, event.type, raw)

    def _block_events(self, event: _Event) -> tuple[Event, ...]:
        if event.type == "content_block_start" and event.content_block is not None:
            return self._start(event.index, event.content_block)
        if event.type == "content_block_delta" and event.delta is not None:
            return self._delta(event.index, event.delta)
        if event.type == "content_block_stop":
            return self._stop(event.index)
        return ()

    def _count(self, counts: dict[str, Any]) -> Usage | None:
        """Counts are cumulative, and a later event may leave out what an earlier one said."""
        self._counts.update({name: count for name, count in counts.items() if count is not None})
        return usage(self._counts)

    def _start(self, index: int, block: _Block) -> tuple[Event, ...]:
        self._open[index] = _Open(block, self._calls)
        if block.type == "tool_use":
            self._calls += 1
            return (ToolCallDelta(call=self._open[index].call, id=block.id, name=block.name),)
        if block.type == "redacted_thinking":
            return (ReasoningSeal(redacted=block.data, block=index),)
        if block.type == "text" and block.text:
            return (TextDelta(block.text),)
        if block.type == "thinking" and block.thinking:
            return (ReasoningDelta(block.thinking, block=index),)
        return ()

    def _delta(self, index: int, delta: _Delta) -> tuple[Event, ...]:
        opened = self._open.get(index)
        if delta.type == "text_delta" and delta.text:
            return (TextDelta(delta.text),)
        if delta.type == "thinking_delta" and delta.thinking:
            return (ReasoningDelta(delta.thinking, block=index),)
        if opened is None:
            return ()
        if delta.type == "signature_delta":
            opened.signature += delta.signature
        elif delta.type == "input_json_delta" and delta.partial_json and opened.kind == "tool_use":
            opened.arguments = True
            return (ToolCallDelta(call=opened.call, arguments=delta.partial_json),)
        return ()

    def _stop(self, index: int) -> tuple[Event, ...]:
        opened = self._open.pop(index, None)
        if opened is None:
            return ()
        if opened.kind == "thinking" and opened.signature:
            return (ReasoningSeal(signature=opened.signature, block=index),)
        if opened.kind == "tool_use" and not opened.arguments:
            return (ToolCallDelta(call=opened.call, arguments="{}"),)  # no arguments come as no delta at all
        return ()


def _says(event: _Event) -> bool:
    """Whether an event brings something that a reader would see."""
    if event.type == "content_block_delta":
        return True
    return (
        event.type == "content_block_start"
        and event.content_block is not None
        and event.content_block.type not in _SAYING
    )


def _named(chunk: Chunk, kind: str, raw: sse.Event) -> Chunk | None:
    """The chunk with its event's name, without which official clients pass an event over; None when it has none."""
    name = kind if _NAME.fullmatch(kind) else raw.name
    if not _NAME.fullmatch(name):
        return None
    chunk.raw = b"event: %b\n%b" % (name.encode(), raw.raw)
    return chunk


def _finish(native: str, stop: str | None) -> Finish:
    return Finish(FINISH.get(native, "stop"), native, stop=stop or "")


def _read_plain(body: bytes, *, typed: bool) -> Chunk:
    message: _Message = decode_reply(_decode_message, body)
    refuse_error(message.error or message.type == "error", body)
    if message.type != "message":
        raise UpstreamError("The upstream's reply is no message.", code="empty_reply", upstream_body=body[:1000])
    finish = _finish(message.stop_reason or "", message.stop_sequence)
    return Chunk(
        raw=body,
        events=(*_events(message.content), finish) if typed else (),
        usage=usage(message.usage or {}),
        finish=finish.reason,
        content=True,
        end=True,
        model=reported.model(message.model),
        id=message.id,
    )


def _events(blocks: list[_Block]) -> list[Event]:
    events: list[Event] = []
    calls = 0
    for index, block in enumerate(blocks):
        if block.type == "text" and block.text:
            events.append(TextDelta(block.text))
        elif block.type == "thinking":
            if block.thinking:
                events.append(ReasoningDelta(block.thinking, block=index))
            if block.signature:
                events.append(ReasoningSeal(signature=block.signature, block=index))
        elif block.type == "redacted_thinking":
            events.append(ReasoningSeal(redacted=block.data, block=index))
        elif block.type == "tool_use":
            arguments = bytes(block.input).decode()
            events.append(ToolCallDelta(call=calls, id=block.id, name=block.name, arguments=arguments))
            calls += 1
    return events


def usage(counts: dict[str, Any]) -> Usage | None:
    """Token counts; None when none is reported. Anthropic's ``input_tokens`` leaves out what the cache gave or took."""
    plain, cached, written = (
        _number(counts.get(name)) for name in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    )
    details = counts.get("output_tokens_details")
    read = Usage(
        input=None if plain is None else plain + (cached or 0) + (written or 0),
        output=_number(counts.get("output_tokens")),
        cached=cached,
        cache_write=written,
        reasoning=_number(details.get("thinking_tokens")) if isinstance(details, dict) else None,
    )
    return None if read.input is None and read.output is None else read


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None
