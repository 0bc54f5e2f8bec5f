"""Runs the embedded engine's children: started on demand, within a memory budget, unloaded when idle, never orphaned.

It decides when a model is loaded and which one has to go; it knows no route, no request body and no HTTP. All its
decisions are made between two awaits, on one event loop, so it needs no locks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path

from nearfar.core.engines import Endpoint, EngineStatus
from nearfar.core.errors import EngineError, NotFoundError
from nearfar.engine import machine, sockets
from nearfar.engine.admission import Tenant, admit
from nearfar.engine.entry import Entry
from nearfar.engine.estimate import Plan, plan
from nearfar.engine.header import Header
from nearfar.engine.library import Library
from nearfar.engine.messages import Config
from nearfar.engine.process import Child, new_key, spawn
from nearfar.engine.runtimes import check, runtime
from nearfar.settings.model import Engine

_FREE_CRASHES = 2
_HEALTH_SECONDS = 5.0


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
        self._entries: dict[str, Entry] = {}
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
            entry = self._entries[model] = Entry(model)
        entry.waiting += 1
        self._rearm(entry)
        try:
            while self._closed or entry.child is None or entry.endpoint is None or not entry.child.alive:
                if self._closed:
                    raise EngineError("The embedded engine is shutting down.", code="engine_closed")
                starting = entry.starting or self._begin(entry)
                called_off = entry.called_off
                await asyncio.wait({starting})
                if not starting.cancelled():
                    starting.result()
                elif not called_off:  # else it was unloaded before this caller came, who wants it started anew
                    raise EngineError(f"{model} was unloaded while it was being loaded.", code="engine_unloaded")
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
            if not entry.called_off:  # once: it still waits for the end of the process that it had begun
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
            entry.disarm()
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    # ------------------------------------------------------------------ starting

    def _begin(self, entry: Entry) -> asyncio.Task[None]:
        """Start ``entry``'s model. When whoever waits for it wakes, it stands as over, however it ended.

        A callback, because a task that is cancelled before it has run at all could not clear up after itself.
        """

        def over(_: asyncio.Task[None]) -> None:
            entry.starting = None
            if entry.child is None:
                entry.reserved = 0

        entry.starting = self._task(self._start(entry))
        entry.starting.add_done_callback(over)
        return entry.starting

    async def _start(self, entry: Entry) -> None:
        """Load ``entry``'s model. On return it has a child that answers."""
        if entry.child is not None:  # it died, and its watcher has not been told yet
            dying = entry.child
            self._mourn(entry, dying, await dying.gone())
        entry.check_pause(_now())
        header, path = await self._usable(entry)
        while self._stopping:  # until they are dead, they hold the memory that is asked about below
            await asyncio.wait(set(self._stopping))
        planned, leaving = admit(entry.name, header, self._settings, self._tenants(entry), self._memory())
        entry.reserved = planned.estimate.total  # before the first await, so that nobody else counts on it
        await asyncio.gather(*[self._stop(self._entries[name]) for name in leaving])
        await self._spawn(entry, path, header, planned)

    async def _usable(self, entry: Entry) -> tuple[Header, Path]:
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

    async def _spawn(self, entry: Entry, path: Path, header: Header, planned: Plan) -> None:
        if not self._prepared:
            sockets.prepare(self._runtime_dir)
            self._prepared = True
        config = Config(
            name=entry.name,
            path=str(path),
            files=_files(path),
            socket=str(sockets.new(self._runtime_dir)),
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
            entry.failed(exc.message, _now(), free=0)
            raise
        entry.child = child
        entry.endpoint = Endpoint(address=f"unix:{child.socket}", key=child.key, context=planned.context)
        entry.ready_at = entry.used_at = _now()
        entry.restarts += entry.crashed
        entry.crashed = False
        entry.error = ""
        self._rearm(entry)  # perhaps nobody waits for it any more
        self._task(self._watch(entry, child))

    # ------------------------------------------------------------------ ending

    async def _watch(self, entry: Entry, child: Child) -> None:
        """Notice that a child has ended by itself."""
        self._mourn(entry, child, await child.gone())

    def _mourn(self, entry: Entry, child: Child, how: str) -> None:
        if entry.child is not child:  # we ended it ourselves, or know already
            return
        self._detach(entry)
        entry.crashed = True
        entry.failed(f"{entry.name} crashed: {how}.", _now(), free=_FREE_CRASHES)

    def _stop(self, entry: Entry) -> asyncio.Future[None]:
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

    def _detach(self, entry: Entry) -> None:
        entry.detach(_now())

    # ------------------------------------------------------------------ idling

    def _rearm(self, entry: Entry) -> None:
        """Note a use; a model that nobody uses is unloaded after a while."""
        entry.disarm()
        entry.used_at = _now()
        if entry.child is not None and not entry.busy and self._settings.idle_unload > 0 and not self._closed:
            loop = asyncio.get_running_loop()
            entry.timer = loop.call_later(self._settings.idle_unload, self._unload_idle, entry)

    def _unload_idle(self, entry: Entry) -> None:
        if not entry.busy:
            self._stop(entry)

    # ------------------------------------------------------------------ the rest

    def _status(self, name: str, header: Header | None, error: str) -> EngineStatus:
        entry = self._entries.get(name) or Entry(name)
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

    def _tenants(self, apart: Entry) -> list[Tenant]:
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
