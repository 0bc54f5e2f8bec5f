"""Small upstreams that answer as scripted, on loopback, for the transport's tests."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from nearfar.core.places import Class, Place
from nearfar.core.routing import Candidate, Decision, Deployment, Ranked
from nearfar.gateway.fleet import build_head
from nearfar.gateway.transport import Proxies, Transport
from nearfar.policy.seal import Origin, Sealed, Sealer
from nearfar.settings.model import Deadlines

SEALER = Sealer(b"k" * 32)
QUICK = Deadlines(connect=2.0, first_byte=5.0, between_bytes=5.0, total=20.0)

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Upstream:
    """What a scripted server saw."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connections = 0
        self.gone = asyncio.Event()
        """Set when a client dropped its connection."""
        self.requests: list[bytes] = []


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """One request: head and body. Empty when the client closed."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""
    length = 0
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return head + (await reader.readexactly(length) if length else b"")


@asynccontextmanager
async def upstream(
    *replies: bytes | Script, tls: ssl.SSLContext | None = None, every: bytes | None = None
) -> AsyncIterator[Upstream]:
    """A server whose n-th request is answered by the n-th reply, or all of them by ``every``; then it closes."""
    seen = Upstream(0)
    script = iter(replies)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.connections += 1
        try:
            while request := await read_request(reader):
                seen.requests.append(request)
                reply = every if every is not None else next(script, None)
                if reply is None:
                    break
                if callable(reply):
                    await reply(reader, writer)
                    break
                writer.write(reply)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            seen.gone.set()
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    seen.port = server.sockets[0].getsockname()[1]
    async with server:
        yield seen


def deployment(place: Place = Place.DEVICE) -> Deployment:
    """A deployment for seals."""
    return Deployment(name="d", provider="p", model="m", wire="w", base_url="http://127.0.0.1", place=place)


def seal(
    port: int,
    body: bytes = b'{"a":1}',
    *,
    place: Place = Place.DEVICE,
    host: str = "127.0.0.1",
    scheme: str = "http",
    path: str = "/v1",
) -> Sealed:
    """A sealed POST."""
    target = deployment(place)
    origin = Origin(scheme=scheme, host=host, port=port)
    decision = Decision(
        id="dec",
        route="r",
        strategy="local-first",
        policy="p",
        class_=Class.PUBLIC,
        class_reason="test",
        furthest=Place.CLOUD,
        ranked=(Ranked(candidate=Candidate(deployment=target), reason=""),),
        rejected=(),
    )
    head = build_head("POST", path, origin, (("content-type", "application/json"),))
    return SEALER.seal(decision, target, attempt="att", origin=origin, target=path, head=head, body=body)


@asynccontextmanager
async def transport(deadlines: Deadlines = QUICK, **more: Any) -> AsyncIterator[Transport]:
    """A transport that is closed afterwards."""
    values: dict[str, Any] = {"proxies": Proxies()}
    made = Transport(verify=SEALER.verify, deadlines=deadlines, **(values | more))
    try:
        yield made
    finally:
        await made.close()


async def exchange(made: Transport, sealed: Sealed, **more: Any) -> tuple[int, bytes]:
    """Send and read the whole reply."""
    async with await made.send(sealed, **more) as reply:
        status = await reply.head()
        pieces = []
        while (piece := await reply.read()) is not None:
            pieces.append(piece)
        return status, b"".join(pieces)
