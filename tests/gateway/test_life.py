"""The life of models: a fake Ollama over real sockets, and an engine that only pretends to load."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.fake_ollama import FakeOllama, here
from tests.gateway.house import RULES, FakeEngines, closes, plain
from tests.gateway.scripted import SEALER, transport, upstream

from nearfar.core.chat import Request
from nearfar.core.engines import Endpoint, EngineStatus
from nearfar.core.errors import BadRequestError, EngineError, NotFoundError, UpstreamError
from nearfar.core.places import Place
from nearfar.core.routing import Capability, Decision, Deployment, Route
from nearfar.gateway.decider import Decider, Said
from nearfar.gateway.fleet import ENGINE, Fleet, Snapshot, Target
from nearfar.gateway.health import Health
from nearfar.gateway.life import Lives
from nearfar.providers import registry
from nearfar.wire.registry import provider_wire

GB = 1_000_000_000


class Engine(FakeEngines):
    """An engine with one model of a given size."""

    def __init__(self, size: int, *, fails: bool = False) -> None:
        super().__init__("x")
        self.size = size
        self.fails = fails
        self.state = "cold"
        self.acquired = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def acquire(self, model: str, owner: str = "") -> Endpoint:
        self.acquired += 1
        await self.gate.wait()
        if self.fails:
            raise EngineError(f"{model} cannot be loaded.")
        self.state = "ready"
        return await super().acquire(model, owner)

    async def status(self) -> list[EngineStatus]:
        return [EngineStatus(model="big", state=self.state, estimate_bytes=self.size, context=2048)]

    async def unload(self, model: str) -> bool:
        was, self.state = self.state, "cold"
        return was == "ready"


def target(name: str, *, base_url: str = "", place: Place = Place.DEVICE, **more: Any) -> Target:
    provider = more.pop("provider", "ollama" if base_url else "embedded")
    deployment = Deployment(
        name=name,
        provider=provider,
        model=more.pop("model", "big"),
        wire="openai.chat",
        base_url=base_url or ENGINE,
        place=place,
        **more,
    )
    return Target(deployment, {"chat": provider_wire("openai.chat")}, (("authorization", "Bearer s"),))


class Living:
    """A fleet of ``targets`` behind one route, with the parts that know of their lives."""

    def __init__(
        self, sending: Any, *targets: Target, engines: Any = None, cold: str = "warm", reach: Place = Place.CLOUD
    ) -> None:
        self.now = 1000.0
        self.route = Route(
            name="main", strategy="local-first", deployments=tuple(t.deployment.name for t in targets), cold=cold
        )
        self.health = Health()
        self.fleet = Fleet(Snapshot({t.deployment.name: t for t in targets}, {"main": self.route}), self.health)
        self.decider = Decider(self.fleet, self.health, RULES)
        self.lives = Lives(
            fleet=self.fleet,
            providers=registry.load_all(),
            engines=engines,
            transport=sending,
            sealer=SEALER,
            reach=reach,
            clock=lambda: self.now,
        )

    async def look(self, within: Place) -> None:
        await self.lives.look(self.route, lambda: within)

    async def decide(self) -> list[str]:
        """What a request does; the names in the order in which they would be tried."""
        await self.lives.look(self.route)
        decision, snapshot = self.decision()
        self.lives.warm(self.route, decision, snapshot)
        return [ranked.candidate.deployment.name for ranked in decision.ranked]

    def decision(self) -> tuple[Decision, Snapshot]:
        request = Request(id="req-1", wire="openai.chat", operation="chat", model="main", body=b"", fields={})
        return self.decider.decide(request, self.route, Said())

    def state(self, name: str) -> str:
        return self.fleet.snapshot.targets[name].ready.state

    async def settle(self) -> None:
        """Let what runs in the background end."""
        while tasks := [*self.lives._looks.values(), *self.lives._warming.values()]:
            await asyncio.gather(*tasks)


@asynccontextmanager
async def ollama(*more: Target, **parts: Any) -> AsyncIterator[tuple[FakeOllama, Living]]:
    """A fake Ollama with a model, and whatever stands beside it on the route."""
    async with here({"big:latest": 32_768}) as fake, transport() as sending:
        near = target("near", base_url=fake.url)
        living = Living(sending, near, *more, **parts)
        try:
            yield fake, living
        finally:
            await living.lives.close()


FAR = target("far", base_url="https://far.invalid/v1", place=Place.CLOUD, provider="openai")


def test_a_cold_model_is_warmed_while_the_cloud_answers() -> None:
    async def scenario() -> None:
        async with ollama(FAR) as (fake, living):
            fake.ready.clear()
            assert await living.decide() == ["far", "near"]
            assert "near: loading, about 10 s to load" in living.decision()[0].ranked[0].reason
            assert await living.decide() == ["far", "near"], "it is being loaded"
            assert living.state("near") == "loading"
            fake.ready.set()
            await living.settle()
            assert fake.loads == [("big:latest", 4096)], "once, however many ask"
            assert living.state("near") == "ready"
            assert await living.decide() == ["near", "far"]

    asyncio.run(scenario())


def test_a_route_may_say_that_it_waits() -> None:
    async def scenario() -> None:
        async with ollama(FAR, cold="wait") as (fake, living):
            assert await living.decide() == ["near", "far"]
            assert living.state("near") == "cold"
            await living.settle()
            assert fake.loads == []

    asyncio.run(scenario())


def test_alone_it_is_waited_for() -> None:
    async def scenario() -> None:
        async with ollama() as (fake, living):
            assert await living.decide() == ["near"]
            await living.settle()
            assert fake.loads == []

    asyncio.run(scenario())


def test_what_ollama_says_of_a_model_becomes_known() -> None:
    async def scenario() -> None:
        async with ollama() as (fake, living):
            await living.decide()
            deployment = living.fleet.snapshot.targets["near"].deployment
            assert deployment.context == 32_768, "what it was trained for"
            assert deployment.loaded_context is None
            assert deployment.capabilities["tools"].can is True
            assert deployment.capabilities["images"].can is False
            fake.loaded["big:latest"] = 8192
            living.now += 6
            await living.decide()
            await living.settle()
            await living.decide()
            assert living.fleet.snapshot.targets["near"].deployment.loaded_context == 8192
            shown = [path for path, _ in fake.asked if path == "/api/show"]
            assert len(shown) == 1, "it says the same tomorrow"

    asyncio.run(scenario())


def test_whoever_answered_is_in_memory() -> None:
    async def scenario() -> None:
        async with ollama(FAR, cold="wait") as (fake, living):
            await living.decide()
            assert living.state("near") == "cold"
            known = living.fleet.snapshot.targets["near"]
            living.lives.answered(known, 8192)
            assert living.state("near") == "ready"
            assert living.fleet.snapshot.targets["near"].deployment.loaded_context == 8192
            before = living.fleet.snapshot
            living.lives.answered(known, None)
            living.lives.answered(known, 8192)
            living.lives.answered(FAR, 8192)
            assert living.fleet.snapshot is before, "nothing new"
            living.lives.answered(known, 16_384)
            assert living.fleet.snapshot.targets["near"].deployment.loaded_context == 16_384
            assert [path for path, _ in fake.asked].count("/api/ps") == 1

    asyncio.run(scenario())


def test_what_the_owner_declared_stands() -> None:
    async def scenario() -> None:
        async with here({"big:latest": 32_768}) as fake, transport() as sending:
            declared = {"images": Capability(can=True, source="declared")}
            near = target("near", base_url=fake.url, context=2048, capabilities=declared)
            living = Living(sending, near)
            await living.decide()
            deployment = living.fleet.snapshot.targets["near"].deployment
            assert deployment.context == 2048
            assert deployment.capabilities["images"].can is True
            assert deployment.capabilities["tools"].can is True
            await living.lives.close()

    asyncio.run(scenario())


def test_a_fresh_answer_is_not_asked_for_again() -> None:
    async def scenario() -> None:
        async with ollama() as (fake, living):
            for _ in range(3):
                await living.decide()
            assert [path for path, _ in fake.asked].count("/api/ps") == 1
            living.now += 6
            await living.decide()
            await living.settle()
            assert [path for path, _ in fake.asked].count("/api/ps") == 2

    asyncio.run(scenario())


def test_a_runtime_that_does_not_answer_is_taken_as_it_was() -> None:
    async def scenario() -> None:
        async with transport() as sending:
            living = Living(sending, target("near", base_url="http://127.0.0.1:9"), FAR)
            assert await living.decide() == ["near", "far"], "whether it is cold is not known"
            [state] = await living.lives.states()
            assert state.state == "unknown"
            await living.lives.close()

    asyncio.run(scenario())


def test_a_new_look_at_the_fleet_does_not_forget() -> None:
    async def scenario() -> None:
        async with ollama(FAR, cold="wait") as (fake, living):
            await living.decide()
            known = living.fleet.snapshot
            again = Snapshot({"near": target("near", base_url=fake.url), "far": FAR}, known.routes)
            living.fleet.adopt(again)
            await living.decide()
            assert living.state("near") == "cold"
            assert [path for path, _ in fake.asked].count("/api/ps") == 1

    asyncio.run(scenario())


def test_loading_and_unloading_by_name() -> None:
    async def scenario() -> None:
        async with ollama(FAR) as (fake, living):
            before = await living.lives.states()
            assert [(state.deployment, state.state) for state in before] == [("near", "cold")]
            state = await living.lives.load("near")
            assert (state.state, state.context) == ("loaded", 4096)
            assert await living.lives.room(living.fleet.snapshot.targets["near"]) == 4096
            await living.lives.load("near")
            assert len(fake.loads) == 1, "what is there is not loaded again"
            assert await living.lives.unload("near")
            assert fake.loaded == {}
            assert not await living.lives.unload("near")
            assert await living.lives.room(living.fleet.snapshot.targets["near"]) is None
            with pytest.raises(BadRequestError, match="openai"):
                await living.lives.load("far")
            with pytest.raises(NotFoundError):
                await living.lives.unload("nobody")
            assert all(asked.get("prompt") is None for path, asked in fake.asked if path == "/api/generate")

    asyncio.run(scenario())


def test_what_a_runtime_cannot_load_is_told_and_not_tried_at_once_again() -> None:
    async def scenario() -> None:
        async with ollama(FAR) as (fake, living):
            fake.fail = 500
            with pytest.raises(UpstreamError, match="out of memory"):
                await living.lives.load("near")
            assert living.state("near") == "cold"
            await living.decide()
            await living.settle()
            tries = len(fake.asked)
            await living.decide()
            await living.settle()
            assert len(fake.asked) == tries, "it rests"
            living.now += 31
            await living.decide()
            await living.settle()
            assert ("/api/generate", {"model": "big", "stream": False}) in fake.asked[tries:]

    asyncio.run(scenario())


@pytest.mark.parametrize(("size", "order"), [(4 * GB, ["far", "near"]), (GB // 4, ["near", "far"])])
def test_a_small_embedded_model_is_worth_waiting_for(size: int, order: list[str]) -> None:
    async def scenario() -> None:
        engines = Engine(size)
        async with transport() as sending:
            living = Living(sending, target("near"), FAR, engines=engines)
            assert await living.decide() == order
            await living.settle()
            assert engines.acquired == (order[0] == "far")
            assert engines.held == 0, "what warms gives the model back"
            living.now += 6
            await living.decide()
            await living.settle()
            assert await living.decide() == ["near", "far"]
            await living.lives.close()

    asyncio.run(scenario())


def test_the_engines_models_by_name() -> None:
    async def scenario() -> None:
        engines = Engine(4 * GB)
        async with transport() as sending:
            living = Living(sending, target("near"), engines=engines)
            assert await living.decide() == ["near"]
            assert engines.acquired == 0
            [state] = await living.lives.states()
            assert (state.state, state.load_seconds) == ("cold", 8.0)
            assert (await living.lives.load("near")).state == "loaded"
            assert await living.lives.unload("near")
            [state] = await living.lives.states()
            assert state.state == "cold"
            assert state.load_seconds == 0.0, "measured"
            engines.fails = True
            with pytest.raises(EngineError):
                await living.lives.load("near")
            await living.lives.close()

    asyncio.run(scenario())


def test_ending_ends_what_runs() -> None:
    async def scenario() -> None:
        engines = Engine(4 * GB)
        engines.gate.clear()
        async with transport() as sending:
            living = Living(sending, target("near"), FAR, engines=engines)
            await living.decide()
            await asyncio.sleep(0)
            await living.lives.close()
            assert living.lives._warming == {}

    asyncio.run(scenario())


def test_the_words_go_no_further_than_public_ones_may() -> None:
    async def scenario() -> None:
        async with here({"big:latest": 1}) as fake, transport() as sending:
            living = Living(sending, target("near", base_url=fake.url, place=Place.CLOUD), reach=Place.DEVICE)
            await living.decide()
            assert fake.asked == []
            await living.lives.close()

    asyncio.run(scenario())


def test_nobody_is_asked_on_behalf_of_a_request_that_may_not_reach_them() -> None:
    async def scenario() -> None:
        async with here({"big:latest": 32_768}) as fake, transport() as sending:
            living = Living(sending, target("rented", base_url=fake.url, place=Place.CLOUD))
            for place in (Place.DEVICE, Place.LAN, Place.PRIVATE_CLOUD):
                await living.look(place)
                await living.settle()
            assert fake.asked == []
            await living.look(Place.CLOUD)
            assert [path for path, _ in fake.asked][:1] == ["/api/ps"]
            living.now += 1000
            before = len(fake.asked)
            await living.look(Place.DEVICE)
            await living.settle()
            assert len(fake.asked) == before, "nor later, beside the request"
            await living.lives.close()

    asyncio.run(scenario())


def test_who_is_on_this_machine_is_asked_whatever_the_class() -> None:
    async def scenario() -> None:
        async with ollama() as (fake, living):
            await living.look(Place.DEVICE)
            assert fake.asked

    asyncio.run(scenario())


def test_a_runtime_that_closed_a_kept_connection_is_asked_again() -> None:
    nothing = plain(b'{"models":[]}')

    async def scenario() -> None:
        async with upstream(nothing, closes(b""), nothing) as there, transport() as sending:
            living = Living(sending, target("near", base_url=f"http://127.0.0.1:{there.port}"))
            for _ in range(2):
                (state,) = await living.lives.states()
                assert state.state == "cold", "and not unknown"
            assert len(there.requests) == 3
            await living.lives.close()

    asyncio.run(scenario())
