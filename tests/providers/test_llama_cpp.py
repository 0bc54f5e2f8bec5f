import json

import pytest

from nearfar.providers.base import Running
from nearfar.providers.llama_cpp import PROVIDER, read_models, read_props, read_router

# From the documentation of llama.cpp's server: GET /v1/models and GET /props.
MODELS = {
    "object": "list",
    "data": [
        {
            "id": "gemma.gguf",
            "object": "model",
            "created": 1735142223,
            "owned_by": "llamacpp",
            "meta": {"vocab_type": 2, "n_ctx_train": 131072, "n_ctx": 8192, "n_params": 8030261312, "size": 4912898304},
        }
    ],
}
PROPS = {
    "default_generation_settings": {"id": 0, "n_ctx": 8192, "params": {}},
    "total_slots": 1,
    "model_path": "../models/gemma.gguf",
    "chat_template": "...",
}


def test_models() -> None:
    found = read_models(json.dumps(MODELS).encode())
    assert found is not None
    assert [(item.model, item.local_weights, item.context) for item in found] == [("gemma.gguf", True, 8192)]


def test_weights_without_a_size_prove_nothing() -> None:
    found = read_models(b'{"data":[{"id":"m","owned_by":"llamacpp"},{"id":"n","owned_by":"llamacpp","meta":null}]}')
    assert found is not None
    assert [item.local_weights for item in found] == [False, False]


def test_props() -> None:
    assert read_props(json.dumps(PROPS).encode()) == []


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"data":[]}', b'{"data":[{"id":"m","owned_by":"vllm"}]}', b'{"error":{"code":404}}', b"\xff"]
)
def test_other_answers_are_not_its_own(body: bytes) -> None:
    assert read_models(body) is None
    assert read_props(body) is None


# From the documentation of llama.cpp's server: GET /models of a router.
ROUTER = {
    "data": [
        {"id": "a", "status": {"value": "loaded", "args": ["llama-server"]}, "meta": {"n_ctx": 4096}},
        {"id": "b", "status": {"value": "loading", "args": ["llama-server"]}},
        {"id": "c", "status": {"value": "unloaded", "failed": True, "exit_code": 1}},
        {"id": "d", "status": {"value": "sleeping"}},
        {"id": "e", "status": {"value": "downloading", "progress": {}}},
    ]
}


def test_a_router_says_what_is_in_memory() -> None:
    assert read_router(json.dumps(ROUTER).encode()) == [
        Running(model="a", context=4096),
        Running(model="b", loading=True),
    ]
    for strange in (b"", b"{}", b'{"data":[{}]}', b"\xff"):
        assert read_router(strange) is None


def test_a_server_with_one_model_answers_whatever_is_asked_for() -> None:
    assert read_router(json.dumps(MODELS).encode()) == [Running(model="", context=8192)]


def test_load_and_unload() -> None:
    life = PROVIDER.life
    assert life is not None
    asked = life.load("ggml-org/gemma-3-4b-it-GGUF:Q4_K_M", "chat", 4096)
    assert (asked.path, json.loads(asked.body)) == ("/models/load", {"model": "ggml-org/gemma-3-4b-it-GGUF:Q4_K_M"})
    assert life.unload(Running(model="a")).path == "/models/unload"
