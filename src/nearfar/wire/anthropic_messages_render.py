"""Renders chunks as messages in Anthropic's shape, streamed or plain. It knows no upstream.

Source: the Claude API reference, "Streaming messages", and the types of its Python SDK 2.12, read 2026-11-22. An event
without its ``event:`` line is passed over by that SDK, so every event has one.

In a stream one block is open at a time, as Anthropic's own streams have it. Where an upstream writes several tool
calls at once, the pieces of the later ones wait until the open one is whole JSON.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nearfar.core.chat import (
    Chunk,
    Event,
    ReasoningDelta,
    ReasoningSeal,
    RefusalDelta,
    Request,
    TextDelta,
    ToolCallDelta,
)
from nearfar.core.errors import NearfarError
from nearfar.wire.anthropic_messages_reply import Ending, error_body, made_id, signature_of, signed_call, usage_of
from nearfar.wire.base import Renderer
from nearfar.wire.plain import PassedOn

PING = b'event: ping\ndata: {"type":"ping"}\n\n'
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'

_encode = msgspec.json.Encoder().encode


def renderer(request: Request, like: bool) -> Renderer:
    """The renderer for the reply to ``request``; ``like``: the chunks are already in this shape."""
    if request.stream:
        return LikeStream(request) if like else Stream(request)
    return PassedOn(request.id, error_body) if like else Plain(request)


class LikeStream:
    """The upstream speaks the same dialect: its events travel as they came, its ending is ours to say."""

    content_type = "text/event-stream"

    def __init__(self, request: Request) -> None:
        self._id = request.id

    def render(self, chunk: Chunk) -> bytes:
        """The chunk's own bytes; the terminal marker waits for finish()."""
        return b"" if chunk.end else chunk.raw

    def finish(self) -> bytes:
        """``message_stop``."""
        return STOP

    def error(self, error: NearfarError) -> bytes:
        """An error event; ``message_stop`` does not follow."""
        return _error_event(error, self._id)

    def keep_alive(self) -> bytes:
        """The dialect's own ping."""
        return PING

    def note(self, text: str) -> bytes:
        """A comment of one line."""
        return _comment(text)


def _error_event(error: NearfarError, request_id: str) -> bytes:
    return b"event: error\ndata: %b\n\n" % error_body(error, request_id)


def _comment(text: str) -> bytes:
    return b": %b\n" % text.encode("ascii", "replace")


