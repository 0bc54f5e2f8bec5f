"""A gateway in this process between two stand-ins, one near and one far: real sockets, real edge, real ledger.

A model's name chooses the fault. Every fault stands behind a deployment of its own, so none learns from another's end.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import closing
from pathlib import Path

import msgspec
from tests import running
from tests.faults.speakers import Got, Read, Speaker, ask

from nearfar import build
from nearfar.ledger import query
from nearfar.ledger.query import Entry
from nearfar.server.app import Application
from nearfar.server.edge import Edge
from nearfar.server.run import limits
from nearfar.settings.environ import Environ
from nearfar.settings.load import Loaded
from nearfar.settings.model import Settings
from nearfar.settings.paths import folders
from nearfar.standin.answers import pieces_for
from nearfar.standin.faults import PREFIX, Fault, catalogue
from nearfar.standin.server import StandIn

DEADLINES = "[deadlines]\nconnect = 2.0\nfirst_byte = 1.5\nbetween_bytes = 1.5\ntotal = 10.0\n"
STRATEGIES = {
    "local-first": ("near", "far"),
    "cloud-first": ("far", "near"),
    "local-only": ("near", "near"),
    "cloud-only": ("far", "far"),
}
"""Strategy → where the deployment with the fault is, and where the one that is well."""
OTHERS = {
    "cheapest": "",
    "fastest": "",
    "quality": "",
    "weighted": "",
    "canary": 'canary = {{ deployment = "near-{name}", share = 0.5 }}',
    "shadow": 'shadow = {{ deployment = "near-{name}", share = 0.5 }}',
}
"""Strategies that may ask either one first, with what they need besides."""
STALLS = frozenset({"silence", "endless-head", "no-first", "stall", "half-close", "swapping"})
"""Faults that end with a deadline."""
WAIT = 'cold = "wait"'
"""A runtime that has not loaded its model is asked all the same, rather than warmed while the other one answers."""
UPSTREAMS = {
    "openai": ("openai-compatible", "/v1"),
    "anthropic": ("anthropic", ""),
    "ollama": ("ollama", ""),
    "gemini": ("gemini", "/v1beta"),
    "bedrock": ("bedrock", ""),
}
"""Upstream dialect → the provider that speaks it, and where below an address."""
KEYED = {"anthropic", "gemini", "bedrock"}


class Rig:
    """What the tests hold."""

    def __init__(self, gateway: build.Gateway, edge: Edge, url: str, near: StandIn, far: StandIn, ledger: str) -> None:
        self.gateway = gateway
        self.edge = edge
        self.url = url
        self.near = near
        self.far = far
        self._ledger = ledger

    async def ask(
        self, speaker: Speaker, route: str, *, stream: bool, headers: tuple[tuple[str, str], ...] = ()
    ) -> Got:
        """Ask in one dialect."""
        return await ask(self.url, speaker.path(route, stream), speaker.body(route, stream), headers)

    def entries(self) -> list[Entry]:
        """The ledger as it is now."""
        self.gateway._ledger.flush()
        with closing(query.open_ledger(self._ledger)) as connection:
            return query.entries(connection, query.Filter(), limit=1_000_000)

    async def settled(self) -> None:
        """Wait until both stand-ins have ended every request, and the edge every connection."""
        async with asyncio.timeout(20):
            while self.near.record.running or self.far.record.running or self.gateway._transport._active:
                await asyncio.sleep(0.01)


def played(group: str = "") -> dict[str, Fault]:
    """The faults that come from an upstream."""
    return {
        name: fault
        for name, fault in catalogue().items()
        if fault.plain and (not group or fault.group == group) and fault.test.endswith("test_matrix.py")
    }


def deployment(name: str, fault: str, url: str, *, near: bool, dialect: str = "openai") -> str:
    """A deployment that has ``fault``; an empty one is well."""
    base = {"refused": "http://127.0.0.1:1", "not-running": "http://127.0.0.1:1", "no-name": "http://nowhere.invalid"}
    where = base.get(fault, url.replace("http:", "https:") if fault == "no-tls" else url)
    provider, path = UPSTREAMS[dialect]
    model = PREFIX + fault if fault else "stand-in-large"
    return f"""
[deployments.{name}]
provider = "{provider}"
model = "{model}"
base_url = "{where}{path}"
place = "{place_of(fault, near=near)}"
{access(dialect)}
{"" if near else running.PRICE}
"""


def access(dialect: str) -> str:
    """What a deployment of this dialect needs besides its address."""
    key = 'key = "env:RIG_KEY"\n' if dialect in KEYED else ""
    return key + ('options = { region = "eu-central-1" }' if dialect == "bedrock" else "")


def place_of(fault: str, *, near: bool) -> str:
    """A name that leads nowhere cannot be this device's."""
    if not near:
        return "cloud"
    return "lan" if fault == "no-name" else "device"


