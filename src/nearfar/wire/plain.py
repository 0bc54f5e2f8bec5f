"""Plain replies: collected until whole, as nothing can be said of half of one; or passed on. It knows no dialect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from nearfar.core.chat import Chunk
from nearfar.core.errors import NearfarError, ReplyTooLarge, StreamCut, UpstreamError
from nearfar.wire.failures import stream_error

MAX_REPLY = 256 * 1024 * 1024
"""Bytes of a plain reply before it is given up."""


class PlainDecoder:
    """A plain reply: one chunk when it is whole. ``read`` turns the body into that chunk."""

    def __init__(self, read: Callable[[bytes], Chunk], limit: int = MAX_REPLY) -> None:
        self._read = read
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[Chunk]:
        """Keeps ``data``. Raises ReplyTooLarge above the limit."""
        self._size += len(data)
        if self._size > self._limit:
            raise ReplyTooLarge(f"The upstream's reply is larger than {self._limit} bytes.", hint="Ask for a stream.")
        self._parts.append(data)
        return []

    def close(self) -> list[Chunk]:
        """The whole reply; raises StreamCut when it is cut, and the error it may hold in spite of its status 200."""
        body = b"".join(self._parts)
        try:
            return [self._read(body)]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            # Undecoded members are looked at late.
            raise StreamCut("The upstream's reply cannot be read.", upstream_body=body[:1000]) from exc


def decode_reply(decode: Callable[[bytes], Any], body: bytes) -> Any:
    """``body`` decoded; StreamCut when it is not whole, or not what ``decode`` expects. UpstreamError: a page."""
    try:
        return decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        if begins_page(body):
            raise web_page(body) from exc
        message = "The upstream's reply is cut, or is none of its wire."
        raise StreamCut(message, upstream_body=body[:1000]) from exc


def begins_page(data: bytes) -> bool:
    """Whether a reply begins as HTML does and no wire's reply can."""
    return data.lstrip()[:1] == b"<"


def web_page(body: bytes) -> UpstreamError:
    """A page where a reply was expected: a login, a proxy's notice, a base URL that leads to somebody's interface."""
    return UpstreamError(
        "The upstream answered with a web page.",
        code="malformed_reply",
        hint="Check the deployment's base_url, and whether a proxy or a login stands before it.",
        upstream_body=body[:1000],
    )


def refuse_error(found: object, body: bytes) -> None:
    """Raise the error that a body with status 200 holds, if ``found`` (its error member) is one."""
    if found:
        raise stream_error(msgspec.json.decode(body), body)


class PassedOn:
    """The renderer of a plain reply whose body is already in the client's dialect."""

    def __init__(
        self, request_id: str, error: Callable[[NearfarError, str], bytes], content_type: str = "application/json"
    ) -> None:
        """``error``: the dialect's error body, from an error and the request's id."""
        self.content_type = content_type
        self._id = request_id
        self._error = error

    def render(self, chunk: Chunk) -> bytes:
        """The body as it came."""
        return chunk.raw

    def finish(self) -> bytes:
        """Nothing is left to say."""
        return b""

    def error(self, error: NearfarError) -> bytes:
        """The error's body."""
        return self._error(error, self._id)

    def keep_alive(self) -> bytes:
        """Nothing: a plain body tolerates no filling."""
        return b""

    def note(self, text: str) -> bytes:  # noqa: ARG002  the contract's signature
        """Nothing: what is told of a plain reply stands in its headers."""
        return b""
