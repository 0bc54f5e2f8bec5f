"""Decodes replies of OpenAI's Responses API, streamed or plain, into chunks. It knows no client and no request body.

Source: the OpenAI API reference, "Streaming events", and the types of its Python SDK 3.54, read 2026-11-22. A stream
ends with ``response.completed`` or ``response.incomplete``; there is no ``[DONE]``.
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
    RefusalDelta,
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

_ENDS = frozenset({"response.completed", "response.incomplete"})
_CALLS = frozenset({"function_call", "custom_tool_call"})
_INCOMPLETE = {"max_output_tokens": "length", "content_filter": "content_filter"}


class _Incomplete(msgspec.Struct):
    reason: str = ""


class _Response(msgspec.Struct):
    id: Any = None
    object: Any = None
    model: Any = None
    status: str = ""
    output: list[dict[str, Any]] | None = None
    usage: Any = None
    error: Any = None
    incomplete_details: _Incomplete | None = None


class _Event(msgspec.Struct):
    type: str
    output_index: int = 0
    delta: Any = None
    arguments: Any = None
    input: Any = None
    logprobs: Any = None
    item: dict[str, Any] | None = None
    response: _Response | None = None


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_response = msgspec.json.Decoder(_Response).decode


def decoder(request: Request, typed: bool) -> Decoder:
    """The decoder for the reply to ``request``."""
    if request.stream:
        return StreamDecoder(sse.Splitter(), _Reader(typed).read)
    return PlainDecoder(lambda body: _read_plain(body, typed))


class _Reader:
    """Turns the events of one stream into chunks. Calls are numbered by their item's place in the output."""

    def __init__(self, typed: bool) -> None:
        self._typed = typed
        self._calls: dict[int, int] = {}
        self._with_arguments: set[int] = set()

    def read(self, raw: sse.Event) -> Chunk | None:
        """One event. Raises the error that it holds."""
        try:
            event = _decode_event(raw.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            if raw.name == "error":
                raise stream_error(_loose(raw.data), raw.data) from exc
            if raw.data == b"[DONE]":  # some servers end every stream with it
                return None
            message = "The upstream sent an event that is none of the Responses API's."
            raise UpstreamError(message, code=MALFORMED, upstream_body=raw.data[:1000]) from exc
        kind = event.type
        if kind == "error":
            raise stream_error(msgspec.json.decode(raw.data), raw.data)
        chunk = Chunk(raw=b"event: %b\n%b" % (kind.encode("ascii", "replace").replace(b"\n", b" "), raw.raw))
        if event.response is not None:
            self._lifecycle(kind, event.response, raw.data, chunk)
        elif kind in _ENDS:
            raise UpstreamError(f"The upstream sent {kind} without the response.", code=MALFORMED)
        elif kind.endswith(".delta"):
            chunk.content = True
        elif kind == "response.output_item.added" and event.item is not None:
            chunk.content = _word(event.item, "type") in _CALLS
        if self._typed:
            chunk.events = (*self._events(kind, event), *chunk.events)
        return chunk

    def _lifecycle(self, kind: str, response: _Response, data: bytes, chunk: Chunk) -> None:
        if kind == "response.failed" or response.error:
            raise _failure(response, data)
        chunk.model = reported.model(response.model)
        chunk.id = response.id if isinstance(response.id, str) else ""
        if kind not in _ENDS:
            return
        chunk.usage = usage(response.usage)
        chunk.finish = _finish(response)
        chunk.end = True
        chunk.content = True
        if self._typed:
            chunk.events = (Finish(chunk.finish, response.status),)

    def _events(self, kind: str, event: _Event) -> tuple[Event, ...]:
        delta, place = event.delta, event.output_index
        if isinstance(delta, str) and delta:
            if kind == "response.output_text.delta":
                found: list[Event] = [TextDelta(delta)]
                if isinstance(event.logprobs, list) and event.logprobs:
                    found.append(_logprobs(event.logprobs))
                return tuple(found)
            if kind == "response.refusal.delta":
                return (RefusalDelta(delta),)
            if kind in {"response.reasoning_text.delta", "response.reasoning_summary_text.delta"}:
                return (ReasoningDelta(delta, block=place),)
            if kind == "response.function_call_arguments.delta" and place in self._calls:
                self._with_arguments.add(place)
                return (ToolCallDelta(call=self._calls[place], arguments=delta),)
        item = event.item
        if item is not None and _word(item, "type") in _CALLS:
            return self._call(kind, place, item)
        return ()

    def _call(self, kind: str, place: int, item: dict[str, Any]) -> tuple[Event, ...]:
        found: list[Event] = []
        if place not in self._calls:
            self._calls[place] = len(self._calls)
            found.append(ToolCallDelta(call=self._calls[place], id=_word(item, "call_id"), name=_word(item, "name")))
        if kind == "response.output_item.done" and place not in self._with_arguments:
            self._with_arguments.add(place)
            found.append(ToolCallDelta(call=self._calls[place], arguments=_arguments(item)))
        return tuple(found)


def _read_plain(body: bytes, typed: bool) -> Chunk:
    response: _Response = decode_reply(_decode_response, body)
    if response.status == "failed":
        raise _failure(response, body)
    refuse_error(response.error or response.object == "error", body)
    if response.status not in {"completed", "incomplete"}:
        message = "The upstream's reply is no finished response."
        raise UpstreamError(message, code="empty_reply", upstream_body=body[:1000])
    finish = _finish(response)
    return Chunk(
        raw=body,
        events=(*_plain_events(response.output or []), Finish(finish, response.status)) if typed else (),
        usage=usage(response.usage),
        finish=finish,
        content=True,
        end=True,
        model=reported.model(response.model),
        id=response.id if isinstance(response.id, str) else "",
    )


def _plain_events(output: list[dict[str, Any]]) -> list[Event]:
    events: list[Event] = []
    calls = 0
    for place, item in enumerate(output):
        kind = _word(item, "type")
        if kind == "reasoning":
            parts = (*_parts(item, "summary"), *_parts(item, "content"))
            events += [ReasoningDelta(_word(part, "text"), block=place) for part in parts]
        elif kind in _CALLS:
            events.append(
                ToolCallDelta(
                    call=calls, id=_word(item, "call_id"), name=_word(item, "name"), arguments=_arguments(item)
                )
            )
            calls += 1
        elif kind == "message":
            for part in _parts(item, "content"):
                if part.get("type") == "refusal":
                    events.append(RefusalDelta(_word(part, "refusal")))
                    continue
                events.append(TextDelta(_word(part, "text")))
                if isinstance(part.get("logprobs"), list) and part["logprobs"]:
                    events.append(_logprobs(part["logprobs"]))
    return events


def _parts(item: dict[str, Any], name: str) -> list[dict[str, Any]]:
    listed = item.get(name)
    return [part for part in listed if isinstance(part, dict)] if isinstance(listed, list) else []


def _word(item: dict[str, Any], name: str) -> str:
    value = item.get(name)
    return value if isinstance(value, str) else ""


def _arguments(item: dict[str, Any]) -> str:
    if item.get("type") == "custom_tool_call":
        return msgspec.json.encode({"input": _word(item, "input")}).decode()
    return _word(item, "arguments") or "{}"


def _logprobs(found: list[Any]) -> LogprobsDelta:
    """Log-probabilities in the chat's shape, which has the same entries."""
    return LogprobsDelta(msgspec.Raw(msgspec.json.encode({"content": found, "refusal": None})))


def _finish(response: _Response) -> str:
    if response.status == "incomplete":
        reason = response.incomplete_details.reason if response.incomplete_details is not None else ""
        return _INCOMPLETE.get(reason, "length")
    calls = any(_word(item, "type") in _CALLS for item in response.output or [])
    return "tool_calls" if calls else "stop"


def _failure(response: _Response, body: bytes) -> Exception:
    """The error of a response that failed, whatever the transport's status said."""
    return stream_error({"error": response.error or {"message": "The response failed."}}, body)


def _loose(data: bytes) -> object:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return data.decode("utf-8", "replace")


def usage(value: object) -> Usage | None:
    """Token counts from the Responses API's ``usage``; None when it reports none."""
    if not isinstance(value, dict):
        return None
    details = value.get("input_tokens_details")
    read = Usage(
        input=_count(value, "input_tokens"),
        output=_count(value, "output_tokens"),
        cached=_count(details, "cached_tokens"),
        cache_write=_count(details, "cache_write_tokens"),
        reasoning=_count(value.get("output_tokens_details"), "reasoning_tokens"),
    )
    return None if read.input is None and read.output is None else read


def _count(value: object, key: str) -> int | None:
    number = value.get(key) if isinstance(value, dict) else None
    return number if isinstance(number, int) and number >= 0 and number is not True else None
