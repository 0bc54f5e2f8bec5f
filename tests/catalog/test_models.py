"""The catalogue is sound: sizes add up to what is published, and a broken file is refused with its reason."""

from __future__ import annotations

import pytest

from nearfar.advisor.tensors import parameters
from nearfar.catalog.licences import shipped as licences
from nearfar.catalog.models import SPEAKS_TRADITIONAL, join, load, shipped

GOOD = """
date = 2026-11-22
source = "a test"
[[model]]
id = "m-1b"
repo = "someone/M-1B"
family = "M"
parameters = 1_000
active = 1_000
context = 4096
modalities = ["text"]
tools = false
chinese = "no"
traditional_chinese = "no"
licences = ["mit"]
gated = false
shape = { layers = 2, hidden = 8, heads = 2, kv_heads = 1, head_dim = 4, ffn = 16, vocab = 32, tied = true }
"""


def test_families_that_were_asked_for_are_there() -> None:
    families = {model.family for model in shipped().values()}
    wanted = {"Llama 3", "Llama 4", "Gemma 3", "Gemma 4", "Mistral", "Mixtral", "Mistral Small", "Phi-4", "DeepSeek R1"}
    assert wanted | {"DeepSeek R1 distill", "Qwen2.5", "Qwen3", "Qwen Omni", "gpt-oss", "TAIDE"} <= families
    assert len(shipped()) >= 60


def test_every_shape_rebuilds_its_published_size() -> None:
    explained = {"multimodal", "hybrid"}
    for model in shipped().values():
        ratio = parameters(model) / model.parameters
        special = {"multimodal"} if model.multimodal else set()
        special |= {"hybrid"} if model.shape.attention == "hybrid" else set()
        if special & explained or model.id.startswith(("gemma-4", "taide-gemma")):
            assert 0.5 < ratio < 1.02, model.id
        else:
            assert 0.98 < ratio < 1.012, (model.id, ratio)


def test_every_licence_is_described_and_every_model_says_what_is_not_verified() -> None:
    for model in shipped().values():
        assert set(model.licences) <= set(licences()), model.id
        assert model.verified or model.unverified, model.id
        assert model.repo.count("/") == 1


def test_distills_inherit() -> None:
    known = shipped()
    assert known["deepseek-r1-distill-llama-70b"].licences == ("llama-3.3", "mit")
    assert known["taide-gemma-3-12b"].licences == ("gemma",)
    assert known["taide-gemma-3-12b"].traditional_chinese == SPEAKS_TRADITIONAL[0]
    assert known["qwen2.5-3b"].licences == ("qwen-research",)
    assert known["qwen2.5-72b"].licences == ("qwen",)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("layers = 2", "layers = 0", "impossible sizes"),
        ("tied = true", 'tied = true, attention = "window"', "window"),
        ("tied = true", 'tied = true, attention = "mla"', "ranks"),
        ("active = 1_000", "active = 2_000", "parameters"),
        ('licences = ["mit"]', "licences = []", "licence"),
        ('source = "a test"', 'source = ""', "source"),
        ("tools = false", "tools = false\nstars = 5", "stars"),
        ("date = 2026-11-22", "date = soon", "not a file of models"),
    ],
)
def test_a_broken_file_is_refused(old: str, new: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        load(GOOD.replace(old, new, 1).encode())


def test_an_id_is_there_once() -> None:
    one = load(GOOD.encode())
    with pytest.raises(ValueError, match="twice"):
        join([one, one])
    assert one[0].date.isoformat() == "2026-11-22"
