"""Renders chunks of another wire as a response in OpenAI's Responses API, streamed or plain. It knows no upstream.

Source: the OpenAI API reference, "Streaming events", and the types of its Python SDK 3.54, read 2026-11-22. Every event
has its name twice, as ``event:`` and as ``type``; ``sequence_number`` rises by one; there is no ``[DONE]``. A stream
that fails says so twice, as ``response.failed`` and as ``error``: some clients read the one, some raise on the other.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nearfar.core.chat import Chunk, Request, Usage
from nearfar.core.errors import NearfarError, RateLimitError
from nearfar.wire.openai_chat_render import KEEP_ALIVE, error_body
from nearfar.wire.openai_responses_output import Output
from nearfar.wire.openai_responses_tools import offer

_encode = msgspec.json.Encoder().encode

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
_ECHOED: dict[str, Any] = {
    "background": False,
    "frequency_penalty": 0,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "presence_penalty": 0,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "temperature": 1,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1,
    "truncation": "disabled",
    "user": None,
}
"""Members of the request that stand in the response again, with what the API says they are when the client said
nothing: the Open Responses specification (2026-04-24) allows no null there. What a deployment really uses then is its
own default."""
_NULL = b"null"


class Told(msgspec.Struct):
    """What the response says about where it is kept. Whoever keeps it may change its mind until the end."""

    store: bool = False
    previous: str | None = None
    """The stored response that this one continues."""


def event(kind: str, number: int, members: dict[str, Any]) -> bytes:
    """One event of the stream."""
    data = _encode({"type": kind, "sequence_number": number, **members})
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)


def failure(error: NearfarError) -> dict[str, Any]:
    """``error`` as the ``error`` of a response, which knows few codes."""
    code = "rate_limit_exceeded" if isinstance(error, RateLimitError) else "server_error"
    return {"code": code, "message": error.text}


def error_event(error: NearfarError, number: int, request_id: str) -> bytes:
    """The ``error`` event; the same once more inside ``error``, where official SDKs look to raise it."""
    inner = msgspec.json.decode(error_body(error, request_id))["error"]
    members = {"code": error.code, "message": error.text, "param": error.param, "error": inner}
    return event("error", number, members)


class _Response:
    """The response object around an output."""

    def __init__(self, request: Request, told: Told) -> None:
        self.mark = request.id.removeprefix("req-")
        self.model = request.model
        self.usage: Usage | None = None
        fields = request.fields
        self._frame: dict[str, Any] = {
            "id": f"resp_{self.mark}",
            "object": "response",
            "created_at": request.received,
            "completed_at": None,
        }
        self._echo: dict[str, Any] = {}
        for name, otherwise in _ECHOED.items():
            raw = fields.get(name)
            self._echo[name] = otherwise if raw is None or bytes(raw) == _NULL else raw
        if isinstance(self._echo["text"], msgspec.Raw):
            text = msgspec.json.decode(self._echo["text"], type=dict[str, msgspec.Raw])
            self._echo["text"] = {**_ECHOED["text"], **text}
        self._told = told

    def value(
        self,
        status: str,
        items: list[dict[str, Any]],
        *,
        reason: str | None = None,
        error: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The object with ``status``; ``reason``: why it is incomplete."""
        return {
            **self._frame,
            "status": status,
            "error": error,
            "incomplete_details": None if reason is None else {"reason": reason},
            "model": self.model,
            "output": items,
            **self._echo,
            "store": self._told.store,
            "previous_response_id": self._told.previous,
            "usage": None if self.usage is None else _usage(self.usage),
        }

    def read(self, chunk: Chunk) -> None:
        """Facts of a chunk that belong to the response as a whole."""
        self.model = chunk.model or self.model
        if chunk.usage is not None:
            self.usage = chunk.usage if self.usage is None else self.usage.updated(chunk.usage)

    def finished(self, output: Output) -> dict[str, Any]:
        """The object of a response that ended clean."""
        reason = _INCOMPLETE.get(output.finish)
        return self.value("completed" if reason is None else "incomplete", output.items, reason=reason)


def _usage(usage: Usage) -> dict[str, Any] | None:
    """Token counts; None when a total is not known, for zero would be a lie. Its parts have no way to be unknown."""
    if usage.input is None or usage.output is None:
        return None
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cached or 0, "cache_write_tokens": usage.cache_write or 0},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning or 0},
        "total_tokens": usage.input + usage.output,
    }


class Stream:
    """A stream of named events. ``final`` is the response object once the stream ended clean."""

    content_type = "text/event-stream"

    def __init__(self, request: Request, told: Told) -> None:
        self.final: bytes = b""
        self._request_id = request.id
        self._response = _Response(request, told)
        self._number = 0
        self._parts: list[bytes] = []
        self._begun = False
        self._output = Output(self._say, offer(request.fields.get("tools")), self._response.mark)

    def _say(self, kind: str, members: dict[str, Any]) -> None:
        self._parts.append(event(kind, self._number, members))
        self._number += 1

    def _take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            for kind in ("response.created", "response.in_progress"):
                self._say(kind, {"response": self._response.value("in_progress", [])})

    def render(self, chunk: Chunk) -> bytes:
        """The events that the chunk's own events amount to."""
        self._response.read(chunk)
        self._begin()
        self._output.add(chunk.events)
        return self._take()

    def finish(self) -> bytes:
        """The ends of all items, and ``response.completed`` or ``response.incomplete``."""
        self._begin()
        self._output.close()
        value = self._response.finished(self._output)
        self.final = _encode(value)
        self._say(f"response.{value['status']}", {"response": value})
        return self._take()

    def error(self, error: NearfarError) -> bytes:
        """``response.failed``, without the words the client has already, and ``error``."""
        self._begin()
        self._say("response.failed", {"response": self._response.value("failed", [], error=failure(error))})
        self._parts.append(error_event(error, self._number, self._request_id))
        return self._take()

    def keep_alive(self) -> bytes:
        """A comment of one line, which every official client skips."""
        return KEEP_ALIVE

    def note(self, text: str) -> bytes:
        """A comment of one line."""
        return b": %b\n" % text.encode("ascii", "replace")


class Plain:
    """One response object. ``final`` is the same bytes."""

    content_type = "application/json"

    def __init__(self, request: Request, told: Told) -> None:
        self.final: bytes = b""
        self._request_id = request.id
        self._response = _Response(request, told)
        self._output = Output(_nothing, offer(request.fields.get("tools")), self._response.mark)

    def render(self, chunk: Chunk) -> bytes:
        """Nothing yet: the body is written when the reply is complete."""
        self._response.read(chunk)
        self._output.add(chunk.events)
        return b""

    def finish(self) -> bytes:
        """The whole body."""
        self._output.close()
        self.final = _encode(self._response.finished(self._output))
        return self.final

    def error(self, error: NearfarError) -> bytes:
        """The error's body."""
        return error_body(error, self._request_id)

    def keep_alive(self) -> bytes:
        """Nothing: a plain body tolerates no filling."""
        return b""

    def note(self, text: str) -> bytes:  # noqa: ARG002  the contract's signature
        """Nothing: what is told of a plain reply stands in its headers."""
        return b""


def _nothing(kind: str, members: dict[str, Any]) -> None:
    """A plain reply says no steps."""
