"""The application behind its edge, in this process, with everything that `build` joins."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvloop
from tests import running
from tests.running import Reply

from nearfar import build
from nearfar.core.engines import Engines
from nearfar.server.app import Application
from nearfar.server.edge import Edge
from nearfar.server.run import bind, limits
from nearfar.settings.load import Loaded, load


def loaded(folder: Path, config: str = "", **overrides: str) -> Loaded:
    """Settings whose folders all lie in ``folder``; ``a__b`` overrides ``a.b``."""
    path = running.configure(folder, config)
    dotted = {name.replace("__", "."): value for name, value in overrides.items()}
    return load(
        config=path, overrides={"server.port": "0", **dotted}, environ=running.environment(folder), system=folder / "no"
    )


class Served:
    """A gateway that answers on a port of its own."""

    def __init__(self, gateway: build.Gateway, edge: Edge, url: str) -> None:
        self.gateway = gateway
        self.edge = edge
        self.url = url

    async def ask(self, path: str, body: object = None, **more: Any) -> Reply:
        """As ``running.ask``, from another thread."""
        return await asyncio.to_thread(running.ask, self.url, path, body, **more)

    async def chat(self, model: str, **more: Any) -> Reply:
        """A chat completion."""
        return await self.ask("/v1/chat/completions", {"model": model, "messages": running.HELLO}, **more)


@asynccontextmanager
async def served(settings: Loaded, *, engines: Engines | None = None) -> AsyncIterator[Served]:
    """Serve until the block ends."""
    gateway = build.gateway(settings, engines=engines)
    server = settings.settings.server
    listener: socket.socket = bind(server)
    port = listener.getsockname()[1]
    edge = Edge(Application(gateway, server, port=port), limits(server), gateway.burst)
    listening = await asyncio.get_running_loop().create_server(edge.connection, sock=listener)
    edge.start()
    gateway.start()
    try:
        yield Served(gateway, edge, f"http://127.0.0.1:{port}")
    finally:
        listening.close()
        await edge.stop(5)
        await gateway.close()


def run(scenario: Coroutine[Any, Any, None]) -> None:
    """Run to the end, within a bound, on uvloop."""
    uvloop.run(asyncio.wait_for(scenario, 60))
