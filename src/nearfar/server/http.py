"""Requests and replies towards clients, as HTTP/1.1 frames them. It knows no socket, no route and no model."""

from __future__ import annotations

import http
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from nearfar.core.errors import NearfarError

if TYPE_CHECKING:
    from nearfar.server.connection import HttpConnection

Headers = list[tuple[bytes, bytes]]

STATUS = {
    code: f"HTTP/1.1 {code} {http.HTTPStatus(code).phrase if code in set(http.HTTPStatus) else ''}\r\n".encode()
    for code in range(100, 600)
}


class HttpRequest(msgspec.Struct, kw_only=True):
    """A request. Header names are lower case; the values of a repeated header are joined with a comma."""

    method: str
    path: str
    """Percent-encoded, as it came, without the query."""
    query: bytes
    headers: dict[bytes, bytes]
    client: str
    body: bytes = b""
    keep_alive: bool = True
    """Whether the client wants the connection kept after the reply."""
    version_1_0: bool = False
    route: Any = None
    """What ``admit`` found at the path, for the handler too."""
    admitted: Any = None
    """What ``admit`` found out (the caller), carried to the handler."""


class App(Protocol):
    """What stands behind the edge."""

    def admit(self, request: HttpRequest) -> None:
        """Called when the headers are complete, before the body is read. Raises a NearfarError to refuse."""
        ...

    async def handle(self, request: HttpRequest, response: HttpResponse) -> None:
        """Answer ``request``. Must not raise but CancelledError."""
        ...

    def error_body(self, error: NearfarError, request: HttpRequest | None) -> tuple[Headers, bytes]:
        """How a refusal looks; ``request`` is None before its headers are complete."""
        ...


class HttpResponse:
    """One reply. ``start``, then ``write`` any number of times, then ``end``; or ``abort``."""

    __slots__ = ("_chunked", "_connection", "_head", "_headless", "_request", "done", "extra", "status")

    def __init__(self, connection: HttpConnection, request: HttpRequest) -> None:
        self._connection = connection
        self._request = request
        self._head = b""
        self._chunked = False
        self._headless = request.method == "HEAD"
        self.extra: Headers = []
        """Headers that every reply to this request carries."""
        self.status = 0
        self.done = False

    async def start(self, status: int, headers: Headers, lines: bytes = b"") -> None:
        """Prepare status and headers; they leave with the first bytes of the body.

        ``lines``: headers that are written out already, each with its line break.
        """
        assert not self.status, "a reply starts once"
        self.status = status
        connection = self._connection
        shown = (*headers, *self.extra) if self.extra else headers
        text = b"".join([b"%b: %b\r\n" % header for header in shown])
        if text.count(b"\n") != len(shown):
            # Values come from upstreams too. One that breaks out of its line would be a header of its own.
            raise ValueError("a response header holds a line break")
        parts = [STATUS[status], connection.edge.date, text, lines]
        close = connection.closing or connection.edge.stopping or not self._request.keep_alive
        if b"content-length" not in dict(shown):
            if self._request.version_1_0:
                close = True
            else:
                self._chunked = True
                parts.append(b"transfer-encoding: chunked\r\n")
        if close:
            connection.closing = True
            parts.append(b"connection: close\r\n")
        parts.append(b"\r\n")
        self._head = b"".join(parts)

    async def write(self, data: bytes) -> None:
        """Send a piece of the body; waits while the client reads slowly."""
        head, self._head = self._head, b""
        if self._headless:
            data = b""
        if self._chunked and data:
            data = b"%b%x\r\n%b\r\n" % (head, len(data), data)
        elif head:
            data = head + data
        connection = self._connection
        if data:
            connection.send(data)
        if connection.paused is not None:
            await connection.paused

    async def end(self, data: bytes = b"") -> None:
        """Send the last piece."""
        head, self._head = self._head, b""
        if self._headless:
            data = b""
        elif self._chunked:
            data = b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data) if data else b"0\r\n\r\n"
        self._connection.send(head + data)
        self.done = True

    async def abort(self) -> None:
        """Send what is waiting and break the connection without a proper end."""
        if self._head:
            await self.write(b"")
        self.done = True
        self._connection.closing = True
        self._connection.cut = True
