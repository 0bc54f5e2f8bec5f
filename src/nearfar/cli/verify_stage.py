"""The stage of ``nearfar verify-egress``: a gateway of its own between a stand-in nearby and a recording cloud.

The cloud is a stand-in behind a tap that keeps every byte that is sent to it. Nothing here knows what to look for.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import http.client
import json
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec

from nearfar.cli import beside
from nearfar.cli.beside import WAIT
from nearfar.settings.model import Policy
from nearfar.standin.server import StandIn

SCRIBE = "scribe"
"""The route that rewrites and merges."""
_REWRITING = f"""
name = "verify-rewriting"
date = 2026-11-22
extends = "team"

[rewriting]
route = "{SCRIBE}"

[classes.internal]
clear = "lan"
masked = "lan"
rewritten = "cloud"

[classes.confidential]
clear = "lan"
masked = "lan"
rewritten = "cloud"

[classes.restricted]
clear = "lan"
masked = "lan"
rewritten = "cloud"
"""
BOTH, FAR, OTHER = "both", "far", "other"
"""Routes: the cloud before a near deployment; two clouds alone, each with a wire of its own."""
FAILURES = (
    "429",
    "500",
    "529",
    "cut",
    "close",
    "half-close",
    "error-event",
    "garbage",
    "invalid-json",
    "empty",
    "redirect",
)
"""Ways in which the first cloud of a route ``failing-…`` fails before another one and a near deployment are asked."""

_BROKEN = """
from nearfar.privacy import scan
def fails(*_):
    raise RuntimeError("made to fail")
scan.Scanner.scan = fails
from nearfar.cli.main import main
main()
"""
"""A gateway whose detector fails on every text."""
_UP = 1  # IFF_UP
_GET_FLAGS, _SET_FLAGS = 0x8913, 0x8914  # SIOCGIFFLAGS, SIOCSIFFLAGS of Linux


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What the client got; status 0 where the connection broke before there was one."""

    status: int
    body: bytes
    deviations: str = ""
    """What the gateway says that it changed."""


