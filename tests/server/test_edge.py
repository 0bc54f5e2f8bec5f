"""All connections of a listener: limits, deadlines, a graceful end."""

from __future__ import annotations

import asyncio

import pytest
from tests.server.edges import GET, edge, post, run


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


@pytest.mark.parametrize("path", ["/flood", "/a"])
def test_what_a_client_leaves_unread_ends_the_connection(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nearfar.server.connection.WRITE_STALL", 0.3)

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


def test_requests_that_die_before_they_are_answered_leave_nothing_counted() -> None:
    async def scenario() -> None:
        async with edge() as running:
            for _ in range(200):
                client = await running.client()
                client.send(post("/a", b"x" * 1000) * 2)
                await asyncio.sleep(0)
                client.writer.transport.abort()

    run(scenario())
