"""One connection, fed by hand: how bytes become a reply, and what each kind of ending is called."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.errors import APIConnectionError, APITimeoutError, NearfarError, StreamCut, UpstreamError
from nearfar.gateway.burst import Burst
from nearfar.gateway.connection import HIGH_WATER, MAX_EARLY, MAX_HEADERS, Connection, StaleConnectionError

SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\nhello"


def run(scenario: Coroutine[Any, Any, None]) -> None:
    uvloop.run(asyncio.wait_for(scenario, 30))


class Pair:
    """A connection and the upstream's end of it."""

    def __init__(self, connection: Connection, far: socket.socket, lost: list[Connection]) -> None:
        self.connection = connection
        self.far = far
        self.lost = lost

    async def sent(self, data: bytes) -> None:
        """The upstream writes ``data``."""
        await asyncio.get_running_loop().sock_sendall(self.far, data)

    async def received(self) -> bytes:
        """What the upstream reads next; empty at the end."""
        return await asyncio.get_running_loop().sock_recv(self.far, 65536)

    async def gone(self) -> None:
        """The upstream closes; returns when the connection knows."""
        self.far.close()
        while not self.lost:
            await asyncio.sleep(0)

    async def whole(self) -> bytes:
        """The body to its end."""
        pieces = []
        while (piece := await self.connection.read()) is not None:
            pieces.append(piece)
        return b"".join(pieces)

    async def reply(self) -> tuple[int, bytes]:
        """Status and body."""
        status = await self.connection.head()
        return status, await self.whole()


@asynccontextmanager
async def pair() -> AsyncIterator[Pair]:
    near, far = socket.socketpair()
    far.setblocking(False)
    lost: list[Connection] = []
    loop = asyncio.get_running_loop()
    connection = Connection(loop, "the upstream", lost.append, Burst())
    await loop.create_connection(lambda: connection, sock=near)
    try:
        yield Pair(connection, far, lost)
    finally:
        connection.abort()
        far.close()
        while not lost:
            await asyncio.sleep(0)
        assert lost == [connection], "its end is told once"


@pytest.mark.parametrize("reply", [SIZED, CHUNKED])
def test_a_framed_reply_leaves_the_connection_usable(reply: bytes) -> None:
    async def scenario() -> None:
        async with pair() as made:
            for number in (1, 2):
                made.connection.begin(b"ask %d" % number)
                assert await made.received() == b"ask %d" % number
                await made.sent(reply)
                assert await made.connection.head() == 200
                assert not made.connection.complete
                assert await made.whole() == b"hello"
                assert made.connection.complete
                assert made.connection.used == number

    run(scenario())


def test_what_has_come_already_is_not_waited_for() -> None:
    async def scenario() -> None:
        async with pair() as made:
            made.connection.begin(b"x")
            made.connection.total = 7.0
            made.connection.expires = 3.0
            assert made.connection.ready() is None
            assert made.connection.expires == 3.0
            made.connection.data_received(SIZED[:-2])
            assert made.connection.ready() == b"hel"
            assert made.connection.expires == 7.0, "from then on the client sets the pace"
            assert made.connection.ready() is None
            made.connection.data_received(SIZED[-2:])
            assert made.connection.ready() == b"lo"
            assert made.connection.ready() == b""

    run(scenario())


def test_header_names_are_lower_case() -> None:
    async def scenario() -> None:
        async with pair() as made:
            made.connection.begin(b"x")
            await made.sent(SIZED)
            assert await made.connection.head() == 200
            assert made.connection.headers() == {"content-length": "5", "x-a": "b"}

    run(scenario())


def test_without_framing_the_end_of_the_connection_is_the_end_of_the_reply() -> None:
    async def scenario() -> None:
        async with pair() as made:
            made.connection.begin(b"x")
            await made.sent(UNTIL_CLOSE)
            await made.connection.head()
            made.far.shutdown(socket.SHUT_WR)
            assert await made.whole() == b"hello"
            assert not made.connection.complete

    run(scenario())


