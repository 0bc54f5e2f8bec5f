"""Decodes replies of generateContent, streamed or plain, into chunks. It knows no client and no request body.

A stream has no terminal marker: it is complete when every candidate has its finish reason, or the prompt was blocked.
Source: the Gemini API reference, "GenerateContentResponse", and the types of google-genai 3.4, read 2026-11-22.
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
    Request,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from nearfar.core.errors import OutputUnparsed, UpstreamError
from nearfar.wire import reported, sse
from nearfar.wire.base import Decoder
from nearfar.wire.gemini_generate_failures import stream_failure
from nearfar.wire.plain import PlainDecoder, decode_reply
from nearfar.wire.stream import MALFORMED, StreamDecoder

BLOCKED = "content_filter"

FINISH = {"STOP": "stop", "MAX_TOKENS": "length", "CONTINUATION": "length"}
"""Google's finish reasons in OpenAI's words; every other one means that something was held back."""

UNPARSED = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "MALFORMED_RESPONSE",
        "MISSING_THOUGHT_SIGNATURE",
        "TOO_MANY_TOOL_CALLS",
        "UNEXPECTED_TOOL_CALL",
    }
)
"""The model wrote what its own server could not take: no answer, and other dialects have no word for it."""

_UNSPECIFIED = "FINISH_REASON_UNSPECIFIED"


class _FunctionCall(msgspec.Struct):
    name: str = ""
    id: str | None = None
    args: msgspec.Raw = msgspec.Raw(b"{}")


class _Part(msgspec.Struct, rename="camel"):
    text: str | None = None
    thought: bool = False
    thought_signature: str = ""
    function_call: _FunctionCall | None = None
    inline_data: Any = None
    file_data: Any = None


_EMPTY = _Part(text="")


class _Content(msgspec.Struct):
    parts: list[_Part] | None = None


class _Candidate(msgspec.Struct, rename="camel"):
    index: int = 0
    content: _Content | None = None
    finish_reason: str | None = None
    logprobs_result: Any = None


class _Reply(msgspec.Struct, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: dict[str, Any] | None = None
    usage_metadata: dict[str, Any] | None = None
    model_version: Any = None
    response_id: Any = None
    error: Any = None


_decode = msgspec.json.Decoder(_Reply).decode


def decoder(request: Request, typed: bool) -> Decoder:
    """The decoder for the reply to ``request``."""
    reader = _Reader(request, typed)
    if request.stream:
        return StreamDecoder(sse.Splitter(), reader.read_event, reader.complete)
    return PlainDecoder(reader.read_plain)


class _Reader:
    """Turns replies, which have one shape streamed and plain, into chunks."""

    def __init__(self, request: Request, typed: bool) -> None:
        self._id = request.id
        self._choices = request.choices
        self._typed = typed
        self._calls: dict[int, int] = {}
        self._blocks: dict[int, int] = {}
        self._finished: set[int] = set()
        self._blocked = False

    def complete(self) -> bool:
        """Whether nothing more is to come."""
        return self._blocked or len(self._finished) >= self._choices

    def read_event(self, event: sse.Event) -> Chunk:
        """One event of a stream. Raises the error that it holds."""
        try:
            reply = _decode(event.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            message = "The upstream sent an event that is not one of Gemini's."
            raise UpstreamError(message, code=MALFORMED, upstream_body=event.data[:1000]) from exc
        return self._read(reply, event.data, event.raw)

    def read_plain(self, body: bytes) -> Chunk:
        """A whole reply. Google writes an error in a list where a stream would have been one."""
        if body.lstrip()[:1] == b"[":
            raise stream_failure(body)
        reply = decode_reply(_decode, body)
        chunk = self._read(reply, body, body)
        chunk.usage = usage(reply.usage_metadata or {})
        if not chunk.finish:
            message = "The upstream's reply has no candidate that ended."
            raise UpstreamError(message, code="empty_reply", upstream_body=body[:1000])
        chunk.content = chunk.end = True
        return chunk

    def _read(self, reply: _Reply, data: bytes, raw: bytes) -> Chunk:
        if reply.error:
            raise stream_failure(data)
        chunk = Chunk(raw=raw, model=reported.model(reply.model_version))
        if isinstance(reply.response_id, str):
            chunk.id = reply.response_id
        events: list[Event] = []
        for candidate in reply.candidates or ():
            events += self._candidate(candidate, chunk, data)
        feedback = reply.prompt_feedback or {}
        if not reply.candidates and feedback.get("blockReason"):
            self._blocked = chunk.content = True
            chunk.finish = BLOCKED
            events += [Finish(BLOCKED, _word(feedback["blockReason"]), index) for index in range(self._choices)]
        if reply.usage_metadata:
            chunk.usage = self._usage(reply.usage_metadata)
        if self._typed:
            chunk.events = tuple(events)
        return chunk

    def _usage(self, counts: dict[str, Any]) -> Usage | None:
        """Counts of a stream. What was written so far is only a beginning: what it will cost is not known yet."""
        read = usage(counts)
        if read is None or self.complete():
            return read
        return None if read.input is None else Usage(input=read.input, cached=read.cached)

    def _candidate(self, candidate: _Candidate, chunk: Chunk, data: bytes) -> list[Event]:
        index = candidate.index
        events: list[Event] = []
        parts = (candidate.content.parts or ()) if candidate.content is not None else ()
        for part in parts:
            events += self._part(part, index, data)
        if candidate.logprobs_result:
            events.append(LogprobsDelta(_logprobs(candidate.logprobs_result), index))
        chunk.content = chunk.content or any(part != _EMPTY for part in parts)
        native = candidate.finish_reason
        if native and native != _UNSPECIFIED:
            self._finished.add(index)
            events.append(Finish(self._finish(native, index, chunk, data), _word(native), index))
        return events

    def _finish(self, native: str, index: int, chunk: Chunk, data: bytes) -> str:
        if native in UNPARSED:
            if self._typed:
                message = f"The model's answer could not be read by its own server ({native})."
                raise OutputUnparsed(message, upstream_body=data[:1000])
            chunk.finish = chunk.finish or "error"
            return "error"
        reason = FINISH.get(native, BLOCKED)
        if reason == "stop" and self._calls.get(index):
            reason = "tool_calls"
        chunk.finish = chunk.finish or reason
        return reason

    def _part(self, part: _Part, index: int, data: bytes) -> list[Event]:
        if part.function_call is not None:
            return [self._call(part.function_call, part.thought_signature, index)]
        if self._typed and (part.inline_data or part.file_data):
            message = "The model answered with media, which the client's dialect cannot carry."
            raise UpstreamError(message, code="unsupported_output", upstream_body=data[:100])
        events: list[Event] = []
        block = self._blocks.get(index, 0)
        if part.text:
            thought = ReasoningDelta(part.text, index, block)
            events.append(thought if part.thought else TextDelta(part.text, index))
        if part.thought_signature:
            seal = ReasoningSeal(signature=part.thought_signature, index=index, block=block, vendor="google")
            events.append(seal)
            self._blocks[index] = block + 1
        return events

    def _call(self, call: _FunctionCall, signature: str, index: int) -> ToolCallDelta:
        number = self._calls.get(index, 0)
        self._calls[index] = number + 1
        return ToolCallDelta(
            call=number,
            id=call.id or f"call_{self._id}_{index}_{number}",  # results are addressed by it elsewhere
            name=call.name,
            arguments=bytes(call.args).decode() if bytes(call.args) != b"null" else "{}",
            index=index,
            signature=signature,
        )


def _word(value: object) -> str:
    """A finish reason as it is, if it has the shape of one: the ledger and headers may read it."""
    return value if isinstance(value, str) and value.isupper() and len(value) < 64 else ""


def usage(counts: dict[str, Any]) -> Usage | None:
    """Token counts; None when none is reported.

    Google counts thoughts beside the answer, and leaves out what is zero. Results of its own tools are input too.
    """
    names = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "totalTokenCount")
    prompt, answer, thoughts, total = (_number(counts.get(name)) for name in names)
    tools = _number(counts.get("toolUsePromptTokenCount"))
    if prompt is None and answer is None and thoughts is None:
        return None
    read = None if prompt is None else prompt + (tools or 0)
    written = None if answer is None and thoughts is None else (answer or 0) + (thoughts or 0)
    if written is None and total is not None and read is not None:
        written = max(0, total - read)
    return Usage(input=read, output=written, cached=_number(counts.get("cachedContentTokenCount")), reasoning=thoughts)


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 0 and value is not True else None


def _logprobs(found: Any) -> msgspec.Raw:
    """Google's log-probabilities in OpenAI's shape, which wants every member."""

    def token(item: Any) -> dict[str, Any]:
        text = item.get("token", "") if isinstance(item, dict) else ""
        number = item.get("logProbability", 0.0) if isinstance(item, dict) else 0.0
        return {"token": text, "logprob": number, "bytes": list(str(text).encode())}

    chosen = _items(found, "chosenCandidates")
    tops = [_items(top, "candidates") for top in _items(found, "topCandidates")]
    content = [
        {**token(item), "top_logprobs": [token(top) for top in (tops[at] if at < len(tops) else ())]}
        for at, item in enumerate(chosen)
    ]
    return msgspec.Raw(msgspec.json.encode({"content": content, "refusal": None}))


def _items(value: Any, name: str) -> list[Any]:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []
