"""The only opener of sockets to models: it sends sealed values, and holds addresses to their places.

It does not know what the bytes mean. It owns connections, deadlines, cancellation and the egress rule.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

import msgspec

from nearfar.core.errors import APIConnectionError, APITimeoutError, EgressDenied, PlaceMismatch, UpstreamError
from nearfar.core.places import Place
from nearfar.gateway.burst import Burst
from nearfar.gateway.connection import Connection
from nearfar.policy.seal import Origin, Sealed
from nearfar.settings.model import Deadlines

IDLE_SECONDS = 15.0
"""How long an idle connection is kept: shorter than what common servers keep, so that reuse rarely meets a close."""
IDLE_PER_ORIGIN = 64
TICK = 0.05
"""How often deadlines are looked at while anything is under way, in seconds."""
DRAIN = 0.1
"""Seconds that a reply may still need to end after it has said its last."""
MAX_ERROR_BODY = 1024 * 1024


class Proxies(msgspec.Struct, frozen=True, kw_only=True):
    """HTTP proxies for origins beyond the local network; ``no_proxy`` holds host suffixes."""

    https: Origin | None = None
    http: Origin | None = None
    no_proxy: tuple[str, ...] = ()

    def for_origin(self, origin: Origin, place: Place) -> Origin | None:
        """The proxy that ``origin`` is reached through. What is near never goes through one."""
        if place.near or origin.scheme == "unix":
            return None
        host = origin.host.lower()
        if any(suffix in {"*", host} or host.endswith("." + suffix) for suffix in self.no_proxy):
            return None
        return self.https if origin.scheme == "https" else self.http


class Reply:
    """A reply under way. Leaving it, by ``leave`` or as an asynchronous context manager, early cancels the upstream."""

    __slots__ = ("_connection", "_deadlines", "_give_back", "_loop", "ready", "status")

    def __init__(
        self,
        connection: Connection,
        deadlines: Deadlines,
        loop: asyncio.AbstractEventLoop,
        give_back: Callable[[Connection], None],
    ) -> None:
        self._connection = connection
        self._deadlines = deadlines
        self._loop = loop
        self._give_back = give_back
        self.ready = connection.ready
        """What has come of the body already: empty at its end, None when ``read`` would have to wait."""
        self.status = 0
        now = loop.time()
        connection.total = now + deadlines.total
        self._phase("first byte", now + deadlines.first_byte)

    async def head(self) -> int:
        """Wait for status and headers, within the first-byte deadline, which runs since ``send``. Redirects fail."""
        self.status = await self._connection.head()
        if 300 <= self.status < 400:
            raise UpstreamError(
                f"The upstream answered with a redirect ({self.status}), and redirects are never followed.",
                code="redirect_refused",
                hint="Set base_url to the address that answers itself.",
                upstream_status=self.status,
            )
        return self.status

    @property
    def headers(self) -> dict[str, str]:
        """The headers by their lower-case names, once ``head`` has returned."""
        return self._connection.headers()

    @property
    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers as they came."""
        return self._connection.raw_headers

    def mentions(self, word: bytes) -> bool:
        """Whether ``word``, in lower case, may stand in the headers: quicker than reading them."""
        return self._connection.mentions(word)

    async def read(self) -> bytes | None:
        """The next piece of the body, None at its end, within the deadline between bytes."""
        self._phase("between bytes", self._loop.time() + self._deadlines.between_bytes)
        return await self._connection.read()

    async def drain(self) -> None:
        """Read on for a moment, so that the connection can be used again; what comes is not looked at."""
        self._connection.expires = self._connection.total = self._loop.time() + DRAIN
        with contextlib.suppress(UpstreamError):
            while await self._connection.read() is not None:
                pass

    async def body(self, limit: int = MAX_ERROR_BODY) -> bytes:
        """The rest of the body, cut at ``limit``: for error replies and probes."""
        pieces: list[bytes] = []
        size = 0
        while size < limit:
            piece = await self.read()
            if piece is None:
                break
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces)[:limit]

    def _phase(self, name: str, expires: float) -> None:
        connection = self._connection
        if expires > connection.total:
            connection.expires = connection.total
            connection.expires_phase = "total"
        else:
            connection.expires = expires
            connection.expires_phase = name

    async def __aenter__(self) -> Self:
        """The reply itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """As ``leave``."""
        self._give_back(self._connection)

    def leave(self) -> None:
        """Keep the connection when the reply was read to its end, drop it otherwise. Once, and last."""
        self._give_back(self._connection)


class Transport:
    """Pooled connections to upstreams; ``send`` takes only what policy sealed."""

    def __init__(
        self,
        *,
        verify: Callable[[Sealed], None],
        deadlines: Deadlines,
        proxies: Proxies,
        burst: Burst | None = None,
        offline: bool = False,
        tls: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        """``verify`` raises EgressDenied for what was not sealed; ``tls`` is called once, when first needed.

        ``burst`` writes the requests; one of its own unset.
        """
        self._verify = verify
        self._deadlines = deadlines
        self._proxies = proxies
        self._burst = burst or Burst()
        self._offline = offline
        self._make_tls = tls
        self._tls: ssl.SSLContext | None = None
        self._idle: dict[tuple[Origin, Place], deque[Connection]] = {}
        self._home: dict[Connection, deque[Connection] | None] = {}
        """Every open connection → where it waits while nobody needs it; None: it is not kept."""
        self._active: set[Connection] = set()
        self._ticker: asyncio.TimerHandle | None = None
        self._closed = False

    async def send(self, sealed: Sealed, *, deadlines: Deadlines | None = None, fresh: bool = False) -> Reply:
        """Write ``sealed`` to its origin and return the reply, whose head has not been waited for.

        Raises EgressDenied, APIConnectionError or APITimeoutError; nothing has left in the first case.
        ``fresh`` opens a new connection even if an idle one exists.
        """
        self._verify(sealed)
        if self._closed:
            raise APIConnectionError("The gateway is shutting down.")
        if self._offline and not sealed.place.near:
            raise EgressDenied("nearfar runs with --offline: nothing beyond the local network is called.")
        limits = deadlines or self._deadlines
        loop = asyncio.get_running_loop()
        connection = None if fresh else self._reuse(sealed, loop.time())
        if connection is None:
            connection = await self._open(sealed.origin, sealed.place, limits.connect)
        self._active.add(connection)
        if self._ticker is None:
            self._ticker = loop.call_later(TICK, self._tick, loop)
        reply = Reply(connection, limits, loop, self._give_back)
        try:
            connection.begin(
                b"%b\r\ncontent-length: %d\r\n\r\n%b" % (self._head(sealed), len(sealed.body), sealed.body)
            )
        except BaseException:
            self._give_back(connection)
            raise
        return reply

    async def close(self) -> None:
        """Close what is idle and abort what is under way."""
        self._closed = True
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None
        for connection in list(self._home):
            connection.abort()
        self._idle.clear()
        await asyncio.sleep(0)

    def _head(self, sealed: Sealed) -> bytes:
        origin = sealed.origin
        if (
            self._proxies.http is not None
            and origin.scheme == "http"
            and self._proxies.for_origin(origin, sealed.place) is not None
        ):
            # A plain-HTTP proxy wants the absolute form of the target.
            method, _, rest = sealed.head.partition(b" ")
            return b"%b http://%b:%d%b" % (method, origin.host.encode("idna"), origin.port, rest)
        return sealed.head

    def _reuse(self, sealed: Sealed, now: float) -> Connection | None:
        idle = self._idle.get((sealed.origin, sealed.place))
        while idle:
            connection = idle.pop()
            if not connection.closed and now - connection.idle_since < IDLE_SECONDS:
                return connection
            connection.close()
        return None

    def _give_back(self, connection: Connection) -> None:
        self._active.discard(connection)
        idle = self._home.get(connection)
        if idle is not None and connection.complete and not self._closed:
            connection.busy = False
            connection.idle_since = asyncio.get_running_loop().time()
            idle.append(connection)
            if len(idle) > IDLE_PER_ORIGIN:
                idle.popleft().close()
        else:
            # Connections to the embedded engine among them: it promises to keep one after a stream, and closes it.
            connection.abort()

    def _lost(self, connection: Connection) -> None:
        idle = self._home.pop(connection, None)
        if idle is not None and connection in idle:
            idle.remove(connection)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._ticker = None
        now = loop.time()
        for connection in [item for item in self._active if item.expires < now]:
            connection.expire()
        if self._active:
            self._ticker = loop.call_later(TICK, self._tick, loop)
        else:
            self._drop_idle(now)

    def _drop_idle(self, now: float) -> None:
        for idle in self._idle.values():
            while idle and now - idle[0].idle_since > IDLE_SECONDS:
                idle.popleft().close()

    # Opening: the egress rule at the socket.

    async def _open(self, origin: Origin, place: Place, seconds: float) -> Connection:
        loop = asyncio.get_running_loop()
        connection = Connection(loop, _shown(origin), self._lost, self._burst)
        try:
            async with asyncio.timeout(seconds):
                await self._connect(loop, origin, place, connection)
        except TimeoutError as error:
            connection.abort()
            raise APITimeoutError(f"{_shown(origin)} missed the connect deadline of {seconds:g} s.") from error
        except ssl.SSLError as error:
            connection.abort()
            raise APIConnectionError(
                f"TLS with {_shown(origin)} failed: {error.reason or error}.",
                code="tls_error",
                hint="SSL_CERT_FILE names a file of trusted certificates.",
            ) from error
        except OSError as error:
            connection.abort()
            raise APIConnectionError(f"No connection to {_shown(origin)}: {error.strerror or error}.") from error
        self._home[connection] = None if origin.scheme == "unix" else self._idle.setdefault((origin, place), deque())
        return connection

    async def _connect(
        self, loop: asyncio.AbstractEventLoop, origin: Origin, place: Place, connection: Connection
    ) -> None:
        if origin.scheme == "unix":
            await loop.create_unix_connection(lambda: connection, origin.host)
            return
        proxy = self._proxies.for_origin(origin, place)
        hop = proxy or origin
        addresses = await _resolve(loop, hop, Place.CLOUD if proxy else place)
        for address in addresses[:-1]:
            # Names such as localhost have an address of each family, and often only one of them is served.
            with contextlib.suppress(OSError):
                await self._connect_to(loop, address, origin, proxy, connection)
                return
        await self._connect_to(loop, addresses[-1], origin, proxy, connection)

    async def _connect_to(
        self,
        loop: asyncio.AbstractEventLoop,
        address: str,
        origin: Origin,
        proxy: Origin | None,
        connection: Connection,
    ) -> None:
        hop = proxy or origin
        if origin.scheme == "http":
            await loop.create_connection(lambda: connection, address, hop.port)
            return
        if self._tls is None:
            self._tls = self._make_tls()
        if proxy is None:
            await loop.create_connection(
                lambda: connection, address, origin.port, ssl=self._tls, server_hostname=origin.host
            )
            return
        await _tunnel(loop, address, hop.port, origin, self._tls, connection)


async def _resolve(loop: asyncio.AbstractEventLoop, origin: Origin, place: Place) -> list[str]:
    """The addresses of ``origin``, all of which its place must admit; connections go to these and no others."""
    infos = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(info[4][0]) for info in infos))
    if addresses and all(admitted(address, place) for address in addresses):
        return addresses
    raise PlaceMismatch(
        f"{origin.host} is declared as {place.label} but resolves to {', '.join(addresses) or 'nothing'}.",
        hint="Correct the deployment's place, or its base_url.",
    )


def admitted(address: str, place: Place) -> bool:
    """Whether an IP address can belong to a deployment at ``place``: device = loopback, lan = private."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if place is Place.DEVICE:
        return ip.is_loopback
    if place is Place.LAN:
        return ip.is_private or ip.is_link_local or ip.is_loopback
    return True


