"""Renders chunks as chat completions in OpenAI's shape, streamed or plain. It knows no upstream.

Source: the OpenAI API reference, "Chat Completions". What official clients tolerate in a stream was measured: no
``id:``, no ``retry:``, no empty ``data:``; keep-alives as a comment with a single newline; no ``[DONE]`` after an
error.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nearfar.core.chat import Chunk, Request
from nearfar.core.errors import NearfarError
from nearfar.wire.base import Renderer
from nearfar.wire.openai_chat_decode import DONE

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
    """The renderer for the reply to ``request``."""
    if request.stream:
        return LikeStream(request)
    return LikePlain(request)


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


class LikePlain:
    """The upstream's body is the client's body."""

    content_type = "application/json"

    def __init__(self, request: Request) -> None:
        self._id = request.id

    def render(self, chunk: Chunk) -> bytes:
        """The body as it came."""
        return chunk.raw

    def finish(self) -> bytes:
        """Nothing is left to say."""
        return b""

    def error(self, error: NearfarError) -> bytes:
        """The error's body."""
        return error_body(error, self._id)

    def keep_alive(self) -> bytes:
        """Nothing: a plain body tolerates no filling."""
        return b""
