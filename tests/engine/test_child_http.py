"""The small server over real sockets, with handlers in place of a model."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nearfar.core.errors import BadRequestError, Overloaded
from nearfar.engine import child_http
from nearfar.engine.child_http import Reply, Request, Server

HEAD = b"POST %b HTTP/1.1\r\nAuthorization: Bearer key\r\nContent-Length: %d\r\n\r\n%b"


class Handlers:
    """What may happen while a request is answered."""

    def __init__(self) -> None:
        self.waiting = asyncio.Event()
        self.left = asyncio.Event()

    async def __call__(self, request: Request, reply: Reply) -> None:
        if request.path == "/echo":
            await reply.send(200, request.body)
        elif request.path == "/refuse":
            raise Overloaded("Full.", retry_after=3.0)
        elif request.path == "/break":
            raise RuntimeError("it broke")
        elif request.path == "/stream":
            await reply.event(b"data: 1\n\n")
            await reply.event(b"data: 2\n\n")
            await reply.end()
        elif request.path == "/cut":
            await reply.event(b"data: 1\n\n")
            raise BadRequestError("Enough.")
        elif request.path == "/wait":
            self.waiting.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.left.set()
        else:
            await reply.send(200, b"{}")


@contextlib.asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[Handlers, str]]:
    handlers, path = Handlers(), str(folder / "s.sock")
    server = await Server("key", handlers).listen(path)
    async with server:
        yield handlers, path
    mine = asyncio.current_task()
    for task in asyncio.all_tasks() - {mine}:  # connections that are still being closed
        task.cancel()
        await asyncio.wait({task})
    await asyncio.sleep(0)


async def exchange(path: str, data: bytes) -> bytes:
    """Everything that comes back until the server closes, or until we have said all."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(data)
    writer.write_eof()
    async with asyncio.timeout(30):
        back = await reader.read(-1)
    writer.close()
    return back


async def ask(path: str, target: str, body: bytes = b"") -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(HEAD.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) % (target.encode(), len(body), body))
    async with asyncio.timeout(30):
        back = await reader.read(-1)
    writer.close()
    return back


def test_one_connection_answers_one_request_after_another(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path) as (_, path):
            reader, writer = await asyncio.open_unix_connection(path)
            for body in (b"one", b"two", b""):
                writer.write(HEAD % (b"/echo", len(body), body))
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200 OK\r\n")
                assert await reader.readexactly(len(body)) == body
            writer.write(HEAD % (b"/echo", 1, b"a") + HEAD % (b"/echo", 1, b"b"))  # before the first is answered
            for body in (b"a", b"b"):
                await reader.readuntil(b"\r\n\r\n")
                assert await reader.readexactly(1) == body
            writer.close()

    asyncio.run(scenario())


def test_errors_come_in_openais_shape(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path) as (_, path):
            refused = await ask(path, "/refuse")
            assert refused.startswith(b"HTTP/1.1 503 ")
            assert b"\r\nRetry-After: 3\r\n" in refused
            assert json.loads(refused.partition(b"\r\n\r\n")[2])["error"]["code"] == "overloaded"
            broken = await ask(path, "/break")
            assert broken.startswith(b"HTTP/1.1 500 ")
            assert b"RuntimeError: it broke" in broken

    asyncio.run(scenario())


def test_a_stream_ends_clean_only_if_all_was_said(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path) as (_, path):
            assert (await ask(path, "/stream")).endswith(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n")
            cut = await ask(path, "/cut")
            assert b'data: {"error":{"message":"Enough."' in cut
            assert not cut.endswith(b"0\r\n\r\n")

    asyncio.run(scenario())


def test_a_client_that_hangs_up_is_noticed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path) as (handlers, path):
            _, writer = await asyncio.open_unix_connection(path)
            writer.write(HEAD % (b"/wait", 0, b""))
            async with asyncio.timeout(30):
                await handlers.waiting.wait()
                writer.close()
                await handlers.left.wait()

    asyncio.run(scenario())


def test_the_key_is_asked_for_everywhere_but_for_the_health(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path) as (_, path):
            for line in (b"", b"Authorization: Bearer kez\r\n", b"X-Api-Key: key\r\n"):
                back = await exchange(path, b"GET /echo HTTP/1.0\r\n%b\r\n" % line)
                assert back.startswith(b"HTTP/1.1 401 ")
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert (await reader.read(-1)).startswith(b"HTTP/1.1 200 ")
            writer.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / SPDY/1\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (child_http.MAX_BODY + 1), 413),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * child_http.MAX_HEAD, 431),
    ],
)
def test_what_is_no_request_is_refused_and_the_connection_closed(tmp_path: Path, data: bytes, status: int) -> None:
    async def scenario() -> None:
        async with serving(tmp_path) as (_, path):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(data)
            async with asyncio.timeout(30):
                assert (await reader.read(-1)).startswith(b"HTTP/1.1 %d " % status)
            writer.close()

    asyncio.run(scenario())


def test_a_request_that_never_comes_whole_ends_with_its_client(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path) as (_, path):
            assert await exchange(path, b"POST /echo HTTP/1.1\r\nContent-Length: 5\r\n\r\nab") == b""
            assert await exchange(path, b"POST /ec") == b""

    asyncio.run(scenario())
