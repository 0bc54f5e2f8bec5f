"""Both engines through a real gateway, with the official client."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from tests import running
from tests.stages.make_models import CJK

SMALL = running.BASE.replace("context = 512", "context = 2048")


@pytest.fixture(scope="module")
def served(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[running.Gateway]:
    """A gateway whose models were added as a user adds them."""
    folder = tmp_path_factory.mktemp("gateway")
    running.configure(folder, "", base=SMALL)
    for name in ("chat", "onnx", "embed"):
        added = running.command(folder, "models", "add", str(models / name), "--json")
        assert added.returncode == 0, added.stderr
        assert json.loads(added.stdout)["engine"] == ("onnx" if name == "onnx" else "transformers")
    with running.gateway(folder, "", base=SMALL) as gateway:
        yield gateway


def client(gateway: running.Gateway) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0)


@pytest.mark.parametrize("model", ["chat", "onnx"])
def test_the_official_client(served: running.Gateway, model: str) -> None:
    with client(served) as api:
        answer = api.chat.completions.create(model=model, messages=[{"role": "user", "content": "1"}])
        assert answer.choices[0].message.content == CJK
        assert answer.usage is not None
        with api.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "1"}], stream=True
        ) as stream:
            pieces = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
        assert "".join(pieces) == CJK
        called = api.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": "3"}],
            tools=[{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}],
        )
        calls = called.choices[0].message.tool_calls or []
        assert [call.function.name for call in calls if call.type == "function"] == ["look_up"]
        with pytest.raises(openai.BadRequestError) as caught:
            api.chat.completions.create(model=model, messages=[{"role": "user", "content": "x" * 3000}])
        assert caught.value.code == "context_length_exceeded"


def test_the_ledger_names_the_system(served: running.Gateway) -> None:
    with client(served) as api:
        for model in ("chat", "onnx"):
            api.chat.completions.create(model=model, messages=[{"role": "user", "content": "1"}], max_tokens=2)
    running.eventually(lambda: {"transformers", "onnx-runtime"} <= {entry.provider for entry in served.entries()})
    assert {entry.place for entry in served.entries()} == {"device"}


def test_embeddings(served: running.Gateway) -> None:
    with client(served) as api:
        found = api.embeddings.create(model="embed", input=["a", "b"])  # the client asks for base64
    assert [len(item.embedding) for item in found.data] == [32, 32]


@pytest.mark.parametrize("model", ["chat", "onnx"])
def test_a_crash_is_a_broken_stream_for_the_client_and_the_next_request_is_answered(
    served: running.Gateway, model: str
) -> None:
    with client(served) as api:
        # Loaded and looked up beforehand: the rest of a stream may come in less time than that takes.
        api.chat.completions.create(model=model, messages=[{"role": "user", "content": "1"}])
        pid = served.engines()[model]
        stream = api.chat.completions.create(model=model, messages=[{"role": "user", "content": "2"}], stream=True)
        next(stream)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(openai.APIError):
            for _ in stream:
                pass
        answer = api.chat.completions.create(model=model, messages=[{"role": "user", "content": "1"}])
        assert answer.choices[0].message.content == CJK


@pytest.mark.parametrize("model", ["chat", "onnx"])
def test_a_client_that_leaves_frees_the_model(served: running.Gateway, model: str) -> None:
    with client(served) as api:
        for _ in range(5):
            stream = api.chat.completions.create(model=model, messages=[{"role": "user", "content": "2"}], stream=True)
            next(stream)
            stream.close()
        answer = api.chat.completions.create(model=model, messages=[{"role": "user", "content": "1"}])
        assert answer.choices[0].message.content == CJK


def test_a_bad_folder_is_refused_with_the_next_step(served: running.Gateway, tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    folder.mkdir()
    (folder / "config.json").write_text('{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}')
    (folder / "pytorch_model.bin").write_bytes(b"x")
    done = running.command(served.folder, "models", "add", str(folder))
    assert done.returncode != 0
    assert "a format that can run code" in done.stderr
