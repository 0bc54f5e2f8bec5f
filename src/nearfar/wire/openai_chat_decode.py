"""Decodes chat completions in OpenAI's shape, streamed or plain, into chunks. It knows no client and no request body.

Sources: the OpenAI API reference, "Chat Completions"; vLLM, llama.cpp, LM Studio, Azure and transformers serve differ
in ways noted where they are handled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from nearfar.core.chat import (
    Chunk,
    Event,
    Finish,
    LogprobsDelta,
    ReasoningDelta,
    RefusalDelta,
    Request,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from nearfar.core.errors import NearfarError, UpstreamError
from nearfar.wire import reported, sse
from nearfar.wire.base import Decoder
from nearfar.wire.failures import stream_error
from nearfar.wire.plain import PlainDecoder, decode_reply, refuse_error, web_page
from nearfar.wire.stream import MALFORMED, StreamDecoder

DONE = b"data: [DONE]\n\n"

_FINISH = {"eos_token": "stop", "stop_sequence": "stop", "end_turn": "stop", "max_tokens": "length"}
"""Words that some servers use instead of OpenAI's (TGI among them)."""


class _Delta(msgspec.Struct):
    """A stream's delta or a plain reply's message. Fields are open: one server's oddity must not end a stream."""

    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None
    audio: Any = None


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Delta | None = None
    message: _Delta | None = None
    logprobs: msgspec.Raw = msgspec.Raw(b"null")
    finish_reason: str | None = None


class _Reply(msgspec.Struct):
    id: Any = None
    object: Any = None
    model: Any = None
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None


_decode = msgspec.json.Decoder(_Reply).decode


def decoder(request: Request, typed: bool) -> Decoder:
    """The decoder for the reply to ``request``."""
    return stream(request, typed) if request.stream else plain(typed)


Unreadable = Callable[[sse.Event], NearfarError | None]
"""What a server means by an event whose data is no JSON; None when that is not known."""


def stream(request: Request, typed: bool, *, unreadable: Unreadable | None = None) -> Decoder:
    """The decoder of a streamed reply."""
    return _Stream(_Reader(request, typed, unreadable))


class _Stream:
    """A stream, unless its first byte shows that the upstream answered with one body, most often an error."""

    def __init__(self, reader: _Reader) -> None:
        self._stream = StreamDecoder(sse.Splitter(), reader.read, reader.complete)
        self._plain: PlainDecoder | None = None
        self._begun = False

    def feed(self, data: bytes) -> list[Chunk]:
        """Chunks completed by ``data``."""
        if not self._begun:
            first = data.lstrip()[:1]
            self._begun = bool(first)
            if first == b"<":
                raise web_page(data)
            if first == b"{":
                self._plain = plain(typed=False)
        return self._stream.feed(data) if self._plain is None else self._plain.feed(data)

    def close(self) -> list[Chunk]:
        """The upstream ended; raises StreamCut when its terminal marker is missing."""
        if self._plain is None:
            return self._stream.close()
        self._plain.close()
        message = "The upstream answered with one body where a stream was asked for."
        raise UpstreamError(message, code="not_a_stream")


class _Reader:
    """Turns events into chunks.

    A stream ends with ``[DONE]``, or with a finish reason for every choice (transformers serve: no ``[DONE]``).
    """

    def __init__(self, request: Request, typed: bool, unreadable: Unreadable | None) -> None:
        self._typed = typed
        self._unreadable = unreadable
        self._called: set[int] = set()
        """Choices in which a tool was called."""
        self._choices = request.choices
        self._hide_usage = not request.include_usage
        self._finished: set[int] = set()
        self._answered = False

    def complete(self) -> bool:
        """Whether every choice has its finish reason."""
        return len(self._finished) >= self._choices

    def read(self, event: sse.Event) -> Chunk:
        """One event. Raises the error that it holds."""
        data = event.data
        if data == b"[DONE]":
            return self._read_done()
        try:
            reply = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            if event.name == "error":
                raise stream_error(data.decode("utf-8", "replace"), data) from exc
            meant = self._unreadable(event) if self._unreadable is not None else None
            if meant is not None:
                raise meant from exc
            message = "The upstream sent an event that is not a chat completion chunk."
            raise UpstreamError(message, code=MALFORMED, upstream_body=data[:1000]) from exc
        if reply.error or event.name == "error" or reply.object == "error":
            raise stream_error(msgspec.json.decode(data), data)
        chunk = Chunk(raw=event.raw)
        if reply.choices:
            self._answered = True
            for choice in reply.choices:
                if choice.delta is not None and not chunk.content:
                    chunk.content = _has_content(choice.delta)
                if choice.finish_reason:
                    self._finished.add(choice.index)
                    chunk.finish = _finish(choice.finish_reason)
            if self._typed:
                chunk.events = tuple(_events(reply.choices, self._called))
        elif reply.usage and self._hide_usage:
            chunk.raw = b""  # encode asked for it, the client did not
        if reply.usage:
            chunk.usage = usage(reply.usage)
        if isinstance(reply.id, str):
            chunk.id = reply.id
        chunk.model = reported.model(reply.model)
        return chunk

    def _read_done(self) -> Chunk:
        if not self._answered:
            raise UpstreamError("The upstream's stream ended without an answer.", code="empty_reply")
        return Chunk(raw=DONE, end=True)


