"""Decodes replies of Amazon Bedrock's Converse and ConverseStream into chunks. It knows no client and no request body.

A stream says its stop reason in ``messageStop`` and its usage after that, in ``metadata``, which ends it. A stream
whose body ends properly between the two is complete, without usage. Blocks of text have no ``contentBlockStart``, and
events carry a padding key ``p``.

Source: the service model bedrock-runtime 2023-09-30 in botocore 1.44, read 2026-11-22.
"""

from __future__ import annotations

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
from nearfar.core.errors import OutputUnparsed, UpstreamError
from nearfar.wire import reported
from nearfar.wire.aws_event_stream import Message, Messages
from nearfar.wire.aws_failures import stream_failure
from nearfar.wire.base import Decoder
from nearfar.wire.plain import PlainDecoder, decode_reply
from nearfar.wire.stream import MALFORMED, StreamDecoder

FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
}
"""Converse's stop reasons in OpenAI's words. The two that begin with ``malformed`` are failures."""

SERVER_TOOL = "server_tool_use"
"""The type of a call that Bedrock answers itself: none of the client's."""


class _ToolUse(msgspec.Struct):
    toolUseId: str = ""  # noqa: N815  Converse's spelling, as all of these
    name: str = ""
    input: msgspec.Raw = msgspec.Raw(b"{}")
    type: str = ""


class _ReasoningText(msgspec.Struct):
    text: str = ""
    signature: str | None = None


class _Reasoning(msgspec.Struct):
    reasoningText: _ReasoningText | None = None  # noqa: N815
    text: str = ""
    signature: str = ""
    redactedContent: str = ""  # noqa: N815


class _Block(msgspec.Struct):
    text: str = ""
    toolUse: _ToolUse | None = None  # noqa: N815
    reasoningContent: _Reasoning | None = None  # noqa: N815


class _Piece(msgspec.Struct):
    """The payload of any event; each kind fills its own members."""

    contentBlockIndex: int = 0  # noqa: N815
    start: _Block | None = None
    delta: _Block | None = None
    stopReason: str = ""  # noqa: N815
    usage: dict[str, Any] | None = None
    trace: Any = None


class _Turn(msgspec.Struct):
    content: list[_Block] = []


class _Output(msgspec.Struct):
    message: _Turn | None = None


class _Reply(msgspec.Struct):
    output: _Output | None = None
    stopReason: str = ""  # noqa: N815
    usage: dict[str, Any] | None = None
    trace: Any = None


_decode_piece = msgspec.json.Decoder(_Piece).decode
_decode_reply = msgspec.json.Decoder(_Reply).decode


def decoder(request: Request, typed: bool) -> Decoder:
    """The decoder for the reply to ``request``; its chunks always carry events."""
    if request.stream:
        reader = _Reader(typed=typed)
        return StreamDecoder(Messages(), reader.read, reader.complete)
    return PlainDecoder(lambda body: _read_plain(body, typed=typed))


class _Open:
    """A content block between its first piece and its stop."""

    def __init__(self, call: int = -1) -> None:
        self.call = call
        """Number of the tool call; -1 for all else."""
        self.signature = ""
        self.arguments = False


