"""One worker process: the edge over the parent's port and the parent's engines. Started by ``run``, by nobody else."""

from __future__ import annotations

import asyncio
import socket
import sys

import msgspec
import uvloop

from nearfar import build
from nearfar.core.errors import NearfarError
from nearfar.server.control import LINE, Link
from nearfar.server.harden import hide_memory
from nearfar.server.log import configure
from nearfar.server.run import Signals, Start, made, run_edge, warn
from nearfar.server.traces import watch
from nearfar.settings.load import inherited


def main() -> None:
    """Read what to do from standard input, and do it."""
    hide_memory()
    start = msgspec.json.decode(sys.stdin.buffer.readline(), type=Start)
    configure(start.settings.log)
    watch()
    try:
        uvloop.run(_run(start))
    except NearfarError as error:
        sys.stderr.write(f"error: {error.text}\n")
        sys.exit(1)


async def _run(start: Start) -> None:
    loaded = inherited(start.settings, start.digest)
    signals = Signals()
    channel = socket.socket(fileno=start.channel)
    channel.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=channel, limit=LINE)
    link = Link(reader, writer, stop=signals.stop.set)
    gateway = made(
        lambda: build.gateway(
            loaded,
            engines=link if loaded.settings.engine.enabled else None,
            publish=link.publish,
            other_metrics=link.other_metrics,
        )
    )
    if start.warns:
        warn(gateway)
    listening = asyncio.create_task(link.listen(gateway.health.learn, gateway.loads.hear))
    reporting = asyncio.create_task(link.report(gateway.counted, gateway.loads.news))
    listener = socket.socket(fileno=start.listener)
    listener.setblocking(False)

    def ready() -> None:
        sys.stdout.write("ready\n")
        sys.stdout.flush()

    await run_edge(gateway, listener, signals.stop, port=start.port, ready=ready, at_once=signals.at_once)
    await link.close()
    for task in (listening, reporting):
        task.cancel()


if __name__ == "__main__":
    main()
