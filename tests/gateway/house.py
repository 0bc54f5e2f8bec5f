"""The path of a request joined in this process: ledger, transport, health and wires are real, upstreams scripted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from tests.gateway.scripted import QUICK, SEALER, Script

from nearfar.core.chat import Request
from nearfar.core.engines import Endpoint, EngineStatus
from nearfar.core.errors import EngineError
from nearfar.core.money import FREE, Price
from nearfar.core.places import Class, Place
from nearfar.core.routing import Deployment, Route
from nearfar.gateway.attempt import Attempts
from nearfar.gateway.decider import Decider, Said
from nearfar.gateway.exchange import read_lines
from nearfar.gateway.fleet import ENGINE, Fleet, Snapshot, Target
from nearfar.gateway.health import Health
from nearfar.gateway.metrics import Metrics
from nearfar.gateway.pipeline import Pipeline
from nearfar.gateway.transport import Proxies, Transport
from nearfar.ledger import query
from nearfar.ledger.ledger import Ledger
from nearfar.ledger.query import Entry
from nearfar.policy.rules import Rules
from nearfar.settings.model import Deadlines
from nearfar.wire.openai_chat import CLIENT
from nearfar.wire.registry import provider_wire

PRICE = Price(id="p", input=2_500_000_000, output=10_000_000_000)
"""2500 nano-USD an input token, 10 000 an output token."""
RULES = Rules(name="test", furthest=(Place.CLOUD, Place.CLOUD, Place.DEVICE, Place.DEVICE), default=Class.INTERNAL)

ANSWER = (
    b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"hi"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}'
)
COST = 3 * 2500 + 2 * 10_000


def plain(body: bytes = ANSWER, status: bytes = b"200 OK", *headers: bytes) -> bytes:
    """A whole reply."""
    lines = b"".join(b"%b\r\n" % header for header in headers)
    return b"HTTP/1.1 %b\r\n%bcontent-length: %d\r\n\r\n%b" % (status, lines, len(body), body)


def error(status: bytes, *headers: bytes) -> bytes:
    """An error reply."""
    return plain(b'{"error":{"message":"no"}}', status, *headers)


def event(content: str | None, finish: str = "null") -> bytes:
    """One event of a stream."""
    delta = "{}" if content is None else f'{{"content":"{content}"}}'
    return (
        f'data: {{"id":"c","object":"chat.completion.chunk","created":1,"model":"m",'
        f'"choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]}}\n\n'
    ).encode()


USAGE = b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}\n\n'
DONE = b"data: [DONE]\n\n"
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One piece of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def stream(*events: bytes, end: bool = True) -> bytes:
    """A stream in one go; without ``end`` its body stays unfinished."""
    return STREAM_HEAD + b"".join(map(chunk, events)) + (b"0\r\n\r\n" if end else b"")


WHOLE_STREAM = stream(event("a"), event("b"), event(None, '"stop"'), USAGE, DONE)


def closes(data: bytes) -> Script:
    """Writes ``data`` and closes the connection."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)

    return script


def pauses(first: bytes, rest: bytes, proceed: asyncio.Event) -> Script:
    """Writes ``first``, and ``rest`` when told to proceed."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        await writer.drain()
        waiting = asyncio.create_task(proceed.wait())
        leaving = asyncio.create_task(reader.read())
        await asyncio.wait({waiting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        leaving.cancel()
        writer.write(rest)

    return script


class Out:
    """What a client gets."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.ended = False
        self.aborted = False
        self.wrote = asyncio.Event()

    async def start(self, status: int, headers: list[tuple[bytes, bytes]], lines: bytes = b"") -> None:
        assert not self.status, "a reply starts once"
        self.status = status
        self.headers = {name.decode(): value.decode() for name, value in [*headers, *read_lines(lines)]}

    async def write(self, data: bytes) -> None:
        assert self.status
        assert not self.ended
        self.body += data
        self.wrote.set()

    async def end(self, data: bytes) -> None:
        assert not self.ended
        assert not self.aborted
        self.body += data
        self.ended = True

    async def abort(self) -> None:
        self.aborted = True


