import json

import pytest

from nearfar.providers.vllm import read_models, read_version

# From vLLM's documentation of its OpenAI-compatible server: GET /v1/models and GET /version.
MODELS = {
    "object": "list",
    "data": [
        {
            "id": "Qwen/Qwen3-8B",
            "object": "model",
            "created": 1750000000,
            "owned_by": "vllm",
            "root": "Qwen/Qwen3-8B",
            "parent": None,
            "max_model_len": 40960,
            "permission": [],
        }
    ],
}


def test_models() -> None:
    found = read_models(json.dumps(MODELS).encode())
    assert found is not None
    assert [(item.model, item.context, item.loaded, item.local_weights) for item in found] == [
        ("Qwen/Qwen3-8B", 40960, True, False)
    ]


def test_version() -> None:
    assert read_version(b'{"version":"0.15.0"}') == []


@pytest.mark.parametrize("body", [b"", b"{}", b'{"data":[]}', b'{"data":[{"id":"m","owned_by":"llamacpp"}]}', b"\xff"])
def test_other_answers_are_not_its_own(body: bytes) -> None:
    assert read_models(body) is None
    assert read_version(body) is None
