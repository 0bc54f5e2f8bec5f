"""Renders chunks as Ollama's replies, lines of JSON or one object, for ``/api/chat`` and ``/api/generate``.

It knows no upstream. A stream's last line, the one with ``done: true``, is only written when the upstream ended clean.
Durations are measured here: the first content ends the reading of the prompt. ``load_duration`` is not known here.
Official clients tolerate nothing between lines, so there are no keep-alives; a remark is an empty piece with one
member more, which they ignore.
Source: Ollama's docs/openapi.yaml of 2026-08 and its Python client 0.6, read 2026-11-22.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec

from nearfar.core.chat import (
    Chunk,
    Finish,
    LogprobsDelta,
    ReasoningDelta,
    RefusalDelta,
    Request,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from nearfar.core.errors import NearfarError, OutputUnparsed
from nearfar.wire.base import Renderer
from nearfar.wire.ollama_common import error_body, timestamp
from nearfar.wire.plain import PassedOn

NDJSON = "application/x-ndjson"
JSON = "application/json; charset=utf-8"

_encode = msgspec.json.Encoder().encode
Clock = Callable[[], int]


def renderer(request: Request, like: bool) -> Renderer:
    """The renderer for the reply to ``request``; ``like``: the chunks are already in this shape."""
    if like:
        return LikeStream(request) if request.stream else PassedOn("", error_body, JSON)
    return Stream(request) if request.stream else Plain(request)


def _remark(request: Request, model: str, text: str, now: int) -> bytes:
    line = _line(request, model, {}, now)
    return _encode({**line, "done": False, "nearfar": text}) + b"\n"


def _line(request: Request, model: str, said: dict[str, Any], now: int) -> dict[str, Any]:
    head: dict[str, Any] = {"model": model, "created_at": timestamp(now)}
    logprobs = said.pop("logprobs", None)
    if request.wire == "ollama.generate":
        head.update({"response": said.pop("content", ""), **said})
    else:
        head["message"] = {"role": "assistant", "content": said.pop("content", ""), **said}
    if logprobs:
        head["logprobs"] = logprobs
    return head


class LikeStream:
    """The upstream speaks the same dialect: its lines travel as they came, the last one when all is well."""

    content_type = NDJSON

    def __init__(self, request: Request, clock: Clock = time.time_ns) -> None:
        self._request = request
        self._clock = clock
        self._last = b""

    def render(self, chunk: Chunk) -> bytes:
        """The line as it came; the terminal one waits for finish()."""
        line = chunk.raw + b"\n" if chunk.raw else b""
        if chunk.end:
            self._last = line
            return b""
        return line

    def finish(self) -> bytes:
        """The upstream's last line."""
        return self._last

    def error(self, error: NearfarError) -> bytes:
        """A line with the error; ``done: true`` never follows it."""
        return error_body(error, "") + b"\n"

    def keep_alive(self) -> bytes:
        """Nothing: official clients break on anything between lines."""
        return b""

    def note(self, text: str) -> bytes:
        """An empty piece with the remark beside it."""
        return _remark(self._request, self._request.model, text, self._clock())


class _Gathered:
    """What chunks of another wire have said so far, and when."""

    def __init__(self, request: Request, clock: Clock) -> None:
        self.request = request
        self.clock = clock
        self.model = request.model
        self._began = clock()
        self._first = 0
        self._finish = "stop"
        self._usage: Usage | None = None
        self._calls: dict[int, dict[str, str]] = {}

    def add(self, chunk: Chunk) -> dict[str, Any]:
        """The content that ``chunk`` adds, tool calls apart: Ollama sends those whole."""
        self.model = chunk.model or self.model
        self._usage = chunk.usage or self._usage
        said: dict[str, Any] = {}
        for event in chunk.events:
            if isinstance(event, TextDelta | RefusalDelta):
                said["content"] = said.get("content", "") + event.text
            elif isinstance(event, ReasoningDelta):
                said["thinking"] = said.get("thinking", "") + event.text
            elif isinstance(event, ToolCallDelta):
                call = self._calls.setdefault(event.call, {"id": "", "name": "", "arguments": ""})
                call["id"] = call["id"] or event.id
                call["name"] = call["name"] or event.name
                call["arguments"] += event.arguments
            elif isinstance(event, LogprobsDelta):
                said.setdefault("logprobs", []).extend(_logprobs(event.raw))
            elif isinstance(event, Finish):
                # "tool_calls" is no word of Ollama's: a reply with calls ends with "stop" too.
                self._finish = "stop" if event.reason in {"tool_calls", "function_call"} else event.reason
        if chunk.content and not self._first:
            self._first = self.clock()
        return said

    def calls(self) -> list[dict[str, Any]]:
        """The tool calls, whole. Raises OutputUnparsed where the arguments are no object: Ollama has no other form."""
        return [_call(index, call) for index, call in sorted(self._calls.items())]

    def done(self, said: dict[str, Any]) -> dict[str, Any]:
        """The last line, or a whole plain reply that says ``said``.

        Only a stream shows when the prompt was read, so only there the two durations are told apart.
        """
        now = self.clock()
        first = self._first or now
        line = _line(self.request, self.model, said, now)
        line.update({"done": True, "done_reason": self._finish, "total_duration": max(1, now - self._began)})
        usage = self._usage
        if usage is not None and usage.input is not None:
            line["prompt_eval_count"] = usage.input
        if usage is not None and usage.output is not None:
            line["eval_count"] = usage.output
        if self.request.stream:
            line["prompt_eval_duration"] = max(1, first - self._began)
            line["eval_duration"] = max(1, now - first)
        return line


