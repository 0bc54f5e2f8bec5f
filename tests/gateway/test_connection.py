"""One upstream connection, fed byte by byte: what a reply is, and when it is over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from nearfar.core.errors import APIConnectionError, APITimeoutError, NearfarError, StreamCut, UpstreamError
from nearfar.gateway.connection import HIGH_WATER, MAX_HEADERS, Connection, StaleConnectionError

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
SIZED = HEAD + b"content-length: 4\r\n\r\nbody"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n"


class Pipe(asyncio.Transport):
    """What the connection does to its transport."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.paused = False
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True

    def close(self) -> None:
        self.closed = True


def talk(scenario: Callable[[Connection, Pipe], Awaitable[None]]) -> None:
    """Run ``scenario`` over a connection on which a request was just sent."""

    async def run() -> None:
        connection = Connection(asyncio.get_running_loop(), "far.example", lambda _: None)
        pipe = Pipe()
        connection.connection_made(pipe)
        connection.begin(b"GET / HTTP/1.1\r\n\r\n")
        await scenario(connection, pipe)

    uvloop.run(run())


async def whole(connection: Connection) -> tuple[int, dict[str, str], bytes]:
    """The whole reply."""
    status, headers = await connection.head()
    body = b""
    while (piece := await connection.read()) is not None:
        body += piece
    return status, headers, body


@given(st.sampled_from([SIZED, CHUNKED]), st.lists(st.integers(1, 40), min_size=1))
@settings(max_examples=50)
def test_a_reply_is_the_same_however_it_is_cut(data: bytes, sizes: list[int]) -> None:
    async def scenario(connection: Connection, pipe: Pipe) -> None:
        rest, number = data, 0
        while rest:
            size = sizes[number % len(sizes)]
            connection.data_received(rest[:size])
            rest, number = rest[size:], number + 1
        status, headers, body = await whole(connection)
        assert (status, headers["content-type"], body) == (200, "text/plain", b"body")
        assert connection.complete

    talk(scenario)


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        (SIZED, True),
        (CHUNKED, True),
        (HEAD + b"content-length: 0\r\n\r\n", True),
        (HEAD + b"connection: close\r\ncontent-length: 4\r\n\r\nbody", False),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 4\r\n\r\nbody", False),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + SIZED, True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
    ],
)
def test_what_can_be_used_again(data: bytes, kept: bool) -> None:
    async def scenario(connection: Connection, pipe: Pipe) -> None:
        connection.data_received(data)
        await whole(connection)
        assert connection.complete is kept

    talk(scenario)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", APIConnectionError),
        (HEAD, APIConnectionError),
        (SIZED[:-1], StreamCut),
        (CHUNKED[:-2], StreamCut),
        (CHUNKED[:-10], StreamCut),
    ],
)
def test_a_close_in_the_middle_is_no_end(data: bytes, error: type[NearfarError]) -> None:
    async def scenario(connection: Connection, pipe: Pipe) -> None:
        connection.data_received(data)
        connection.connection_lost(None)
        with pytest.raises(error):
            await whole(connection)
        assert not connection.complete
        assert connection.closed

    talk(scenario)


def test_without_length_the_close_is_the_end() -> None:
    async def scenario(connection: Connection, pipe: Pipe) -> None:
        connection.data_received(HEAD + b"\r\nbody")
        connection.connection_lost(None)
        assert (await whole(connection))[2] == b"body"
        assert not connection.complete

    talk(scenario)


def test_without_length_a_reset_is_no_end() -> None:
    async def scenario(connection: Connection, pipe: Pipe) -> None:
        connection.data_received(HEAD + b"\r\nbody")
        connection.connection_lost(ConnectionResetError())
        with pytest.raises(StreamCut):
            await whole(connection)

    talk(scenario)


def test_a_kept_connection_that_closes_is_stale_only_before_its_answer() -> None:
    async def scenario(connection: Connection, pipe: Pipe) -> None:
        connection.data_received(SIZED)
        await whole(connection)
        connection.busy = False
        connection.begin(b"again")
        connection.connection_lost(None)
        with pytest.raises(StaleConnectionError):
            await connection.head()
        with pytest.raises(StaleConnectionError):
            connection.begin(b"and again")

    talk(scenario)


def test_a_slow_reader_holds_the_sender_back() -> None:
    async def scenario(connection: Connection, pipe: Pipe) -> None:
        connection.data_received(HEAD + b"content-length: %d\r\n\r\n" % (3 * HIGH_WATER))
        connection.data_received(b"x" * HIGH_WATER)
        assert not pipe.paused
        connection.data_received(b"x")
        assert pipe.paused
        assert len(await connection.read() or b"") == HIGH_WATER + 1
        assert not pipe.paused

    talk(scenario)


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02\x03",
        b"HTTP/9.9 200 OK\r\n\r\n",
        HEAD + b"content-length: 4\r\ncontent-length: 5\r\n\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x-a: %b\r\n" % (b"y" * MAX_HEADERS) + b"x-b: 1\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    ],
)
def test_what_is_no_reply_is_a_typed_error(data: bytes) -> None:
    async def scenario(connection: Connection, pipe: Pipe) -> None:
        connection.data_received(data)
        with pytest.raises(UpstreamError) as found:
            await whole(connection)
        assert found.value.code == "bad_reply"
        assert pipe.closed

    talk(scenario)


def test_bytes_that_nobody_asked_for_end_the_connection() -> None:
    async def scenario(connection: Connection, pipe: Pipe) -> None:
        connection.data_received(SIZED)
        await whole(connection)
        connection.busy = False
        connection.data_received(SIZED)
        assert pipe.closed

    talk(scenario)


def test_a_second_reply_to_one_request_is_not_trusted() -> None:
    async def scenario(connection: Connection, pipe: Pipe) -> None:
        connection.data_received(SIZED + SIZED)
        assert pipe.closed
        assert not connection.complete

    talk(scenario)


def test_a_deadline_wakes_whoever_waits() -> None:
    async def scenario(connection: Connection, pipe: Pipe) -> None:
        connection.expires_phase = "first byte"
        waiting: asyncio.Future[Any] = asyncio.ensure_future(connection.head())
        await asyncio.sleep(0)
        connection.expire()
        with pytest.raises(APITimeoutError, match="first byte"):
            await waiting
        assert pipe.closed

    talk(scenario)