def test_a_connection_that_will_close_is_not_kept() -> None:
    async def scenario() -> None:
        async with pair() as made:
            made.connection.begin(b"x")
            await made.sent(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\nx")
            assert await made.whole() == b"x"
            assert not made.connection.complete

    run(scenario())


@pytest.mark.parametrize(
    ("reply", "kept"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", False),
    ],
)
def test_a_reply_without_a_body_ends_with_its_head(reply: bytes, kept: bool) -> None:
    async def scenario() -> None:
        async with pair() as made:
            made.connection.begin(b"x")
            await made.sent(reply)
            assert (await made.reply())[1] == b""
            assert made.connection.complete is kept

    run(scenario())


def test_empty_lines_before_a_reply_hide_neither_its_headers_nor_its_cut() -> None:
    async def scenario() -> None:
        async with pair() as p:
            p.connection.begin(b"GET / HTTP/1.1\r\n\r\n")
            await p.sent(b"\r\n\r\n" + SIZED[:-2])
            assert await p.connection.head() == 200
            assert p.connection.headers()["x-a"] == "b"
            await p.gone()
            with pytest.raises(StreamCut):
                await p.whole()

    run(scenario())


def test_early_hints_do_not_count_as_the_replys_headers_and_do_not_go_on_for_ever() -> None:
    async def scenario() -> None:
        early = b"HTTP/1.1 103 Early Hints\r\nx-a: early\r\nx-c: d\r\n\r\n"
        async with pair() as p:
            p.connection.begin(b"GET / HTTP/1.1\r\n\r\n")
            await p.sent(early * MAX_EARLY + SIZED)
            assert await p.reply() == (200, b"hello")
            assert p.connection.headers() == {"content-length": "5", "x-a": "b"}
        async with pair() as p:
            p.connection.begin(b"GET / HTTP/1.1\r\n\r\n")
            await p.sent(early * (MAX_EARLY + 1))
            with pytest.raises(UpstreamError, match="informational"):
                await p.connection.head()

    run(scenario())


def test_without_framing_a_reset_is_no_end() -> None:
    async def scenario() -> None:
        async with pair() as made:
            made.connection.begin(b"x")
            await made.sent(UNTIL_CLOSE)
            await made.connection.head()
            made.connection._lost(ConnectionResetError())  # as the loop tells of a reset
            assert await made.connection.read() == b"hello"
            with pytest.raises(StreamCut) as caught:
                await made.connection.read()
            assert isinstance(caught.value.__cause__, ConnectionResetError)

    run(scenario())


@given(
    st.sampled_from(
        [SIZED, CHUNKED, b"HTTP/1.1 100 Continue\r\n\r\n" + SIZED, b"HTTP/1.1 103 E\r\na: b\r\n\r\n" + CHUNKED]
    ),
    st.lists(st.integers(1, 120), max_size=12),
)
def test_however_the_bytes_arrive_the_reply_is_the_same(reply: bytes, cuts: list[int]) -> None:
    async def scenario() -> None:
        async with pair() as made:
            early = reply.startswith((b"HTTP/1.1 100", b"HTTP/1.1 103"))
            made.connection.begin(b"x")
            edges = [0, *sorted({cut for cut in cuts if cut < len(reply)}), len(reply)]
            for start, end in itertools.pairwise(edges):
                made.connection.data_received(reply[start:end])
            status, headers = await made.connection.head(), made.connection.headers()
            assert status == 200
            assert "a" not in headers, "an informational reply's headers are not the reply's"
            framing = "content-length" if b"Content-Length" in reply else "transfer-encoding"
            assert framing in headers
            assert made.connection.mentions(framing.encode())
            assert early or not made.connection.mentions(b"hello"), "a body is no head"
            assert await made.whole() == b"hello"
            assert made.connection.complete

    run(scenario())


@given(st.sampled_from([SIZED, CHUNKED]), st.data())
def test_wherever_it_is_cut_nobody_takes_it_for_whole(reply: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(reply) - 1))

    async def scenario() -> None:
        async with pair() as made:
            made.connection.begin(b"x")
            if cut:
                made.connection.data_received(reply[:cut])
            await made.gone()
            kind: type[NearfarError] = APIConnectionError if cut <= reply.index(b"\r\n\r\n") + 3 else StreamCut
            with pytest.raises(kind):
                await made.reply()
            assert not made.connection.complete

    run(scenario())


def test_what_arrived_before_the_cut_is_read_first() -> None:
    async def scenario() -> None:
        async with pair() as made:
            made.connection.begin(b"x")
            await made.sent(SIZED[:-2])
            await made.connection.head()
            await made.gone()
            assert await made.connection.read() == b"hel"
            with pytest.raises(StreamCut, match="the upstream closed the connection in the middle"):
                await made.connection.read()

    run(scenario())


