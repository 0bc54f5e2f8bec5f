"""Renders chunks as replies of generateContent, streamed or plain. It knows no upstream.

The official clients break on any byte that is no event: there is no keep-alive and no remark. A function call goes out
whole, for ``args`` is an object. The finish reason goes out with the clean ending, not before it: it is all that tells
a whole stream from a cut one. Another vendor's signature travels sealed in ``thoughtSignature``, so that it comes back.
Source: the Gemini API reference, "GenerateContentResponse"; what clients tolerate was measured with google-genai.
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
from nearfar.core.errors import NearfarError, OutputUnparsed
from nearfar.wire.base import Renderer
from nearfar.wire.gemini_generate_failures import error_body
from nearfar.wire.gemini_generate_members import seal
from nearfar.wire.plain import PassedOn

SSE = "text/event-stream"
JSON = "application/json; charset=UTF-8"

_FINISH = {
    "stop": "STOP",
    "tool_calls": "STOP",
    "function_call": "STOP",
    "length": "MAX_TOKENS",
    "model_length": "MAX_TOKENS",
    "content_filter": "SAFETY",
}
"""OpenAI's words → Google's; what has no word there is OTHER."""

_encode = msgspec.json.Encoder().encode


def renderer(request: Request, like: bool) -> Renderer:
    """The renderer for the reply to ``request``; ``like``: the chunks are already in this shape."""
    if not request.stream:
        return PassedOn(request.id, error_body, JSON) if like else Plain(request)
    return Stream(request, like)


def array_renderer(request: Request, like: bool) -> Renderer:
    """The same for streams that are one JSON array, element by element, as without ``alt=sse``."""
    return Array(Stream(request, like)) if request.stream else renderer(request, like)


class _Gathered:
    """Collects events into parts, by candidate."""

    def __init__(self) -> None:
        self.parts: dict[int, list[dict[str, Any]]] = {}
        self.logprobs: dict[int, Any] = {}
        self.finishes: dict[int, str] = {}
        self._calls: dict[tuple[int, int], _Call] = {}

    def add(self, event: Event) -> None:
        """Put one event where it belongs; embeddings belong to no chat. Raises OutputUnparsed."""
        if isinstance(event, ToolCallDelta):
            self._call(event)
        elif isinstance(event, TextDelta | RefusalDelta):
            self._text(event.index, event.text, thought=False)
        elif isinstance(event, ReasoningDelta):
            self._text(event.index, event.text, thought=True)
        elif isinstance(event, ReasoningSeal):
            self._seal(event)
        elif isinstance(event, LogprobsDelta):
            self.logprobs[event.index] = _logprobs(event.raw)
        elif isinstance(event, Finish):
            self.finishes[event.index] = _FINISH.get(event.reason, "OTHER")

    def take(self, index: int) -> list[dict[str, Any]]:
        """The parts of a candidate so far; calls wait until they are whole."""
        return self.parts.pop(index, [])

    def close(self) -> None:
        """Turn the calls into parts: the upstream has ended. Raises OutputUnparsed."""
        for (index, _), call in sorted(self._calls.items()):
            self.parts.setdefault(index, []).append(call.part())
        self._calls.clear()

    def _text(self, index: int, text: str, *, thought: bool) -> None:
        parts = self.parts.setdefault(index, [])
        last = parts[-1] if parts else {}
        if "text" in last and last.get("thought", False) is thought and "thoughtSignature" not in last:
            last["text"] += text
        else:
            parts.append({"text": text, "thought": True} if thought else {"text": text})

    def _seal(self, event: ReasoningSeal) -> None:
        parts = self.parts.setdefault(event.index, [])
        if event.vendor == "google":
            if not parts or "text" not in parts[-1]:
                parts.append({"text": ""})
            parts[-1]["thoughtSignature"] = event.signature
            return
        vendor = event.vendor or "anthropic"
        if event.redacted:
            parts.append({"text": "", "thought": True, "thoughtSignature": seal(vendor, "redacted", event.redacted)})
            return
        if not parts or not parts[-1].get("thought"):
            parts.append({"text": "", "thought": True})
        parts[-1]["thoughtSignature"] = seal(vendor, "signature", event.signature)

    def _call(self, event: ToolCallDelta) -> None:
        call = self._calls.setdefault((event.index, event.call), _Call())
        call.id = call.id or event.id
        call.name = call.name or event.name
        call.signature = call.signature or event.signature
        call.arguments.append(event.arguments)


class _Call:
    """A function call that is being written."""

    def __init__(self) -> None:
        self.id = self.name = self.signature = ""
        self.arguments: list[str] = []

    def part(self) -> dict[str, Any]:
        """The whole call. Raises OutputUnparsed when its arguments are no object: a client could not read them."""
        text = "".join(self.arguments).strip() or "{}"
        try:
            arguments = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        except (msgspec.DecodeError, RecursionError) as exc:
            message = "The model called a function with arguments that are no JSON object."
            raise OutputUnparsed(message, hint="Ask again, or give it a simpler schema.") from exc
        call: dict[str, Any] = {"name": self.name, "args": arguments}
        if self.id:
            call["id"] = self.id
        signed = {"thoughtSignature": self.signature} if self.signature else {}
        return {"functionCall": call, **signed}


class _Frame:
    """What every piece of a reply says of itself."""

    def __init__(self, request: Request) -> None:
        self._id = request.id
        self._model = request.model
        self._usage: dict[str, Any] | None = None

    def note(self, chunk: Chunk) -> None:
        """Remember what the chunk says of the reply."""
        self._model = chunk.model or self._model
        if chunk.usage is not None:
            self._usage = _usage(chunk.usage)

    def value(self, candidates: list[dict[str, Any]]) -> dict[str, Any]:
        """A GenerateContentResponse."""
        value: dict[str, Any] = {"candidates": candidates}
        if self._usage is not None:
            value["usageMetadata"] = self._usage
        return {**value, "modelVersion": self._model, "responseId": self._id}


def _candidate(gathered: _Gathered, index: int, finish: str | None) -> dict[str, Any]:
    value: dict[str, Any] = {"content": {"role": "model", "parts": gathered.take(index)}, "index": index}
    if finish is not None:
        value["finishReason"] = finish
    logprobs = gathered.logprobs.pop(index, None)
    if logprobs is not None:
        value["logprobsResult"] = logprobs
    return value


class Stream:
    """Server-sent events: as they came from Gemini, or made from another wire's chunks."""

    content_type = SSE

    def __init__(self, request: Request, like: bool) -> None:
        self._like = like
        self._request_id = request.id
        self._frame = _Frame(request)
        self._gathered = _Gathered()

    def render(self, chunk: Chunk) -> bytes:
        """One event for the text of the chunk. Calls and finish reasons wait for the end."""
        if self._like:
            return chunk.raw
        self._frame.note(chunk)
        gathered = self._gathered
        for event in chunk.events:
            gathered.add(event)
        found = sorted(gathered.parts.keys() | gathered.logprobs.keys())
        if not found:
            return b""
        return _event(self._frame.value([_candidate(gathered, index, None) for index in found]))

    def finish(self) -> bytes:
        """Calls, finish reasons and usage: the upstream ended clean. Raises OutputUnparsed."""
        if self._like:
            return b""
        gathered = self._gathered
        gathered.close()
        indices = sorted(gathered.finishes.keys() | gathered.parts.keys()) or [0]
        last = [_candidate(gathered, index, gathered.finishes.get(index, "STOP")) for index in indices]
        return _event(self._frame.value(last))

    def error(self, error: NearfarError) -> bytes:
        """An error event; no finish reason follows."""
        return b"data: %b\n\n" % error_body(error, self._request_id)

    def keep_alive(self) -> bytes:
        """Nothing: the official client breaks on every byte that is no event."""
        return b""

    def note(self, text: str) -> bytes:  # noqa: ARG002  the contract's signature
        """Nothing: as for keep_alive."""
        return b""


