"""How replies are framed."""

from __future__ import annotations

from tests.server.edges import GET, edge, run


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


def test_a_cut_reply_has_no_end() -> None:
    async def scenario() -> None:
        async with edge() as running:
            client = await running.client()
            client.send(GET.replace(b"/a", b"/cut"))
            answer = await client.rest()
            assert answer.endswith(b"4\r\nsome\r\n")

    run(scenario())


def test_no_header_breaks_out_of_its_line() -> None:
    async def scenario() -> None:
        async with edge() as running:
            client = await running.client()
            client.send(GET.replace(b"/a", b"/split"))
            assert b"set-cookie" not in await client.rest()

    run(scenario())
