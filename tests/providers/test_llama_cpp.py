import json

import pytest

from nearfar.providers.llama_cpp import read_models, read_props

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
