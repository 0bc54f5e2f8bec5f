"""Runs the embedded engine's children: started on demand, within a memory budget, unloaded when idle, never orphaned.

It decides when a model is loaded and which one has to go; it knows no route, no request body and no HTTP. All its
decisions are made between two awaits, on one event loop, so it needs no locks.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path

from nearfar.core.engines import Endpoint, EngineStatus
from nearfar.core.errors import EngineError, NotFoundError
from nearfar.engine import machine
from nearfar.engine.admission import Tenant, admit
from nearfar.engine.estimate import Plan, plan
from nearfar.engine.header import Header
from nearfar.engine.library import Library
from nearfar.engine.messages import Config
from nearfar.engine.process import Child, new_key, spawn
from nearfar.engine.runtimes import check, runtime
from nearfar.settings.model import Engine

_SOCKET_PATH_LIMIT = 103  # bytes of a Unix socket's path on the strictest system
_STABLE_SECONDS = 10.0  # a child that lived this long did not fail at its start
_FREE_CRASHES = 2
_LONGEST_PAUSE = 30.0
_HEALTH_SECONDS = 5.0


class _Entry:
    """A model that was asked for: its child if it has one, and who uses it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.child: Child | None = None
        self.endpoint: Endpoint | None = None
        self.starting: asyncio.Task[None] | None = None
        self.holders: dict[str, int] = {}
        """Requests in flight by owner. They outlive a child: each is given back by its own release."""
        self.waiting = 0
        """Callers of acquire that wait for the child."""
        self.reserved = 0
        """Bytes of the budget that its child, also a starting one, was admitted with."""
        self.used_at = 0.0
        self.ready_at = 0.0
        self.restarts = 0
        self.crashed = False
        self.failures = 0
        """Failed starts and early crashes in a row."""
        self.retry_at = 0.0
        self.error = ""
        self.timer: asyncio.TimerHandle | None = None

    @property
    def in_flight(self) -> int:
        return sum(self.holders.values())

    @property
    def busy(self) -> bool:
        return bool(self.waiting or self.holders)