class Tap:
    """Passes connections on to a stand-in and keeps what clients send."""

    def __init__(self) -> None:
        self.url = ""
        self._kept: list[bytearray] = []
        self._lock = threading.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._port = 0

    async def start(self, target: str) -> asyncio.Server:
        """Listen on a free port of loopback."""
        self._port = urlsplit(target).port or 0
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return server

    def take(self) -> bytes:
        """Every byte since the last call, one connection after the other."""
        with self._lock:
            data = b"\n".join(bytes(kept) for kept in self._kept if kept)
            for kept in self._kept:
                kept.clear()
        return data

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kept = bytearray()
        with self._lock:
            self._kept.append(kept)
        there, here = await asyncio.open_connection("127.0.0.1", self._port)
        task = asyncio.create_task(
            self._both(self._pass(there, writer, None), self._pass(reader, here, kept), writer, here)
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _both(
        self, one: Coroutine[Any, Any, None], other: Coroutine[Any, Any, None], *ends: asyncio.StreamWriter
    ) -> None:
        try:
            await asyncio.gather(one, other)
        finally:
            for writer in ends:
                writer.close()

    async def stop(self) -> None:
        """End every connection."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray | None) -> None:
        try:
            while data := await reader.read(65536):
                if kept is not None:
                    with self._lock:
                        kept += data
                writer.write(data)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
        except OSError:
            # One side was reset: the other one sees it as well.
            writer.transport.abort()


class Clouds(msgspec.Struct, frozen=True, kw_only=True):
    """The recording cloud and the near stand-in."""

    tap: Tap
    near: str
    """The near one's URL."""


@contextlib.asynccontextmanager
async def clouds() -> AsyncIterator[Clouds]:
    """Both of them, answering."""
    tap, far, near = Tap(), StandIn(), StandIn()
    await far.start()
    await near.start()
    server = await tap.start(far.url)
    yield Clouds(tap=tap, near=near.url)
    server.close()
    await tap.stop()
    await far.stop()
    await near.stop()


class Stage:
    """A gateway under ``policy``, its clouds and its folder; use it in a ``with``."""

    def __init__(self, environ: Mapping[str, str], policy: Policy) -> None:
        self._environ = environ
        self._policy = policy
        self._ends = contextlib.ExitStack()
        self.root = Path()
        self.clouds: Clouds

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as ends:
            self.root = ends.enter_context(beside.folder(self._environ, "nearfar-egress"))
            self.clouds = ends.enter_context(beside.on_a_loop("The recording cloud", clouds))
            self._ends = ends.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ends.close()

    @contextlib.contextmanager
    def gateway(self, name: str, *, broken: bool = False, scribe: tuple[str, ...] | None = None) -> Iterator[str]:
        """A gateway with folders of its own below ``root``; ``broken``: its detector fails. Yields its URL.

        ``scribe``: not under the policy, but under one by which what is private goes to a cloud rewritten, and what
        the near model writes then; nothing: the stand-in's usual answer, which repeats the question.
        """
        home = self.root / name
        home.mkdir()
        config = home / "config.toml"
        policy = self._policy if scribe is None else rewriting(self.root)
        config.write_text(configuration(home, self.clouds, policy, scribe), encoding="utf-8")
        environ = {**beside.surroundings(self._environ, home), "VERIFY_KEY": "no-key"}
        with beside.gateway(config, environ, home / "log.jsonl", code=_BROKEN if broken else "") as (url, _):
            yield url


def ask(url: str, path: str, body: bytes | None, headers: Mapping[str, str] | None = None) -> Reply:
    """One request; a reply that breaks off counts as far as it came."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=WAIT)
    given = {"content-type": "application/json", **(headers or {})}
    status, data, told = 0, b"", ""
    try:
        connection.request("GET" if body is None else "POST", path, body, given)
        reply = connection.getresponse()
        status, told = reply.status, reply.getheader("x-nearfar-deviations") or ""
        while piece := reply.read1(65536):
            data += piece
    except (OSError, http.client.HTTPException):
        pass  # that it broke off is an answer as well: what the cloud received counts
    finally:
        connection.close()
    return Reply(status=status, body=data, deviations=told)


def rewriting(root: Path) -> Policy:
    """A policy by which what is private goes to a cloud rewritten; its file lies in ``root``."""
    path = root / "policy.toml"
    path.write_text(_REWRITING, encoding="utf-8")
    return Policy(file=str(path))


def configuration(home: Path, clouds: Clouds, policy: Policy, scribe: tuple[str, ...] | None = None) -> str:
    """The gateway's settings: the policy under test, a recording cloud by two wires, one that fails, one nearby."""
    said = msgspec.to_builtins(policy)
    lines = [f"{key} = {msgspec.json.encode(value).decode()}" for key, value in said.items() if value not in (None, "")]
    parts = [
        f'state_dir = "{home / "state"}"\nmodels_dir = "{home / "models"}"',
        '[log]\nformat = "json"\nlevel = "debug"',
        "[discovery]\nloopback = false\nkeys = false",
        "[ledger]\nflush_seconds = 0.05",
        "\n".join(["[policy]", *lines]),
        _deployment("well", clouds.tap.url, wire="openai-compatible"),
        _deployment("claude", clouds.tap.url, wire="anthropic"),
        _deployment("here", clouds.near, wire="openai-compatible", more='place = "device"'),
        _route(BOTH, "well", "here"),
        _route(FAR, "well"),
        _route(OTHER, "claude"),
    ]
    if scribe is not None:
        says = json.dumps({"says": scribe} if scribe else {})  # a header: nothing but ASCII
        more = f"place = \"device\"\nheaders = {{ x-stand-in = '{says}' }}"
        parts += [_deployment("scribe", clouds.near, wire="openai-compatible", more=more), _route(SCRIBE, "scribe")]
    for mode in FAILURES:
        behaviour = msgspec.json.encode({"mode": mode, "after": 2}).decode()
        parts.append(
            _deployment(
                f"bad-{mode}",
                clouds.tap.url,
                wire="openai-compatible",
                more=f"headers = {{ x-stand-in = '{behaviour}' }}",
            )
        )
        parts.append(_route(f"failing-{mode}", f"bad-{mode}", "claude", "here"))
    return "\n\n".join(parts) + "\n"


def _deployment(name: str, url: str, *, wire: str, more: str = "") -> str:
    base = url if wire == "anthropic" else f"{url}/v1"
    return f"""[deployments.{name}]
provider = "{wire}"
model = "stand-in-large"
base_url = "{base}"
{'key = "env:VERIFY_KEY"' if wire == "anthropic" else 'operations = ["chat", "embeddings"]'}
{more}"""


def _route(name: str, *deployments: str) -> str:
    listed = msgspec.json.encode(deployments).decode()
    return f'[routes.{name}]\ndeployments = {listed}\nstrategy = "cloud-first"'


# A network with nothing in it --------------------------------------------------------------------


def unshare() -> list[str]:
    """The command that runs another one in a network of its own; empty where the system allows none."""
    tool = shutil.which("unshare")
    if tool is None:
        return []
    for options in (["--net"], ["--map-root-user", "--net"]):
        tried = subprocess.run([tool, *options, "true"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if tried.returncode == 0:
            return [tool, *options, "--"]
    return []


def loopback_up() -> None:
    """Bring up the one device of a new network. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        asked = struct.pack("16sh14x", b"lo", 0)
        _, flags = struct.unpack("16sh14x", fcntl.ioctl(sock, _GET_FLAGS, asked))
        fcntl.ioctl(sock, _SET_FLAGS, struct.pack("16sh14x", b"lo", flags | _UP))
