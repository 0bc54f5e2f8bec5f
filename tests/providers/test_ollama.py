import json
from typing import Any

import pytest
from ollama import ProcessResponse, ShowResponse
from ollama._types import GenerateRequest

from nearfar.core.places import Place
from nearfar.providers.base import Running, Shown
from nearfar.providers.ollama import PROVIDER, load, read_ps, read_show, read_tags, read_version, unload


def tag(name: str, **fields: Any) -> dict[str, Any]:
    """A model as Ollama's documentation of ``/api/tags`` shows it."""
    return {
        "name": name,
        "model": name,
        "modified_at": "2026-05-10T08:06:48.639712648-07:00",
        "size": 4683075271,
        "digest": "0a8c26691023",
        "details": {"parent_model": "", "format": "gguf", "family": "qwen2", "families": ["qwen2"]},
        **fields,
    }


def local(model: dict[str, Any]) -> bool:
    found = read_tags(json.dumps({"models": [model]}).encode())
    assert found is not None
    return found[0].local_weights


def test_weights_with_a_size_are_local() -> None:
    assert local(tag("llama3.2:latest"))
    assert local(tag("hf.co/a/cloud-b:Q4"))


@pytest.mark.parametrize(
    "model",
    [
        tag("gpt-oss:120b-cloud", size=384, remote_model="gpt-oss:120b", remote_host="https://ollama.com:443"),
        tag("mine", remote_host="https://ollama.com:443"),
        tag("mine", remote_model="gpt-oss:120b"),
        tag("gpt-oss:120b-cloud"),
        tag("kimi:cloud"),
        tag("kimi-cloud"),
        tag("empty", size=0),
        {"name": "no-size"},
    ],
)
def test_everything_else_is_not(model: dict[str, Any]) -> None:
    assert not local(model)


def test_embedding_models_are_told_apart() -> None:
    models = [
        tag("all-minilm", details={"family": "bert"}),
        tag("nomic-embed-text", details={"family": "nomic-bert"}),
        tag("qwen3-embedding:0.6b"),
        tag("llama3.2", details=None),
    ]
    found = read_tags(json.dumps({"models": models}).encode())
    assert found is not None
    assert [set(item.operations) for item in found] == [{"embeddings"}, {"embeddings"}, {"embeddings"}, {"chat"}]


def test_no_models_is_still_ollama() -> None:
    assert read_tags(b'{"models":[]}') == []
    assert read_version(b'{"version":"0.14.1"}') == []


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"models":5}', b'{"data":[]}', b"\xff"])
def test_other_answers_are_not_ollamas(body: bytes) -> None:
    assert read_tags(body) is None
    assert read_version(body) is None


def test_its_place_must_be_proved() -> None:
    assert PROVIDER.place is Place.CLOUD


# From Ollama's documentation of its API: GET /api/ps and POST /api/show.
PS = {
    "models": [
        {
            "name": "mistral:latest",
            "model": "mistral:latest",
            "size": 5137025024,
            "digest": "2ae6f6dd7a3d",
            "expires_at": "2026-08-04T14:38:31.83753-07:00",
            "size_vram": 5137025024,
            "context_length": 4096,
        }
    ]
}
SHOW = {
    "capabilities": ["completion", "vision", "tools"],
    "model_info": {"general.architecture": "llama", "llama.context_length": 131072},
}


def test_what_is_in_memory() -> None:
    assert read_ps(json.dumps(PS).encode()) == [
        Running(model="mistral:latest", context=4096, bytes=5137025024, expires="2026-08-04T14:38:31.83753-07:00")
    ]
    assert read_ps(b'{"models":[]}') == []
    ProcessResponse.model_validate(PS)


def test_loading_and_unloading_ask_for_no_answer() -> None:
    asked = load("llama3.2", "chat", 8192)
    assert (asked.method, asked.path) == ("POST", "/api/generate")
    assert json.loads(asked.body) == {"model": "llama3.2", "stream": False, "options": {"num_ctx": 8192}}
    GenerateRequest.model_validate_json(asked.body)
    assert "options" not in json.loads(load("llama3.2", "chat", None).body)
    vectors = load("all-minilm", "embeddings", None)
    assert (vectors.path, json.loads(vectors.body)) == ("/api/embed", {"model": "all-minilm", "input": []})
    gone = unload(Running(model="mistral:latest"))
    assert json.loads(gone.body) == {"model": "mistral:latest", "keep_alive": 0, "stream": False}


def test_what_a_model_was_trained_for() -> None:
    shown = read_show(json.dumps(SHOW).encode())
    assert shown is not None
    assert shown.context == 131072
    assert {name: can.can for name, can in shown.capabilities.items()} == {
        "tools": True,
        "images": True,
        "reasoning": False,
    }
    assert read_show(b"{}") == Shown(), "an older version says less"
    ShowResponse.model_validate(SHOW)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"models":3}', b'{"model_info":[]}', b"\xff"])
def test_strange_answers_about_memory_say_nothing(body: bytes) -> None:
    assert read_ps(body) is None or body == b'{"model_info":[]}'
    assert read_show(body) is None or body == b'{"models":3}'


def test_a_gateway_that_speaks_its_dialect_is_not_ollama() -> None:
    assert read_version(b'{"version":"0.32.0","nearfar":"0.1.0"}') is None
    assert read_version(b'{"version":"0.32.0"}') == []
