"""The HTTP edge against raw sockets: limits, slow and rude clients, pipelining, hang-ups, a graceful end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nearfar.core.errors import AuthenticationError, NearfarError
from nearfar.server.http import Edge, Headers, HttpRequest, HttpResponse, Limits

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


def test_a_request_is_answered_and_the_connection_kept() -> None:
    async def scenario() -> None:
        async with edge() as running:
            client = await running.client()
            for body in (b"one", b"two"):
                client.send(post("/a", body))
                status, headers, answer = await client.reply()
                assert (status, answer) == (200, b"/a " + body)
                assert b"connection" not in headers
                assert b"date" in headers

    run(scenario())


def test_bytes_may_come_one_by_one() -> None:
    async def scenario() -> None:
        async with edge() as running:
            client = await running.client()
            for byte in post("/a?q=1", b"body"):
                client.send(bytes([byte]))
                await client.writer.drain()
            assert (await client.reply())[2] == b"/a body"
            assert running.app.seen[0].query == b"q=1"

    run(scenario())


def test_pipelined_requests_are_answered_in_order() -> None:
    async def scenario() -> None:
        async with edge() as running:
            client = await running.client()
            client.send(b"".join(post("/a", b"%d" % number) for number in range(50)))
            answers = [(await client.reply())[2] for _ in range(50)]
            assert answers == [b"/a %d" % number for number in range(50)]

    run(scenario())


def test_chunked_bodies_in_and_out() -> None:
    async def scenario() -> None:
        async with edge() as running:
            client = await running.client()
            client.send(
                b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
            )
            assert (await client.reply())[2] == b"/a abcde"
            client.send(GET.replace(b"/a", b"/stream"))
            status, headers, body = await client.reply()
            assert (status, body) == (200, b"onetwo!")
            assert headers[b"transfer-encoding"] == b"chunked"

    run(scenario())


def test_http_1_0_gets_a_body_that_ends_with_the_connection() -> None:
    async def scenario() -> None:
        async with edge() as running:
            client = await running.client()
            client.send(b"GET /stream HTTP/1.0\r\nhost: x\r\n\r\n")
            head, _, body = (await client.rest()).partition(b"\r\n\r\n")
            assert b"chunked" not in head
            assert body == b"onetwo!"

    run(scenario())


def test_head_has_no_body_and_close_is_honoured() -> None:
    async def scenario() -> None:
        async with edge() as running:
            client = await running.client()
            client.send(b"HEAD /a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            answer = await client.rest()
            assert answer.startswith(b"HTTP/1.1 200")
            assert b"connection: close" in answer
            assert answer.endswith(b"\r\n\r\n")

    run(scenario())


def test_expect_continue() -> None:
    async def scenario() -> None:
        async with edge() as running:
            client = await running.client()
            client.send(b"POST /a HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
            assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.send(b"ok")
            assert (await client.reply())[2] == b"/a ok"

    run(scenario())


def test_an_offer_to_upgrade_is_ignored() -> None:
    async def scenario() -> None:
        async with edge() as running:
            client = await running.client()
            for _ in range(2):
                client.send(b"GET /a HTTP/1.1\r\nhost: x\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n")
                assert (await client.reply())[0] == 200

    run(scenario())


def test_a_cut_reply_has_no_end() -> None:
    async def scenario() -> None:
        async with edge() as running:
            client = await running.client()
            client.send(GET.replace(b"/a", b"/cut"))
            answer = await client.rest()
            assert answer.endswith(b"4\r\nsome\r\n")

    run(scenario())


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET /a HTTP/1.1\r\nhost x\r\n\r\n", 400),
        (b"GET /a HTTP/9.9\r\nhost: x\r\n\r\n", 400),
        (b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n", 400),
        (b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n", 400),
        (b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", 400),
        (b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", 431),
        (b"GET /a HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 3 + b"c: " + b"d" * 10_000 + b"\r\n\r\n", 431),
        (b"GET /a HTTP/1.1\r\n" + b"".join(b"h%d: v\r\n" % n for n in range(200)) + b"\r\n", 431),
        (b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 52428800\r\n\r\n", 413),
        (b"POST /denied HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n", 401),
    ],
)
def test_what_cannot_be_served_gets_a_typed_answer_and_the_door(data: bytes, status: int) -> None:
    async def scenario() -> None:
        async with edge() as running:
            client = await running.client()
            client.send(data)
            answered, headers, body = await client.reply()
            assert answered == status
            assert headers[b"connection"] == b"close"
            assert msgspec.json.decode(body)["code"]
            assert not running.app.seen

    run(scenario())


def test_a_body_that_outgrows_the_limit_while_chunked() -> None:
    async def scenario() -> None:
        async with edge() as running:
            client = await running.client()
            client.send(b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
            for _ in range(12):
                client.send(b"2710\r\n" + b"x" * 10_000 + b"\r\n")
            assert (await client.reply())[0] == 413

    run(scenario())


def test_a_refused_sender_of_much_can_still_read_the_refusal() -> None:
    async def scenario() -> None:
        async with edge() as running:
            client = await running.client()
            client.send(b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 20000000\r\n\r\n")

            async def push() -> None:
                for _ in range(2000):
                    client.send(b"x" * 10_000)
                    await client.writer.drain()

            pushing = asyncio.create_task(push())
            assert (await client.reply())[0] == 413
            await pushing

    run(scenario())


def test_large_bodies_together_are_bounded() -> None:
    async def scenario() -> None:
        async with edge(buffered_bytes=150_000) as running:
            one, two = await running.client(), await running.client()
            head = b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n"
            one.send(head + b"x" * 99_000)
            two.send(head + b"x" * 99_000)
            status = await asyncio.wait(
                {asyncio.create_task(one.reply()), asyncio.create_task(two.reply())},
                return_when=asyncio.FIRST_COMPLETED,
            )
            assert next(iter(status[0])).result()[0] == 503
            for task in status[1]:
                task.cancel()

    run(scenario())


@pytest.mark.parametrize(
    "start", [b"POST /a HTTP/1.1\r\nhost:", b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nab"]
)
def test_slow_senders_are_told_and_let_go(start: bytes) -> None:
    async def scenario() -> None:
        async with edge(header_timeout=0.2, body_timeout=0.2) as running:
            client = await running.client()
            client.send(start)
            assert (await client.reply())[0] == 408

    run(scenario())


def test_idle_and_silent_connections_are_closed_quietly() -> None:
    async def scenario() -> None:
        async with edge(header_timeout=0.2, keep_alive=0.2) as running:
            silent, idle = await running.client(), await running.client()
            idle.send(GET)
            await idle.reply()
            assert await silent.rest() == b""
            assert await idle.rest() == b""

    run(scenario())


def test_a_client_that_hangs_up_cancels_its_answer() -> None:
    async def scenario() -> None:
        async with edge() as running:
            client = await running.client()
            client.send(post("/wait", b"{}"))
            await running.app.running.wait()
            client.writer.close()
            await running.app.cancelled.wait()

    run(scenario())


def test_a_half_closed_client_has_hung_up() -> None:
    async def scenario() -> None:
        async with edge() as running:
            client = await running.client()
            client.send(post("/wait", b"{}"))
            await running.app.running.wait()
            client.writer.write_eof()
            await running.app.cancelled.wait()
            assert await client.rest() == b""

    run(scenario())


def test_a_client_that_does_not_read_stops_the_writer() -> None:
    async def scenario() -> None:
        async with edge() as running:
            client = await running.client()
            client.send(GET.replace(b"/a", b"/flood"))
            await running.app.running.wait()
            connection = next(iter(running.edge.connections))
            while connection.paused is None:
                await asyncio.sleep(0.01)
            head = await client.reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            total = 0
            while data := await client.reader.read(1 << 20):
                total += len(data)
                if data.endswith(b"0\r\n\r\n"):
                    break
            assert total > 100_000_000

    run(scenario())


def test_too_many_connections_are_refused() -> None:
    async def scenario() -> None:
        async with edge(connections=2) as running:
            clients = [await running.client() for _ in range(3)]
            assert (await clients[2].reply())[0] == 503
            clients[0].send(GET)
            assert (await clients[0].reply())[0] == 200

    run(scenario())


def test_stopping_lets_running_replies_finish_and_closes_idle_connections() -> None:
    async def scenario() -> None:
        async with edge() as running:
            idle, busy = await running.client(), await running.client()
            idle.send(GET)
            await idle.reply()
            running.app.running.clear()
            busy.send(post("/wait", b"x"))
            await running.app.running.wait()
            stopping = asyncio.create_task(running.edge.stop(5.0))
            assert await idle.rest() == b""
            running.app.release.set()
            status, headers, body = await busy.reply()
            assert (status, body) == (200, b"/wait x")
            assert headers[b"connection"] == b"close"
            await stopping

    run(scenario())


def test_stopping_ends_what_does_not_finish() -> None:
    async def scenario() -> None:
        async with edge() as running:
            client = await running.client()
            client.send(post("/wait", b"x"))
            await running.app.running.wait()
            await running.edge.stop(0.05)
            assert running.app.cancelled.is_set()

    run(scenario())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=5), st.booleans())
def test_no_bytes_make_it_hang_or_crash(pieces: list[bytes], valid_start: bool) -> None:
    async def scenario() -> None:
        async with edge(header_timeout=0.05, body_timeout=0.05, keep_alive=0.05) as running:
            client = await running.client()
            client.send(b"POST /a HTTP/1.1\r\n" if valid_start else b"")
            for piece in pieces:
                client.send(piece)
            client.writer.write_eof()
            answer = await client.rest()
            assert answer == b"" or answer.startswith(b"HTTP/1.1 ")

    run(scenario())


def test_an_upgrade_offered_with_a_body_is_ignored() -> None:
    """JDK's client offers h2c with every request on plain HTTP."""

    async def scenario() -> None:
        async with edge() as running:
            client = await running.client()
            offer = (b"connection: Upgrade, HTTP2-Settings", b"upgrade: h2c", b"http2-settings: AAMAAABk")
            client.send(post("/a", b"body", *offer))
            assert (await client.reply())[2] == b"/a body"
            client.send(post("/a", b"next"))
            assert (await client.reply())[2] == b"/a next"

    run(scenario())