def plain(typed: bool) -> PlainDecoder:
    """The decoder of a plain reply."""
    return PlainDecoder(lambda body: read_plain(body, typed))


def read_plain(body: bytes, typed: bool) -> Chunk:
    """A whole plain reply as one chunk. Raises StreamCut, and the error that it holds."""
    reply: _Reply = decode_reply(_decode, body)
    refuse_error(reply.error or reply.object == "error", body)
    if not reply.choices:
        raise UpstreamError("The upstream's reply has no choices.", code="empty_reply", upstream_body=body[:1000])
    finish = _finish(reply.choices[0].finish_reason or "")
    chunk = Chunk(raw=body, finish=finish, content=True, end=True, model=reported.model(reply.model))
    if reply.usage:
        chunk.usage = usage(reply.usage)
    if isinstance(reply.id, str):
        chunk.id = reply.id
    if typed:
        chunk.events = tuple(_events(reply.choices, set()))
    return chunk


def _finish(native: str) -> str:
    return reported.finish(_FINISH.get(native, native))


def usage(value: object) -> Usage | None:
    """Token counts from OpenAI's ``usage``; None when it reports none. Negative counts are junk, not counts."""
    if not isinstance(value, dict):
        return None
    read, written = value.get("prompt_tokens_details"), value.get("completion_tokens_details")
    counts = Usage(
        input=_count(value.get("prompt_tokens")),
        output=_count(value.get("completion_tokens")),
        cached=_count(read.get("cached_tokens")) if isinstance(read, dict) else None,
        reasoning=_count(written.get("reasoning_tokens")) if isinstance(written, dict) else None,
    )
    return None if counts.input is None and counts.output is None else counts


def _count(number: object) -> int | None:
    # A bool is an int to isinstance, and none here.
    return number if type(number) is int and number >= 0 else None


def _has_content(delta: _Delta) -> bool:
    return bool(
        delta.content
        or delta.reasoning_content
        or delta.reasoning
        or delta.tool_calls
        or delta.refusal
        or delta.function_call
        or delta.audio
    )


def _events(choices: list[_Choice], called: set[int]) -> list[Event]:
    """``called``: the choices in which a tool has been called so far; those of ``choices`` are added."""
    events: list[Event] = []
    for choice in choices:
        index, delta = choice.index, choice.delta or choice.message
        if delta is not None:
            thought = delta.reasoning_content or delta.reasoning
            if thought and isinstance(thought, str):
                events.append(ReasoningDelta(thought, index))
            events += [TextDelta(text, index) for text in _texts(delta.content)]
            if delta.refusal and isinstance(delta.refusal, str):
                events.append(RefusalDelta(delta.refusal, index))
            calls = _tool_calls(delta.tool_calls, index)
            if calls:
                called.add(index)
                events += calls
        if bytes(choice.logprobs) != b"null":
            events.append(LogprobsDelta(choice.logprobs, index))
        if choice.finish_reason:
            native = choice.finish_reason
            reason = _FINISH.get(native, native)
            # TGI, and vLLM in some versions, finish with "stop" after calls: no client would then run them.
            events.append(Finish("tool_calls" if reason == "stop" and index in called else reason, native, index))
    return events


def _word(value: object) -> str:
    """An id or a name; some servers count their ids."""
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else ""


def _texts(content: object) -> list[str]:
    """The text of a delta: a string, or a list of parts as some servers send it."""
    if isinstance(content, str):
        return [content] if content else []
    if not isinstance(content, list):
        return []
    return [part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str)]


def _tool_calls(calls: object, index: int) -> list[ToolCallDelta]:
    events = []
    if isinstance(calls, dict):  # older versions of TGI stream one call instead of a list of them
        calls = [calls]
    for position, call in enumerate(calls if isinstance(calls, list) else []):
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict):
            continue
        number = call.get("index")
        arguments = function.get("arguments")
        if arguments is not None and not isinstance(arguments, str):
            arguments = msgspec.json.encode(arguments).decode()  # some servers send the object itself
        events.append(
            ToolCallDelta(
                call=number if isinstance(number, int) else position,
                id=_word(call.get("id")),
                name=_word(function.get("name")),
                arguments=arguments or "",
                index=index,
                signature=_signature(call.get("extra_content")),
            )
        )
    return events


def _signature(extra: object) -> str:
    """The thought signature that Google's OpenAI door adds to a call."""
    google = extra.get("google") if isinstance(extra, dict) else None
    found = google.get("thought_signature") if isinstance(google, dict) else None
    return found if isinstance(found, str) else ""
