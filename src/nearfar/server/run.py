"""Starts and stops the edge: one process, or a parent with workers. It answers no request itself.

The parent binds the port and runs the embedded engine; workers share the port and are replaced when they die.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable

import msgspec
import uvloop

from nearfar import build
from nearfar.core.errors import NearfarError, PermissionDeniedError
from nearfar.server.app import Application
from nearfar.server.control import Hub
from nearfar.server.harden import hide_memory
from nearfar.server.http import Edge, Limits
from nearfar.settings.load import Loaded
from nearfar.settings.model import Server, Settings

log = logging.getLogger("nearfar.server")

RESTART_SECONDS = 0.5
"""A worker that dies is replaced, at most this often per worker."""


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is told on its standard input, as one JSON line."""

    settings: Settings
    listener: int
    """File descriptor of the listening socket."""
    channel: int
    """File descriptor of the channel to the parent."""
    port: int


def serve(loaded: Loaded, *, ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM. ``ready`` is called once with the base URL when requests are answered.

    Raises NearfarError when the edge may not or cannot be opened.
    """
    hide_memory()
    server = loaded.settings.server
    check_bind(loaded)
    listener = bind(server)
    try:
        if server.workers > 1:
            uvloop.run(_parent(loaded, listener, ready))
        else:
            uvloop.run(_single(loaded, listener, ready))
    finally:
        listener.close()


def check_bind(loaded: Loaded) -> None:
    """Beyond loopback nobody is served without a key: refuses to start when none exists."""
    server = loaded.settings.server
    if build.is_loopback(server.host):
        return
    if server.require_key is False:
        raise PermissionDeniedError(
            f"Listening on {server.host} without keys would serve everybody who can reach it.",
            code="wide_bind_without_key",
            hint="Remove server.require_key = false, or listen on 127.0.0.1.",
        )
    if not build.has_keys(loaded):
        raise PermissionDeniedError(
            f"Listening on {server.host} needs at least one key, and there is none.",
            code="wide_bind_without_key",
            hint="`nearfar keys new NAME` makes one; or listen on 127.0.0.1.",
        )


def bind(server: Server) -> socket.socket:
    """The listening socket. Raises PermissionDeniedError or NearfarError with the next step."""
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((server.host, server.port))
        listener.listen(2048)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise NearfarError(
            f"Cannot listen on {server.host}:{server.port}: {error.strerror}.",
            code="bind_failed",
            hint=f"Is something there already? Try `nearfar serve --port {server.port + 1}`.",
        ) from error
    return listener


async def run_edge(
    gateway: build.Gateway,
    listener: socket.socket,
    stop: asyncio.Event,
    *,
    port: int,
    ready: Callable[[], None],
) -> None:
    """Answer requests on ``listener`` until ``stop``, then finish what runs."""
    server = gateway.settings.server
    edge = Edge(Application(gateway, server, port=port), limits(server))
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(edge.connection, sock=listener, ssl=tls(server), backlog=2048)
    edge.start()
    gateway.start()
    # What lives from here on is looked at seldom: requests leave few cycles, and a collection visits the whole heap.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    # The ledger's thread may hold the interpreter this long while requests wait; the default of 5 ms shows in the p99.
    sys.setswitchinterval(0.0005)
    ready()
    await stop.wait()
    listening.close()
    await edge.stop(server.shutdown_grace)
    await gateway.close()


def limits(server: Server) -> Limits:
    """The edge's limits from the settings."""
    return Limits(
        header_bytes=server.max_header_bytes,
        body_bytes=server.max_body_bytes,
        header_timeout=server.header_timeout,
        body_timeout=server.body_timeout,
        keep_alive=server.keep_alive_timeout,
        connections=server.max_connections,
        buffered_bytes=16 * server.max_body_bytes,
    )


def tls(server: Server) -> ssl.SSLContext | None:
    """The edge's certificate; None for plain HTTP."""
    if not server.tls_cert:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(server.tls_cert, server.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise NearfarError(
            f"The certificate cannot be used: {error}.",
            code="bad_certificate",
            hint="server.tls_cert and server.tls_key must be PEM files that belong together.",
        ) from error
    return context


def stop_on_signals() -> asyncio.Event:
    """An event that SIGINT and SIGTERM set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


def address(server: Server, listener: socket.socket) -> str:
    """The base URL of the edge."""
    host, port = listener.getsockname()[:2]
    host = f"[{host}]" if ":" in host else host
    return f"{'https' if server.tls_cert else 'http'}://{host}:{port}"


async def _single(loaded: Loaded, listener: socket.socket, ready: Callable[[str], None]) -> None:
    gateway = build.gateway(loaded)
    where = address(loaded.settings.server, listener)
    port = listener.getsockname()[1]
    await run_edge(gateway, listener, stop_on_signals(), port=port, ready=lambda: ready(where))


# Several workers.


async def _parent(loaded: Loaded, listener: socket.socket, ready: Callable[[str], None]) -> None:
    """Run the engines, keep the workers alive, and end them in order."""
    settings = loaded.settings
    stop = stop_on_signals()
    supervisor = build.supervisor(loaded)
    hub = Hub(supervisor)
    started = [asyncio.Event() for _ in range(settings.server.workers)]
    keepers = [
        asyncio.create_task(_keep(number, loaded, listener, hub, stop, event)) for number, event in enumerate(started)
    ]
    all_started = asyncio.create_task(_all_set(started))
    try:
        done, _ = await asyncio.wait({all_started, *keepers}, return_when=asyncio.FIRST_COMPLETED)
        for ended in done:
            ended.result()
        ready(address(settings.server, listener))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({stopping, *keepers}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        for keeper in keepers:
            if keeper.done():
                # A worker that nobody replaces any more: better an end that is seen than ever fewer workers.
                keeper.result()
        hub.stop()
        await asyncio.wait(keepers, timeout=settings.server.shutdown_grace + 10)
    finally:
        for task in (all_started, *keepers):
            task.cancel()
        await asyncio.gather(all_started, *keepers, return_exceptions=True)
        await supervisor.close()


async def _all_set(events: list[asyncio.Event]) -> None:
    for event in events:
        await event.wait()


async def _keep(
    number: int,
    loaded: Loaded,
    listener: socket.socket,
    hub: Hub,
    stop: asyncio.Event,
    started: asyncio.Event,
) -> None:
    """Run worker ``number`` again and again until the gateway stops. One that never starts ends the gateway."""
    while not stop.is_set():
        began = time.monotonic()
        process = await _run_worker(number, loaded, listener, hub, started)
        if not started.is_set():
            raise NearfarError(
                "A worker ended before it could answer.", code="worker_failed", hint="Its own message stands above."
            )
        if not stop.is_set():
            log.warning("a worker ended and is replaced", extra={"worker": number, "pid": process})
            await asyncio.sleep(max(0.0, RESTART_SECONDS - (time.monotonic() - began)))


async def _run_worker(
    number: int,
    loaded: Loaded,
    listener: socket.socket,
    hub: Hub,
    started: asyncio.Event,
) -> int:
    """One life of a worker; returns its pid when it has ended."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "nearfar.server.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=(listener.fileno(), theirs.fileno()),
            env=loaded.environ.values(),
        )
        start = Start(
            settings=loaded.settings,
            listener=listener.fileno(),
            channel=theirs.fileno(),
            port=listener.getsockname()[1],
        )
        theirs.close()
        reader, writer = await asyncio.open_connection(sock=ours, limit=4 * 1024 * 1024)
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(msgspec.json.encode(start) + b"\n")
            await process.stdin.drain()
            serving = asyncio.create_task(hub.serve(f"worker-{number}-{process.pid}", reader, writer))
            if await process.stdout.readline():
                started.set()
            await process.wait()
            # A process forked meanwhile may hold the other end open, so the end of the channel is not waited for.
            writer.close()
            await serving
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    return process.pid