def configuration(faults: Iterable[str], near: str, far: str) -> str:
    """As ``pairs``, of upstreams that speak OpenAI's dialect."""
    return pairs([(fault, "openai") for fault in faults], near, far)


def pairs(played: Iterable[tuple[str, str]], near: str, far: str) -> str:
    """Each fault in an upstream dialect, near and far: routes ``STRATEGY-FAULT-DIALECT`` and ``alone-…``."""
    parts = [DEADLINES]
    for place, url in (("near", near), ("far", far)):
        parts.append(deployment(f"well-{place}", "", url, near=place == "near"))
    for fault, dialect in played:
        name = f"{fault}-{dialect}"
        parts.append(deployment(f"near-{name}", fault, near, near=True, dialect=dialect))
        parts.append(deployment(f"far-{name}", fault, far, near=False, dialect=dialect))
        for strategy, (bad, well) in STRATEGIES.items():
            parts.append(
                running.route(f"{strategy}-{name}", f"{bad}-{name}", f"well-{well}", strategy=strategy, more=WAIT)
            )
        for strategy, more in OTHERS.items() if dialect == "openai" else ():
            told = f"{WAIT}\n{more.format(name=name)}"
            route = running.route(f"{strategy}-{name}", f"near-{name}", "well-far", strategy=strategy, more=told)
            parts.append(route)
        parts.append(running.route(f"alone-{name}", f"far-{name}"))
    return "".join(parts)


@contextlib.asynccontextmanager
async def rig(folder: Path, config: str, *, near: StandIn, far: StandIn) -> AsyncIterator[Rig]:
    """A gateway with ``config`` that is closed afterwards, and leaves nothing open."""
    environ = Environ(running.environment(folder, RIG_KEY="a-key-of-the-rig"))
    text = running.configure(folder, config, base=running.PATIENT).read_bytes()
    # Not by the loader, which looks at each of a thousand tables with each of the others in mind.
    settings = msgspec.toml.decode(text, type=Settings)
    loaded = Loaded(settings=settings, origins={}, environ=environ, folders=folders(environ, settings))
    gateway = build.gateway(loaded)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    edge = Edge(Application(gateway, loaded.settings.server, port=port), limits(loaded.settings.server), gateway.burst)
    server = await asyncio.get_running_loop().create_server(edge.connection, sock=listener)
    edge.start()
    gateway.start()
    try:
        yield Rig(gateway, edge, f"http://127.0.0.1:{port}", near, far, loaded.ledger_url)
    finally:
        server.close()
        await edge.stop(0)
        await gateway.close()


@contextlib.asynccontextmanager
async def stand_ins(invoices: Path) -> AsyncIterator[tuple[StandIn, StandIn]]:
    """One near, and one far that writes invoices."""
    near, far = StandIn(), StandIn(invoices=invoices)
    await near.start()
    await far.start()
    try:
        yield near, far
    finally:
        await near.stop()
        await far.stop()


def words(fault: Fault | None) -> set[str]:
    """The right answers: of the deployment that is well, and of the one with the fault."""
    counts = {None} if fault is None or fault.behaviour is None else {None, fault.behaviour.chunks}
    return {"".join(pieces_for("hello", count=count)[0]) for count in counts}


def judge(speaker: Speaker, got: Got, right: set[str], *, stream: bool) -> tuple[str, str]:
    """(``answer``, ``error``, ``late`` or ``wrong``, and why) for what came."""
    if got.status != 200:
        if not got.framed:
            return "wrong", f"an error of {got.status} that is not whole"
        try:
            said = speaker.error(running.Reply(got.status, got.headers, got.body).json)
        except (LookupError, TypeError, ValueError) as error:
            return "wrong", f"no error of its dialect: {error!r}: {got.body[:200]!r}"
        return ("error", said) if said else ("wrong", "an error without words")
    if not stream:
        try:
            text = speaker.plain(running.Reply(got.status, got.headers, got.body).json)
        except (LookupError, TypeError, ValueError) as error:
            return "wrong", f"no answer of its dialect: {error!r}: {got.body[:200]!r}"
        return ("answer", "") if got.framed and text in right else ("wrong", f"answered {text!r}")
    try:
        read: Read = speaker.stream(got.body)
    except (LookupError, TypeError, ValueError) as error:
        return "wrong", f"no stream of its dialect: {error!r}: {got.body[-200:]!r}"
    if read.error:
        return ("late", read.error) if not (read.done or got.framed) else ("wrong", "an error, and a clean end")
    if read.done and got.framed:
        return ("answer", "") if read.text in right else ("wrong", f"ended clean with {read.text!r}")
    return "wrong", f"done: {read.done}, framed: {got.framed}, no error, {got.body[-200:]!r}"
