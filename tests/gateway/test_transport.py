"""The transport against real sockets: egress rule, pool, deadlines, cancellation, back-pressure, TLS, proxies."""

import asyncio
import ssl
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trustme
import uvloop
from tests.gateway.scripted import OK, QUICK, SEALER, Script, exchange, read_request, seal, transport, upstream

from nearfar.core.errors import (
    APIConnectionError,
    APITimeoutError,
    EgressDenied,
    PlaceMismatch,
    StreamCut,
    UpstreamError,
)
from nearfar.core.places import Place
from nearfar.gateway.connection import HIGH_WATER, StaleConnectionError
from nearfar.gateway.transport import Proxies, admitted
from nearfar.policy.seal import Origin, Sealer
from nearfar.settings.model import Deadlines

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def _writes(data: bytes) -> Script:
    """Writes ``data`` and closes."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return script


def run(scenario: Coroutine[Any, Any, None]) -> None:
    uvloop.run(asyncio.wait_for(scenario, 30))


def test_it_sends_exactly_the_sealed_bytes() -> None:
    async def scenario() -> None:
        async with upstream(OK) as server, transport() as made:
            assert await exchange(made, seal(server.port, b'{"x": 1}')) == (200, b"ok")
            head, _, body = server.requests[0].partition(b"\r\n\r\n")
            assert body == b'{"x": 1}'
            assert head.startswith(b"POST /v1 HTTP/1.1\r\nhost: 127.0.0.1:")
            assert b"content-length: 8" in head

    run(scenario())


def test_nothing_unsealed_opens_a_socket() -> None:
    async def scenario() -> None:
        async with upstream(OK) as server, transport() as made:
            forged = msgspec.structs.replace(seal(server.port), body=b"other")
            with pytest.raises(EgressDenied):
                await made.send(forged)
            foreign = Sealer(b"f" * 32).probe(
                attempt="p",
                place=Place.DEVICE,
                reach=Place.DEVICE,
                origin=Origin(scheme="http", host="127.0.0.1", port=server.port),
                target="/",
                head=b"GET / HTTP/1.1",
            )
            with pytest.raises(EgressDenied):
                await made.send(foreign)
            assert server.connections == 0

    run(scenario())


def test_offline_calls_nothing_beyond_the_local_network() -> None:
    async def scenario() -> None:
        async with upstream(OK, OK) as server, transport(offline=True) as made:
            with pytest.raises(EgressDenied, match="offline"):
                await made.send(seal(server.port, place=Place.CLOUD))
            assert server.connections == 0
            assert (await exchange(made, seal(server.port, place=Place.LAN)))[0] == 200

    run(scenario())


@pytest.mark.parametrize(
    ("address", "place", "fits"),
    [
        ("127.0.0.1", Place.DEVICE, True),
        ("::1", Place.DEVICE, True),
        ("192.168.1.4", Place.DEVICE, False),
        ("192.168.1.4", Place.LAN, True),
        ("fe80::1%eth0", Place.LAN, True),
        ("8.8.8.8", Place.LAN, False),
        ("8.8.8.8", Place.CLOUD, True),
        ("::ffff:8.8.8.8", Place.LAN, False),
        ("::ffff:8.8.8.8", Place.DEVICE, False),
    ],
)
def test_an_address_must_belong_to_its_place(address: str, place: Place, fits: bool) -> None:
    assert admitted(address, place) is fits


def test_a_name_that_leaves_its_place_is_refused() -> None:
    async def scenario() -> None:
        async with transport() as made:
            with pytest.raises(EgressDenied, match="declared as device"):
                await made.send(seal(80, host="192.0.2.7", place=Place.DEVICE))

    run(scenario())


def test_connections_are_reused_and_replaced_when_stale() -> None:
    async def scenario() -> None:
        async with upstream(OK, OK) as server, transport() as made:
            await exchange(made, seal(server.port))
            await exchange(made, seal(server.port))
            assert server.connections == 1
            # The third request on the same connection meets a closed door: it says so, and is not sent twice.
            with pytest.raises((StaleConnectionError, APIConnectionError)):
                await exchange(made, seal(server.port))

    run(scenario())


def test_places_do_not_share_connections() -> None:
    async def scenario() -> None:
        async with upstream(every=OK) as server, transport() as made:
            await exchange(made, seal(server.port, place=Place.DEVICE))
            await exchange(made, seal(server.port, place=Place.LAN))
            assert server.connections == 2

    run(scenario())


def test_a_second_reply_to_one_request_poisons_the_connection() -> None:
    async def scenario() -> None:
        async with upstream(OK + OK, OK) as server, transport() as made:
            assert await exchange(made, seal(server.port)) == (200, b"ok")
            assert await exchange(made, seal(server.port)) == (200, b"ok")
            assert server.connections == 2

    run(scenario())


def test_informational_replies_are_skipped() -> None:
    async def scenario() -> None:
        async with upstream(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK) as server, transport() as made:
            assert await exchange(made, seal(server.port)) == (200, b"ok")

    run(scenario())


def test_redirects_are_refused() -> None:
    async def scenario() -> None:
        moved = b"HTTP/1.1 307 Moved\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
        async with upstream(moved) as server, transport() as made:
            with pytest.raises(UpstreamError, match="redirect"):
                await exchange(made, seal(server.port))

    run(scenario())


@pytest.mark.parametrize(
    "reply",
    [b"not http at all\r\n\r\n", b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n", b"\x16\x03\x01\x00\x00"],
)
def test_garbage_is_a_typed_error(reply: bytes) -> None:
    async def scenario() -> None:
        async with upstream(reply) as server, transport() as made:
            with pytest.raises(UpstreamError):
                await exchange(made, seal(server.port))

    run(scenario())


def test_a_cut_reply_is_seen_as_cut() -> None:
    async def scenario() -> None:
        cut = _writes(CHUNKED + b"5\r\nhello\r\n")
        async with upstream(cut) as server, transport() as made, await made.send(seal(server.port)) as reply:
            assert await reply.head() == 200
            assert await reply.read() == b"hello"
            with pytest.raises(StreamCut):
                await reply.read()

    run(scenario())


def test_a_short_body_is_seen_as_cut() -> None:
    async def scenario() -> None:
        short = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"
        async with upstream(_writes(short)) as server, transport() as made:
            with pytest.raises(StreamCut):
                await exchange(made, seal(server.port))

    run(scenario())


def test_nobody_listening_is_a_connection_error() -> None:
    async def scenario() -> None:
        async with upstream(OK) as server:
            port = server.port
        async with transport() as made:
            with pytest.raises(APIConnectionError, match=str(port)):
                await exchange(made, seal(port))

    run(scenario())


async def _forever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def _half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(CHUNKED + b"1\r\nx\r\n")
    await reader.read()


async def _trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(CHUNKED)
    while not writer.is_closing():
        writer.write(b"1\r\nx\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("script", "deadlines", "phase"),
    [
        (_forever, Deadlines(first_byte=0.1), "first byte"),
        (_half, Deadlines(between_bytes=0.1), "between bytes"),
        (_trickle, Deadlines(total=0.3), "total"),
    ],
)
def test_each_deadline_ends_the_exchange(script: Any, deadlines: Deadlines, phase: str) -> None:
    async def scenario() -> None:
        async with upstream(script) as server, transport(deadlines) as made:
            with pytest.raises(APITimeoutError, match=phase):
                await exchange(made, seal(server.port))
            await server.gone.wait()

    run(scenario())


def test_a_slow_reader_is_not_the_upstreams_fault() -> None:
    """While the client sets the pace, the deadline between bytes does not run."""

    async def scenario() -> None:
        reply_bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nfirst!"
        deadlines = Deadlines(between_bytes=0.1)
        async with (
            upstream(reply_bytes) as server,
            transport(deadlines) as made,
            await made.send(seal(server.port)) as reply,
        ):
            await reply.head()
            assert await reply.read() == b"first!"
            await asyncio.sleep(0.4)
            assert await reply.read() is None

    run(scenario())


def test_leaving_early_cancels_the_upstream() -> None:
    async def scenario() -> None:
        async with upstream(_trickle) as server, transport() as made:
            async with await made.send(seal(server.port)) as reply:
                await reply.head()
                await reply.read()
            await server.gone.wait()
            assert not made._active

    run(scenario())


def test_a_reader_that_does_not_read_bounds_memory() -> None:
    written = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        size = 64 * 1024 * 1024
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        piece = b"x" * 65536
        while written < size:
            writer.write(piece)
            await writer.drain()
            written += len(piece)

    async def scenario() -> None:
        async with upstream(flood) as server, transport() as made, await made.send(seal(server.port)) as reply:
            await reply.head()
            stalled = -1
            while stalled != written:
                stalled = written
                await asyncio.sleep(0.2)
            # What is in flight sits in socket buffers and one high-water mark, not in the process.
            assert written < 32 * 1024 * 1024
            first = await reply.read()
            assert first is not None
            assert len(first) <= HIGH_WATER + 512 * 1024
            total = len(first)
            while (piece := await reply.read()) is not None:
                total += len(piece)
            assert total == 64 * 1024 * 1024

    run(scenario())


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def _server_tls(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def _client_tls(authority: trustme.CA, tmp_path: Path) -> ssl.SSLContext:
    pem = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(pem))
    return ssl.create_default_context(cafile=str(pem))


def test_tls_is_verified(authority: trustme.CA, tmp_path: Path) -> None:
    async def scenario() -> None:
        good = _client_tls(authority, tmp_path)
        async with upstream(every=OK, tls=_server_tls(authority, "localhost")) as server:
            sealed = seal(server.port, host="localhost", scheme="https", place=Place.CLOUD)
            async with transport(tls=lambda: good) as made:
                assert await exchange(made, sealed) == (200, b"ok")
                with pytest.raises(APIConnectionError, match="TLS"):
                    await exchange(made, seal(server.port, host="127.0.0.1", scheme="https", place=Place.CLOUD))
            async with transport() as made:
                with pytest.raises(APIConnectionError, match="TLS"):
                    await exchange(made, sealed)

    run(scenario())


async def _connect_proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A CONNECT proxy: answers, then copies both ways."""
    head = await reader.readuntil(b"\r\n\r\n")
    host, _, port = head.split(b" ")[1].partition(b":")
    far_reader, far_writer = await asyncio.open_connection(host.decode(), int(port))
    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

    async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        except ConnectionError:
            pass
        finally:
            sink.close()

    await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))


