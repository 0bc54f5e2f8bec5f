"""The real llama.cpp server, reached as any other server on a port: found by its answers, asked as two providers."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import running
from tests.gateway.house import run
from tests.gateway.scripted import SEALER, transport

from nearfar.gateway.discovery import Discovery
from nearfar.providers import registry

MODEL = "tiny-chat"


@pytest.fixture(scope="module")
def server(tiny_gguf: Path) -> Iterator[str]:
    script = Path(__file__).with_name("llama_cpp_server.py")
    process = subprocess.Popen(
        [sys.executable, script, tiny_gguf, MODEL],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        yield url
    finally:
        process.kill()  # its destructor can hang
        process.wait(30)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


@pytest.fixture(scope="module")
def house(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[running.Gateway]:
    config = "".join(
        f'\n[deployments.{name}]\nprovider = "{name}"\nmodel = "{MODEL}"\nbase_url = "{server}/v1"\n'
        for name in ("llama-cpp", "openai-compatible")
    )
    with running.gateway(tmp_path_factory.mktemp("house"), config) as gateway:
        yield gateway


def test_it_is_found_by_its_answers_among_all_systems_and_its_weights_are_here(server: str) -> None:
    known = registry.load_all()

    async def scenario() -> None:
        async with transport() as sending:
            addresses = {name: (server,) for name, provider in known.items() if provider.probes}
            found = await Discovery(providers=known, addresses=addresses, transport=sending, sealer=SEALER).look({})
        assert list(found) == ["llama-cpp"]
        base, (model,) = found["llama-cpp"]
        assert base == server
        assert (model.model, model.local_weights) == (MODEL, True)
        assert model.context

    run(scenario())


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("provider", ["llama-cpp", "openai-compatible"])
def test_it_answers_as_a_system_with_a_file_and_as_three_lines_of_configuration(
    house: running.Gateway, provider: str, stream: bool
) -> None:
    reply = house.chat(provider, stream=stream, max_tokens=8, seed=1, temperature=0)
    assert reply.status == 200, reply.body
    assert reply.clean
    (entry,) = house.attempts(reply)
    assert (entry.outcome, entry.provider) == ("ok", provider)
    assert entry.input_tokens
    assert entry.output_tokens


def test_a_prompt_that_does_not_fit_is_a_typed_error(house: running.Gateway) -> None:
    reply = house.chat("llama-cpp", messages=[{"role": "user", "content": "word " * 2000}], max_tokens=8)
    assert reply.status == 400
    assert reply.error["code"] in {"context_length_exceeded", "exceed_context_size_error"}
