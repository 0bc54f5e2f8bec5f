"""Starts and stops the edge: one process, or a parent with workers. It answers no request itself.

The parent binds the port and runs the embedded engine; workers share the port and are replaced when they die.
"""

from __future__ import annotations

import asyncio
import contextlib
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
from nearfar.server.control import LINE, Hub
from nearfar.server.edge import Edge, Limits
from nearfar.server.harden import hide_memory
from nearfar.settings.load import Loaded
from nearfar.settings.model import Server, Settings

log = logging.getLogger("nearfar.server")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
RESTART_SECONDS = 0.5
"""A worker that dies is replaced, at most this often per worker."""
LAST_WORDS_SECONDS = 1.0


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is told on its standard input, as one JSON line."""

    settings: Settings
    listener: int
    """File descriptor of the listening socket."""
    channel: int
    """File descriptor of the channel to the parent."""
    port: int
    digest: str = ""
    """The configuration's, see ``settings.load``."""
    warns: bool = False
    """Whether it is this one among all workers that says what cannot be used."""


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
            gateway = made(lambda: build.gateway(loaded))
            uvloop.run(_single(gateway, listener, ready))
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


def made(make: Callable[[], build.Gateway]) -> build.Gateway:
    """A gateway, and what making it left behind collected: tens of milliseconds in which no loop should be held."""
    gateway = make()
    gc.collect()
    gc.freeze()
    return gateway


async def run_edge(
    gateway: build.Gateway,
    listener: socket.socket,
    stop: asyncio.Event,
    *,
    port: int,
    ready: Callable[[], None],
    at_once: asyncio.Event | None = None,
) -> None:
    """Answer requests on ``listener`` until ``stop``, then refuse new ones and finish what runs, until ``at_once``."""
    server = gateway.settings.server
    edge = Edge(Application(gateway, server, port=port), limits(server), gateway.burst)
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(edge.connection, sock=listener, ssl=tls(server), backlog=2048)
    edge.start()
    gateway.start()
    # What lives from here on is looked at seldom: an answered request leaves no cycle, one that fails or is left some
    # forty objects. Two thousand are collected at a time, because twenty thousand dead hold the loop for 40 ms.
    gc.freeze()
    gc.set_threshold(2_000, 20, 50)
    gc.callbacks.append(_Settling())
    # The ledger's thread may hold the interpreter this long while requests wait; the default of 5 ms shows in the p99.
    sys.setswitchinterval(0.0005)
    ready()
    await stop.wait()
    listening.close()
    listener.close()  # a request that waited for the grace to end would only be turned away then
    await _end(edge, server.shutdown_grace, at_once or asyncio.Event())
    await gateway.close()


async def _end(edge: Edge, grace: float, at_once: asyncio.Event) -> None:
    """Let running replies finish for ``grace`` seconds, or until ``at_once``."""
    ending = asyncio.create_task(edge.stop(grace))
    hurry = asyncio.create_task(at_once.wait())
    await asyncio.wait({ending, hurry}, return_when=asyncio.FIRST_COMPLETED)
    if not ending.done():
        ending.cancel()
        await asyncio.gather(ending, return_exceptions=True)
        ending = asyncio.create_task(edge.stop(0))
    hurry.cancel()
    await ending


def warn(gateway: build.Gateway) -> None:
    """One line in the log for a policy that holds nothing back, and for each deployment that cannot be used."""
    if gateway.observer is not None:
        policy = gateway.settings.policy
        log.warning(build.NOT_ENFORCED, extra={"policy": policy.file or policy.preset})
    for name, candidate in gateway.fleet.snapshot.unusable.items():
        log.warning("a deployment cannot be used", extra={"deployment": name, "reason": candidate.trouble})


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