def test_https_goes_through_a_connect_proxy(authority: trustme.CA, tmp_path: Path) -> None:
    async def scenario() -> None:
        tls = _client_tls(authority, tmp_path)
        proxy = await asyncio.start_server(_connect_proxy, "127.0.0.1", 0)
        hop = Origin(scheme="http", host="127.0.0.1", port=proxy.sockets[0].getsockname()[1])
        async with proxy, upstream(every=OK, tls=_server_tls(authority, "localhost")) as server:
            sealed = seal(server.port, host="localhost", scheme="https", place=Place.CLOUD)
            async with transport(tls=lambda: tls, proxies=Proxies(https=hop)) as made:
                assert await exchange(made, sealed) == (200, b"ok")
                assert await exchange(made, sealed) == (200, b"ok")
                assert server.connections == 1
            async with transport(tls=lambda: tls, proxies=Proxies(https=hop, no_proxy=("localhost",))) as made:
                assert await exchange(made, sealed) == (200, b"ok")

    run(scenario())


def test_a_proxy_that_refuses_is_a_typed_error() -> None:
    async def scenario() -> None:
        async with upstream(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n") as proxy:
            hop = Origin(scheme="http", host="127.0.0.1", port=proxy.port)
            async with transport(proxies=Proxies(https=hop)) as made:
                with pytest.raises(APIConnectionError, match="407"):
                    await made.send(seal(443, host="cloud.example", scheme="https", place=Place.CLOUD))

    run(scenario())


def test_plain_http_uses_the_absolute_form_through_a_proxy_and_near_places_none() -> None:
    async def scenario() -> None:
        async with upstream(every=OK) as proxy, upstream(every=OK) as server:
            hop = Origin(scheme="http", host="127.0.0.1", port=proxy.port)
            async with transport(proxies=Proxies(http=hop)) as made:
                await exchange(made, seal(80, host="cloud.example", place=Place.CLOUD))
                assert proxy.requests[0].startswith(b"POST http://cloud.example:80/v1 HTTP/1.1\r\n")
                await exchange(made, seal(server.port, place=Place.DEVICE))
                assert len(proxy.requests) == 1
                assert len(server.requests) == 1

    run(scenario())


def test_a_unix_socket_is_an_address_too(tmp_path: Path) -> None:
    async def scenario() -> None:
        path = str(tmp_path / "s")

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_request(reader)
            writer.write(OK)
            await writer.drain()
            writer.close()

        async with await asyncio.start_unix_server(serve, path), transport(QUICK) as made:
            sealed = seal(0, host=path, scheme="unix")
            SEALER.verify(sealed)
            assert await exchange(made, sealed) == (200, b"ok")

    run(scenario())


def test_closing_aborts_what_is_under_way_and_refuses_more() -> None:
    async def scenario() -> None:
        async with upstream(_forever) as server, transport() as made:
            reply = await made.send(seal(server.port))
            await made.close()
            with pytest.raises(UpstreamError):
                async with reply:
                    await reply.head()
            await server.gone.wait()
            with pytest.raises(APIConnectionError, match="shutting down"):
                await made.send(seal(server.port))

    run(scenario())


def test_connections_to_the_engine_are_not_kept(tmp_path: Path) -> None:
    async def scenario() -> None:
        connections = 0

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            while await read_request(reader):
                writer.write(OK)
            writer.close()

        path = str(tmp_path / "engine.sock")
        async with await asyncio.start_unix_server(serve, path), transport() as made:
            for _ in range(3):
                assert await exchange(made, seal(0, host=path, scheme="unix")) == (200, b"ok")
            assert connections == 3

    run(scenario())


def test_a_name_with_two_addresses_is_reached_on_the_one_that_is_served() -> None:
    async def scenario() -> None:
        async with upstream(every=OK) as server, transport() as made:
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo("127.0.0.1", server.port, type=1)

            async def both(host: str, port: int, **more: Any) -> list[Any]:
                silent = [(family, kind, proto, name, ("127.0.0.9", port)) for family, kind, proto, name, _ in found]
                return [*silent, *found]

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(type(loop), "getaddrinfo", lambda _, *args, **more: both(*args, **more))
                assert await exchange(made, seal(server.port, host="two.example")) == (200, b"ok")

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_one_address_beyond_the_place_refuses_the_whole_name() -> None:
    async def scenario() -> None:
        async with upstream(every=OK) as server, transport() as made:
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo("127.0.0.1", server.port, type=1)
            family, kind, proto, name, _ = found[0]

            async def mixed(*_: Any, **__: Any) -> list[Any]:
                return [*found, (family, kind, proto, name, ("192.0.2.7", server.port))]

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(type(loop), "getaddrinfo", mixed)
                with pytest.raises(PlaceMismatch, match=r"192\.0\.2\.7"):
                    await exchange(made, seal(server.port, host="mixed.example"))
            assert server.connections == 0

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_a_header_line_without_an_end_is_bounded() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nx-a: ")
        for _ in range(1000):
            writer.write(b"A" * 65536)
            await writer.drain()

    async def scenario() -> None:
        async with upstream(endless) as server, transport() as made:
            with pytest.raises(UpstreamError, match="without an end"):
                await exchange(made, seal(server.port))
            await server.gone.wait()

    run(scenario())


def test_what_follows_the_last_word_is_waited_for_only_briefly() -> None:
    async def open_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED + b"4\r\ndone\r\n")
        await reader.read()

    async def scenario() -> None:
        async with upstream(open_end) as server, transport() as made:
            async with await made.send(seal(server.port)) as reply:
                await reply.head()
                assert await reply.read() == b"done"
                await reply.drain()
            await server.gone.wait()

    run(scenario())


def test_a_connection_that_dies_at_work_is_not_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a close that crossed the request means that nobody has worked on it, so only then it is asked again."""
    monkeypatch.setattr("nearfar.gateway.connection.CROSSED", 0.0)

    async def scenario() -> None:
        async with upstream(OK, _writes(b"")) as server, transport() as made:
            await exchange(made, seal(server.port))
            with pytest.raises(APIConnectionError) as caught:
                await exchange(made, seal(server.port))
            assert not isinstance(caught.value, StaleConnectionError)

    run(scenario())
