"""Renders chunks as chat completions in OpenAI's shape, streamed or plain. It knows no upstream.

Reasoning goes to clients as ``reasoning_content``. A block that its vendor signed, or that only the vendor can read,
goes out besides as one whole element of ``thinking_blocks`` when it ends: lists from several deltas are concatenated.
A client that sends the assistant's message back as it got it gives the vendor its blocks unchanged.

Source: the OpenAI API reference, "Chat Completions". What official clients tolerate in a stream was measured: no
``id:``, no ``retry:``, no empty ``data:``; keep-alives as a comment with a single newline; no ``[DONE]`` after an
error.
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
    ReasoningSeal,
    RefusalDelta,
    Request,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from nearfar.core.errors import NearfarError
from nearfar.wire.base import Renderer
from nearfar.wire.openai_chat_decode import DONE
from nearfar.wire.plain import PassedOn

KEEP_ALIVE = b": keep-alive\n"

_encode = msgspec.json.Encoder().encode


def error_body(error: NearfarError, request_id: str) -> bytes:
    """``error`` as a whole body in OpenAI's shape."""
    value: dict[str, Any] = {
        "message": error.text,
        "type": error.type,
        "param": error.param,
        "code": error.code,
        "request_id": request_id,
    }
    return _encode({"error": value})


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
        """``[DONE]``, also where the upstream sends none."""
        return DONE

    def error(self, error: NearfarError) -> bytes:
        """An error event; ``[DONE]`` does not follow, so no client takes the stream for complete."""
        return b"data: %b\n\n" % error_body(error, self._id)

    def keep_alive(self) -> bytes:
        """A comment of one line, which every official client skips."""
        return KEEP_ALIVE

    def note(self, text: str) -> bytes:
        """A comment of one line."""
        return b": %b\n" % text.encode("ascii", "replace")


class _Choices:
    """Gathers events into deltas, one per choice: for one chunk of a stream, or for a whole reply."""

    def __init__(self, thoughts: dict[tuple[int, int], str]) -> None:
        self.deltas: dict[int, dict[str, Any]] = {}
        self.logprobs: dict[int, msgspec.Raw] = {}
        self.finishes: dict[int, str] = {}
        self._thoughts = thoughts
        """Reasoning text by choice and block: a signed block goes out whole."""

    def add(self, event: Event) -> None:
        """Put one event where it belongs; embeddings belong to no chat."""
        if isinstance(event, Finish):
            self.finishes[event.index] = event.reason
            return
        if isinstance(event, LogprobsDelta):
            self.logprobs[event.index] = event.raw
            return
        if isinstance(event, TextDelta):
            self._append(event.index, "content", event.text)
        elif isinstance(event, RefusalDelta):
            self._append(event.index, "refusal", event.text)
        elif isinstance(event, ReasoningDelta):
            self._append(event.index, "reasoning_content", event.text)
            place = (event.index, event.block)
            self._thoughts[place] = self._thoughts.get(place, "") + event.text
        elif isinstance(event, ReasoningSeal) and event.vendor == "google":
            self._delta(event.index)["extra_content"] = _google(event.signature)
        elif isinstance(event, ReasoningSeal):
            self._delta(event.index).setdefault("thinking_blocks", []).append(self._seal(event))
        elif isinstance(event, ToolCallDelta):
            self._delta(event.index).setdefault("tool_calls", []).append(_tool_call(event))

    def _delta(self, index: int) -> dict[str, Any]:
        return self.deltas.setdefault(index, {})

    def _append(self, index: int, name: str, text: str) -> None:
        delta = self._delta(index)
        delta[name] = delta.get(name, "") + text

    def _seal(self, event: ReasoningSeal) -> dict[str, str]:
        text = self._thoughts.pop((event.index, event.block), "")
        if event.redacted:
            return {"type": "redacted_thinking", "data": event.redacted}
        return {"type": "thinking", "thinking": text, "signature": event.signature}


def _google(signature: str) -> dict[str, Any]:
    """Where clients of Google's own OpenAI door find a thought signature, and send it back."""
    return {"google": {"thought_signature": signature}}


def _tool_call(event: ToolCallDelta) -> dict[str, Any]:
    if event.id or event.name:
        function = {"name": event.name, "arguments": event.arguments}
        value = {"index": event.call, "id": event.id, "type": "function", "function": function}
        return {**value, "extra_content": _google(event.signature)} if event.signature else value
    return {"index": event.call, "function": {"arguments": event.arguments}}


