"""One client connection against raw sockets: pipelining, rude clients, hang-ups."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from tests.examples import examples
from tests.server.edges import edge, post, run


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


def test_an_offer_to_upgrade_is_ignored() -> None:
    async def scenario() -> None:
        async with edge() as running:
            client = await running.client()
            for _ in range(2):
                client.send(b"GET /a HTTP/1.1\r\nhost: x\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n")
                assert (await client.reply())[0] == 200

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
        (b"GET /a HTTP/1.1\r\n" + b"h: v\r\n" * 200 + b"\r\n", 431),
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


def test_a_head_that_begins_behind_another_request_is_no_larger_than_any() -> None:
    async def scenario() -> None:
        async with edge() as running:
            client = await running.client()
            most = running.edge.limits.header_bytes
            client.send(post("/a", b"one") + b"GET /b HTTP/1.1\r\nhost: x\r\nc: " + b"d" * (most - 200))
            assert (await client.reply())[2] == b"/a one"
            client.send(b"d" * (most - 200) + b"\r\n\r\n")
            assert (await client.reply())[0] == 431

    run(scenario())


def test_names_that_come_again_count_as_often_as_they_come() -> None:
    async def scenario() -> None:
        async with edge() as running:
            client = await running.client()
            line = b"n" * (running.edge.limits.header_bytes // 10) + b": v\r\n"
            client.send(b"GET /a HTTP/1.1\r\nhost: x\r\n" + line * 12 + b"\r\n")
            assert (await client.reply())[0] == 431

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


@examples(60, suppress=[HealthCheck.too_slow])
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


def test_a_hang_up_is_noticed_behind_a_pipelined_request() -> None:
    async def scenario() -> None:
        async with edge() as running:
            client = await running.client()
            client.send(post("/wait", b"{}") + post("/a", b"x"))
            await running.app.running.wait()
            client.writer.close()
            await running.app.cancelled.wait()

    run(scenario())
