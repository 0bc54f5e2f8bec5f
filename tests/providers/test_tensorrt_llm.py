from nearfar.providers import triton, vllm
from nearfar.providers.tensorrt_llm import read_models

# From openai_protocol.py: ModelList of ModelCard.
MODELS = (
    b'{"object":"list","data":[{"id":"TinyLlama","object":"model","created":1790000000,"owned_by":"tensorrt_llm"}]}'
)


def test_models() -> None:
    found = read_models(MODELS)
    assert found is not None
    assert [item.model for item in found] == ["TinyLlama"]


def test_its_neighbours_on_the_port_are_told_apart() -> None:
    assert vllm.read_models(MODELS) is None
    assert triton.read_models(MODELS) is None
    assert read_models(MODELS.replace(b"tensorrt_llm", b"vllm")) is None