def test_no_header_breaks_out_of_its_line() -> None:
    async def scenario() -> None:
        async with edge() as running:
            client = await running.client()
            client.send(GET.replace(b"/a", b"/split"))
            assert b"set-cookie" not in await client.rest()

    run(scenario())


def test_a_coding_that_is_not_understood_is_refused() -> None:
    async def scenario() -> None:
        async with edge() as running:
            client = await running.client()
            client.send(b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n")
            assert (await client.reply())[0] == 400

    run(scenario())


def test_a_client_that_reads_no_replies_is_not_answered_for_ever() -> None:
    """Without a key, on the open paths, its unread replies would fill the memory."""

    async def scenario() -> None:
        async with edge(buffered_bytes=50_000_000) as running:
            client = await running.client()
            for _ in range(2000):
                client.send(post("/a", b"x" * 10_000))
            connection = None
            while connection is None or connection.paused is None:
                await asyncio.sleep(0.01)
                connection = next(iter(running.edge.connections), None)
            answered = len(running.app.seen)
            await asyncio.sleep(0.2)
            assert len(running.app.seen) == answered < 2000
            assert running.edge.buffered < 4 * 1024 * 1024

    run(scenario())


@pytest.mark.parametrize("path", ["/flood", "/a"])
def test_what_a_client_leaves_unread_ends_the_connection(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nearfar.server.http.WRITE_STALL", 0.3)

    async def scenario() -> None:
        async with edge(keep_alive=0.1, buffered_bytes=50_000_000) as running:
            client = await running.client()
            for _ in range(2000):
                client.send(post(path, b"x" * 10_000))
            await running.app.running.wait()
            while running.edge.connections:
                await asyncio.sleep(0.05)
            assert running.app.seen

    run(scenario())


def test_a_large_reply_that_was_read_leaves_an_idle_connection_which_is_closed() -> None:
    async def scenario() -> None:
        async with edge(keep_alive=0.3) as running:
            client = await running.client()
            client.send(GET.replace(b"/a", b"/flood"))
            total = b""
            while data := await client.reader.read(1 << 20):
                total = (total + data)[-16:]
            assert total.endswith(b"0\r\n\r\n")

    run(scenario())


def test_a_hang_up_is_noticed_behind_a_pipelined_request() -> None:
    async def scenario() -> None:
        async with edge() as running:
            client = await running.client()
            client.send(post("/wait", b"{}") + post("/a", b"x"))
            await running.app.running.wait()
            client.writer.close()
            await running.app.cancelled.wait()

    run(scenario())


def test_requests_that_die_before_they_are_answered_leave_nothing_counted() -> None:
    async def scenario() -> None:
        async with edge() as running:
            for _ in range(200):
                client = await running.client()
                client.send(post("/a", b"x" * 1000) * 2)
                await asyncio.sleep(0)
                client.writer.transport.abort()

    run(scenario())
