"""One client connection: bytes in, whole requests out, with limits on everything a stranger can stretch.

A request is handed over when it is complete; a reply goes out in one write where possible. A client that hangs up
cancels the task that answers it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import httptools

from nearfar.core.errors import (
    BadRequestError,
    HeadersTooLargeError,
    NearfarError,
    Overloaded,
    RequestTimeoutError,
    RequestTooLargeError,
)
from nearfar.server.http import STATUS, HttpRequest, HttpResponse

if TYPE_CHECKING:
    from nearfar.server.edge import Edge

MAX_HEADERS = 128
BODY_RATE = 10 * 1024
"""Bytes per second a sender must reach on average once ``body_timeout`` has passed."""
WAITING_BYTES = 1024 * 1024
"""Pipelined requests that wait behind an answer; beyond it nothing more is read until one is answered."""
REQUEST_BYTES = 1024
"""What a waiting request counts besides its body."""
WRITE_STALL = 60.0
"""Seconds a client may leave a full write buffer unread."""
LINGER = 3.0
"""Seconds a refused sender is read from and ignored, so that it can read the refusal instead of a reset."""

_UPGRADE = frozenset({b"upgrade", b"connection", b"http2-settings"})


class HttpConnection(asyncio.Protocol):
    """One client connection: parses, waits for whole requests, answers them one after the other."""

    __slots__ = (
        "_arrived",
        "_body",
        "_body_since",
        "_body_size",
        "_counted",
        "_deadline_kind",
        "_head_began",
        "_head_most",
        "_headers",
        "_parser",
        "_refused",
        "_repeated",
        "_repeated_bytes",
        "_request",
        "_transport",
        "_unread",
        "_upgrade",
        "_url",
        "_waiting",
        "_waiting_bytes",
        "client",
        "closing",
        "cut",
        "deadline",
        "edge",
        "paused",
        "task",
        "unread_since",
    )

    def __init__(self, edge: Edge) -> None:
        self.edge = edge
        self.task: asyncio.Task[None] | None = None
        self.paused: asyncio.Future[None] | None = None
        self.closing = False
        """The connection ends after the present reply."""
        self.cut = False
        """… and ends at once, so that the reply is seen to be incomplete."""
        self.client = ""
        self.deadline = float("inf")
        self._deadline_kind = ""
        self.unread_since = float("inf")
        """When a client that leaves our bytes unread is dropped; no other deadline replaces this one."""
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._request: HttpRequest | None = None
        self._refused = False
        self._waiting: deque[HttpRequest] = deque()
        self._waiting_bytes = 0
        self._counted = 0
        """Bytes of the body being answered."""
        self._upgrade = False
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._head_most = edge.limits.header_bytes
        self._repeated = 0
        """Header lines whose name had come before."""
        self._repeated_bytes = 0
        """Bytes of those names."""
        self._body: list[bytes] = []
        self._body_size = 0
        self._body_since = 0.0
        self._unread = 0
        """Bytes since the parser last got anywhere: it keeps an unfinished line in memory, however long."""
        self._arrived = 0
        """The same when the present bytes came: no head that began and ends in them is longer."""
        self._head_began = 0
        """``_arrived`` when the present head began, behind another request perhaps."""

    # asyncio.Protocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = transport  # type: ignore[assignment]  # uvloop's transports are not asyncio.Transport
        peer = transport.get_extra_info("peername")
        self.client = str(peer[0]) if isinstance(peer, tuple) and peer else ""
        edge = self.edge
        edge.connections.add(self)
        self._wait_for("headers", edge.limits.header_timeout)
        if edge.stopping or len(edge.connections) > edge.limits.connections:
            self._refuse(Overloaded("Too many connections.", code="too_many_connections", retry_after=1.0))

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002  the loop's signature
        """Called by the loop: whoever answers here is cancelled."""
        self.edge.forget(self)
        self._transport = None
        self._drop_body()
        while self._waiting:
            self.edge.buffered -= len(self._waiting.popleft().body)
        self.resume_writing()
        if self.task is not None:
            self._forget_body()
            self.task.cancel()

    def eof_received(self) -> bool:
        """The client closed its side. It has hung up: a half-open client cannot be told from one that left."""
        return False

    def pause_writing(self) -> None:
        """The client reads more slowly than we write."""
        if self.paused is None:
            self.paused = self.edge.loop.create_future()
            self.unread_since = self.edge.now + WRITE_STALL

    def resume_writing(self) -> None:
        """The client caught up."""
        paused, self.paused = self.paused, None
        if paused is not None:
            if self._transport is not None and not self._transport.is_closing():
                self.unread_since = float("inf")
            if not paused.done():
                paused.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Called by the loop with bytes of requests."""
        if self._refused:
            return
        self._unread = self._arrived = self._unread + len(data)
        try:
            self._parser.feed_data(data)
            if self._unread > self.edge.limits.header_bytes:
                self._refuse(self._too_large())
        except httptools.HttpParserUpgrade as offer:
            self._decline(data[offer.args[0] :])
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            self._refuse(cause if isinstance(cause, NearfarError) else BadRequestError("The request is malformed."))
        except httptools.HttpParserError as error:
            self._refuse(BadRequestError(f"This is not a valid HTTP request: {error}.", code="bad_http"))

    def _decline(self, rest: bytes) -> None:
        """An offer to switch protocols may be ignored: the request is read again without it."""
        method = self._parser.get_method()
        if method == b"CONNECT" or not self._upgrade:
            self._refuse(BadRequestError("This endpoint speaks no other protocol.", code="no_upgrade"))
            return
        lines = [b"%b %b HTTP/1.1" % (method, self._url)]
        lines += [b"%b: %b" % item for item in self._headers.items() if item[0] not in _UPGRADE]
        self._upgrade = False
        self._parser = httptools.HttpRequestParser(self)
        self.data_received(b"\r\n".join(lines) + b"\r\n\r\n" + rest)

    # httptools callbacks.

    def on_message_begin(self) -> None:
        """A request begins."""
        self._url = b""
        self._headers = {}
        self._repeated = self._repeated_bytes = 0
        self._head_began = self._arrived
        self._body = []
        self._body_size = 0
        self._request = None
        if self.task is None:
            self._wait_for("headers", self.edge.limits.header_timeout)

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        self._url += url
        if len(self._url) > self._head_most:
            raise self._too_large()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or one trailer: those are not looked at."""
        if self._request is not None:
            return
        key = name.lower()
        headers = self._headers
        if key in headers:
            # Two values are no value: a class, a key or a host that is said twice must not be chosen from.
            value = b"%b, %b" % (headers[key], value)
            self._repeated += 1
            self._repeated_bytes += len(key)
        headers[key] = value
        if len(headers) + self._repeated > MAX_HEADERS:
            raise self._too_large()

    def on_headers_complete(self) -> None:
        """Decide whether the body may come at all."""
        parser = self._parser
        headers = self._headers
        if self._arrived + self._head_began > self._head_most and self._size_of_head() > self._head_most:
            raise self._too_large()
        path, query = _target(self._url)
        request = HttpRequest(
            method=parser.get_method().decode("ascii"),
            path=path,
            query=query,
            headers=headers,
            client=self.client,
        )
        self._unread = 0
        self._upgrade = bool(parser.should_upgrade())
        if self._upgrade:
            return
        # Known from here on, so that a refusal can speak the client's dialect.
        self._request = request
        if not parser.should_keep_alive() or b"connection" in headers:
            # HTTP/1.0 keeps a connection only when it says so.
            request.version_1_0 = parser.get_http_version() == "1.0"
        limits = self.edge.limits
        coding = headers.get(b"transfer-encoding")
        if coding is not None and coding.strip().lower() != b"chunked":
            raise BadRequestError("Only chunked transfer encoding is understood.", code="bad_encoding")
        length = headers.get(b"content-length")
        if length is not None and int(length) > limits.body_bytes:
            raise RequestTooLargeError(
                f"The body has {int(length)} bytes, and {limits.body_bytes} are accepted.",
                hint="server.max_body_bytes sets the limit.",
            )
        self.edge.app.admit(request)
        if self.task is None:
            self._body_since = self.edge.now
            self._wait_for("body", limits.body_timeout)
        if b"expect" in headers and headers[b"expect"].lower() == b"100-continue" and self.task is None:
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        edge = self.edge
        self._unread = 0
        self._body.append(body)
        self._body_size += len(body)
        edge.buffered += len(body)
        if self._body_size > edge.limits.body_bytes:
            raise RequestTooLargeError(
                f"The body is larger than the {edge.limits.body_bytes} bytes that are accepted.",
                hint="server.max_body_bytes sets the limit.",
            )
        if edge.buffered > edge.limits.buffered_bytes:
            raise Overloaded("Too many large requests at once.", retry_after=1.0)

    def on_message_complete(self) -> None:
        """The request is whole: answer it, after those before it."""
        if self._upgrade:
            return
        request = self._request
        assert request is not None
        self._unread = 0
        request.body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        # The bytes stay counted until the request is answered.
        self._body = []
        self._body_size = 0
        self._request = None
        request.keep_alive = bool(self._parser.should_keep_alive())
        self.deadline = float("inf")
        if self.task is None:
            self._answer(request)
            return
        # Reading goes on, or a client that hangs up would not be noticed behind its own next request.
        self._waiting.append(request)
        self._waiting_bytes += len(request.body) + REQUEST_BYTES
        if self._waiting_bytes > WAITING_BYTES and self._transport is not None:
            self._transport.pause_reading()

    # Answering.

    def send(self, data: bytes) -> None:
        """Write to the client, if there still is one, at the end of this pass of the loop."""
        if self._transport is not None:
            self.edge.burst.write(self._transport, data)

    def stop(self) -> None:
        """The gateway is stopping: close now when idle, after the reply otherwise."""
        self.closing = True
        if self.task is None and self._transport is not None:
            self.edge.burst.flush()
            self._transport.close()

    def abort(self) -> None:
        """Drop the connection now."""
        if self._transport is not None:
            self.edge.burst.flush()
            self._transport.abort()

    def expired(self, now: float) -> None:
        """A deadline passed."""
        if self.unread_since < now:
            self.abort()
            return
        kind = self._deadline_kind
        if kind == "body":
            earned = self._body_since + self.edge.limits.body_timeout + self._body_size / BODY_RATE
            if earned > now:
                self.deadline = earned
                return
        self.deadline = float("inf")
        if kind in {"headers", "body"} and (self._url or self._body_size or self._request is not None):
            self._refuse(RequestTimeoutError(f"The request's {kind} came too slowly."))
        else:
            self._close()

    def _answer(self, request: HttpRequest) -> None:
        """Start answering ``request``; its bytes stay counted until the task is over, however early it ends."""
        if self._transport is None or self._transport.is_closing():
            self.edge.buffered -= len(request.body)
            return
        self._counted = len(request.body)
        self.task = self.edge.loop.create_task(self._run(request, HttpResponse(self, request)))

    def _forget_body(self) -> None:
        """The request being answered is no longer held; a task that is cancelled before it began never says so."""
        self.edge.buffered -= self._counted
        self._counted = 0

    async def _run(self, request: HttpRequest, response: HttpResponse) -> None:
        try:
            await self.edge.app.handle(request, response)
            if self.paused is not None and not self.cut:
                # Nothing more is read from a client that does not read: its replies would pile up here.
                await self.paused
        except asyncio.CancelledError:
            # The client hung up, or the gateway stops: both end here, quietly.
            self.abort()
            return
        except Exception:
            # The application answers for its own failures; one that escapes must not leave the client waiting.
            self.abort()
            raise
        finally:
            self.task = None
            self._forget_body()
        if not response.done:
            self.cut = True
        if self.cut:
            # Closing flushes what was written; the missing final chunk tells the client that the reply is incomplete.
            self._close()
        elif self._waiting and request.keep_alive:
            self._answer(self._next())
        elif self.closing or self.edge.stopping:
            self._close()
        else:
            self._wait_for("idle", self.edge.limits.keep_alive)
            if self._transport is not None:
                self._transport.resume_reading()

    def _next(self) -> HttpRequest:
        request = self._waiting.popleft()
        self._waiting_bytes -= len(request.body) + REQUEST_BYTES
        if self._transport is not None and self._waiting_bytes < WAITING_BYTES:
            self._transport.resume_reading()
        return request

    def _close(self) -> None:
        """Close when everything is written, or when the client has not read it for too long."""
        if self._transport is not None:
            self.edge.burst.flush()
            self._transport.close()
            self.unread_since = self.edge.now + WRITE_STALL

    def _refuse(self, error: NearfarError) -> None:
        """Answer with ``error``, stop listening, and linger so that the client can read the answer."""
        self._refused = True
        self._drop_body()
        if self.task is not None or self._transport is None:
            # An answer is under way on this connection: it goes first, and nothing after it can be trusted.
            self.closing = True
            return
        headers, body = self.edge.app.error_body(error, self._request)
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.send(
            b"%b%b%bcontent-length: %d\r\nconnection: close\r\n\r\n%b"
            % (STATUS[error.status], self.edge.date, lines, len(body), body)
        )
        self.edge.burst.flush()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._wait_for("linger", LINGER)

    def _wait_for(self, kind: str, seconds: float) -> None:
        self._deadline_kind = kind
        self.deadline = self.edge.now + seconds

    def _too_large(self) -> HeadersTooLargeError:
        return HeadersTooLargeError(
            f"The request headers exceed {self.edge.limits.header_bytes} bytes or {MAX_HEADERS} lines.",
            hint="server.max_header_bytes sets the limit.",
        )

    def _size_of_head(self) -> int:
        headers = self._headers
        lines = len(headers) + self._repeated
        names = sum(map(len, headers)) + self._repeated_bytes
        return len(self._url) + names + sum(map(len, headers.values())) + 4 * lines

    def _drop_body(self) -> None:
        self.edge.buffered -= self._body_size
        self._body = []
        self._body_size = 0


def _target(url: bytes) -> tuple[str, bytes]:
    """Path and query of a request's target. Nearly all begin with their path; the others are parsed."""
    if url[:1] == b"/" and url.find(b"#") < 0:
        path, _, query = url.partition(b"?")
        return path.decode("latin-1"), query
    parsed = httptools.parse_url(url)
    return (parsed.path or b"/").decode("latin-1"), parsed.query or b""
