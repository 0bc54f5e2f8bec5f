"""The stand-in as a program: arguments, the ready line, signals. It reads no configuration and no environment."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from nearfar.standin.behaviour import parse
from nearfar.standin.server import StandIn

READY = "stand-in for a cloud model (not a real one) ready on "
"""What the ready line on standard output starts with; the base URL follows."""


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The parsed command line."""
    parser = argparse.ArgumentParser(
        prog="python -m nearfar.standin",
        description="A stand-in for a cloud model: five dialects, failures on request, invoices.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="loopback address to listen on")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--key", default="", help="refuse requests without this key")
    parser.add_argument("--invoices", type=Path, help="append one JSON line for each charged request to this file")
    parser.add_argument("--mode", type=parse, default="{}", help='the first behaviour, e.g. \'{"mode": "429"}\'')
    parser.add_argument("--keep-bodies", action="store_true", help="remember request bodies and headers for the record")
    parser.add_argument("--ready-fd", type=int, help="also write the base URL to this descriptor and close it")
    parser.add_argument(
        "--until-eof", action="store_true", help="stop when standard input ends, so that no orphan stays"
    )
    return parser.parse_args(argv)


async def run(options: argparse.Namespace) -> None:
    """Serve until a signal comes (or standard input ends, if asked to watch it)."""
    stand_in = StandIn(
        key=options.key, invoices=options.invoices, keep_bodies=options.keep_bodies, behaviour=options.mode
    )
    await stand_in.start(options.host, options.port)
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, done.set)
    if options.until_eof:
        loop.add_reader(0, lambda: None if os.read(0, 4096) else done.set())
    sys.stdout.write(f"{READY}{stand_in.url}\n")
    sys.stdout.flush()
    if options.ready_fd is not None:
        with os.fdopen(options.ready_fd, "w") as ready:
            ready.write(f"{stand_in.url}\n")
    await done.wait()
    if options.until_eof:
        loop.remove_reader(0)
    await stand_in.stop()


def main(argv: Sequence[str]) -> int:
    """Run the program; returns the exit code."""
    options = arguments(argv)
    try:
        uvloop.run(run(options))
    except (OSError, ValueError) as exc:
        sys.stderr.write(f"stand-in: {exc}\n")
        return 1
    return 0