class FakeEngines:
    """An engine whose only model answers at a Unix socket, or fails to start."""

    def __init__(self, socket: str = "") -> None:
        self.socket = socket
        self.held = 0

    async def acquire(self, model: str, owner: str = "") -> Endpoint:
        if not self.socket:
            raise EngineError(f"{model} cannot be loaded.")
        self.held += 1
        return Endpoint(address=f"unix:{self.socket}", key="engine-key", context=512)

    def release(self, model: str, owner: str = "") -> None:
        self.held -= 1

    async def status(self) -> list[EngineStatus]:
        return []

    async def unload(self, model: str) -> bool:
        return False

    async def close(self) -> None:
        return


class House:
    """Everything that stands between a parsed request and an upstream."""

    def __init__(self, folder: Path, snapshot: Snapshot, *, rules: Rules, deadlines: Deadlines, engines: Any) -> None:
        self._url = f"sqlite:///{folder / 'ledger.db'}"
        (folder / "journal").mkdir()
        self.ledger = Ledger(self._url, folder / "journal", flush_seconds=60)
        self.health = Health()
        self.metrics = Metrics()
        self.fleet = Fleet(snapshot, self.health)
        self.transport = Transport(verify=SEALER.verify, deadlines=deadlines, proxies=Proxies())
        self.attempts = Attempts(
            sealer=SEALER,
            transport=self.transport,
            ledger=self.ledger,
            health=self.health,
            metrics=self.metrics,
            engines=engines,
        )
        decider = Decider(self.fleet, self.health, rules)
        self.pipeline = Pipeline(fleet=self.fleet, decider=decider, attempts=self.attempts, metrics=self.metrics)
        self._number = 0

    def request(self, model: str = "main", *, stream: bool = False, **fields: Any) -> Request:
        """A parsed chat request."""
        self._number += 1
        body = {"model": model, "messages": [{"role": "user", "content": "hello"}], "stream": stream, **fields}
        return CLIENT.parse(msgspec.json.encode(body), f"req-{self._number}")

    async def answer(self, request: Request, said: Said | None = None) -> Out:
        """Answer ``request``."""
        out = Out()
        await self.pipeline.answer(request, CLIENT, said or Said(), out)
        return out

    async def chat(self, model: str = "main", *, stream: bool = False, said: Said | None = None, **fields: Any) -> Out:
        """Ask and answer."""
        return await self.answer(self.request(model, stream=stream, **fields), said)

    def entries(self) -> list[Entry]:
        """The ledger's entries, oldest first."""
        self.ledger.flush()
        with closing(query.open_ledger(self._url)) as connection:
            return sorted(query.entries(connection), key=lambda entry: (entry.begun, entry.attempt))

    def counted(self, start: str) -> list[str]:
        """Lines of the exposition that begin with ``start``."""
        return [line for line in self.metrics.text().decode().splitlines() if line.startswith(start)]


def target(name: str, port: int = 0, place: Place = Place.CLOUD, **more: Any) -> Target:
    """A deployment at a scripted upstream; without a port, one of the embedded engine."""
    values: dict[str, Any] = {
        "name": name,
        "provider": "test",
        "model": f"{name}-model",
        "wire": "openai.chat",
        "base_url": f"http://127.0.0.1:{port}/v1" if port else ENGINE,
        "place": place,
        "price": PRICE if place is Place.CLOUD else FREE,
    }
    wires = {"chat": provider_wire("openai.chat")}
    return Target(Deployment(**(values | more)), wires, (("authorization", "Bearer secret"),))


def snapshot(*targets: Target, routes: Mapping[str, Route] | None = None, strategy: str = "cloud-first") -> Snapshot:
    """The fleet: route ``main`` over all ``targets``."""
    names = tuple(item.deployment.name for item in targets)
    main = Route(name="main", strategy=strategy, deployments=names)
    return Snapshot({item.deployment.name: item for item in targets}, {"main": main, **(routes or {})})


@asynccontextmanager
async def house(
    folder: Path, known: Snapshot, *, rules: Rules = RULES, deadlines: Deadlines = QUICK, engines: Any = None
) -> AsyncIterator[House]:
    """A house that is closed afterwards."""
    made = House(folder, known, rules=rules, deadlines=deadlines, engines=engines)
    try:
        yield made
    finally:
        await made.transport.close()
        assert made.ledger.close()


def run(scenario: Coroutine[Any, Any, None]) -> None:
    """Run to the end, within a bound, on uvloop."""
    uvloop.run(asyncio.wait_for(scenario, 30))