def _usage(usage: Usage) -> dict[str, Any] | None:
    """OpenAI's ``usage``; None when a count is not known, for zero would be a lie."""
    if usage.input is None or usage.output is None:
        return None
    value: dict[str, Any] = {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
    }
    if usage.cached is not None or usage.cache_write is not None:
        value["prompt_tokens_details"] = {"cached_tokens": usage.cached or 0}
        if usage.cache_write is not None:
            value["prompt_tokens_details"]["cache_write_tokens"] = usage.cache_write
    if usage.reasoning is not None:
        value["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning}
    return value


class Stream:
    """A stream in OpenAI's shape from chunks of another wire."""

    content_type = "text/event-stream"

    def __init__(self, request: Request) -> None:
        self._request_id = request.id
        self._created = request.received
        self._model = request.model
        self._wants_usage = request.include_usage
        self._usage: dict[str, Any] | None = None
        self._begun: set[int] = set()
        self._thoughts: dict[tuple[int, int], str] = {}

    def render(self, chunk: Chunk) -> bytes:
        """One event per choice that the chunk adds to, then one per choice that it finishes."""
        self._model = chunk.model or self._model
        if chunk.usage is not None:
            self._usage = _usage(chunk.usage)
        if not chunk.events:
            return b""
        gathered = _Choices(self._thoughts)
        for event in chunk.events:
            gathered.add(event)
        parts = []
        for index in sorted(gathered.deltas.keys() | gathered.logprobs.keys() | gathered.finishes.keys() - self._begun):
            delta = gathered.deltas.get(index, {})
            if index not in self._begun:
                self._begun.add(index)
                delta = {"role": "assistant", "content": "", **delta}
            parts.append(self._choice(index, delta, gathered.logprobs.get(index), None))
        parts += [self._choice(index, {}, None, reason) for index, reason in gathered.finishes.items()]
        return b"".join(parts)

    def _choice(self, index: int, delta: dict[str, Any], logprobs: object, finish: str | None) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return self._event([choice], None)

    def _event(self, choices: list[dict[str, Any]], usage: dict[str, Any] | None) -> bytes:
        value: dict[str, Any] = {
            "id": f"chatcmpl-{self._request_id}",
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._model,
            "choices": choices,
        }
        if self._wants_usage:
            value["usage"] = usage
        return b"data: %b\n\n" % _encode(value)

    def finish(self) -> bytes:
        """Usage, if the client asked and it is known, and the terminal marker."""
        if self._wants_usage and self._usage is not None:
            return self._event([], self._usage) + DONE
        return DONE

    def error(self, error: NearfarError) -> bytes:
        """An error event; ``[DONE]`` does not follow, so no client takes the stream for complete."""
        return b"data: %b\n\n" % error_body(error, self._request_id)

    def keep_alive(self) -> bytes:
        """A comment of one line, which every official client skips."""
        return KEEP_ALIVE

    def note(self, text: str) -> bytes:
        """A comment of one line."""
        return b": %b\n" % text.encode("ascii", "replace")


class Plain:
    """A plain reply in OpenAI's shape from chunks of another wire."""

    content_type = "application/json"

    def __init__(self, request: Request) -> None:
        self._request_id = request.id
        self._created = request.received
        self._model = request.model
        self._usage: dict[str, Any] | None = None
        self._gathered = _Choices({})

    def render(self, chunk: Chunk) -> bytes:
        """Nothing yet: the body is written when the reply is complete."""
        self._model = chunk.model or self._model
        if chunk.usage is not None:
            self._usage = _usage(chunk.usage)
        for event in chunk.events:
            self._gathered.add(event)
        return b""

    def finish(self) -> bytes:
        """The whole body."""
        gathered = self._gathered
        indices = sorted(gathered.deltas.keys() | gathered.finishes.keys()) or [0]
        value: dict[str, Any] = {
            "id": f"chatcmpl-{self._request_id}",
            "object": "chat.completion",
            "created": self._created,
            "model": self._model,
            "choices": [self._choice(index) for index in indices],
        }
        if self._usage is not None:
            value["usage"] = self._usage
        return _encode(value)

    def _choice(self, index: int) -> dict[str, Any]:
        message = {"role": "assistant", "content": None, "refusal": None, **self._gathered.deltas.get(index, {})}
        if "tool_calls" in message:
            message["tool_calls"] = _whole_calls(message["tool_calls"])
        elif message["content"] is None and message["refusal"] is None:
            message["content"] = ""
        return {
            "index": index,
            "message": message,
            "logprobs": self._gathered.logprobs.get(index),
            "finish_reason": self._gathered.finishes.get(index, "stop"),
        }

    def error(self, error: NearfarError) -> bytes:
        """The error's body."""
        return error_body(error, self._request_id)

    def keep_alive(self) -> bytes:
        """Nothing: a plain body tolerates no filling."""
        return b""

    def note(self, text: str) -> bytes:  # noqa: ARG002  the contract's signature
        """Nothing: what is told of a plain reply stands in its headers."""
        return b""


def _whole_calls(pieces: list[dict[str, Any]]) -> list[dict[str, Any]]:
    calls: dict[int, dict[str, Any]] = {}
    for piece in pieces:
        call = calls.setdefault(
            piece["index"], {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
        )
        call["id"] = call["id"] or piece.get("id", "")
        call["function"]["name"] = call["function"]["name"] or piece["function"].get("name", "")
        call["function"]["arguments"] += piece["function"]["arguments"]
        if "extra_content" in piece:
            call["extra_content"] = piece["extra_content"]
    return [calls[index] for index in sorted(calls)]
