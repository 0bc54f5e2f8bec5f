"""Writes replies for Converse's clients: events in AWS's frames, or one body; and its errors. It knows no upstream.

What nobody has counted is left out rather than written as zero: usage, and the latency, which a codec does not measure.
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
    RefusalDelta,
    Request,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from nearfar.core.errors import NearfarError
from nearfar.wire import aws_event_stream as frames

_encode = msgspec.json.Encoder().encode

_STOP = {"length": "max_tokens", "tool_calls": "tool_use", "content_filter": "content_filtered"}
_KINDS = {
    400: "ValidationException",
    401: "AccessDeniedException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    429: "ThrottlingException",
    502: "ModelErrorException",
    503: "ServiceUnavailableException",
    504: "ModelTimeoutException",
}
_STREAM_KINDS = {
    400: "validationException",
    429: "throttlingException",
    502: "modelStreamErrorException",
    503: "serviceUnavailableException",
    504: "modelStreamErrorException",
}
"""A stream has fewer kinds of errors than a reply."""


def error_body(error: NearfarError, request_id: str) -> bytes:
    """A whole error body. boto3 takes the kind of its exception from ``__type``, and from a ``code`` before that."""
    del request_id
    default = "ValidationException" if error.status < 500 else "InternalServerException"
    return _encode({"__type": _KINDS.get(error.status, default), "message": error.text})


def renderer(request: Request, like: bool) -> StreamRenderer | PlainRenderer:
    """The renderer for the reply to ``request``; ``like``: the chunks are already Converse's."""
    return StreamRenderer(like=like) if request.stream else PlainRenderer(like=like)


class StreamRenderer:
    """Events in frames. Calls stay open until the end: their pieces may come interleaved."""

    content_type = "application/vnd.amazon.eventstream"

    def __init__(self, *, like: bool) -> None:
        self._like = like
        self._began = False
        self._open: tuple[str, int] | None = None
        """Kind and number of the block of text or reasoning under way."""
        self._calls: dict[int, int] = {}
        self._blocks = 0
        self._stop = ""
        self._usage: Usage | None = None

    def render(self, chunk: Chunk) -> bytes:
        """The frame as it came; from another wire the frames that say the same."""
        if self._like:
            return chunk.raw
        self._usage = chunk.usage or self._usage
        return b"".join([self._event(event) for event in chunk.events])

    def _event(self, event: Event) -> bytes:
        if getattr(event, "index", 0):
            return b""  # one choice: Converse has no other, and its clients cannot ask for one
        if isinstance(event, TextDelta | RefusalDelta):
            head, at = self._block("text")
            return head + _delta(at, {"text": event.text})
        if isinstance(event, ReasoningDelta):
            head, at = self._block(f"reasoning {event.block}")
            return head + _delta(at, {"reasoningContent": {"text": event.text}})
        if isinstance(event, ReasoningSeal):
            return self._seal(event)
        if isinstance(event, ToolCallDelta):
            return self._call(event)
        if isinstance(event, Finish):
            self._stop = _stop_reason(event)
        return b""

    def _seal(self, event: ReasoningSeal) -> bytes:
        if event.vendor:
            return b""  # another vendor's says nothing to a model behind Converse
        head, at = self._block(f"reasoning {event.block}")
        sealed = {"redactedContent": event.redacted} if event.redacted else {"signature": event.signature}
        return head + _delta(at, {"reasoningContent": sealed})

    def _call(self, event: ToolCallDelta) -> bytes:
        head = self._begin()
        at = self._calls.get(event.call)
        if at is None:
            head += self._close()
            at = self._calls[event.call] = self._blocks
            self._blocks += 1
            start = {"toolUse": {"toolUseId": event.id or f"call_{event.call}", "name": event.name}}
            head += _frame("contentBlockStart", {"start": start, "contentBlockIndex": at})
        if event.arguments:
            head += _delta(at, {"toolUse": {"input": event.arguments}})
        return head

    def _begin(self) -> bytes:
        if self._began:
            return b""
        self._began = True
        return _frame("messageStart", {"role": "assistant"})

    def _block(self, kind: str) -> tuple[bytes, int]:
        """What comes before a piece of ``kind``, and the number of its block."""
        head = self._begin()
        if self._open is None or self._open[0] != kind:
            head += self._close()
            self._open = (kind, self._blocks)
            self._blocks += 1
        return head, self._open[1]

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        _, at = self._open
        self._open = None
        return _frame("contentBlockStop", {"contentBlockIndex": at})

    def finish(self) -> bytes:
        """Stops, the stop reason and the usage."""
        if self._like:
            return b""
        parts = [self._begin(), self._close()]
        parts += [_frame("contentBlockStop", {"contentBlockIndex": at}) for at in self._calls.values()]
        parts.append(_frame("messageStop", {"stopReason": self._stop or "end_turn"}))
        parts.append(_frame("metadata", _usage(self._usage)))
        return b"".join(parts)

    def error(self, error: NearfarError) -> bytes:
        """The exception that ends the stream."""
        kind = _STREAM_KINDS.get(
            error.status, "validationException" if error.status < 500 else "internalServerException"
        )
        return frames.exception(kind, _encode({"message": error.text}))

    def keep_alive(self) -> bytes:
        """Nothing: a client takes every event for its own."""
        return b""

    def note(self, text: str) -> bytes:  # noqa: ARG002  the contract's signature
        """Nothing: a client takes every event for its own."""
        return b""


