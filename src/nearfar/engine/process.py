"""One child process seen from its parent: start it, wait until it answers, know when it is gone, end it.

It knows no library, no memory budget and no requests: see ``supervisor``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import select
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

import nearfar
from nearfar.core.errors import EngineError
from nearfar.engine.messages import Config, Ready
from nearfar.engine.runtimes import LLAMA_CPP, Runtime

PASSED = frozenset(
    {
        "CUDA_VISIBLE_DEVICES",
        "DYLD_LIBRARY_PATH",
        "HIP_VISIBLE_DEVICES",
        "LANG",
        "LC_ALL",
        "LC_CTYPE",
        "LD_LIBRARY_PATH",
        "PATH",
        "PYTHONHOME",
        "PYTHONPATH",
        "TMPDIR",
        "TZ",
    }
)
"""The only variables a child inherits: no key of any provider has such a name."""
_TAIL = 4096
_ENDING_SECONDS = 5.0
_ERROR_LINE = re.compile(r"^[\d.]+ E \S+\s+(?:\S+: )?(?:error loading model: )?(?P<what>.+)$", re.MULTILINE)


class Child:
    """A child that answers. Made by ``spawn``; ``stop`` ends it."""

    def __init__(self, config: Config, ready: Ready, process: _Process) -> None:
        self.socket = Path(config.socket)
        self.key = config.key
        self.ready = ready
        self._process = process

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs at this moment: the kernel is asked, the event loop may learn it later."""
        return self._process.alive

    async def gone(self) -> str:
        """Wait until the process has ended; how it ended, in words."""
        return ending(await self._process.gone())

    def kill(self) -> None:
        """End it. It holds nothing worth saving, and its own way out can hang."""
        self._process.kill()

    async def stop(self) -> None:
        """End it and wait until it is gone."""
        self.kill()
        await self.gone()

    async def answers(self, timeout: float) -> bool:  # noqa: ASYNC109 (an answer, not an error, when time is up)
        """Whether its health check is answered within ``timeout`` seconds."""
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(timeout):
                reader, writer = await asyncio.open_unix_connection(self.socket)
                writer.write(b"GET /health HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n\r\n")
                return (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        except OSError:  # TimeoutError is one
            return False
        finally:
            if writer is not None:
                writer.close()


class _Process:
    """A process, its last words and its socket, cleared away together when it has ended."""

    def __init__(self, process: asyncio.subprocess.Process, socket: Path) -> None:
        assert process.stderr is not None
        self.pid = process.pid
        self.drain = Drain(process.stderr)
        self._process = process
        self._socket = socket
        # A descriptor of the process itself: whoever reaps it, it never means another process with the same number.
        self._descriptor = _descriptor(process.pid)
        self._end = asyncio.create_task(self._wait())

    @property
    def alive(self) -> bool:
        if self._end.done() or self._descriptor is None:
            return self._process.returncode is None
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return not poll.poll(0) and not _is_ending(self.pid)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self._end.done():
                return
            if self._descriptor is None:
                self._process.kill()
            else:
                signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)

    async def gone(self) -> int:
        """Wait for the end, also if others wait for it; the exit code."""
        await asyncio.wait({self._end})
        return self._end.result()

    async def _wait(self) -> int:
        code = await self._process.wait()
        await self.drain.end()
        if self._descriptor is not None:
            os.close(self._descriptor)
        _remove(self._socket)
        return code


def _descriptor(pid: int) -> int | None:
    """A descriptor of process ``pid``; None where the system has none, and for a process that is gone already."""
    try:
        return os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
    except ProcessLookupError:
        return None


def _is_ending(pid: int) -> bool:
    """Linux: whether a process has given up its memory, which a killed one does before anybody learns of its end.

    Its socket goes next: with gigabytes to give back, requests would meet a closed door for a while.
    """
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123 (asked for every request)
            return file.read(2) == b"0 "
    except OSError:
        return False