def _event(value: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % _encode(value)


class Array:
    """One JSON array whose elements are the events of ``stream``."""

    content_type = JSON

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._begun = False

    def render(self, chunk: Chunk) -> bytes:
        """The chunk's events as elements."""
        return self._elements(self._stream.render(chunk))

    def finish(self) -> bytes:
        """The last elements and the array's end."""
        data = self._elements(self._stream.finish())
        return data + (b"]" if self._begun else b"[]")

    def error(self, error: NearfarError) -> bytes:
        """The error as the last element; the array is closed, so that it can be read."""
        return self._elements(self._stream.error(error)) + b"]"

    def keep_alive(self) -> bytes:
        """Nothing, as in the stream."""
        return b""

    def note(self, text: str) -> bytes:  # noqa: ARG002  the contract's signature
        """Nothing, as in the stream."""
        return b""

    def _elements(self, events: bytes) -> bytes:
        found = b""
        for event in events.split(b"\n\n"):
            if event:
                data = b"\n".join(line.removeprefix(b"data: ") for line in event.split(b"\n"))
                found += (b",\n" if self._begun else b"[") + data
                self._begun = True
        return found


class Plain:
    """A plain reply from chunks of another wire."""

    content_type = JSON

    def __init__(self, request: Request) -> None:
        self._request_id = request.id
        self._frame = _Frame(request)
        self._gathered = _Gathered()

    def render(self, chunk: Chunk) -> bytes:
        """Nothing yet: the body is written when the reply is complete."""
        self._frame.note(chunk)
        for event in chunk.events:
            self._gathered.add(event)
        return b""

    def finish(self) -> bytes:
        """The whole body. Raises OutputUnparsed."""
        gathered = self._gathered
        gathered.close()
        indices = sorted(gathered.finishes.keys() | gathered.parts.keys()) or [0]
        found = [_candidate(gathered, index, gathered.finishes.get(index, "STOP")) for index in indices]
        return _encode(self._frame.value(found))

    def error(self, error: NearfarError) -> bytes:
        """The error's body."""
        return error_body(error, self._request_id)

    def keep_alive(self) -> bytes:
        """Nothing: a plain body tolerates no filling."""
        return b""

    def note(self, text: str) -> bytes:  # noqa: ARG002  the contract's signature
        """Nothing: what is told of a plain reply stands in its headers."""
        return b""


def _usage(usage: Usage) -> dict[str, Any] | None:
    """usageMetadata; None when nothing is known, for zero would be a lie. Google counts thoughts beside the answer."""
    value: dict[str, Any] = {}
    if usage.input is not None:
        value["promptTokenCount"] = usage.input
    if usage.output is not None:
        value["candidatesTokenCount"] = max(0, usage.output - (usage.reasoning or 0))
    if usage.reasoning is not None:
        value["thoughtsTokenCount"] = usage.reasoning
    if usage.cached is not None:
        value["cachedContentTokenCount"] = usage.cached
    if usage.input is not None and usage.output is not None:
        value["totalTokenCount"] = usage.input + usage.output
    return value or None


def _logprobs(raw: msgspec.Raw) -> dict[str, Any]:
    """OpenAI's log-probabilities in Google's shape."""
    content = _objects(msgspec.json.decode(raw), "content")

    def token(item: dict[str, Any]) -> dict[str, Any]:
        return {"token": item.get("token", ""), "logProbability": item.get("logprob", 0.0)}

    return {
        "chosenCandidates": [token(item) for item in content],
        "topCandidates": [{"candidates": [token(top) for top in _objects(item, "top_logprobs")]} for item in content],
    }


def _objects(value: Any, name: str) -> list[dict[str, Any]]:
    found = value.get(name) if isinstance(value, dict) else None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