def _call(index: int, call: dict[str, str]) -> dict[str, Any]:
    text = call["arguments"].strip() or "{}"
    try:
        msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, RecursionError) as exc:
        message = f"The model called {call['name']!r} with arguments that are no JSON object."
        raise OutputUnparsed(message, hint="Ask again, or name the arguments in the tool's schema.") from exc
    function = {"index": index, "name": call["name"], "arguments": msgspec.Raw(text.encode())}
    return {"id": call["id"], "function": function} if call["id"] else {"function": function}


def _logprobs(raw: msgspec.Raw) -> list[dict[str, Any]]:
    found = msgspec.json.decode(raw)
    content = found.get("content") if isinstance(found, dict) else None
    return content if isinstance(content, list) else []


class Stream:
    """Lines from chunks of another wire."""

    content_type = NDJSON

    def __init__(self, request: Request, clock: Clock = time.time_ns) -> None:
        self._gathered = _Gathered(request, clock)

    def render(self, chunk: Chunk) -> bytes:
        """A line for what the chunk adds; one more with the tool calls when the reply finishes."""
        gathered = self._gathered
        said = gathered.add(chunk)
        out = self._piece(said) if said else b""
        if any(isinstance(event, Finish) for event in chunk.events) and (calls := gathered.calls()):
            out += self._piece({"tool_calls": calls})
        return out

    def _piece(self, said: dict[str, Any]) -> bytes:
        gathered = self._gathered
        line = _line(gathered.request, gathered.model, said, gathered.clock())
        return _encode({**line, "done": False}) + b"\n"

    def finish(self) -> bytes:
        """The last line, with the counts."""
        return _encode(self._gathered.done({})) + b"\n"

    def error(self, error: NearfarError) -> bytes:
        """A line with the error; ``done: true`` never follows it."""
        return error_body(error, "") + b"\n"

    def keep_alive(self) -> bytes:
        """Nothing: official clients break on anything between lines."""
        return b""

    def note(self, text: str) -> bytes:
        """An empty piece with the remark beside it."""
        gathered = self._gathered
        return _remark(gathered.request, gathered.model, text, gathered.clock())


class Plain:
    """One object from chunks of another wire."""

    content_type = JSON

    def __init__(self, request: Request, clock: Clock = time.time_ns) -> None:
        self._gathered = _Gathered(request, clock)
        self._said: dict[str, Any] = {}

    def render(self, chunk: Chunk) -> bytes:
        """Nothing yet: the body is written when the reply is complete."""
        for name, value in self._gathered.add(chunk).items():
            self._said[name] = self._said[name] + value if name in self._said else value
        return b""

    def finish(self) -> bytes:
        """The whole body."""
        calls = self._gathered.calls()
        return _encode(self._gathered.done({**self._said, **({"tool_calls": calls} if calls else {})}))

    def error(self, error: NearfarError) -> bytes:
        """The error's body."""
        return error_body(error, "")

    def keep_alive(self) -> bytes:
        """Nothing: a plain body tolerates no filling."""
        return b""

    def note(self, text: str) -> bytes:  # noqa: ARG002  the contract's signature
        """Nothing: what is told of a plain reply stands in its headers."""
        return b""