def _event(value: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (value["type"].encode(), _encode(value))


def _delta(index: int, kind: bytes, member: bytes, text: str) -> bytes:
    return (
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":%b}}\n\n'
        % (index, kind, member, _encode(text))
    )


class _Open:
    """The block that is being written. ``key`` tells which pieces belong to it."""

    def __init__(self, key: tuple[str, int], name: str) -> None:
        self.key = key
        self.name = name
        self.arguments = ""

    def whole(self) -> bool:
        """Whether another block may begin: always, unless it is a call whose arguments are still incomplete."""
        if self.key[0] != "tool_use":
            return True
        if not self.arguments.rstrip().endswith("}"):
            return False
        try:
            msgspec.json.decode(self.arguments)
        except (msgspec.DecodeError, RecursionError):
            return False
        return True


class Stream:
    """A stream in Anthropic's shape from chunks of another wire."""

    content_type = "text/event-stream"

    def __init__(self, request: Request) -> None:
        self._request_id = request.id
        self._ending = Ending(request)
        self._begun = False
        self._open: _Open | None = None
        self._next = 0
        """The index of the next block."""
        self._waiting: list[Event] = []

    def render(self, chunk: Chunk) -> bytes:
        """The events that say what the chunk says. Raises OutputUnparsed for a call whose arguments are no object."""
        self._ending.note(chunk)
        if not chunk.events:
            return b""
        parts = [self._begin()]
        for event in chunk.events:
            self._ending.saw(event)
            self._add(event, parts)
        return b"".join(parts)

    def _begin(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        return _event({"type": "message_start", "message": self._ending.message([], begun=True)})

    def _add(self, event: Event, parts: list[bytes]) -> None:
        key = _key(event)
        if key is None:
            return
        opened = self._open
        if opened is None or key != opened.key or key[0] == "redacted_thinking":
            if opened is not None and (self._waiting or not opened.whole()):
                self._waiting.append(event)
                return
            parts.append(self._close(last=False))
            opened = self._start(key, event, parts)
        if isinstance(event, ToolCallDelta):
            opened.arguments += event.arguments
        parts.append(_piece(self._next - 1, event))
        if self._waiting and opened.whole():
            self._release(parts)

    def _release(self, parts: list[bytes]) -> None:
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            self._add(event, parts)

    def _start(self, key: tuple[str, int], event: Event, parts: list[bytes]) -> _Open:
        kind = key[0]
        name = ""
        block: dict[str, Any] = {"type": kind}
        if kind == "text":
            block["text"] = ""
        elif kind == "thinking":
            block |= {"thinking": "", "signature": ""}
        elif isinstance(event, ToolCallDelta):
            name = event.name
            block |= {"id": event.id or made_id(self._request_id, self._next), "name": name, "input": {}}
            block |= signed_call(event)
        elif isinstance(event, ReasoningSeal):
            block["data"] = event.redacted
        parts.append(_event({"type": "content_block_start", "index": self._next, "content_block": block}))
        self._next += 1
        self._open = opened = _Open(key, name)
        return opened

    def _close(self, *, last: bool) -> bytes:
        opened, self._open = self._open, None
        if opened is None:
            return b""
        if opened.key[0] == "tool_use":
            self._ending.arguments(opened.name, opened.arguments, last=last)
        return _event({"type": "content_block_stop", "index": self._next - 1})

    def finish(self) -> bytes:
        """The end of the open block, the stop reason with the usage, and the terminal marker."""
        parts = [self._begin(), self._close(last=not self._waiting)]
        while self._waiting:
            self._release(parts)
            parts.append(self._close(last=not self._waiting))
        delta = {"stop_reason": self._ending.stop_reason, "stop_sequence": self._ending.stop_sequence}
        parts.append(_event({"type": "message_delta", "delta": delta, "usage": usage_of(self._ending.usage)}))
        parts.append(STOP)
        return b"".join(parts)

    def error(self, error: NearfarError) -> bytes:
        """An error event; ``message_stop`` does not follow, so no client takes the stream for complete."""
        return _error_event(error, self._request_id)

    def keep_alive(self) -> bytes:
        """The dialect's own ping."""
        return PING

    def note(self, text: str) -> bytes:
        """A comment of one line."""
        return _comment(text)


def _key(event: Event) -> tuple[str, int] | None:
    """The block that a piece belongs to; None for what Anthropic's shape has no place for, and for empty pieces."""
    if getattr(event, "index", 0):
        return None  # it has one choice
    if isinstance(event, TextDelta | RefusalDelta):
        return ("text", 0) if event.text else None
    if isinstance(event, ToolCallDelta):
        return "tool_use", event.call
    if isinstance(event, ReasoningSeal) and event.redacted:
        return "redacted_thinking", event.block
    if isinstance(event, ReasoningDelta | ReasoningSeal):
        return "thinking", event.block
    return None


def _piece(index: int, event: Event) -> bytes:
    """What ``event`` adds to its block, which has begun."""
    if isinstance(event, TextDelta | RefusalDelta):
        return _delta(index, b"text_delta", b"text", event.text)
    if isinstance(event, ReasoningDelta):
        return _delta(index, b"thinking_delta", b"thinking", event.text)
    if isinstance(event, ToolCallDelta) and event.arguments:
        return _delta(index, b"input_json_delta", b"partial_json", event.arguments)
    if isinstance(event, ReasoningSeal) and not event.redacted:
        return _delta(index, b"signature_delta", b"signature", signature_of(event))
    return b""


class Plain:
    """A plain reply in Anthropic's shape from chunks of another wire."""

    content_type = "application/json"

    def __init__(self, request: Request) -> None:
        self._request_id = request.id
        self._ending = Ending(request)
        self._content: list[dict[str, Any]] = []
        self._calls: dict[int, dict[str, Any]] = {}
        self._thoughts: dict[int, dict[str, Any]] = {}

    def render(self, chunk: Chunk) -> bytes:
        """Nothing yet: the body is written when the reply is complete."""
        self._ending.note(chunk)
        for event in chunk.events:
            self._ending.saw(event)
            self._add(event)
        return b""

    def _add(self, event: Event) -> None:
        content = self._content
        if _key(event) is None:
            return
        if isinstance(event, TextDelta | RefusalDelta):
            if not content or content[-1]["type"] != "text":
                content.append({"type": "text", "text": ""})
            content[-1]["text"] += event.text
        elif isinstance(event, ReasoningDelta):
            self._thought(event.block)["thinking"] += event.text
        elif isinstance(event, ReasoningSeal):
            if event.redacted:
                content.append({"type": "redacted_thinking", "data": event.redacted})
            else:
                self._thought(event.block)["signature"] = signature_of(event)
        elif isinstance(event, ToolCallDelta):
            call = self._calls.get(event.call)
            if call is None:
                call = self._calls[event.call] = {"type": "tool_use", "id": "", "name": "", "input": ""}
                call |= signed_call(event)
                content.append(call)
            call["id"] = call["id"] or event.id
            call["name"] = call["name"] or event.name
            call["input"] += event.arguments

    def _thought(self, number: int) -> dict[str, Any]:
        found = self._thoughts.get(number)
        if found is None:
            found = self._thoughts[number] = {"type": "thinking", "thinking": "", "signature": ""}
            self._content.append(found)
        return found

    def finish(self) -> bytes:
        """The whole body. Raises OutputUnparsed for a call whose arguments are no object."""
        for call in self._calls.values():
            last = call is self._content[-1]
            call["input"] = self._ending.arguments(call["name"], call["input"], last=last)
            call["id"] = call["id"] or made_id(self._request_id, self._content.index(call))
        return _encode(self._ending.message(self._content, begun=False))

    def error(self, error: NearfarError) -> bytes:
        """The error's body."""
        return error_body(error, self._request_id)

    def keep_alive(self) -> bytes:
        """Nothing: a plain body tolerates no filling."""
        return b""

    def note(self, text: str) -> bytes:  # noqa: ARG002  the contract's signature
        """Nothing: what is told of a plain reply stands in its headers."""
        return b""
