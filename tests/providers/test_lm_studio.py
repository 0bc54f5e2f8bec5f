import json

import pytest

from nearfar.providers.base import Running
from nearfar.providers.lm_studio import load, read_loaded, read_models, unload

# From LM Studio's documentation of its REST API: GET /api/v0/models.
MODELS = {
    "object": "list",
    "data": [
        {
            "id": "qwen2-vl-7b-instruct",
            "object": "model",
            "type": "vlm",
            "publisher": "mlx-community",
            "arch": "qwen2_vl",
            "compatibility_type": "mlx",
            "quantization": "4bit",
            "state": "not-loaded",
            "max_context_length": 32768,
        },
        {
            "id": "text-embedding-nomic-embed-text-v1.5",
            "object": "model",
            "type": "embeddings",
            "state": "loaded",
            "max_context_length": 2048,
            "loaded_context_length": 512,
        },
    ],
}


def test_models() -> None:
    found = read_models(json.dumps(MODELS).encode())
    assert found is not None
    assert [(item.model, item.context, item.loaded) for item in found] == [
        ("qwen2-vl-7b-instruct", 32768, False),
        ("text-embedding-nomic-embed-text-v1.5", 512, True),
    ]
    assert [set(item.operations) for item in found] == [{"chat"}, {"embeddings"}]
    assert found[0].capabilities["images"].can


def test_it_may_list_models_of_other_machines() -> None:
    found = read_models(json.dumps(MODELS).encode())
    assert found is not None
    assert not any(item.local_weights for item in found)


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"data":[{"id":"m","owned_by":"x"}]}', b'{"error":"Unexpected endpoint"}']
)
def test_other_answers_are_not_its_own(body: bytes) -> None:
    assert read_models(body) is None


# From LM Studio's documentation of its REST API: GET /api/v1/models.
DISK = {
    "models": [
        {
            "type": "llm",
            "key": "gemma-3-270m-it-qat",
            "size_bytes": 241410208,
            "loaded_instances": [{"id": "gemma-3-270m-it-qat:2", "config": {"context_length": 4096}}],
            "max_context_length": 32768,
        },
        {"type": "embedding", "key": "nomic", "loaded_instances": [], "max_context_length": 2048},
    ]
}


def test_loaded_instances() -> None:
    assert read_loaded(json.dumps(DISK).encode()) == [
        Running(model="gemma-3-270m-it-qat", instance="gemma-3-270m-it-qat:2", context=4096, bytes=241410208)
    ]
    for strange in (b"", b"{}", b'{"models":[{"key":1}]}', b"\xff"):
        assert read_loaded(strange) is None


def test_load_and_unload() -> None:
    asked = load("openai/gpt-oss-20b", "chat", 16384)
    assert (asked.path, json.loads(asked.body)) == (
        "/api/v1/models/load",
        {"model": "openai/gpt-oss-20b", "config": {"context_length": 16384}},
    )
    assert json.loads(load("m", "chat", None).body) == {"model": "m"}
    gone = unload(Running(model="m", instance="m:2"))
    assert (gone.path, json.loads(gone.body)) == ("/api/v1/models/unload", {"instance_id": "m:2"})
