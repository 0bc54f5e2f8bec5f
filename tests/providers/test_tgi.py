import json

from nearfar.providers.tgi import read_info

# From TGI's docs/openapi.json: the schema Info and its examples.
INFO = {
    "model_id": "org/model-7b",
    "model_sha": None,
    "model_pipeline_tag": "text-generation",
    "max_concurrent_requests": 128,
    "max_best_of": 2,
    "max_stop_sequences": 4,
    "max_input_tokens": 1024,
    "max_total_tokens": 2048,
    "validation_workers": 2,
    "max_client_batch_size": 32,
    "router": "text-generation-router",
    "version": "3.3.6",
}


def test_info() -> None:
    found = read_info(json.dumps(INFO).encode())
    assert found is not None
    assert [(item.model, item.context, item.loaded, item.local_weights) for item in found] == [
        ("org/model-7b", 2048, True, False)
    ]


def test_other_answers_are_not_its_own() -> None:
    for body in (b"{}", b'{"model_id":"m"}', b'{"version":"1"}', b"\xff", b"[]"):
        assert read_info(body) is None
