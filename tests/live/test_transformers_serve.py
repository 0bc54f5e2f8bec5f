"""The real ``transformers serve`` behind a real gateway: a tiny random model, on the CPU, without any network.

`make test-all` sets up its environment; without it these tests fail and say so.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import openai
import pytest
from tests import running

from nearfar.providers.transformers_serve import read_paths
from nearfar.wire.transformers_chat import TAKES

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".build" / "stages" / "torch" / "bin" / "python"
HELLO = [{"role": "user", "content": "hello"}]


class Server(NamedTuple):
    url: str
    model: str


def _environment(home: Path) -> dict[str, str]:
    """No network (the Hub is offline), no GPU, one thread, nothing written elsewhere."""
    return {
        "PATH": os.defpath,
        "HOME": str(home),
        "HF_HOME": str(home / "hf"),
        "HF_HUB_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    assert PYTHON.exists(), f"{PYTHON} is missing: make test-all"
    home = tmp_path_factory.mktemp("transformers")
    (home / "hf" / "hub").mkdir(parents=True)  # it answers 500 to GET /v1/models without a cache folder
    model, environment = home / "tiny", _environment(home)
    script = Path(__file__).with_name("tiny_transformers.py")
    subprocess.run([PYTHON, script, model], env=environment, check=True, capture_output=True, timeout=120)
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    program = str(PYTHON.with_name("transformers"))
    command = [program, "serve", str(model), "--host", "127.0.0.1", "--port", str(port)]
    with (home / "serve.log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--device", "cpu"], env=environment, stdout=log, stderr=log, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(process, url, home / "serve.log")
        yield Server(url, str(model))
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(30)


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    def ready() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return running.ask(url, "/health").status == 200
        except OSError:
            return False

    running.eventually(ready, "transformers serve answers", timeout=120)


@pytest.fixture(scope="module")
def house(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[running.Gateway]:
    config = f"""
[deployments.tiny]
provider = "transformers-serve"
model = "{server.model}"
base_url = "{server.url}/v1"
place = "device"
[deployments.elsewhere]
provider = "transformers-serve"
model = "org/not-there"
base_url = "{server.url}/v1"
place = "device"
"""
    config += running.route("first-elsewhere", "elsewhere", "tiny", strategy="local-only")
    with running.gateway(tmp_path_factory.mktemp("house"), config) as gateway:
        yield gateway


@pytest.mark.parametrize("stream", [False, True])
def test_it_answers_and_what_it_would_ignore_is_told(house: running.Gateway, stream: bool) -> None:
    reply = house.chat("tiny", stream=stream, max_tokens=8, temperature=0, seed=1, top_k=4, user="somebody")
    assert reply.status == 200, reply.body
    assert reply.clean
    assert reply.text
    assert set(reply.tried) == {"dropped:top_k", "dropped:user"}
    (entry,) = house.attempts(reply)
    assert (entry.outcome, entry.provider, entry.output_tokens) == ("ok", "transformers-serve", 8)
    assert (entry.input_tokens or 0) > 0
    assert entry.finish == "length"


def test_the_same_seed_gives_the_same_words_streamed_or_not(house: running.Gateway) -> None:
    said = {
        house.chat("tiny", stream=stream, max_tokens=8, temperature=0).text.replace("�", "") for stream in (False, True)
    }
    assert len(said) == 1


def test_the_official_client_gets_usage_and_a_finish_from_a_stream_without_done(house: running.Gateway) -> None:
    with openai.OpenAI(base_url=f"{house.url}/v1", api_key="unused", max_retries=0) as client:
        chunks = list(
            client.chat.completions.create(
                model="tiny",
                messages=[{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi."}],
                max_completion_tokens=5,
                stream=True,
                stream_options={"include_usage": True},
            )
        )
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "length"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 5


def test_a_model_it_was_not_started_with_is_the_deployments_fault(house: running.Gateway) -> None:
    reply = house.chat("first-elsewhere", max_tokens=4)
    assert reply.status == 200, reply.body
    assert reply.tried == ["failover:elsewhere:upstream_not_found"]


def test_what_it_would_ignore_to_the_answers_harm_is_refused(house: running.Gateway) -> None:
    reply = house.chat("tiny", response_format={"type": "json_object"})
    assert (reply.status, reply.error["code"]) == (400, "unsupported")
    assert house.chat("tiny", n=2).status == 400


def test_its_words_for_unknown_members_are_as_golden_bytes_say(server: Server) -> None:
    body: dict[str, Any] = {"model": server.model, "messages": HELLO}
    reply = running.ask(server.url, "/v1/chat/completions", {**body, "top_k": 4})
    golden = ROOT / "tests" / "golden" / "transformers_chat" / "error_422_validation.json"
    assert reply.status == 422
    assert reply.json == json.loads(golden.read_bytes())


@pytest.mark.parametrize("member", sorted(TAKES.members - {"messages", "tools"}))
def test_it_takes_every_member_that_is_sent(server: Server, member: str) -> None:
    values: dict[str, Any] = {
        "chat_template_kwargs": {"x": 1},
        "frequency_penalty": 0.5,
        "logit_bias": {"5": 1.0},
        "max_completion_tokens": 2,
        "seed": 3,
        "stop": ["zzz"],
        "temperature": 0.5,
        "top_p": 0.9,
    }
    body = {"model": server.model, "messages": HELLO, "max_completion_tokens": 2, member: values[member]}
    reply = running.ask(server.url, "/v1/chat/completions", body)
    assert reply.status == 200, reply.body


def test_it_is_known_by_its_own_description(server: Server) -> None:
    assert read_paths(running.ask(server.url, "/openapi.json").body) == []
    listed = running.ask(server.url, "/v1/models")
    assert (listed.status, listed.json["object"]) == (200, "list")
