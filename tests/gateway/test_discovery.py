"""Running systems are known by what they answer, not by their ports. Bodies are those of the providers' own tests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

import pytest
from tests import gpt4all
from tests.gateway.house import run
from tests.gateway.scripted import SEALER, read_request, transport
from tests.gateway.test_survey import LLAMA_CPP, OLLAMA, runtime
from tests.providers.test_tensorrt_llm import MODELS as TENSORRT_LLM
from tests.providers.test_tgi import INFO as TGI
from tests.providers.test_triton import MODELS as TRITON
from tests.providers.test_vllm import MODELS as VLLM

from nearfar.gateway.discovery import Discovery, Runtimes
from nearfar.providers import registry

PROVIDERS = registry.load_all()
LIST = {"object": "list", "data": [{"id": "m", "object": "model", "owned_by": "somebody"}]}
PATHS = {"openapi": "3.1.0", "paths": {"/load_model": {}, "/reset": {}, "/v1/chat/completions": {}}}
SYSTEMS: dict[str, Mapping[str, object]] = {
    "ollama": OLLAMA,
    "llama-cpp": LLAMA_CPP,
    "vllm": {"/v1/models": VLLM, "/version": {"version": "0.15.0"}},
    "tgi": {"/info": TGI, "/v1/models": LIST},
    "transformers-serve": {"/v1/models": LIST, "/openapi.json": PATHS, "/health": {"status": "ok"}},
    "tensorrt-llm": {"/v1/models": json.loads(TENSORRT_LLM), "/version": {"version": "1.2"}},
    "triton": {"/v1/models": json.loads(TRITON)},
    "gpt4all": {"/v1/models": gpt4all.models()},
    "sglang": {"/v1/models": {"data": [{"id": "m", "owned_by": "sglang"}]}},
    "koboldcpp": {"/v1/models": LIST, "/api/extra/version": {"result": "KoboldCpp", "version": "1.99"}},
    "localai": {"/v1/models": LIST, "/system": {"backends": [], "loaded_models": []}},
    "text-generation-webui": {
        "/v1/models": LIST,
        "/v1/internal/model/info": {"model_name": "m", "lora_names": []},
    },
    "lemonade": {"/v1/models": LIST, "/api/v1/health": {"status": "ok", "model_loaded": "m"}},
    "litellm": {"/v1/models": LIST, "/health/readiness": {"status": "healthy", "litellm_version": "1.106"}},
}
"""What each system answers, by path."""
DISCOVERABLE = sorted(name for name, provider in PROVIDERS.items() if provider.probes)


async def look(pages: Mapping[str, object], *names: str) -> tuple[Runtimes, list[str]]:
    """What is found at one address that every one of ``names`` may have, and the paths that were asked."""
    async with transport() as sending, runtime(pages) as there:
        addresses = dict.fromkeys(names, (there.url,))
        discovery = Discovery(providers=PROVIDERS, addresses=addresses, transport=sending, sealer=SEALER)
        return await discovery.look({}), there.asked


@pytest.mark.parametrize("name", sorted(SYSTEMS))
def test_whoever_answers_is_known_even_where_all_share_one_port(name: str) -> None:
    async def scenario() -> None:
        found, asked = await look(SYSTEMS[name], *DISCOVERABLE)
        assert list(found) == [name]
        assert found[name][1], "and it has a model"
        assert len(asked) == len(set(asked)), "no path is asked twice"

    run(scenario())


def test_every_system_with_ports_is_in_the_table_above_or_has_a_test_of_its_own() -> None:
    assert set(DISCOVERABLE) - SYSTEMS.keys() <= {"lm-studio"}


def test_a_list_of_models_alone_proves_nothing() -> None:
    async def scenario() -> None:
        assert (await look({"/v1/models": LIST}, *DISCOVERABLE))[0] == {}
        assert (await look({}, *DISCOVERABLE))[0] == {}

    run(scenario())


def test_the_likelier_address_counts_and_nobody_is_an_answer() -> None:
    async def scenario() -> None:
        async with transport() as sending, runtime(LLAMA_CPP) as first, runtime(LLAMA_CPP) as second:
            nobody = "http://127.0.0.1:9"
            addresses = {"llama-cpp": (nobody, first.url, second.url)}
            discovery = Discovery(providers=PROVIDERS, addresses=addresses, transport=sending, sealer=SEALER)
            found = await discovery.look({})
            assert found["llama-cpp"][0] == first.url

    run(scenario())


def test_a_server_that_closes_after_every_reply_is_still_known() -> None:
    """It does not say that it will close: the connection for the second page turns out to be stale."""
    pages = SYSTEMS["koboldcpp"]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read_request(reader)
        if request:
            body = json.dumps(pages.get(request.split(b" ")[1].decode(), {})).encode()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        writer.close()

    async def scenario() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server, transport() as sending:
            addresses = dict.fromkeys(("gpt4all", "koboldcpp"), (url,))
            discovery = Discovery(providers=PROVIDERS, addresses=addresses, transport=sending, sealer=SEALER)
            assert list(await discovery.look({})) == ["koboldcpp"]

    run(scenario())