class PlainRenderer:
    """One body."""

    content_type = "application/json"

    def __init__(self, *, like: bool) -> None:
        self._like = like
        self._content: list[dict[str, Any]] = []
        self._kind = ""
        self._calls: dict[int, dict[str, Any]] = {}
        self._stop = ""
        self._usage: Usage | None = None

    def render(self, chunk: Chunk) -> bytes:
        """The body as it came; from another wire nothing until finish()."""
        if self._like:
            return chunk.raw
        self._usage = chunk.usage or self._usage
        for event in chunk.events:
            if not getattr(event, "index", 0):
                self._event(event)
        return b""

    def _event(self, event: Event) -> None:
        if isinstance(event, TextDelta | RefusalDelta):
            self._block("text", {"text": ""})["text"] += event.text
        elif isinstance(event, ReasoningDelta):
            self._thought(event.block)["text"] += event.text
        elif isinstance(event, ReasoningSeal) and event.redacted:
            self._kind = ""
            self._content.append({"reasoningContent": {"redactedContent": event.redacted}})
        elif isinstance(event, ReasoningSeal) and not event.vendor:
            self._thought(event.block)["signature"] = event.signature
        elif isinstance(event, ToolCallDelta):
            call = self._calls.get(event.call)
            if call is None:
                self._kind = ""
                call = {"toolUseId": event.id or f"call_{event.call}", "name": event.name, "input": ""}
                self._calls[event.call] = call
                self._content.append({"toolUse": call})
            call["input"] += event.arguments
        elif isinstance(event, Finish):
            self._stop = _stop_reason(event)

    def _thought(self, number: int) -> dict[str, Any]:
        block = self._block(f"reasoning {number}", {"reasoningContent": {"reasoningText": {"text": ""}}})
        found: dict[str, Any] = block["reasoningContent"]["reasoningText"]
        return found

    def _block(self, kind: str, fresh: dict[str, Any]) -> dict[str, Any]:
        if kind != self._kind:
            self._kind = kind
            self._content.append(fresh)
        return self._content[-1]

    def finish(self) -> bytes:
        """The body."""
        if self._like:
            return b""
        for call in self._calls.values():
            call["input"] = _document(call["input"])
        return _encode(
            {
                "output": {"message": {"role": "assistant", "content": self._content}},
                "stopReason": self._stop or "end_turn",
                **_usage(self._usage),
            }
        )

    def error(self, error: NearfarError) -> bytes:
        """The error's body."""
        return error_body(error, "")

    def keep_alive(self) -> bytes:
        """Nothing: a plain body tolerates no filling."""
        return b""

    def note(self, text: str) -> bytes:  # noqa: ARG002  the contract's signature
        """Nothing: what is told of a plain reply stands in its headers."""
        return b""


def _frame(kind: str, value: dict[str, Any]) -> bytes:
    return frames.event(kind, _encode(value))


def _delta(at: int, delta: dict[str, Any]) -> bytes:
    return _frame("contentBlockDelta", {"delta": delta, "contentBlockIndex": at})


def _document(text: str) -> object:
    """A call's arguments as the document that Converse has; text that is no JSON stays text."""
    try:
        msgspec.json.decode(text or "{}")
    except (msgspec.DecodeError, RecursionError):
        return text
    return msgspec.Raw((text or "{}").encode())


def _stop_reason(event: Finish) -> str:
    if event.stop:
        return "stop_sequence"
    return _STOP.get(event.reason, "end_turn")


def _usage(usage: Usage | None) -> dict[str, Any]:
    """Token counts; Converse's ``inputTokens`` leaves out what the cache gave or took."""
    if usage is None or usage.input is None or usage.output is None:
        return {}
    cached, written = usage.cached, usage.cache_write
    counts = {
        "inputTokens": max(0, usage.input - (cached or 0) - (written or 0)),
        "outputTokens": usage.output,
        "totalTokens": usage.input + usage.output,
    }
    if cached is not None:
        counts["cacheReadInputTokens"] = cached
    if written is not None:
        counts["cacheWriteInputTokens"] = written
    return {"usage": counts}
