"""A listener with a small application behind it, and rude clients, for the tests of the edge."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import uvloop

from nearfar.core.errors import AuthenticationError, NearfarError
from nearfar.server.edge import Edge, Limits
from nearfar.server.http import Headers, HttpRequest, HttpResponse

LIMITS = Limits(
    header_bytes=4096,
    body_bytes=100_000,
    header_timeout=5.0,
    body_timeout=5.0,
    keep_alive=5.0,
    connections=100,
    buffered_bytes=1_000_000,
)


class Echo:
    """Answers with what it got; special paths do special things."""

    def __init__(self) -> None:
        self.cancelled = asyncio.Event()
        self.running = asyncio.Event()
        self.release = asyncio.Event()
        self.seen: list[HttpRequest] = []

    def admit(self, request: HttpRequest) -> None:
        if request.path == "/denied":
            raise AuthenticationError("no")

    def error_body(self, error: NearfarError, request: HttpRequest | None) -> tuple[Headers, bytes]:
        return [(b"content-type", b"application/json")], msgspec.json.encode({"code": error.code})

    async def handle(self, request: HttpRequest, response: HttpResponse) -> None:
        self.seen.append(request)
        self.running.set()
        try:
            await self.answer(request, response)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def answer(self, request: HttpRequest, response: HttpResponse) -> None:
        if request.path == "/wait":
            await self.release.wait()
        if request.path == "/stream":
            await response.start(200, [])
            for piece in (b"one", b"two"):
                await response.write(piece)
            await response.end(b"!")
            return
        if request.path == "/cut":
            await response.start(200, [])
            await response.write(b"some")
            await response.abort()
            return
        if request.path == "/split":
            with pytest.raises(ValueError, match="line break"):
                await response.start(200, [(b"x-said", b"a\r\nset-cookie: b=1")])
            await response.abort()
            return
        if request.path == "/flood":
            await response.start(200, [])
            for _ in range(10_000):
                await response.write(b"x" * 10_000)
            await response.end()
            return
        body = b"%b %b" % (request.path.encode(), request.body)
        await response.start(200, [(b"content-length", b"%d" % len(body))])
        await response.end(body)


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def reply(self) -> tuple[int, dict[bytes, bytes], bytes]:
        head = await self.reader.readuntil(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        headers = {}
        for line in lines[1:-2]:
            name, _, value = line.partition(b": ")
            headers[name.lower()] = value
        if headers.get(b"transfer-encoding") == b"chunked":
            body = b""
            while size := int(await self.reader.readline(), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readexactly(2)
        else:
            body = await self.reader.readexactly(int(headers.get(b"content-length", b"0")))
        return int(lines[0].split(b" ")[1]), headers, body

    async def rest(self) -> bytes:
        return await self.reader.read()


class Running:
    def __init__(self, edge: Edge, app: Echo, port: int) -> None:
        self.edge = edge
        self.app = app
        self.port = port
        self._writers: list[asyncio.StreamWriter] = []

    async def client(self) -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._writers.append(writer)
        return Client(reader, writer)

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


@asynccontextmanager
async def edge(**changes: Any) -> AsyncIterator[Running]:
    app = Echo()
    made = Edge(app, msgspec.structs.replace(LIMITS, **changes))
    server = await asyncio.get_running_loop().create_server(made.connection, "127.0.0.1", 0)
    made.start()
    running = Running(made, app, server.sockets[0].getsockname()[1])
    try:
        yield running
    finally:
        server.close()
        running.close()
        await made.stop(0.5)
        assert not made.connections
        assert made.buffered == 0


def run(scenario: Coroutine[Any, Any, None]) -> None:
    uvloop.run(asyncio.wait_for(scenario, 20))


def post(path: str, body: bytes, *more: bytes) -> bytes:
    lines = [b"POST %b HTTP/1.1" % path.encode(), b"host: x", b"content-length: %d" % len(body), *more]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


GET = b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n"
