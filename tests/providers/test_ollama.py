import json
from typing import Any

import pytest

from nearfar.core.places import Place
from nearfar.providers.ollama import PROVIDER, read_tags, read_version


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
