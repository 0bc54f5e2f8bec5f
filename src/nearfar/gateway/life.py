"""The life of models in local runtimes: what is in memory, what it takes to load, loading and unloading.

It asks runtimes through the transport, with sealed words of its own: a model's name, never a word of a request. None
of that spends tokens, so none of it stands in the ledger. What it learns becomes part of the fleet's snapshot; it
decides nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping

import msgspec

from nearfar.core.engines import Engines
from nearfar.core.errors import BadRequestError, NearfarError, NotFoundError
from nearfar.core.places import Place
from nearfar.core.routing import Decision, Deployment, Route
from nearfar.gateway.fleet import Fleet, Snapshot, Target
from nearfar.gateway.life_asking import ANSWER, Runtimes
from nearfar.gateway.life_facts import COLD, UNKNOWN, Fact, ModelState, described, informed, matching, wait
from nearfar.gateway.transport import Transport
from nearfar.policy.seal import Sealer
from nearfar.policy.strategies import is_passed_over
from nearfar.providers.base import Life, Provider, Shown
from nearfar.settings.model import Deadlines

log = logging.getLogger("nearfar.life")

FRESH = 5.0
"""Seconds for which a runtime's word about its memory is believed while requests come."""
LOAD = Deadlines(connect=5.0, first_byte=900.0, between_bytes=900.0, total=900.0)
REST = 30.0
"""Seconds until a model that could not be warmed is tried again."""

_NEAR_FIRST = frozenset({"local-first", "local-only"})
_ENGINE = "engine:"