class _Reader:
    """Turns the messages of one stream into chunks."""

    def __init__(self, *, typed: bool) -> None:
        self._typed = typed
        self._open: dict[int, _Open] = {}
        self._calls = 0
        self._stopped = False

    def complete(self) -> bool:
        """Whether the model has said that it is done."""
        return self._stopped

    def read(self, message: Message) -> Chunk | None:
        """One message; None for events that say nothing. Raises the error that it holds."""
        kind = message.header(":message-type")
        if kind in {"exception", "error"}:
            raise stream_failure(message)
        if kind != "event":
            raise UpstreamError("The upstream sent half a message, or none of Converse's.", code=MALFORMED)
        try:
            piece = _decode_piece(message.payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            text = "The upstream sent an event that is not one of Converse's."
            raise UpstreamError(text, code=MALFORMED, upstream_body=message.payload[:1000]) from exc
        chunk = Chunk(raw=message.raw)
        self._fill(chunk, message.header(":event-type"), piece)
        chunk.content = any(not isinstance(found, Finish) for found in chunk.events)
        return chunk

    def _fill(self, chunk: Chunk, kind: str, piece: _Piece) -> None:
        at = piece.contentBlockIndex
        if kind == "contentBlockDelta" and piece.delta is not None:
            chunk.events = self._delta(at, piece.delta)
        elif kind == "contentBlockStart" and piece.start is not None:
            chunk.events = self._start(at, piece.start)
        elif kind == "contentBlockStop":
            chunk.events = self._stop(at)
        elif kind == "messageStop":
            self._stopped = True
            chunk.finish = _finish(piece.stopReason, self._calls, typed=self._typed)
            chunk.events = (Finish(chunk.finish, piece.stopReason),)
        elif kind == "metadata":
            chunk.usage, chunk.model = usage(piece.usage), _routed(piece.trace)
            chunk.end = self._stopped

    def _start(self, at: int, block: _Block) -> tuple[Event, ...]:
        call = block.toolUse
        if call is None or call.type == SERVER_TOOL:
            self._open[at] = _Open()
            return ()
        self._open[at] = _Open(self._calls)
        self._calls += 1
        return (ToolCallDelta(call=self._open[at].call, id=call.toolUseId, name=call.name),)

    def _delta(self, at: int, delta: _Block) -> tuple[Event, ...]:
        if delta.text:
            return (TextDelta(delta.text),)
        opened = self._open.get(at)
        if opened is None:
            opened = self._open[at] = _Open()
        if delta.toolUse is not None and opened.call >= 0:
            piece = _text(delta.toolUse.input)
            opened.arguments = opened.arguments or bool(piece)
            return (ToolCallDelta(call=opened.call, arguments=piece),) if piece else ()
        thought = delta.reasoningContent
        if thought is None:
            return ()
        opened.signature += thought.signature
        if thought.redactedContent:
            return (ReasoningSeal(redacted=thought.redactedContent, block=at),)
        return (ReasoningDelta(thought.text, block=at),) if thought.text else ()

    def _stop(self, at: int) -> tuple[Event, ...]:
        opened = self._open.pop(at, None)
        if opened is None:
            return ()
        if opened.signature:
            return (ReasoningSeal(signature=opened.signature, block=at),)
        if opened.call >= 0 and not opened.arguments:
            return (ToolCallDelta(call=opened.call, arguments="{}"),)  # no arguments may come as no delta at all
        return ()


def _text(raw: msgspec.Raw) -> str:
    """A piece of a call's arguments: a text in a stream's delta."""
    try:
        return msgspec.json.decode(raw, type=str)
    except msgspec.DecodeError as exc:
        text = "The upstream sent a piece of a tool call that is no text."
        raise UpstreamError(text, code=MALFORMED) from exc


def _finish(native: str, calls: int, *, typed: bool) -> str:
    """OpenAI's word for a stop reason. Raises OutputUnparsed for output that the model spoiled.

    A client of Converse reads that in its own words. Some models end their turn with calls and say ``end_turn``.
    """
    if native.startswith("malformed") and typed:
        what = "a tool call" if native == "malformed_tool_use" else "output"
        raise OutputUnparsed(f"The model wrote {what} that Bedrock cannot read ({native}).")
    finish = FINISH.get(native, "stop")
    return "tool_calls" if calls and finish == "stop" else finish


def _read_plain(body: bytes, *, typed: bool) -> Chunk:
    reply: _Reply = decode_reply(_decode_reply, body)
    turn = reply.output.message if reply.output is not None else None
    if turn is None or not reply.stopReason:
        raise UpstreamError("The upstream's reply holds no message.", code="empty_reply", upstream_body=body[:1000])
    events, calls = _events(turn.content)
    finish = _finish(reply.stopReason, calls, typed=typed)
    return Chunk(
        raw=body,
        events=(*events, Finish(finish, reply.stopReason)),
        usage=usage(reply.usage),
        finish=finish,
        content=True,
        end=True,
        model=_routed(reply.trace),
    )


def _events(blocks: list[_Block]) -> tuple[list[Event], int]:
    events: list[Event] = []
    calls = 0
    for at, block in enumerate(blocks):
        if block.text:
            events.append(TextDelta(block.text))
        thought = block.reasoningContent
        if thought is not None:
            said = thought.reasoningText or _ReasoningText()
            if said.text:
                events.append(ReasoningDelta(said.text, block=at))
            if said.signature or thought.redactedContent:
                events.append(ReasoningSeal(signature=said.signature or "", redacted=thought.redactedContent, block=at))
        call = block.toolUse
        if call is not None and call.type != SERVER_TOOL:
            arguments = bytes(call.input).decode()
            events.append(ToolCallDelta(call=calls, id=call.toolUseId, name=call.name, arguments=arguments))
            calls += 1
    return events, calls


def usage(counts: dict[str, Any] | None) -> Usage | None:
    """Token counts; None when none is reported. Bedrock's ``inputTokens`` leaves out what the cache gave or took."""
    names = ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheWriteInputTokens")
    plain, output, cached, written = (_count((counts or {}).get(name)) for name in names)
    whole = None if plain is None else plain + (cached or 0) + (written or 0)
    if whole is None and output is None:
        return None
    return Usage(input=whole, output=output, cached=cached, cache_write=written)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 0 and value is not True else None


def _routed(trace: object) -> str:
    """The model that a prompt router chose; Bedrock names no other."""
    router = trace.get("promptRouter") if isinstance(trace, dict) else None
    found = router.get("invokedModelId") if isinstance(router, dict) else None
    return reported.model(found)
