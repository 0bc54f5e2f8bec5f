"""Reads Ollama's replies, lines of a stream or one plain object, into chunks. It knows neither routes nor places.

``/api/chat`` and ``/api/generate`` answer alike but for one member: ``message`` there, ``response`` here.
Source: Ollama's docs/api.md and api/types.go of 2026-08, read 2026-11-22.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nearfar.core.chat import (
    Chunk,
    Event,
    Finish,
    LogprobsDelta,
    ReasoningDelta,
    Request,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from nearfar.core.errors import StreamCut, UpstreamError
from nearfar.wire import reported
from nearfar.wire.base import Decoder
from nearfar.wire.failures import stream_error
from nearfar.wire.ndjson import Lines
from nearfar.wire.plain import PlainDecoder, decode_reply, refuse_error
from nearfar.wire.stream import MALFORMED, StreamDecoder


class _Function(msgspec.Struct):
    name: str = ""
    arguments: msgspec.Raw = msgspec.Raw(b"{}")


class _Call(msgspec.Struct):
    function: _Function
    id: str = ""


class _Message(msgspec.Struct):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[_Call] | None = None


class _Line(msgspec.Struct):
    model: str = ""
    message: _Message | None = None
    response: str | None = None
    thinking: str | None = None
    done: bool = False
    done_reason: str = ""
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    logprobs: list[dict[str, Any]] | None = None
    remote_model: str = ""
    remote_host: str = ""
    error: Any = None


_decode = msgspec.json.Decoder(_Line).decode


def decoder(request: Request, typed: bool) -> Decoder:
    """The decoder for the reply to ``request``; its chunks always carry events (``typed`` changes nothing)."""
    del typed
    if request.stream:
        return StreamDecoder(Lines(), _Reader(request.id).read_line)
    return PlainDecoder(lambda body: _read_plain(body, request.id))


class _Reader:
    """Turns lines into chunks, counting the tool calls of one reply."""

    def __init__(self, reply_id: str) -> None:
        self._id = reply_id
        self._calls = 0

    def read_line(self, raw: bytes) -> Chunk:
        """A line of a stream."""
        try:
            line = _decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            message = "The upstream sent a line that is not one of Ollama's."
            raise UpstreamError(message, code=MALFORMED, upstream_body=raw[:1000]) from exc
        if line.error:
            raise stream_error(msgspec.json.decode(raw), raw)
        return self.read(raw, line)

    def read(self, raw: bytes, line: _Line) -> Chunk:
        """A decoded line, or a whole plain reply, which has the same shape."""
        events: list[Event] = []
        message = line.message or _Message(content=line.response, thinking=line.thinking)
        if message.thinking:
            events.append(ReasoningDelta(message.thinking))
        if message.content:
            events.append(TextDelta(message.content))
        events += [self._call(call) for call in message.tool_calls or []]
        if line.logprobs:
            events.append(LogprobsDelta(_logprobs(line.logprobs)))
        chunk = Chunk(raw=raw, content=bool(events), end=line.done, model=reported.model(line.model))
        if line.remote_host:  # not from this machine's weights, whatever its list said
            chunk.model = reported.model(f"{line.remote_model or line.model}@{line.remote_host}") or "elsewhere"
        if line.done:
            reason = "length" if line.done_reason == "length" else "stop"
            chunk.finish = "tool_calls" if self._calls and reason == "stop" else reason
            events.append(Finish(chunk.finish, line.done_reason))
            if line.prompt_eval_count is not None or line.eval_count is not None:
                chunk.usage = Usage(input=line.prompt_eval_count, output=line.eval_count)
        chunk.events = tuple(events)
        return chunk

    def _call(self, call: _Call) -> ToolCallDelta:
        number = self._calls
        self._calls += 1
        return ToolCallDelta(
            call=number,
            id=call.id or f"call_{self._id}_{number}",  # older versions give none, and results are addressed by id
            name=call.function.name,
            arguments=bytes(call.function.arguments).decode(),
        )


def _logprobs(found: list[dict[str, Any]]) -> msgspec.Raw:
    """Ollama's log-probabilities in OpenAI's shape, which wants every member."""

    def token(item: dict[str, Any]) -> dict[str, Any]:
        return {"token": item.get("token", ""), "logprob": item.get("logprob", 0.0), "bytes": item.get("bytes")}

    def tops(item: dict[str, Any]) -> list[dict[str, Any]]:
        listed = item.get("top_logprobs")
        return [token(top) for top in listed if isinstance(top, dict)] if isinstance(listed, list) else []

    content = [{**token(item), "top_logprobs": tops(item)} for item in found]
    return msgspec.Raw(msgspec.json.encode({"content": content, "refusal": None}))


def _read_plain(body: bytes, reply_id: str) -> Chunk:
    line: _Line = decode_reply(_decode, body)
    refuse_error(line.error, body)
    if not line.done:
        raise StreamCut("The upstream's reply is not complete.", upstream_body=body[:1000])
    chunk = _Reader(reply_id).read(body, line)
    chunk.content = True
    return chunk
