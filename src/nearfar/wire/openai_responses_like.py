"""Passes a response of OpenAI's Responses API on to a client that speaks it. It knows no deployment.

Events travel as they came. Where this gateway keeps the response itself, or was asked to continue a kept one, the
response objects say so: the upstream knows nothing of either. The ending is held back until the stream is known clean.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nearfar.core.chat import Chunk, Request
from nearfar.core.errors import NearfarError
from nearfar.wire import strict
from nearfar.wire.openai_chat_render import KEEP_ALIVE, error_body
from nearfar.wire.openai_responses_render import Told, error_event, event, failure

_LIFECYCLE = b"event: response."
_STEPS = frozenset({b"created", b"in_progress", b"queued", b"completed", b"incomplete"})


class _Lifecycle(msgspec.Struct):
    response: dict[str, msgspec.Raw] | None = None


class _Number(msgspec.Struct):
    sequence_number: Any = -1


class LikeStream:
    """The upstream's events. ``final`` is the response object once the stream ended clean."""

    content_type = "text/event-stream"

    def __init__(self, request: Request, told: Told) -> None:
        self.final: bytes = b""
        self._id = request.id
        self._told = told
        self._response: dict[str, msgspec.Raw] = {}
        self._last = b""
        self._end = b""

    def render(self, chunk: Chunk) -> bytes:
        """The chunk's own bytes; the event that ends the stream waits for finish()."""
        raw = chunk.raw
        if raw.startswith(_LIFECYCLE) and raw[len(_LIFECYCLE) : raw.index(b"\n")] in _STEPS:
            raw = self._step(raw)
        self._last = raw
        if chunk.end:
            self._end = raw
            return b""
        return raw

    def _step(self, raw: bytes) -> bytes:
        """An event that holds the response object, with our own words about where it is kept."""
        data = _data(raw)
        members = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        response = msgspec.json.decode(data, type=_Lifecycle).response
        if response is None:
            return raw
        self._response = response
        if self._told == Told():
            self.final = bytes(members["response"])
            return raw
        self.final = ours(response, self._told)
        head = raw[: raw.index(b"\n") + 1]
        return b"%bdata: %b\n\n" % (head, strict.replace(members, {"response": self.final}))

    def finish(self) -> bytes:
        """``response.completed`` or ``response.incomplete``, as it came."""
        return self._end

    def error(self, error: NearfarError) -> bytes:
        """``response.failed`` and ``error``, numbered on from what the upstream sent."""
        last = msgspec.json.decode(_data(self._last), type=_Number).sequence_number if self._last else -1
        number = last + 1 if isinstance(last, int) else 0
        failed = b""
        if self._response:
            changes = {"status": b'"failed"', "error": msgspec.json.encode(failure(error))}
            response = msgspec.Raw(strict.replace(self._response, changes))
            failed = event("response.failed", number, {"response": response})
            number += 1
        return failed + error_event(error, number, self._id)

    def keep_alive(self) -> bytes:
        """A comment of one line, which every official client skips."""
        return KEEP_ALIVE

    def note(self, text: str) -> bytes:
        """A comment of one line."""
        return b": %b\n" % text.encode("ascii", "replace")


class LikePlain:
    """The upstream's body. ``final`` is the same bytes."""

    content_type = "application/json"

    def __init__(self, request: Request, told: Told) -> None:
        self.final: bytes = b""
        self._id = request.id
        self._told = told

    def render(self, chunk: Chunk) -> bytes:
        """The body as it came, but for our own words about where it is kept."""
        self.final = chunk.raw
        if self._told != Told():
            self.final = ours(msgspec.json.decode(chunk.raw, type=dict[str, msgspec.Raw]), self._told)
        return self.final

    def finish(self) -> bytes:
        """Nothing is left to say."""
        return b""

    def error(self, error: NearfarError) -> bytes:
        """The error's body."""
        return error_body(error, self._id)

    def keep_alive(self) -> bytes:
        """Nothing: a plain body tolerates no filling."""
        return b""

    def note(self, text: str) -> bytes:  # noqa: ARG002  the contract's signature
        """Nothing: what is told of a plain reply stands in its headers."""
        return b""


def ours(response: dict[str, msgspec.Raw], told: Told) -> bytes:
    """The response object with what this gateway knows about where it is kept."""
    previous = b"null" if told.previous is None else msgspec.json.encode(told.previous)
    return strict.replace(response, {"store": b"true" if told.store else b"false", "previous_response_id": previous})


def _data(raw: bytes) -> bytes:
    """The JSON of one event of ours: its ``data`` lines without their field name."""
    lines = raw.split(b"\n")
    return b"\n".join(line[6:] for line in lines if line.startswith(b"data: "))
