import json

import pytest

from nearfar.providers.lm_studio import read_models

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
