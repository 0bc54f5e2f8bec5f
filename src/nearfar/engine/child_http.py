"""A small HTTP/1.1 server over a Unix socket, for children whose engine brings none. It knows no model.

Requests carry a Content-Length and the child's bearer key; ``/health`` needs none. A connection answers one request
after another, and a client that hangs up is noticed while its request is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import Awaitable, Callable

import msgspec

from nearfar.core.errors import (
    AuthenticationError,
    BadRequestError,
    HeadersTooLargeError,
    InternalServerError,
    NearfarError,
    NotFoundError,
    RequestTooLargeError,
)
from nearfar.engine.child_chat import error_body

MAX_HEAD = 64 * 1024
MAX_BODY = 64 * 1024 * 1024
_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 503: "Service Unavailable"}


class Request(msgspec.Struct, frozen=True):
    """One request."""

    method: str
    path: str
    body: bytes
    authorization: bytes = b""
    last: bool = False
    """Whether the client wants the connection closed after it."""


class Reply:
    """The way back: one body, or a stream of events."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self.begun = False
        self.streaming = False

    async def send(self, status: int, body: bytes, retry_after: float | None = None) -> None:
        """The whole answer."""
        self.begun = True
        wait = f"Retry-After: {max(1, round(retry_after))}\r\n" if retry_after is not None else ""
        self._writer.write(
            f"HTTP/1.1 {status} {_REASONS.get(status, 'Error')}\r\nContent-Type: application/json\r\n{wait}"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
        )
        self._writer.write(body)
        await self._writer.drain()

    async def event(self, data: bytes) -> None:
        """A piece of a stream, which the first one begins."""
        if not self.begun:
            self.begun = self.streaming = True
            self._writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n"
            )
        self._writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        await self._writer.drain()

    async def end(self) -> None:
        """The stream's clean end."""
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()


Handler = Callable[[Request, Reply], Awaitable[None]]


class Server:
    """Serves ``handle`` on a socket. ``handle`` is cancelled when its client hangs up."""

    def __init__(self, key: str, handle: Handler) -> None:
        self._key = f"Bearer {key}".encode()
        self._handle = handle

    async def listen(self, path: str) -> asyncio.Server:
        """Begin to listen. The caller's umask decides who may connect."""
        return await asyncio.start_unix_server(self._serve, path, limit=MAX_HEAD)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                early = b""
                while True:
                    reply = Reply(writer)
                    try:
                        request = await _read(reader, early)
                    except NearfarError as error:
                        await reply.send(error.status, error_body(error))
                        break  # where the next request begins is not known
                    if request is None:
                        break
                    keep, early = await self._answer(request, reply, reader)
                    if not keep or request.last:
                        break
        finally:
            writer.close()

    async def _answer(self, request: Request, reply: Reply, reader: asyncio.StreamReader) -> tuple[bool, bytes]:
        """(whether another request may follow, what came of it already)."""
        if request.path != "/health" and not hmac.compare_digest(request.authorization, self._key):
            error = AuthenticationError("The key of this engine is wrong or missing.")
            await reply.send(error.status, error_body(error))
            return True, b""
        # Nobody sends anything while waiting for an answer, so whatever can be read is the end, or the next request.
        watch = asyncio.ensure_future(reader.read(1))
        work = asyncio.ensure_future(self._run(request, reply))
        try:
            await asyncio.wait({watch, work}, return_when=asyncio.FIRST_COMPLETED)
            if watch.done() and not watch.result():
                return False, b""
            return await work, watch.result() if watch.done() else b""
        finally:
            for task in (watch, work):
                task.cancel()
            await asyncio.wait({watch, work})

    async def _run(self, request: Request, reply: Reply) -> bool:
        """Answer one request; whether the connection is still good for another."""
        try:
            await self._handle(request, reply)
        except NearfarError as error:
            return await _refuse(reply, error)
        except OSError:
            return False  # the client is gone
        except Exception as exc:  # noqa: BLE001 (the edge: an engine's own errors of all kinds end here)
            failure = InternalServerError(f"The engine failed: {type(exc).__name__}: {str(exc)[:500]}")
            return await _refuse(reply, failure)
        return True


async def _refuse(reply: Reply, error: NearfarError) -> bool:
    if not reply.begun:
        await reply.send(error.status, error_body(error), error.retry_after)
        return True
    if reply.streaming:  # an error event, and no end: the reader must not take this for an answer
        await reply.event(b"data: " + error_body(error) + b"\n\n")
    return False


async def _read(reader: asyncio.StreamReader, early: bytes) -> Request | None:
    """The next request; None when the client is done. Raises NearfarError."""
    try:
        head = early + await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    except asyncio.LimitOverrunError as exc:
        raise HeadersTooLargeError(f"The request's head is longer than {MAX_HEAD} bytes.") from exc
    first, *lines = head[:-4].split(b"\r\n")
    words = first.split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
        raise BadRequestError("This is no HTTP/1.1 request.")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    if b"transfer-encoding" in headers:
        raise BadRequestError("A request needs a Content-Length here.")
    length = headers.get(b"content-length", b"0")
    if not length.isdigit() or len(length) > 12:
        raise BadRequestError("The Content-Length is no number.")
    if int(length) > MAX_BODY:
        raise RequestTooLargeError(f"The body is longer than {MAX_BODY} bytes.")
    body = await reader.readexactly(int(length))
    path = words[1].partition(b"?")[0].decode("ascii", "replace")
    return Request(
        method=words[0].decode("ascii", "replace"),
        path=path,
        body=body,
        authorization=headers.get(b"authorization", b""),
        last=headers.get(b"connection", b"").lower() == b"close" or words[2] == b"HTTP/1.0",
    )


def unknown(request: Request) -> NotFoundError:
    """The answer to a path that is not served."""
    return NotFoundError(f"There is no {request.method} {request.path[:80]} here.")