class Lives:
    """Knows the models of the embedded engine and of runtimes whose provider says how they are asked."""

    def __init__(
        self,
        *,
        fleet: Fleet,
        providers: Mapping[str, Provider],
        engines: Engines | None,
        transport: Transport,
        sealer: Sealer,
        reach: Place,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``reach``: the furthest place that words without content may go to."""
        self._fleet = fleet
        self._providers = providers
        self._engines = engines
        self._runtimes = Runtimes(providers, transport, sealer, reach=reach)
        self._clock = clock
        self._facts: dict[str, Fact] = {}
        self._shown: dict[str, Shown] = {}
        self._used: set[str] = set()
        self._took: dict[str, float] = {}
        self._asked: dict[str, float] = {}
        self._looks: dict[str, asyncio.Task[None]] = {}
        self._warming: dict[str, asyncio.Task[None]] = {}
        self._loading: set[str] = set()
        self._rests: dict[str, float] = {}
        self._keys: dict[str, tuple[str, ...]] = {}
        self._told: Snapshot | None = None
        self._news = False

    # What a request needs to know.

    def idle(self, route: Route) -> bool:
        """Whether ``look`` has nothing to see for ``route``: no runtime that loads models stands behind it."""
        return self._told is self._fleet.snapshot and not self._facts and self._keys.get(route.name) == ()

    async def look(self, route: Route, within: Callable[[], Place] | None = None) -> None:
        """See that the fleet knows the state of ``route``'s models.

        The first request waits for the answers; later ones go by what is known while it is looked again beside them.
        ``within`` says how far the request that wants to know may go: nobody beyond is asked on its behalf, because
        even a question without its words tells that there is a request, and when.
        """
        snapshot = self._fleet.snapshot
        if snapshot is not self._told:
            self._keys.clear()
        keys = self._keys.get(route.name)
        if keys is None:
            keys = self._keys[route.name] = self._keys_of(route, snapshot)
        if not keys and not self._facts:
            self._told = snapshot
            return
        now = self._clock()
        first = []
        bound: Place | None = None
        for key in keys:
            asked = self._asked.get(key)
            if asked is None or now - asked > FRESH:
                if within is not None and not (place := self._place(key, snapshot)) <= Place.DEVICE:
                    bound = within() if bound is None else bound
                    if place > bound:
                        continue
                task = self._start(key)
                if asked is None:
                    first.append(task)
        if first:
            await asyncio.shield(asyncio.gather(*first))
        self._tell()

    def warm(self, route: Route, decision: Decision, snapshot: Snapshot) -> None:
        """Load in the background the model that would have answered, had it been in memory: one, not all of them."""
        ranked = decision.ranked
        if len(ranked) < 2 or route.strategy not in _NEAR_FIRST:
            return
        first = ranked[0].candidate
        if is_passed_over(route, first):
            return
        for item in ranked[1:]:
            candidate = item.candidate
            name = candidate.deployment.name
            if candidate.state != "cold" or candidate.cooling or not is_passed_over(route, candidate):
                continue
            if candidate.deployment.place > first.deployment.place or self._clock() < self._rests.get(name, 0.0):
                continue
            if name not in self._warming:
                self._warming[name] = asyncio.create_task(self._warm(snapshot.targets[name]))
                self._set(name, "loading")
            return

    def answered(self, target: Target, context: int | None) -> None:
        """``target`` has answered: its model is in memory now, and where it was asked for, with this much ``context``.

        So the next request asks for no less, which would load the model anew, and goes where the model is.
        """
        name = target.deployment.name
        fact = self._facts.get(name)
        if fact is None or (fact.state == "loaded" and context in {None, fact.context}):
            return
        self._facts[name] = msgspec.structs.replace(fact, state="loaded", context=context or fact.context)
        self._news = True
        self._tell()

    async def room(self, target: Target) -> int | None:
        """Tokens of context that ``target``'s model is loaded with at this moment; None when nobody says."""
        life = self._life(target)
        if target.engine_model:
            return target.deployment.context
        if life is None:
            return None
        running = await self._runtimes.running(target, life)
        found = None if running is None else matching(target.deployment, running)
        return None if found is None else found.context

    # What people ask for.

    def knows(self, name: str) -> bool:
        """Whether the model of the deployment ``name`` can be loaded and unloaded."""
        target = self._fleet.snapshot.targets.get(name)
        return target is not None and bool(self._key(target))

    async def states(self) -> list[ModelState]:
        """Every model whose runtime can say what is in memory, asked now."""
        snapshot = self._fleet.snapshot
        keys = {key for target in snapshot.targets.values() if (key := self._key(target))}
        if keys:
            await asyncio.gather(*(asyncio.shield(self._start(key)) for key in sorted(keys)))
        self._tell()
        return [
            self._state(target.deployment, self._facts.get(name, UNKNOWN))
            for name, target in self._fleet.snapshot.targets.items()
            if self._key(target)
        ]

    async def load(self, name: str) -> ModelState:
        """Put the model of the deployment ``name`` into memory and wait until its runtime has answered.

        Raises NotFoundError, BadRequestError (code ``unsupported``) where loading is not for a client to say, and
        what the runtime says.
        """
        target = self._wanted(name)
        await self._look_at(self._key(target))
        if self._facts.get(name, UNKNOWN).state not in {"loaded", "loading"}:
            await self._load(target)
            await self._look_at(self._key(target))
        self._tell()
        return self._state(target.deployment, self._facts.get(name, UNKNOWN))

    async def unload(self, name: str) -> bool:
        """Take the model of the deployment ``name`` out of memory; False when it was not there. Raises as ``load``."""
        target = self._wanted(name)
        if target.engine_model:
            done = self._engines is not None and await self._engines.unload(target.engine_model)
        else:
            life = self._life(target)
            assert life is not None
            running = matching(target.deployment, await self._runtimes.running(target, life) or [])
            done = running is not None
            if running is not None:
                running = running if running.model else msgspec.structs.replace(running, model=target.deployment.model)
                await self._runtimes.send(target, life.unload(running), LOAD)
        await self._look_at(self._key(target))
        self._tell()
        return done

    async def close(self) -> None:
        """End what runs in the background."""
        tasks = [*self._looks.values(), *self._warming.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # Who is asked, and how.

    def _life(self, target: Target) -> Life | None:
        provider = self._providers.get(target.deployment.provider)
        return None if provider is None else provider.life

    def _key(self, target: Target) -> str:
        """Whom to ask about ``target``: one key per runtime; empty when there is nobody."""
        if target.engine_model:
            return _ENGINE if self._engines is not None else ""
        if self._life(target) is None:
            return ""
        return f"{target.deployment.provider} {target.deployment.base_url}"

    def _keys_of(self, route: Route, snapshot: Snapshot) -> tuple[str, ...]:
        targets = [snapshot.targets[name] for name in route.deployments if name in snapshot.targets]
        # The embedded engine is only asked where there is a choice: else its model is loaded and waited for anyway.
        found = {target: self._key(target) for target in targets if len(targets) > 1 or not target.engine_model}
        for target, key in found.items():
            name, life = target.deployment.name, self._life(target)
            if name not in self._used and life is not None and life.show is not None:
                self._asked.pop(
                    key, None
                )  # what it says of its memory may be fresh, but not what it says of this model
            self._used.add(name)
        return tuple(sorted({key for key in found.values() if key}))

    def _place(self, key: str, snapshot: Snapshot) -> Place:
        """Where the runtime is: as far away as the furthest of its deployments is said to be."""
        places = (item.deployment.place for item in snapshot.targets.values() if self._key(item) == key)
        return max(places, default=Place.CLOUD)

    def _wanted(self, name: str) -> Target:
        target = self._fleet.snapshot.targets.get(name)
        if target is None:
            raise NotFoundError(f"There is no deployment named {name[:200]!r}.", hint="`nearfar route ls` shows all.")
        if not self._key(target):
            message = f"{name} runs at {target.deployment.provider}, where models are not loaded on request."
            raise BadRequestError(message, code="unsupported", hint="`nearfar ps` shows the models that are.")
        return target

    def _start(self, key: str) -> asyncio.Task[None]:
        task = self._looks.get(key)
        if task is None:
            self._asked[key] = self._clock()
            task = self._looks[key] = asyncio.create_task(self._look_at(key))
            task.add_done_callback(lambda _: self._looks.pop(key, None))
        return task

    async def _look_at(self, key: str) -> None:
        snapshot = self._fleet.snapshot
        targets = [target for target in snapshot.targets.values() if self._key(target) == key]
        if not targets:
            return
        facts = await self._engine_facts(targets) if key == _ENGINE else await self._runtime_facts(targets)
        for name, fact in facts.items():
            if self._facts.get(name) != fact:
                self._facts[name] = fact
                self._news = True
        if key != _ENGINE:
            await self._show([target for target in targets if target.deployment.name in self._used])
        self._tell()

    async def _engine_facts(self, targets: Iterable[Target]) -> dict[str, Fact]:
        assert self._engines is not None
        try:
            statuses = {status.model: status for status in await self._engines.status()}
        except NearfarError:
            return {}
        found = {}
        for target in targets:
            status = statuses.get(target.engine_model)
            if status is not None:
                state = {"ready": "loaded", "loading": "loading"}.get(status.state, "cold")
                found[target.deployment.name] = Fact(
                    state=state, context=status.context or None, bytes=status.rss_bytes or status.estimate_bytes
                )
        return found

    async def _runtime_facts(self, targets: list[Target]) -> dict[str, Fact]:
        life = self._life(targets[0])
        assert life is not None
        running = await self._runtimes.running(targets[0], life)
        found = {}
        for target in targets:
            name = target.deployment.name
            if running is None:
                found[name] = UNKNOWN
                continue
            here = matching(target.deployment, running)
            if here is None:
                # Ollama does not list what it is just loading. How much memory a model took when it was there tells
                # how long it takes to come back.
                state = "loading" if name in self._loading else "cold"
                found[name] = Fact(state=state, bytes=self._facts.get(name, COLD).bytes)
                continue
            state = "loading" if here.loading else "loaded"
            found[name] = Fact(state=state, context=here.context, bytes=here.bytes, expires=here.expires)
        return found

    async def _show(self, targets: list[Target]) -> None:
        for target in targets:
            name, life = target.deployment.name, self._life(target)
            if life is None or life.show is None or life.read_shown is None or name in self._shown:
                continue
            try:
                shown = life.read_shown(await self._runtimes.send(target, life.show(target.deployment.model), ANSWER))
            except NearfarError:
                continue
            if shown is not None:
                self._shown[name] = shown
                self._news = True

    # Loading.

    async def _warm(self, target: Target) -> None:
        name = target.deployment.name
        try:
            await self._load(target)
            await self._look_at(self._key(target))
        except NearfarError as error:
            self._rests[name] = self._clock() + REST
            log.warning("a model could not be loaded ahead", extra={"deployment": name, "error": error.code})
        finally:
            self._warming.pop(name, None)

    async def _load(self, target: Target) -> None:
        deployment = target.deployment
        name = deployment.name
        self._loading.add(name)
        self._set(name, "loading")
        began = self._clock()
        try:
            if target.engine_model:
                assert self._engines is not None
                await self._engines.acquire(target.engine_model)
                self._engines.release(target.engine_model)
            else:
                life = self._life(target)
                assert life is not None
                operation = "chat" if "chat" in deployment.operations else "embeddings"
                await self._runtimes.send(target, life.load(deployment.model, operation, None), LOAD)
        except BaseException:
            self._set(name, "cold")
            raise
        finally:
            self._loading.discard(name)
        if target.engine_model or deployment.provider != "llama-cpp":  # its router answers before the model is there
            self._took[name] = self._clock() - began

    def _set(self, name: str, state: str) -> None:
        self._facts[name] = msgspec.structs.replace(self._facts.get(name, COLD), state=state)
        self._news = True
        self._tell()

    # What the fleet is told.

    def _state(self, deployment: Deployment, fact: Fact) -> ModelState:
        return described(deployment, fact, self._took.get(deployment.name))

    def _tell(self) -> None:
        """Make what is known part of the fleet's snapshot, if it is not yet."""
        base = self._fleet.snapshot
        if base is self._told and not self._news:
            return
        targets = dict(base.targets)
        changed = False
        for name, fact in self._facts.items():
            target = targets.get(name)
            if target is None:
                continue
            deployment = informed(target.deployment, fact, self._shown.get(name))
            state = {"cold": "cold", "loading": "loading"}.get(fact.state, "ready")
            seconds = wait(fact, self._took.get(name))
            if (state, seconds, deployment) != (target.ready.state, target.ready.wait, target.deployment):
                targets[name] = target.informed(deployment, state=state, wait=seconds)
                changed = True
        if changed:
            base = Snapshot(targets, base.routes, base.unusable)
            self._fleet.adopt(base)
        self._told = base
        self._news = False