class _ProxyAnswer(asyncio.Protocol):
    """Collects the proxy's answer to CONNECT."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.answer: asyncio.Future[bytes] = loop.create_future()
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if b"\r\n\r\n" in self._buffer and not self.answer.done():
            self.answer.set_result(self._buffer)
        elif len(self._buffer) > 65536 and not self.answer.done():
            self.answer.set_exception(ConnectionError("the proxy's answer is too long"))

    def connection_lost(self, error: Exception | None) -> None:
        if not self.answer.done():
            self.answer.set_exception(error or ConnectionError("the proxy closed the connection"))


async def _tunnel(
    loop: asyncio.AbstractEventLoop,
    address: str,
    port: int,
    origin: Origin,
    tls: ssl.SSLContext,
    connection: Connection,
) -> None:
    transport, protocol = await loop.create_connection(lambda: _ProxyAnswer(loop), address, port)
    try:
        where = f"{origin.host}:{origin.port}".encode("ascii")
        transport.write(b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n\r\n" % (where, where))
        _check_tunnel(await protocol.answer, origin)
        upgraded = await loop.start_tls(transport, connection, tls, server_hostname=origin.host)
        assert upgraded is not None
        connection.connection_made(upgraded)
    except BaseException:
        transport.abort()
        with contextlib.suppress(ConnectionError):
            if protocol.answer.done():
                protocol.answer.exception()
        raise


def _check_tunnel(answer: bytes, origin: Origin) -> None:
    line = answer.split(b"\r\n", 1)[0]
    status = line.split(b" ")
    if len(status) < 2 or not status[1].startswith(b"2"):
        raise APIConnectionError(
            f"The proxy refused a tunnel to {origin.host}: {line.decode('latin-1')}.", code="proxy_error"
        )


def _shown(origin: Origin) -> str:
    if origin.scheme == "unix":
        return "the embedded engine"
    return f"{origin.host}:{origin.port}"