class Supervisor:
    """The Engines of this process (see ``core.engines``). ``environ`` is only read for what children may inherit."""

    def __init__(
        self,
        library: Library,
        settings: Engine,
        runtime_dir: Path,
        *,
        environ: Mapping[str, str] | None = None,
        memory: Callable[[], machine.Memory] = machine.memory,
    ) -> None:
        self._library = library
        self._settings = settings
        self._runtime_dir = runtime_dir
        self._environ = dict(environ or {})
        self._memory = memory
        self._entries: dict[str, _Entry] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping: set[asyncio.Task[None]] = set()
        self._prepared = False
        self._closed = False

    async def acquire(self, model: str, owner: str = "") -> Endpoint:
        """Start ``model`` if needed and count one more request on it.

        Callers that meet a starting model wait for that one start. Raises EngineError.
        """
        entry = self._entries.get(model)
        if entry is None:
            entry = self._entries[model] = _Entry(model)
        entry.waiting += 1
        self._rearm(entry)
        try:
            while self._closed or entry.child is None or entry.endpoint is None or not entry.child.alive:
                if self._closed:
                    raise EngineError("The embedded engine is shutting down.", code="engine_closed")
                if entry.starting is None:
                    entry.starting = self._task(self._start(entry))
                starting = entry.starting
                leaving = starting.cancelling() > 0
                await asyncio.wait({starting})
                if starting.cancelled():
                    if entry.starting is starting:  # it was cancelled before it ran at all, and could not say so itself
                        entry.starting = None
                    if leaving:  # it was unloaded before this caller came, who wants it started anew
                        continue
                    raise EngineError(f"{model} was unloaded while it was being loaded.", code="engine_unloaded")
                starting.result()
            entry.holders[owner] = entry.holders.get(owner, 0) + 1
            return entry.endpoint
        finally:
            entry.waiting -= 1
            self._rearm(entry)

    def release(self, model: str, owner: str = "") -> None:
        """One request of ``owner`` on ``model`` is over."""
        entry = self._entries.get(model)
        count = entry.holders.get(owner, 0) if entry else 0
        if entry is None or not count:
            return  # its owner was dropped meanwhile
        if count == 1:
            del entry.holders[owner]
        else:
            entry.holders[owner] = count - 1
        self._rearm(entry)

    def drop_owner(self, owner: str) -> None:
        """``owner`` is gone: all its requests are over."""
        for entry in self._entries.values():
            if entry.holders.pop(owner, 0):
                self._rearm(entry)

    async def status(self) -> list[EngineStatus]:
        """All models known to the library, loaded or not, and those that are loaded still."""
        models = await asyncio.to_thread(self._library.ls)
        known = {model.name for model in models}
        found = [self._status(model.name, model.header, model.error) for model in models]
        loaded = [entry for entry in self._entries.values() if entry.child is not None and entry.name not in known]
        return found + [self._status(entry.name, None, "") for entry in loaded]

    async def unload(self, model: str) -> bool:
        """Stop the child of ``model``, starting ones too; False when there was none."""
        entry = self._entries.get(model)
        if entry is None or (entry.child is None and entry.starting is None):
            return False
        if entry.starting is not None:
            entry.starting.cancel()
            await asyncio.wait({entry.starting})
        await self._stop(entry)
        return True

    async def check(self, model: str) -> bool:
        """Whether the child of ``model`` answers its health check; one that lives but does not answer is ended.

        For callers that met a deadline: an engine that hangs would otherwise be asked again and again.
        """
        entry = self._entries.get(model)
        child = entry.child if entry is not None else None
        if entry is None or child is None or not child.alive:
            return False
        if await child.answers(_HEALTH_SECONDS):
            return True
        if entry.child is child:
            child.kill()
            self._mourn(entry, child, f"it did not answer for {_HEALTH_SECONDS:g} s; {await child.gone()}")
        return False

    async def close(self) -> None:
        """Stop all children, starting ones too; returns when none is left."""
        self._closed = True
        await asyncio.gather(*(self.unload(name) for name in list(self._entries)))
        for entry in self._entries.values():
            self._disarm(entry)
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    # ------------------------------------------------------------------ starting

    async def _start(self, entry: _Entry) -> None:
        """Load ``entry``'s model. On return it has a child that answers."""
        try:
            if entry.child is not None:  # it died, and its watcher has not been told yet
                dying = entry.child
                self._mourn(entry, dying, await dying.gone())
            self._check_pause(entry)
            header, path = await self._usable(entry)
            while self._stopping:  # until they are dead, they hold the memory that is asked about below
                await asyncio.wait(set(self._stopping))
            planned, leaving = admit(entry.name, header, self._settings, self._tenants(entry), self._memory())
            entry.reserved = planned.estimate.total  # before the first await, so that nobody else counts on it
            await asyncio.gather(*[self._stop(self._entries[name]) for name in leaving])
            await self._spawn(entry, path, header, planned)
        finally:
            entry.starting = None
            if entry.child is None:
                entry.reserved = 0

    async def _usable(self, entry: _Entry) -> tuple[Header, Path]:
        """Header and path of the model; EngineError if there is none, or no engine to run it."""
        try:
            # A big vocabulary takes tens of milliseconds to walk over: not on the event loop.
            model = await asyncio.to_thread(self._library.get, entry.name)
        except NotFoundError as exc:
            del self._entries[entry.name]  # asked for by name alone: do not collect such names
            raise EngineError(exc.message, code="engine_model_missing", hint=exc.hint) from exc
        assert model.header is not None
        check(runtime(model.header.engine))
        return model.header, model.path

    async def _spawn(self, entry: _Entry, path: Path, header: Header, planned: Plan) -> None:
        self._prepare()
        config = Config(
            name=entry.name,
            path=str(path),
            files=_files(path),
            socket=str(self._runtime_dir / f"engine-{secrets.token_hex(4)}.sock"),
            key=new_key(),
            context=planned.context,
            slots=planned.slots,
            batch=planned.batch,
            threads=self._settings.threads or machine.default_threads(),
            embedding=header.embedding,
            pooling=header.pooling,
            checkpoints=planned.checkpoints,
            prompt_cache_mb=planned.prompt_cache_mb,
            data_limit=planned.data_limit,
        )
        try:
            child = await spawn(
                config,
                environ=self._environ,
                timeout=self._settings.start_timeout,
                runtime=runtime(header.engine),
            )
        except EngineError as exc:
            self._note_failure(entry, exc.message, free=0)
            raise
        entry.child = child
        entry.endpoint = Endpoint(address=f"unix:{child.socket}", key=child.key, context=planned.context)
        entry.ready_at = entry.used_at = _now()
        entry.restarts += entry.crashed
        entry.crashed = False
        entry.error = ""
        self._rearm(entry)  # perhaps nobody waits for it any more
        self._task(self._watch(entry, child))

    def _prepare(self) -> None:
        """Once: make the folder of the sockets ours alone, and clear sockets that nobody answers on."""
        if self._prepared:
            return
        if len(os.fsencode(self._runtime_dir / "engine-01234567.sock")) > _SOCKET_PATH_LIMIT:
            raise EngineError(
                f"The folder for sockets has too long a path: {self._runtime_dir}.",
                code="engine_runtime_dir",
                hint="Choose a shorter state_dir.",
            )
        try:
            self._runtime_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._runtime_dir.chmod(0o700)
        except OSError as exc:
            raise EngineError(
                f"The folder for sockets cannot be used: {self._runtime_dir}: {exc.strerror}.",
                code="engine_runtime_dir",
                hint="Choose another state_dir.",
            ) from exc
        for path in self._runtime_dir.glob("engine-*.sock"):
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
                if probe.connect_ex(str(path)) != 0:
                    path.unlink()
        self._prepared = True

    # ------------------------------------------------------------------ ending

    async def _watch(self, entry: _Entry, child: Child) -> None:
        """Notice that a child has ended by itself."""
        self._mourn(entry, child, await child.gone())

    def _mourn(self, entry: _Entry, child: Child, how: str) -> None:
        if entry.child is not child:  # we ended it ourselves, or know already
            return
        self._detach(entry)
        entry.crashed = True
        self._note_failure(entry, f"{entry.name} crashed: {how}.", free=_FREE_CRASHES)

    def _note_failure(self, entry: _Entry, error: str, *, free: int) -> None:
        """Count a failure; from the one after ``free`` on, the next start has to wait, each time twice as long."""
        entry.error = error
        entry.failures += 1
        if entry.failures > free:
            entry.retry_at = _now() + min(_LONGEST_PAUSE, 2.0 ** (entry.failures - free - 1))

    def _check_pause(self, entry: _Entry) -> None:
        left = entry.retry_at - _now()
        if left > 0:
            raise EngineError(
                f"{entry.name} failed {entry.failures} times in a row, the last time so: {entry.error}",
                code="engine_paused",
                hint=f"It will be tried again in {left:.0f} s.",
                retry_after=left,
            )

    def _stop(self, entry: _Entry) -> asyncio.Future[None]:
        """Take the child away, if there is one, and end it; done when it is gone.

        It is taken away at once: whoever asks for the model before the child is dead gets a new one. Whoever waits for
        the end may be cancelled; the end comes all the same.
        """
        child = entry.child
        if child is None:
            done = asyncio.get_running_loop().create_future()
            done.set_result(None)
            return done
        self._detach(entry)
        stopping = self._task(child.stop())
        self._stopping.add(stopping)
        stopping.add_done_callback(self._stopping.discard)
        return asyncio.shield(stopping)

    def _detach(self, entry: _Entry) -> None:
        entry.child = None
        entry.endpoint = None
        entry.reserved = 0
        if _now() - entry.ready_at >= _STABLE_SECONDS:
            entry.failures = 0
        self._disarm(entry)

    # ------------------------------------------------------------------ idling

    def _rearm(self, entry: _Entry) -> None:
        """Note a use; a model that nobody uses is unloaded after a while."""
        self._disarm(entry)
        entry.used_at = _now()
        if entry.child is not None and not entry.busy and self._settings.idle_unload > 0 and not self._closed:
            loop = asyncio.get_running_loop()
            entry.timer = loop.call_later(self._settings.idle_unload, self._unload_idle, entry)

    def _unload_idle(self, entry: _Entry) -> None:
        if not entry.busy:
            self._stop(entry)

    def _disarm(self, entry: _Entry) -> None:
        if entry.timer is not None:
            entry.timer.cancel()
            entry.timer = None

    # ------------------------------------------------------------------ the rest

    def _status(self, name: str, header: Header | None, error: str) -> EngineStatus:
        entry = self._entries.get(name) or _Entry(name)
        planned = plan(header, self._settings) if header is not None else None
        if entry.starting is not None:
            state = "loading"
        elif entry.child is not None and entry.child.alive:
            state = "ready"
        else:
            state = "failed" if error or entry.retry_at > _now() else "cold"
        child = entry.child if state == "ready" else None
        return EngineStatus(
            model=name,
            state=state,
            pid=child.pid if child else 0,
            estimate_bytes=planned.estimate.total if planned else entry.reserved,
            rss_bytes=machine.resident_bytes(child.pid) if child else 0,
            in_flight=entry.in_flight,
            restarts=entry.restarts,
            idle_seconds=_now() - entry.used_at if child and not entry.busy else 0.0,
            context=planned.context if planned else 0,
            network=child.ready.network if child else "",
            error=error or ("" if child else entry.error),
        )

    def _tenants(self, apart: _Entry) -> list[Tenant]:
        """Whoever has memory reserved, ``apart`` from one."""
        return [
            Tenant(
                name=entry.name,
                reserved=entry.reserved,
                resident=machine.resident_bytes(entry.child.pid) if entry.child is not None else 0,
                idle_since=None if entry.busy or entry.child is None else entry.used_at,
            )
            for entry in self._entries.values()
            if entry is not apart and entry.reserved
        ]

    def _task(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Run ``work`` beside us; ``close`` waits for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # told to those who waited; perhaps nobody waits any more


def _files(path: Path) -> tuple[str, ...]:
    """The files of a model folder, by their names in it; none of a file."""
    if not path.is_dir():
        return ()
    return tuple(sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()))


def _now() -> float:
    return asyncio.get_running_loop().time()