class Drain:
    """Reads a child's standard error until it ends, so that the child never waits, and keeps only its last words."""

    def __init__(self, stream: asyncio.StreamReader) -> None:
        self._tail = bytearray()
        self._task = asyncio.create_task(self._run(stream))

    async def _run(self, stream: asyncio.StreamReader) -> None:
        while data := await stream.read(_TAIL):
            self._tail += data
            del self._tail[:-_TAIL]

    async def end(self) -> None:
        """Wait for the end of the stream."""
        await asyncio.wait({self._task})

    @property
    def words(self) -> str:
        """What was written last."""
        return self._tail.decode("utf-8", "replace")

    def forget(self) -> None:
        """Drop what was kept: from now on it may hold content."""
        self._tail.clear()


async def spawn(
    config: Config,
    *,
    environ: Mapping[str, str],
    timeout: float,  # noqa: ASYNC109 (the text of the error needs the number)
    runtime: Runtime = LLAMA_CPP,
) -> Child:
    """Start a child of ``runtime`` and wait until it answers, at most ``timeout`` seconds. Raises EngineError."""
    socket = Path(config.socket)
    process = await _execute(child_environment(environ, runtime.variables), socket.parent, runtime)
    assert process.stdin is not None
    assert process.stdout is not None
    child = _Process(process, socket)
    started = False
    line: bytes | None = None
    try:
        async with asyncio.timeout(timeout):
            # A child that is dead already reads nothing: asyncio says so with OSError, uvloop with RuntimeError.
            with contextlib.suppress(OSError, RuntimeError):
                process.stdin.write(msgspec.json.encode(config) + b"\n")
            line = await process.stdout.readline()
        ready = _report(line)
        if ready is not None and ready.ok:
            started = True
            child.drain.forget()
            return Child(config, ready, child)
    except TimeoutError as exc:
        raise EngineError(
            f"{config.name} was not loaded within {timeout:g} s.",
            code="engine_start_timeout",
            hint="Raise engine.start_timeout, or use a smaller model.",
        ) from exc
    finally:
        if not started:
            if line is not None:  # it is ending by itself: let it, its last words and its exit code say why
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_ENDING_SECONDS):
                        await child.gone()
            child.kill()
            code = await child.gone()
    raise _refusal(config, ready, child.drain.words, ending(code) if not line else "it sent an unreadable report")


async def _execute(environ: Mapping[str, str], folder: Path, runtime: Runtime) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # nothing is imported from the current folder
            "-m",
            runtime.program,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environ,
            cwd=folder,
            start_new_session=True,  # an interrupt at the terminal is the gateway's to handle
        )
    except OSError as exc:
        raise EngineError(
            f"No process can be started for an engine: {exc.strerror}.", code="engine_start_failed"
        ) from exc


def new_key() -> str:
    """A bearer key for one child's life."""
    return secrets.token_urlsafe(24)


def child_environment(environ: Mapping[str, str], more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The child's whole environment: ``PASSED`` of ours, where this package lies, and what its engine needs."""
    kept = {name: value for name, value in environ.items() if name in PASSED} | dict(more or {})
    home = str(Path(nearfar.__file__).parents[1])
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, (home, kept.get("PYTHONPATH"))))
    return kept


def reason(words: str) -> str:
    """The first error the engine printed, without its time stamp; empty if it printed none."""
    found = _ERROR_LINE.search(words)
    return found["what"].strip() if found else ""


def ending(code: int) -> str:
    """A process's exit code in words."""
    if code >= 0:
        return f"it exited with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    cause = {"SIGKILL": " (often: memory ran out)", "SIGILL": " (an instruction this processor lacks)"}.get(name, "")
    return f"it was ended by {name}{cause}"


def _report(line: bytes) -> Ready | None:
    """The child's report; None if it died without one."""
    try:
        return msgspec.json.decode(line, type=Ready)
    except msgspec.DecodeError:
        return None


def _refusal(config: Config, ready: Ready | None, words: str, end: str) -> EngineError:
    """Why the child did not start, from its own report, from what the engine printed, or from how it ended."""
    if ready is not None and ready.hint:
        return EngineError(ready.error, code=ready.code, hint=ready.hint)
    why = reason(words) or (ready.error if ready is not None else "") or f"{end} while loading"
    code = ready.code if ready is not None and ready.code else "engine_start_failed"
    return EngineError(f"{config.name} could not be loaded: {why.rstrip('.')}.", code=code)


def _remove(socket: Path) -> None:
    socket.unlink(missing_ok=True)