def test_a_kept_connection_that_was_closed_is_stale_and_a_new_one_is_not() -> None:
    async def scenario() -> None:
        async with pair() as made:
            made.connection.begin(b"x")
            await made.gone()
            with pytest.raises(APIConnectionError) as caught:
                await made.connection.head()
            assert not isinstance(caught.value, StaleConnectionError)
        async with pair() as made:
            made.connection.begin(b"x")
            await made.sent(SIZED)
            await made.whole()
            made.connection.begin(b"y")
            await made.gone()
            with pytest.raises(StaleConnectionError):
                await made.connection.head()
        async with pair() as made:
            made.connection.begin(b"x")
            await made.sent(SIZED)
            await made.whole()
            await made.gone()
            with pytest.raises(StaleConnectionError, match="before anything was sent"):
                made.connection.begin(b"y")

    run(scenario())


def test_nothing_can_begin_where_nothing_ever_was() -> None:
    async def scenario() -> None:
        async with pair() as made:
            await made.gone()
            with pytest.raises(APIConnectionError) as caught:
                made.connection.begin(b"x")
            assert not isinstance(caught.value, StaleConnectionError)

    run(scenario())


def test_an_upstream_that_talks_out_of_turn_is_dropped() -> None:
    async def scenario() -> None:
        async with pair() as made:
            await made.sent(SIZED)
            assert await made.received() == b""
        async with pair() as made:
            made.connection.begin(b"x")
            await made.received()
            await made.sent(SIZED)
            await made.whole()
            made.connection.busy = False  # as the pool does
            await made.sent(b"more")
            assert await made.received() == b""
            assert made.connection.closed

    run(scenario())


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (b"SSH-2.0-OpenSSH\r\n\r\n", "not valid HTTP"),
        (SIZED + SIZED, "more than one reply"),
        (b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", "switch protocols"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * MAX_HEADERS + b"\r\n\r\n", "headers are too large"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd", "not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "not valid HTTP"),
    ],
    ids=["other protocol", "two replies", "upgrade", "headers", "two lengths", "bad chunk"],
)
def test_a_reply_that_cannot_be_read_ends_it(reply: bytes, why: str) -> None:
    async def scenario() -> None:
        async with pair() as made:
            made.connection.begin(b"x")
            await made.received()
            await made.sent(reply)
            while not made.connection.closed:
                await asyncio.sleep(0)
            assert not made.connection.complete
            if why == "more than one reply":
                assert await made.whole() == b"hello", "the first one was whole"
                return
            with pytest.raises(UpstreamError, match=why) as caught:
                await made.reply()
            assert caught.value.code == "bad_reply"

    run(scenario())


def test_a_deadline_that_passes_wakes_the_reader_and_ends_the_connection() -> None:
    async def scenario() -> None:
        async with pair() as made:
            made.connection.begin(b"x")
            await made.received()
            made.connection.expires_phase = "first byte"
            waiting = asyncio.create_task(made.connection.head())
            await asyncio.sleep(0)
            made.connection.expire()
            with pytest.raises(APITimeoutError, match="the upstream missed the first byte deadline"):
                await waiting
            assert await made.received() == b""

    run(scenario())


def test_a_reader_that_stopped_waiting_misses_nothing() -> None:
    async def scenario() -> None:
        async with pair() as made:
            made.connection.begin(b"x")
            waiting = asyncio.create_task(made.connection.head())
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await made.sent(SIZED)
            assert await made.connection.head() == 200
            assert await made.whole() == b"hello"

    run(scenario())


def test_a_slow_reader_holds_the_upstream_back() -> None:
    async def scenario() -> None:
        async with pair() as made:
            size = 8 * HIGH_WATER
            made.connection.begin(b"x")
            await made.received()
            sending = asyncio.create_task(
                made.sent(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + bytes(size))
            )
            await made.connection.head()
            while not made.connection._paused:
                await asyncio.sleep(0)
            assert not sending.done()
            assert made.connection._size < 2 * HIGH_WATER
            assert len(await made.whole()) == size
            await sending
            assert made.connection.complete

    run(scenario())
