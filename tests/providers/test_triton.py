from nearfar.providers.triton import read_models

# From triton_engine.py: the models it lists.
MODELS = (
    b'{"object":"list","data":[{"id":"tensorrt_llm_bls","created":1790000000,"object":"model",'
    b'"owned_by":"Triton Inference Server"}]}'
)


def test_models() -> None:
    found = read_models(MODELS)
    assert found is not None
    assert [item.model for item in found] == ["tensorrt_llm_bls"]


def test_other_answers_are_not_its_own() -> None:
    for body in (b"{}", b'{"data":[]}', MODELS.replace(b"Triton Inference Server", b"vllm")):
        assert read_models(body) is None