class Signals:
    """What SIGINT and SIGTERM asked for: the first one to finish what runs, the second one not even that."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.at_once = asyncio.Event()
        self._seen = 0
        self._loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            self._loop.add_signal_handler(number, self._came)

    def _came(self) -> None:
        self._seen += 1
        self.stop.set()
        if self._seen > 1:
            self.at_once.set()
            # Should even that hang, the third one finds what every process does by default.
            for number in _SIGNALS:
                self._loop.remove_signal_handler(number)


def address(server: Server, listener: socket.socket) -> str:
    """The base URL of the edge."""
    host, port = listener.getsockname()[:2]
    host = f"[{host}]" if ":" in host else host
    return f"{'https' if server.tls_cert else 'http'}://{host}:{port}"


async def _single(gateway: build.Gateway, listener: socket.socket, ready: Callable[[str], None]) -> None:
    warn(gateway)
    where = address(gateway.settings.server, listener)
    port = listener.getsockname()[1]
    signals = Signals()
    await run_edge(gateway, listener, signals.stop, port=port, ready=lambda: ready(where), at_once=signals.at_once)


# Several workers.


async def _parent(loaded: Loaded, listener: socket.socket, ready: Callable[[str], None]) -> None:
    """Run the engines, keep the workers alive, and end them in order."""
    settings = loaded.settings
    signals = Signals()
    supervisor = build.supervisor(loaded)
    hub = Hub(supervisor)
    started = [asyncio.Event() for _ in range(settings.server.workers)]
    keepers = [
        asyncio.create_task(_keep(number, loaded, listener, hub, signals.stop, event))
        for number, event in enumerate(started)
    ]
    all_started = asyncio.create_task(_all_set(started))
    stopping = asyncio.create_task(signals.stop.wait())
    hurry = asyncio.create_task(signals.at_once.wait())
    try:
        await asyncio.wait({all_started, stopping, *keepers}, return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            _raise_ended(keepers)
            ready(address(settings.server, listener))
            await asyncio.wait({stopping, *keepers}, return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            _raise_ended(keepers)
        # The workers close theirs when they are told: from then on nobody can connect.
        listener.close()
        hub.stop()
        ended = asyncio.create_task(asyncio.wait(keepers))
        grace = settings.server.shutdown_grace + 10
        await asyncio.wait({ended, hurry}, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
        # In a terminal the workers have met the second signal, too, and are about to end by themselves.
        await asyncio.wait({ended}, timeout=LAST_WORDS_SECONDS)
        ended.cancel()
    finally:
        tasks = (all_started, stopping, hurry, *keepers)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await supervisor.close()


def _raise_ended(keepers: list[asyncio.Task[None]]) -> None:
    """A worker that nobody replaces any more: better an end that is seen than ever fewer workers."""
    for keeper in keepers:
        if keeper.done():
            keeper.result()


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
        if stop.is_set():
            return
        if not started.is_set():
            raise NearfarError(
                "A worker ended before it could answer.", code="worker_failed", hint="Its own message stands above."
            )
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
        start = Start(
            settings=loaded.settings,
            listener=listener.fileno(),
            channel=theirs.fileno(),
            port=listener.getsockname()[1],
            digest=loaded.digest,
            warns=number == 0,
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # nothing is imported from the current folder
            "-m",
            "nearfar.server.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=(start.listener, start.channel),
            env=loaded.environ.values(),
        )
        try:
            theirs.close()
            reader, writer = await asyncio.open_connection(sock=ours, limit=LINE)
            serving = asyncio.create_task(hub.serve(f"worker-{number}-{process.pid}", reader, writer))
            try:
                await _life(process, start, started)
                # What it said last is still read, but a process forked meanwhile may hold the other end open.
                await asyncio.wait({serving}, timeout=LAST_WORDS_SECONDS)
            finally:
                writer.close()
                await serving
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    return process.pid


async def _life(process: asyncio.subprocess.Process, start: Start, started: asyncio.Event) -> None:
    """Tell a worker what to do, note when it serves, and wait for its end."""
    assert process.stdin is not None
    assert process.stdout is not None
    if not process.stdin.is_closing():
        with contextlib.suppress(ConnectionError):  # it died before it had read everything; its end is told below
            process.stdin.write(msgspec.json.encode(start) + b"\n")
            await process.stdin.drain()
    if await process.stdout.readline():
        started.set()
    await process.wait()


class _Settling:
    """Takes what the first requests left behind for good (dialects, clients' keys, caches) out of later collections.

    A full collection of it would hold the event loop for tens of milliseconds. Only a few times: what is under way then
    is freed by its counts all the same, but a ring among it would stay.
    """

    def __init__(self) -> None:
        self._left = 16

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        if phase == "stop" and info["generation"] == 1 and self._left:
            self._left -= 1
            gc.freeze()
