"""One HTTP/1.1 connection of the stand-in: requests in, bytes out, every impolite way to end. It knows no dialect."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import http
import socket
import struct
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterable
from typing import cast

import httptools
import msgspec

MAX_BODY = 96 * 1024 * 1024
"""Bytes of a request body; more is answered with 413."""


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request that came in whole. Header names are lower case; of repeated headers the last counts."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    keep_alive: bool = True
    oversized: bool = False
    """The body was longer than MAX_BODY and was not kept."""


Handler = Callable[["Connection", HttpRequest], Awaitable[None]]


class Connection(asyncio.Protocol):
    """Parses requests, answers them one after the other, and cancels the running answer when the client hangs up."""

    def __init__(
        self, handler: Handler, opened: Callable[[Connection], None], closed: Callable[[Connection], None]
    ) -> None:
        self._handler = handler
        self._opened = opened
        self._closed = closed
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: collections.deque[HttpRequest] = collections.deque()
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._transport: asyncio.Transport
        self._headers: dict[str, str] = {}
        self._url = b""
        self._parts: list[bytes] = []
        self._size = 0
        self._can_answer = True

    # The asyncio side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: a client connected."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transports are no subclass of it
        self._opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the connection is gone, and with it whoever waited for the running answer."""
        del exc
        self._writable.set()
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
        self._closed(self)

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes came."""
        if not self._can_answer:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            self._transport.close()

    def pause_writing(self) -> None:
        """asyncio: the client reads more slowly than we write."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """asyncio: the client caught up."""
        self._writable.set()

    # httptools' callbacks

    def on_message_begin(self) -> None:
        """httptools: a request begins."""
        self._headers, self._url, self._parts, self._size = {}, b"", [], 0

    def on_url(self, url: bytes) -> None:
        """httptools: a piece of the path."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools: a header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, part: bytes) -> None:
        """httptools: a piece of the body."""
        self._size += len(part)
        if self._size <= MAX_BODY:
            self._parts.append(part)

    def on_message_complete(self) -> None:
        """httptools: the request came in whole."""
        oversized = self._size > MAX_BODY
        self._waiting.append(
            HttpRequest(
                method=self._parser.get_method().decode("ascii"),
                path=self._url.decode("latin-1").partition("?")[0],
                headers=self._headers,
                body=b"" if oversized else b"".join(self._parts),
                keep_alive=self._parser.should_keep_alive(),
                oversized=oversized,
            )
        )
        self._parts = []
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._answer_all())

    async def _answer_all(self) -> None:
        try:
            while self._waiting:
                request = self._waiting.popleft()
                if request.oversized:
                    self.send(413, b"", "text/plain")
                    self.close()
                    return
                await self._handler(self, request)
                if not request.keep_alive:
                    self.close()
        except Exception:  # noqa: BLE001 - the edge: a fault of the stand-in must be visible, not a hanging client
            traceback.print_exc(file=sys.stderr)
            self._transport.abort()
        finally:
            self._task = None

    # What handlers use

    def send(self, status: int, body: bytes, content_type: str, headers: Iterable[tuple[str, str]] = ()) -> None:
        """Write a whole reply."""
        extra = "".join(f"{name}: {value}\r\n" for name, value in headers)
        head = f"{_status_line(status)}content-type: {content_type}\r\ncontent-length: {len(body)}\r\n{extra}\r\n"
        self._transport.write(head.encode("latin-1") + body)

    def start(self, content_type: str, headers: Iterable[tuple[str, str]] = (), *, length: int | None = None) -> None:
        """Write the head of a 200 reply: chunked, or of ``length`` bytes; -1: until the connection closes."""
        framing = {None: "transfer-encoding: chunked", -1: "connection: close"}.get(length, f"content-length: {length}")
        extra = "".join(f"{name}: {value}\r\n" for name, value in headers)
        head = f"{_status_line(200)}content-type: {content_type}\r\n{framing}\r\n{extra}\r\n"
        self._transport.write(head.encode("latin-1"))

    async def start_slowly(self, content_type: str, seconds: float) -> None:
        """Write the head of a chunked 200 reply line by line, ``seconds`` in all."""
        for line in (_status_line(200), f"content-type: {content_type}\r\n", "transfer-encoding: chunked\r\n", "\r\n"):
            self._transport.write(line.encode("latin-1"))
            if line != "\r\n":
                await asyncio.sleep(seconds / 3)

    def start_old(self, content_type: str) -> None:
        """Write the head of an HTTP/1.0 reply, whose body ends with the connection."""
        self._transport.write(f"HTTP/1.0 200 OK\r\ncontent-type: {content_type}\r\n\r\n".encode("latin-1"))

    def chunk(self, data: bytes) -> None:
        """Write one chunk of a chunked reply, in one write."""
        if data:
            self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    def finish(self) -> None:
        """End a chunked reply as HTTP wants it."""
        self._transport.write(b"0\r\n\r\n")

    def raw(self, data: bytes) -> None:
        """Write bytes as they are, whatever HTTP says."""
        self._transport.write(data)

    async def drain(self) -> None:
        """Wait until the client has taken enough of what was written."""
        if self._transport.is_closing():
            await asyncio.sleep(0)  # so that connection_lost, and with it our cancellation, gets its turn
        await self._writable.wait()

    def half_close(self) -> None:
        """Shut the sending side; the client may still send."""
        self._can_answer = False
        self._transport.write_eof()

    def reset(self) -> None:
        """Reset the connection: the client sees an error, not an end."""
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            with contextlib.suppress(OSError):  # the client may be gone already
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def close(self) -> None:
        """Close after what was written has left."""
        self._transport.close()

    def stop(self) -> asyncio.Task[None] | None:
        """Abort the connection; returns the running answer, to be awaited."""
        self._transport.abort()
        return self._task


def _status_line(status: int) -> str:
    try:
        phrase = http.HTTPStatus(status).phrase
    except ValueError:
        phrase = "Overloaded" if status == 529 else "Unknown"
    return f"HTTP/1.1 {status} {phrase}\r\n"
