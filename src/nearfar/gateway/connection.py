"""One upstream HTTP/1.1 connection: bytes out, a parsed reply in, bounded memory. It knows no policy and no pool."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import httptools

from nearfar.core.errors import APIConnectionError, APITimeoutError, NearfarError, StreamCut, UpstreamError
from nearfar.gateway.burst import Burst

HIGH_WATER = 256 * 1024
"""Bytes of reply kept for a slow reader before reading from the upstream pauses."""
MAX_HEADERS = 64 * 1024
MAX_EARLY = 16
"""Informational replies (early hints and their like) before the reply itself."""
CROSSED = 1.0
"""Seconds within which a kept-alive connection that ends had been closed before our request reached the upstream."""


class StaleConnectionError(APIConnectionError):
    """A kept-alive connection had been closed by the upstream before it answered: ask again on a fresh one."""


class Connection(asyncio.Protocol):
    """Speaks to one upstream, one exchange at a time.

    Life of an exchange: ``begin`` → ``head`` → ``read`` until None → reusable, or ``abort`` at any moment.
    Deadlines are times of the loop's clock in ``expires``; the transport's ticker calls ``expire``.
    """

    __slots__ = (
        "_begun",
        "_burst",
        "_done",
        "_early",
        "_error",
        "_head",
        "_headers",
        "_headers_seen",
        "_keep",
        "_loop",
        "_name",
        "_on_lost",
        "_parser",
        "_paused",
        "_pieces",
        "_size",
        "_transport",
        "_unread",
        "_waiter",
        "_writable",
        "busy",
        "expires",
        "expires_phase",
        "idle_since",
        "status",
        "total",
        "used",
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, name: str, on_lost: Callable[[Connection], None], burst: Burst
    ) -> None:
        self._loop = loop
        self._name = name
        """For error texts: the deployment's host."""
        self._on_lost = on_lost
        self._burst = burst
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._error: NearfarError | None = None
        self._pieces: list[bytes] = []
        self._size = 0
        self._unread = 0
        """Bytes since the parser last got anywhere: it keeps an unfinished line in memory, however long."""
        self._head = b""
        """The bytes of the reply's head as they came; with what follows in the same read, until it is complete."""
        self._early = 0
        """Informational replies that came before it; their bytes are gone."""
        self._headers: list[tuple[bytes, bytes]] | None = None
        """Those of ``_head``, once somebody has asked for them."""
        self._headers_seen = False
        self._begun = 0.0
        self._paused = False
        self._done = False
        self._keep = False
        self.status = 0
        self.busy = False
        self.used = 0
        self.idle_since = 0.0
        self.expires = 0.0
        self.expires_phase = ""
        self.total = 0.0
        """The deadline of the whole exchange."""

    # The owner's side.

    def begin(self, data: bytes) -> None:
        """Start an exchange; the whole request is written at the end of this pass of the loop."""
        if self._transport is None or self._transport.is_closing():
            kind = StaleConnectionError if self.used else APIConnectionError
            raise kind(f"{self._name} closed the connection before anything was sent.")
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)
        self._pieces = []
        self._size = 0
        self._unread = 0
        self._head = b""
        self._early = 0
        self._headers = None
        self._headers_seen = False
        self._done = False
        self._keep = False
        self._error = None
        self._begun = self._loop.time()
        self.status = 0
        self.busy = True
        self.used += 1
        self._burst.write(self._transport, data)

    async def head(self) -> int:
        """The status of the reply, once its headers are complete."""
        while not self._headers_seen:
            await self._news()
        return self.status

    def headers(self) -> dict[str, str]:
        """The headers of the reply by their lower-case names. Few replies are asked for them."""
        return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self.raw_headers}

    @property
    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers of the reply as they came: read only now, because few replies are asked for them."""
        if self._headers is None:
            self._headers = _Head(self._head).headers
        return self._headers

    def mentions(self, word: bytes) -> bool:
        """Whether ``word``, in lower case, may stand in the reply's headers: a quick look before they are read."""
        return self._head.lower().find(word) >= 0

    async def read(self) -> bytes | None:
        """The bytes that arrived since the last call; None at the proper end of the reply."""
        while (data := self.ready()) is None:
            await self._news()
        return data or None

    def ready(self) -> bytes | None:
        """As ``read`` without waiting: what has come already, empty at the proper end, None while there is nothing.

        Until the next read the client sets the pace, and only the ``total`` deadline runs.
        """
        pieces = self._pieces
        if not pieces:
            return b"" if self._done else None
        self._pieces = []
        self._size = 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        self.expires = self.total
        self.expires_phase = "total"
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def abort(self) -> None:
        """Drop the connection now: the upstream sees it at once and can stop working."""
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Close an idle connection politely."""
        if self._transport is not None:
            self._transport.close()

    @property
    def complete(self) -> bool:
        """Whether the reply was read to its proper end and the connection can be used again."""
        return self._done and self._keep and not self._pieces and not self.closed

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent here any more."""
        return self._transport is None or self._transport.is_closing()

    def expire(self) -> None:
        """The deadline of the present phase passed."""
        self._fail(APITimeoutError(f"{self._name} missed the {self.expires_phase} deadline."))
        self.abort()

    def _news(self) -> asyncio.Future[None]:
        """Done when something has come. Whoever stops waiting cancels it, and nobody wakes it then."""
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        return self._waiter

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _fail(self, error: NearfarError) -> None:
        if self._error is None:
            self._error = error
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(self._error)

    # asyncio.Protocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = transport  # type: ignore[assignment]  # uvloop's transports are not asyncio.Transport

    def data_received(self, data: bytes) -> None:
        """Called by the loop with bytes of the reply."""
        parser = self._parser
        if parser is None or not self.busy:
            # Nobody asked: an upstream that talks out of turn cannot be trusted with the next request.
            self.abort()
            return
        self._unread += len(data)
        if not self._headers_seen:
            self._head += data
        try:
            parser.feed_data(data)
            if self._unread > MAX_HEADERS:
                self._broken("a line without an end")
        except httptools.HttpParserUpgrade:
            self._broken("it wants to switch protocols")
        except httptools.HttpParserCallbackError as error:
            self._broken(str(error.__context__ or error))
        except httptools.HttpParserError as error:
            self._broken(f"not valid HTTP: {error}")

    def eof_received(self) -> bool:
        """The upstream closed its side; a reply without length ends here."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Called by the loop when the connection is gone."""
        self._transport = None
        if self.busy and not self._done:
            self._lost(error)
        self._on_lost(self)
        self._wake()

    def _lost(self, error: Exception | None) -> None:
        if not self._headers_seen:
            # Only a close that crossed our request on its way means that nobody has worked on it.
            crossed = self.used > 1 and self._loop.time() - self._begun < CROSSED
            kind = StaleConnectionError if crossed else APIConnectionError
            failure: NearfarError = kind(f"{self._name} closed the connection before it answered.")
        elif error is not None or not {"transfer-encoding", "content-length"}.isdisjoint(self.headers()):
            failure = StreamCut(f"{self._name} closed the connection in the middle of its reply.")
        else:
            # HTTP/1.0 style: the end of the connection is the end of the body. Whether the reply is
            # complete is for the wire's decoder to say.
            self._done = True
            return
        failure.__cause__ = error
        self._fail(failure)

    def _broken(self, why: str) -> None:
        self._fail(UpstreamError(f"The reply of {self._name} cannot be read: {why}.", code="bad_reply"))
        self.abort()

    # httptools callbacks.

    def on_message_begin(self) -> None:
        """A reply begins; a second one to the same request is an upstream that cannot be trusted."""
        if self._done:
            raise UpstreamError("it sent more than one reply")

    def on_headers_complete(self) -> None:
        """The header block ended; informational replies are skipped."""
        self._unread = 0
        assert self._parser is not None
        status = self._parser.get_status_code()
        head = self._head
        if head[:1] != b"H":
            # Empty lines before a reply are allowed, and would be taken for the end of its head.
            head = head.lstrip(b"\r\n")
        # What follows in the same read is body, and may be large.
        end = head.find(b"\r\n\r\n") + 4
        if not 4 <= end <= MAX_HEADERS:
            raise UpstreamError("headers are too large")
        if 100 <= status < 200:
            self._early += 1
            if self._early > MAX_EARLY:
                raise UpstreamError("more and more informational replies, and no other")
            self._head = head[end:]
            return
        self._head = head[:end]
        self.status = status
        self._headers_seen = True
        if self._waiter is not None:
            self._wake()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._unread = 0
        self._pieces.append(body)
        self._size += len(body)
        if self._size > HIGH_WATER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        if self._waiter is not None:
            self._wake()

    def on_message_complete(self) -> None:
        """The body ended as its framing says."""
        if self.status:
            assert self._parser is not None
            # The parser forgets the answer once the message is over.
            self._keep = bool(self._parser.should_keep_alive())
            self._done = True
            if self._waiter is not None:
                self._wake()


class _Head:
    """Reads the headers in the bytes of a head with the parser that has accepted them."""

    def __init__(self, head: bytes) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        with contextlib.suppress(httptools.HttpParserError):  # of a body that does not follow
            httptools.HttpResponseParser(self).feed_data(head)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line."""
        self.headers.append((name, value))
