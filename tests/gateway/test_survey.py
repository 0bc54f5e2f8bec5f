"""What there is: from configuration, keys, model files, and runtimes that answer on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from tests.gateway.house import run
from tests.gateway.scripted import SEALER, read_request, transport

from nearfar.core.chat import Request
from nearfar.core.errors import EngineError
from nearfar.core.money import FREE, Price
from nearfar.core.places import Class, Place
from nearfar.core.routing import Branch, Capability, Cascade, Deployment
from nearfar.gateway import discovery as discovery_module
from nearfar.gateway import probed as probed_module
from nearfar.gateway import survey as survey_module
from nearfar.gateway.fleet import ENGINE, Snapshot
from nearfar.gateway.survey import DEMO, UNKNOWN_SECONDS, Survey
from nearfar.providers import registry
from nearfar.providers.base import Found, Provider
from nearfar.settings.errors import SettingsError
from nearfar.settings.model import (
    BranchSetting,
    CascadeSetting,
    Deadlines,
    DeploymentSetting,
    Discovery,
    Engine,
    PriceSetting,
    RouteSetting,
    Settings,
)
from nearfar.store.capabilities import Finding
from nearfar.wire.registry import provider_wire

TODAY = "2026-11-22"
CATALOGUE = Price(id="catalogue", input=1, output=2)
TAGS = {
    "models": [
        {"name": "llama3.2:3b", "size": 2_000_000_000, "details": {"family": "llama"}},
        {
            "name": "gpt-oss:120b-cloud",
            "size": 384,
            "remote_host": "https://ollama.com",
            "remote_model": "gpt-oss:120b",
        },
        {"name": "nomic-embed-text:latest", "size": 270_000_000, "details": {"family": "nomic-bert"}},
    ]
}
OLLAMA = {"/api/tags": TAGS, "/api/version": {"version": "0.12.0"}}
LLAMA_CPP = {
    "/v1/models": {"data": [{"id": "qwen", "owned_by": "llamacpp", "meta": {"size": 5, "n_ctx": 4096}}]},
    "/props": {"default_generation_settings": {}, "total_slots": 1},
}
GGUF = Found(model="mine", local_weights=True, context=2048)


class Runtime:
    """A server that answers GET with JSON by path, and remembers what it was asked."""

    def __init__(self, pages: Mapping[str, object]) -> None:
        self.pages = dict(pages)
        self.asked: list[str] = []
        self.heads: list[bytes] = []
        self.answer = asyncio.Event()
        self.answer.set()
        self.url = ""
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while request := await read_request(reader):
                path = request.split(b" ")[1].decode()
                self.asked.append(path)
                self.heads.append(request)
                await self.answer.wait()
                status = b"200 OK" if path in self.pages else b"404 Not Found"
                body = json.dumps(self.pages.get(path, {})).encode()
                writer.write(b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body))
        except ConnectionError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def runtime(pages: Mapping[str, object]) -> AsyncIterator[Runtime]:
    made = Runtime(pages)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield made
    for writer in made.writers:
        writer.close()


class Surveying:
    def __init__(self, sending: Any, settings: Settings, **parts: Any) -> None:
        self.secrets: list[str] = []
        self.signers: list[tuple[str, dict[str, str]]] = []
        values: dict[str, Any] = {
            "providers": registry.load_all(),
            "wires": provider_wire,
            "secret": self.secret,
            "keys": {},
            "library": list,
            "price_for": lambda _provider, _model: CATALOGUE,
            "addresses": {},
            "signer": self.signer,
            "today": TODAY,
        }
        self.survey = Survey(settings=settings, transport=sending, sealer=SEALER, **(values | parts))

    def secret(self, reference: str) -> str:
        self.secrets.append(reference)
        return f"value-of-{reference}"

    def signer(self, auth: str, options: Mapping[str, str]) -> Any:
        self.signers.append((auth, dict(options)))
        return "the signer"

    def deployments(self) -> dict[str, Deployment]:
        return deployments(self.survey.snapshot())


def deployments(snapshot: Snapshot | None) -> dict[str, Deployment]:
    assert snapshot is not None
    return {name: target.deployment for name, target in snapshot.targets.items()}


def surveying(settings: Settings | None = None, **parts: Any) -> Surveying:
    """One that asks nobody."""
    return Surveying(None, settings or Settings(), **parts)


def library(*found: Found) -> Callable[[], Iterable[Found]]:
    return lambda: found


def declared(**fields: Any) -> Deployment:
    values = {"provider": "openai-compatible", "model": "m", "base_url": "http://127.0.0.1:1/v1"}
    settings = Settings(deployments={"d": DeploymentSetting(**(values | fields))})
    return surveying(settings, library=library(GGUF)).deployments()["d"]


# ---------------------------------------------------------------- configuration

SIGNED = Provider(
    name="signed",
    title="Signed",
    wire="openai.chat",
    also=("anthropic.messages",),
    other_wires={"transcription": "openai.embeddings"},
    base_url="https://models.{region}.example.com/v1",
    options={"region": "", "project": "p0"},
    auth="aws:models",
    key_env=("SIGNED_KEY",),
    default_models=("m",),
)


def signed(**fields: Any) -> tuple[Surveying, Any]:
    values = {"provider": "signed", "model": "m", "options": {"region": "north"}}
    settings = Settings(offline=fields.pop("offline", False), deployments={"d": DeploymentSetting(**(values | fields))})
    made = surveying(settings, providers={"signed": SIGNED})
    return made, made.survey.snapshot().targets["d"]


def test_options_complete_the_address_and_reach_signer_and_wire() -> None:
    made, target = signed()
    assert target.deployment.base_url == "https://models.north.example.com/v1"
    assert target.deployment.options == {"region": "north", "project": "p0"}
    signer: Any = target.signer
    assert (signer, made.signers) == ("the signer", [("aws:models", {"region": "north", "project": "p0"})])
    assert target.deployment.operations == {"chat", "transcription"}


def test_who_signs_keeps_signing_when_it_is_looked_again() -> None:
    # A new one would fetch a new token, and the survey looks every half minute.
    made, target = signed()
    for _ in range(3):
        again: Any = made.survey.snapshot().targets["d"]
        assert again.signer is target.signer
    assert len(made.signers) == 1


def test_an_option_can_choose_another_door_with_its_own_wire_and_address() -> None:
    other = msgspec.structs.replace(SIGNED, wire="ollama.chat", base_url="https://other.example.com", auth="bearer")
    doors = msgspec.structs.replace(
        SIGNED, options={"region": "", "wire": ""}, doors={"wire=other": msgspec.structs.replace(other, other_wires={})}
    )
    settings = Settings(deployments={"d": DeploymentSetting(provider="signed", model="m", options={"wire": "other"})})
    made = surveying(settings, providers={"signed": doors})
    target = made.survey.snapshot().targets["d"]
    assert target.deployment.base_url == "https://other.example.com"
    assert {operation: wire.name for operation, wire in target.wires.items()} == {"chat": "ollama.chat"}
    assert made.signers == []


def test_a_key_is_sent_instead_of_a_signature_and_offline_nobody_signs() -> None:
    made, target = signed(key="env:TOKEN")
    assert (target.signer, made.signers) == (None, [])
    assert target.secret_headers == (("authorization", "Bearer value-of-env:TOKEN"),)
    for more in ({}, {"place": "lan", "base_url": "http://10.0.0.2/v1"}):
        made, target = signed(offline=True, **more)
        assert (target.signer, made.signers) == (None, [])


def test_a_key_in_the_environment_makes_no_deployment_of_an_address_that_lacks_something() -> None:
    assert not surveying(providers={"signed": SIGNED}, keys={"signed": "env:SIGNED_KEY"}).deployments()


def test_clouds_are_not_suspected_of_cutting_prompts_and_local_runtimes_are() -> None:
    assert not signed()[1].may_cut
    assert signed(place="lan")[1].may_cut
    settings = Settings(deployments={"d": DeploymentSetting(provider="ollama", model="m")})
    assert surveying(settings).survey.snapshot().targets["d"].may_cut, "wherever it runs"


def test_a_client_travels_on_the_wire_that_is_like_its_own() -> None:
    _, target = signed()
    asked: dict[str, Any] = {"id": "req-1", "operation": "chat", "model": "m", "body": b"", "fields": {}}
    assert target.wire(Request(wire="openai.chat", **asked)).name == "openai.chat"
    assert target.wire(Request(wire="gemini.generate", **asked)).name == "openai.chat"


def test_a_key_that_is_not_there_stops_one_deployment_and_is_told() -> None:
    there: dict[str, str] = {}

    def secret(reference: str) -> str:
        if reference not in there:
            raise SettingsError(f"The key at {reference} is empty or not set.")
        return there[reference]

    sound = DeploymentSetting(provider="openai-compatible", model="m", base_url="http://127.0.0.1:1/v1")
    replace = msgspec.structs.replace
    settings = Settings(
        deployments={
            "by-key": replace(sound, key="file:/run/secrets/k"),
            "by-header": replace(sound, headers={"x-token": "env:T"}),
            "sound": sound,
        },
        routes={"mine": RouteSetting(deployments=("by-key", "sound"))},
    )
    made = surveying(settings, secret=secret)
    snapshot = made.survey.snapshot()
    assert set(snapshot.targets) == {"sound"}
    assert {name: candidate.trouble for name, candidate in snapshot.unusable.items()} == {
        "by-key": "the key at file:/run/secrets/k is empty or not set",
        "by-header": "the key at env:T is empty or not set",
    }
    assert {"by-key", "by-header", "mine"} <= set(snapshot.routes), "it can be asked for, and says why not"
    there["file:/run/secrets/k"] = "k"
    assert set(made.survey.snapshot().unusable) == {"by-header"}


def test_a_deployment_of_a_model_that_is_not_there_is_unusable_until_it_is() -> None:
    gone = {"a": EngineError("There is no local model 'a'.", code="engine_model_missing")}
    settings = Settings(
        deployments={
            "here": DeploymentSetting(provider="embedded", model="a"),
            "there": DeploymentSetting(provider="embedded", model="b"),
        }
    )
    made = surveying(settings, lacks=gone.get)
    snapshot = made.survey.snapshot()
    assert set(snapshot.targets) == {"there"}
    (lacking,) = snapshot.unusable.values()
    assert lacking.trouble == "there is no local model 'a'"
    assert lacking.trouble_code == "engine_model_missing"
    assert snapshot.routes["auto"].deployments == ("here", "there"), "it is listed, and says why it is not used"
    gone.clear()
    assert set(made.survey.snapshot().targets) == {"here", "there"}


def test_the_demo_model_takes_part_in_auto_when_its_owner_declared_it() -> None:
    settings = Settings(
        deployments={
            "far": DeploymentSetting(provider="openai-compatible", model="m", base_url="http://127.0.0.1:1/v1"),
            "trial": DeploymentSetting(provider="embedded", model=DEMO),
        }
    )
    snapshot = surveying(settings, library=library(Found(model=DEMO, local_weights=True))).survey.snapshot()
    assert snapshot.routes["auto"].deployments == ("far", "trial"), "and the one that was only found does not"
    assert snapshot.targets["trial"].deployment.demo


def test_a_model_that_comes_or_goes_is_known_without_waiting_for_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    models: list[Found] = []
    settings = Settings(discovery=Discovery(loopback=False, refresh_seconds=3600))
    made = surveying(settings, library=lambda: models, shelf=lambda: len(models))

    async def asked() -> Snapshot | None:
        return await made.survey.renew(known=True)

    async def scenario() -> None:
        made.survey.snapshot()
        await asked()
        await asked()  # what the first look found is told twice
        monkeypatch.setattr(survey_module, "GLANCE_SECONDS", 0.0)
        assert await asked() is None, "nothing changed, so nothing is read"
        models.append(GGUF)
        assert "mine" in deployments(await asked())
        assert await asked() is None
        models.clear()
        assert "mine" not in deployments(await asked())
        monkeypatch.setattr(survey_module, "GLANCE_SECONDS", 3600.0)
        models.append(GGUF)
        assert await asked() is None, "the folder is not glanced at for every request"

    run(scenario())


def test_a_declared_place_is_its_owners_word_and_without_it_the_provider_counts() -> None:
    here = declared(place="device")
    assert (here.place, here.place_source, here.price) == (Place.DEVICE, "declared", FREE)
    away = declared()
    assert (away.place, away.place_source, away.price) == (Place.CLOUD, "default", CATALOGUE), "loopback proves nothing"
    assert declared(place="lan").price == CATALOGUE


def test_declared_numbers_and_words_win() -> None:
    made = declared(
        price=PriceSetting(input=2.5, output=10, cached_input=0.25),
        capabilities={"tools": False},
        context=100,
        max_output=9,
        operations=("embeddings",),
        headers={"x-team": "a"},
        region="tw",
    )
    assert made.price == Price(
        id=f"declared:d@{TODAY}", input=2_500_000_000, output=10_000_000_000, cached_input=250_000_000
    )
    assert made.capabilities["tools"] == Capability(can=False, source="declared", date=TODAY)
    assert (made.context, made.max_output, made.operations) == (100, 9, frozenset({"embeddings"}))
    assert (made.headers, made.region) == ({"x-team": "a"}, "tw")


def test_a_declared_embedded_model_is_here_and_takes_its_context_from_the_file() -> None:
    made = declared(provider="embedded", model="mine", base_url="", place="cloud")
    assert (made.place, made.place_source, made.base_url) == (Place.DEVICE, "embedded", ENGINE)
    assert (made.context, made.price, made.operations) == (2048, FREE, frozenset({"chat"}))
    assert declared(provider="embedded", model=DEMO, base_url="").demo


def test_configured_routes_carry_what_their_strategies_need() -> None:
    setting = RouteSetting(
        deployments=("b", "a"),
        strategy="canary",
        canary=BranchSetting(deployment="a", share=0.1),
        spill_after=2.0,
        balance="wait",
        affinity=True,
        priority="low",
    )
    route = surveying(Settings(routes={"r": setting})).survey.snapshot().routes["r"]
    assert route.branch == Branch(deployment="a", share=0.1)
    assert (route.spill_after, route.balance, route.affinity, route.priority) == (2.0, "wait", True, "low")


def test_configured_routes_carry_how_answers_are_judged() -> None:
    setting = CascadeSetting(opinions=("c",), threshold=0.7, answers="number", stream="off", max_cost=0.01)
    route = RouteSetting(deployments=("b", "a"), strategy="cascade", cascade=setting)
    made = surveying(Settings(routes={"r": route})).survey.snapshot().routes["r"]
    assert made.cascade == Cascade(opinions=("c",), threshold=0.7, answers="number", buffers=False, max_cost=10_000_000)


def test_configured_routes_carry_class_and_order() -> None:
    setting = RouteSetting(deployments=("b", "a"), strategy="cloud-first", class_="restricted", description="why")
    route = surveying(Settings(routes={"r": setting})).survey.snapshot().routes["r"]
    assert (route.deployments, route.strategy, route.floor) == (("b", "a"), "cloud-first", Class.RESTRICTED)
    assert route.description == "why"


def test_the_owners_deployment_replaces_the_one_that_is_found() -> None:
    settings = Settings(deployments={"mine": DeploymentSetting(provider="embedded", model="mine", context=7)})
    found = surveying(settings, library=library(GGUF)).deployments()
    assert list(found) == ["mine"]
    assert found["mine"].context == 7


# ---------------------------------------------------------------- keys


def test_a_key_in_the_environment_offers_its_providers_models() -> None:
    made = surveying(keys={"openai": "env:OPENAI_API_KEY", "anthropic": "env:ANTHROPIC_API_KEY"})
    snapshot = made.survey.snapshot()
    names = set(deployments(snapshot))
    assert names == {
        f"{name}/{model}" for name in ("openai", "anthropic") for model in registry.load_all()[name].default_models
    }
    for name, target in snapshot.targets.items():
        provider = name.partition("/")[0]
        assert (target.deployment.place, target.deployment.price) == (Place.CLOUD, CATALOGUE)
        value = f"value-of-env:{provider.upper()}_API_KEY"
        expected = ("x-api-key", value) if provider == "anthropic" else ("authorization", f"Bearer {value}")
        assert target.secret_headers == (expected,)
        assert value not in repr(target.deployment), "a deployment names its key and never holds it"
    assert snapshot.routes["cloud"].deployments == tuple(snapshot.targets)


def test_keys_are_left_alone_when_the_owner_says_so() -> None:
    made = surveying(Settings(discovery=Discovery(keys=False)), keys={"openai": "env:OPENAI_API_KEY"})
    assert made.deployments() == {}
    assert made.secrets == []


def test_offline_no_key_of_the_cloud_is_even_read() -> None:
    settings = Settings(
        offline=True,
        deployments={
            "far": DeploymentSetting(provider="openai", model="m", key="env:FAR"),
            "lan": DeploymentSetting(
                provider="openai-compatible", model="m", key="env:LAN", place="lan", base_url="http://192.168.1.2/v1"
            ),
        },
    )
    made = surveying(settings)
    snapshot = made.survey.snapshot()
    assert made.secrets == ["env:LAN"]
    assert snapshot.targets["far"].secret_headers == ()


def test_headers_by_reference_are_resolved_and_kept_out_of_the_deployment() -> None:
    settings = Settings(
        deployments={
            "d": DeploymentSetting(
                provider="openai-compatible",
                model="m",
                base_url="http://127.0.0.1:1/v1",
                headers={"api-key": "env:AZURE", "x-team": "a"},
            )
        }
    )
    target = surveying(settings).survey.snapshot().targets["d"]
    assert target.secret_headers == (("api-key", "value-of-env:AZURE"),)
    assert target.deployment.headers == {"x-team": "a"}


@pytest.mark.parametrize(
    ("base_url", "key"),
    [
        ("", "env:OPENAI_API_KEY"),
        ("https://api.openai.com/v2", "env:OPENAI_API_KEY"),
        ("http://api.openai.com/v1", ""),
        ("http://127.0.0.1:1/v1", ""),
    ],
)
def test_the_environments_key_goes_to_its_providers_own_address_alone(base_url: str, key: str) -> None:
    settings = Settings(deployments={"d": DeploymentSetting(provider="openai", model="m", base_url=base_url)})
    made = surveying(settings, keys={"openai": "env:OPENAI_API_KEY"})
    assert made.deployments()["d"].key == key


# ---------------------------------------------------------------- model files


def test_model_files_are_deployments_of_this_device() -> None:
    vectors = Found(model="minilm", local_weights=True, context=256, operations=frozenset({"embeddings"}))
    made = surveying(library=library(GGUF, vectors, Found(model=DEMO, local_weights=True)))
    found = made.deployments()
    assert set(found) == {"mine", "minilm", DEMO}
    assert all((d.place, d.place_source, d.price) == (Place.DEVICE, "embedded", FREE) for d in found.values())
    assert (found["mine"].context, found["minilm"].operations) == (2048, frozenset({"embeddings"}))
    assert [d.name for d in found.values() if d.demo] == [DEMO]
    assert made.survey.snapshot().routes["auto"].deployments == ("mine", "minilm")


def test_without_the_engine_no_model_file_is_offered() -> None:
    assert surveying(Settings(engine=Engine(enabled=False)), library=library(GGUF)).deployments() == {}


def test_an_operation_has_the_wire_that_speaks_it() -> None:
    made = surveying(keys={"anthropic": "env:A", "openai": "env:O"}, library=library(GGUF))
    wires = {
        name: {operation: wire.name for operation, wire in target.wires.items()}
        for name, target in made.survey.snapshot().targets.items()
    }
    assert wires["mine"] == {"chat": "openai.chat"}
    openai = next(wires[name] for name in wires if name.startswith("openai/"))
    assert openai == {"chat": "openai.chat", "embeddings": "openai.embeddings", "transcription": "openai.audio"}
    anthropic = next(wires[name] for name in wires if name.startswith("anthropic/"))
    assert anthropic == {"chat": "anthropic.messages", "count_tokens": "anthropic.count_tokens"}


# ---------------------------------------------------------------- loopback


def test_an_ollama_is_found_and_only_weights_that_lie_here_are_near() -> None:
    async def scenario() -> None:
        async with runtime(OLLAMA) as ollama, transport() as sending:
            made = Surveying(sending, Settings(), addresses={"ollama": (ollama.url,)})
            found = deployments(await made.survey.renew(known=True))
            assert {name: (d.place, d.place_source) for name, d in found.items()} == {
                "ollama/llama3.2:3b": (Place.DEVICE, "local-weights"),
                "ollama/gpt-oss:120b-cloud": (Place.CLOUD, "default"),
                "ollama/nomic-embed-text:latest": (Place.DEVICE, "local-weights"),
            }
            assert found["ollama/llama3.2:3b"].price == FREE
            assert found["ollama/gpt-oss:120b-cloud"].price is None, "whatever it costs, nobody said"
            assert found["ollama/nomic-embed-text:latest"].operations == frozenset({"embeddings"})
            assert {d.base_url for d in found.values()} == {ollama.url}
            assert ollama.asked == ["/api/tags", "/api/version"]
            assert not any(b"authorization" in head.lower() for head in ollama.heads), "a probe carries no key"
            assert made.survey.found()["ollama"][0] == ollama.url

    run(scenario())


def test_a_llama_cpp_is_found_with_its_context_at_the_path_it_answers_on() -> None:
    async def scenario() -> None:
        async with runtime(LLAMA_CPP) as server, transport() as sending:
            made = Surveying(sending, Settings(), addresses={"llama-cpp": ("http://127.0.0.1:1", server.url)})
            found = deployments(await made.survey.renew(known=True))
            assert list(found) == ["llama-cpp/qwen"]
            only = found["llama-cpp/qwen"]
            assert (only.place, only.context, only.base_url) == (Place.DEVICE, 4096, f"{server.url}/v1")

    run(scenario())


@pytest.mark.parametrize(
    "pages",
    [
        {},
        {"/api/tags": TAGS},
        {"/api/tags": {"other": 1}, "/api/version": {"version": "1"}},
        {"/api/tags": TAGS, "/api/version": {"no": "version"}},
    ],
    ids=["nothing", "half", "another answer", "another version"],
)
def test_somebody_else_on_the_port_is_not_taken_for_it(pages: dict[str, object]) -> None:
    async def scenario() -> None:
        async with runtime(pages) as other, transport() as sending:
            made = Surveying(sending, Settings(), addresses={"ollama": (other.url,)})
            assert deployments(await made.survey.renew(known=True)) == {}

    run(scenario())


def test_an_address_that_is_not_this_machine_is_not_asked() -> None:
    async def scenario() -> None:
        async with transport() as sending:
            made = Surveying(sending, Settings(), addresses={"ollama": ("http://192.0.2.1:11434",)})
            assert deployments(await made.survey.renew(known=True)) == {}

    run(scenario())


def test_without_discovery_nobody_is_asked_but_files_are_looked_at() -> None:
    async def scenario() -> None:
        async with runtime(OLLAMA) as ollama, transport() as sending:
            files: list[Found] = []
            settings = Settings(discovery=Discovery(loopback=False))
            made = Surveying(sending, settings, addresses={"ollama": (ollama.url,)}, library=lambda: files)
            files.append(GGUF)
            assert set(deployments(await made.survey.renew(known=False))) == {"mine"}
            assert ollama.asked == []

    run(scenario())


# ---------------------------------------------------------------- when it looks


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(survey_module, "time", SimpleNamespace(monotonic=lambda: self.now))


async def settled(made: Surveying) -> None:
    """Until no look is under way."""
    while (running := made.survey._running) is not None:
        await running


def test_nothing_is_asked_before_the_first_request_and_then_at_most_as_often_as_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)

    async def scenario() -> None:
        async with runtime(OLLAMA) as ollama, transport() as sending:
            made = Surveying(sending, Settings(), addresses={"ollama": (ollama.url,)})
            made.survey.snapshot()
            assert ollama.asked == []
            assert len(deployments(await made.survey.renew(known=True))) == 3, "the first one waits for the answers"
            await made.survey.renew(known=True)  # what was found stands
            clock.now += 29.9
            assert await made.survey.renew(known=True) is None
            assert len(ollama.asked) == 2
            ollama.pages["/api/tags"] = {"models": []}
            clock.now += 0.2
            assert await made.survey.renew(known=True) is None, "later ones are answered from what is known"
            await settled(made)
            assert deployments(await made.survey.renew(known=True)) == {}
            assert len(ollama.asked) == 4

    run(scenario())


def test_a_busy_runtime_stays_known_until_it_says_otherwise_or_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)

    async def scenario() -> None:
        async with transport() as sending:
            async with runtime(OLLAMA) as ollama:
                made = Surveying(sending, Settings(), addresses={"ollama": (ollama.url,)})

                async def look(*, busy: bool = False) -> int:
                    clock.now += UNKNOWN_SECONDS + 0.1
                    seconds = 0.02 if busy else 10
                    patient = Deadlines(connect=10, first_byte=seconds, between_bytes=seconds, total=10)
                    monkeypatch.setattr(discovery_module, "PROBE", patient)
                    (ollama.answer.clear if busy else ollama.answer.set)()
                    return len(deployments(await made.survey.renew(known=False)))

                assert await look(busy=True) == 0, "what was never there is not there"
                assert await look() == 3
                assert await look(busy=True) == 3
                assert made.survey.found()["ollama"][0] == ollama.url
                ollama.pages["/api/tags"] = {"models": []}
                assert await look() == 0, "its own word counts"
                ollama.pages.update(OLLAMA)
                assert await look() == 3
                del ollama.pages["/api/version"]
                assert await look() == 0, "and so does an answer that is not its own"
                ollama.pages.update(OLLAMA)
                assert await look(busy=True) == 0, "what was gone stays gone"
                assert await look() == 3
            assert await look() == 0, "a refusal is an answer too"

    run(scenario())


def test_an_unknown_name_has_it_look_sooner_and_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)

    async def scenario() -> None:
        async with runtime({}) as ollama, transport() as sending:
            made = Surveying(sending, Settings(), addresses={"ollama": (ollama.url,)})
            await made.survey.renew(known=True)
            await made.survey.renew(known=True)
            ollama.pages.update(OLLAMA)  # it was started just now
            clock.now += UNKNOWN_SECONDS - 0.1
            assert await made.survey.renew(known=False) is None
            clock.now += 0.2
            assert len(deployments(await made.survey.renew(known=False))) == 3

    run(scenario())


@pytest.mark.parametrize("known", [True, False])
def test_requests_that_come_together_wait_for_one_first_look(known: bool) -> None:
    async def scenario() -> None:
        async with runtime(OLLAMA) as ollama, transport() as sending:
            made = Surveying(sending, Settings(), addresses={"ollama": (ollama.url,)})
            ollama.answer.clear()
            asking = [asyncio.create_task(made.survey.renew(known=known)) for _ in range(5)]
            while not ollama.asked:
                await asyncio.sleep(0)
            assert not any(task.done() for task in asking)
            ollama.answer.set()
            for snapshot in await asyncio.gather(*asking):
                assert len(deployments(snapshot)) == 3
            assert ollama.asked == ["/api/tags", "/api/version"]

    run(scenario())


def test_an_unknown_name_waits_for_the_look_that_a_known_one_began(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)

    async def scenario() -> None:
        async with runtime({}) as ollama, transport() as sending:
            made = Surveying(sending, Settings(), addresses={"ollama": (ollama.url,)})
            await made.survey.renew(known=True)
            await made.survey.renew(known=True)
            ollama.pages.update(OLLAMA)
            ollama.answer.clear()
            clock.now += 31
            assert await made.survey.renew(known=True) is None
            asking = asyncio.create_task(made.survey.renew(known=False))
            await asyncio.sleep(0)
            ollama.answer.set()
            assert len(deployments(await asking)) == 3

    run(scenario())


def test_an_unknown_name_is_not_refused_because_of_an_old_look(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)

    async def scenario() -> None:
        async with runtime({}) as ollama, transport() as sending:
            made = Surveying(sending, Settings(), addresses={"ollama": (ollama.url,)})
            await made.survey.renew(known=True)  # and nobody has asked since
            ollama.pages.update(OLLAMA)
            clock.now += 20
            assert len(deployments(await made.survey.renew(known=False))) == 3

    run(scenario())


def test_a_client_that_leaves_does_not_stop_the_look() -> None:
    async def scenario() -> None:
        async with runtime(OLLAMA) as ollama, transport() as sending:
            made = Surveying(sending, Settings(), addresses={"ollama": (ollama.url,)})
            ollama.answer.clear()
            leaving = asyncio.create_task(made.survey.renew(known=True))
            while not ollama.asked:
                await asyncio.sleep(0)
            leaving.cancel()
            ollama.answer.set()
            await settled(made)
            assert len(deployments(await made.survey.renew(known=True))) == 3
            assert leaving.cancelled()

    run(scenario())


def test_offline_what_runs_here_is_still_found() -> None:
    async def scenario() -> None:
        async with runtime(OLLAMA) as ollama, transport(offline=True) as sending:
            made = Surveying(sending, Settings(offline=True), addresses={"ollama": (ollama.url,)})
            snapshot = await made.survey.renew(known=True)
            assert len(deployments(snapshot)) == 3

    run(scenario())


def test_a_snapshot_is_a_value_of_its_moment() -> None:
    files = [GGUF]
    made = surveying(library=lambda: files)
    before = made.survey.snapshot()
    files.append(msgspec.structs.replace(GGUF, model="other"))
    assert set(before.targets) == {"mine"}
    assert set(made.survey.snapshot().targets) == {"mine", "other"}


# ---------------------------------------------------------------- probes


def test_findings_are_believed_and_read_again_beside_the_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    known: list[Finding] = []
    reads: list[int] = []

    def probed() -> list[Finding]:
        reads.append(len(known))
        return list(known)

    settings = Settings(deployments={"d": DeploymentSetting(provider="vllm", model="m")})
    made = surveying(settings, probed=probed)
    before = made.survey.snapshot().targets["d"].deployment
    assert "cancel" not in before.capabilities

    async def scenario() -> None:
        known.append(Finding(deployment="d", target=probed_module.target(before), what="cancel", can=True, date=TODAY))
        assert made.survey.reread() is None
        assert reads == [0], "not yet time"
        clock.now += survey_module.REREAD_SECONDS + 0.1
        assert made.survey.reread() is None, "nobody waits"
        while made.survey._reading is not None:
            await asyncio.sleep(0.001)
        fresh = made.survey.reread()
        assert fresh is not None
        assert fresh.targets["d"].deployment.capabilities["cancel"] == Capability(can=True, source="probed", date=TODAY)
        clock.now += survey_module.REREAD_SECONDS + 0.1
        made.survey.reread()
        while made.survey._reading is not None:
            await asyncio.sleep(0.001)
        assert made.survey.reread() is None, "nothing new"
        assert reads == [0, 1, 1]

    run(scenario())


def test_without_a_place_for_findings_none_are_looked_for() -> None:
    made = surveying()
    assert made.survey.reread() is None
    assert made.survey._reading is None
