"""What a command runs beside itself for a while: parts on a loop of their own, programs in folders of their own.

It knows neither what they are nor what they are asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from nearfar.core.errors import InternalServerError

WAIT = 20.0
"""Seconds after which something that has to happen counts as failed."""
_LONGEST_FOLDER = 40
"""Bytes of the path of the temporary folder: sockets lie deep below it, and their paths are limited."""

T = TypeVar("T")


@contextlib.contextmanager
def on_a_loop(name: str, parts: Callable[[], AbstractAsyncContextManager[T]]) -> Iterator[T]:
    """``parts`` entered and left on a loop of its own, in a thread called ``name``; yields what it yields.

    Raises InternalServerError where it cannot be entered.
    """
    begun: Future[tuple[T, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def main() -> None:
        done = asyncio.Event()
        async with parts() as made:
            begun.set_result((made, asyncio.get_running_loop(), done))
            await done.wait()

    def run() -> None:
        failed: OSError | None = None
        try:
            asyncio.run(main())
        except OSError as error:
            failed = error
        finally:
            if not begun.done():
                begun.set_exception(failed or RuntimeError(f"{name} ended before it had begun"))

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        made, loop, done = begun.result()
    except (OSError, RuntimeError) as error:
        raise InternalServerError(f"{name} did not start.") from error
    try:
        yield made
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()


@contextlib.contextmanager
def folder(environ: Mapping[str, str], name: str) -> Iterator[Path]:
    """A temporary folder called ``name`` and something random, where the owner wants such folders if paths allow it."""
    where = environ.get("TMPDIR") or "/tmp"  # noqa: S108 - the folder below gets a random name
    if len(os.fsencode(where)) > _LONGEST_FOLDER:
        where = "/tmp"  # noqa: S108
    with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=where) as made:
        yield Path(made)


def surroundings(environ: Mapping[str, str], home: Path, *more: str) -> dict[str, str]:
    """The environment of a program with a home of its own: no configuration and no key of the owner's plays a part.

    ``more``: variables that it inherits besides.
    """
    kept = {name: environ[name] for name in ("PATH", "LANG", "LC_ALL", "TMPDIR", *more) if name in environ}
    return {**kept, "HOME": str(home), "XDG_RUNTIME_DIR": str(home)}


@contextlib.contextmanager
def program(
    command: list[str], environ: Mapping[str, str], log: Path, stdin: int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[str]]:
    """A running program whose errors go to ``log``; ended when the block ends."""
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            command,
            env=environ,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            # Ctrl-C in the terminal is for the command, which then ends its children in order.
            start_new_session=True,
        )
    try:
        yield process
    finally:
        end(process)


@contextlib.contextmanager
def gateway(
    config: Path, environ: Mapping[str, str], log: Path, *, name: str = "gateway", code: str = ""
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A gateway over ``config`` on a free port; yields its URL and its process. ``code`` runs in place of its program.

    Raises InternalServerError with the end of its log where it does not start.
    """
    what = ["-c", code] if code else ["-m", "nearfar"]
    command = [sys.executable, "-P", *what, "serve", "--json", "--port", "0", "--config", str(config)]
    with program(command, environ, log) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise InternalServerError(f"The {name} did not start.", hint=tail(log))
        ready: dict[str, Any] = msgspec.json.decode(line)
        yield str(ready["url"]), process


def tail(log: Path) -> str:
    """The end of a log, for a hint."""
    return log.read_text(encoding="utf-8", errors="replace")[-500:].strip()


def end(process: subprocess.Popen[str], *, patience: float = WAIT) -> None:
    """Ask the process to end, and see to it."""
    process.terminate()
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
