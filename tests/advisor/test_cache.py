"""Keys and values, held against what engines logged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.advisor.cache import BYTES, ENGINES, cache, copies, engine_named, kind_named, repeated
from nearfar.catalog.models import shipped
from nearfar.core.errors import BadRequestError

MIB = 1 << 20


@pytest.mark.parametrize(
    ("model", "context", "mib"),
    [
        # Logs of llama.cpp; sources in the explanation of the formulas.
        ("mistral-7b-v0.3", 8192, 1024),
        ("qwen3-235b-a22b", 4096, 752),
        ("qwen3-1.7b", 1024, 112),
        ("deepseek-r1", 16384, 1098),
        ("gpt-oss-20b", 131072, 3072 + 18),
        ("qwen3.6-27b", 262144, 16384),
        ("llama-3.1-405b", 4096, 2016),
        ("phi-3-mini-4k", 4096, 1536),
        ("gemma-3-4b", 131072, 2734),
        ("gemma-3-27b", 131072, 10864),
    ],
)
def test_as_logged(model: str, context: int, mib: float) -> None:
    assert cache(shipped()[model], context).total / MIB == pytest.approx(mib, rel=1e-3)


def test_types_of_cache() -> None:
    model = shipped()["llama-3.1-8b"]
    whole = cache(model, 8192).total
    assert cache(model, 8192, kind="q8_0").total == whole * 1.0625 / 2
    assert cache(model, 8192, kind="q4_0").total == whole * 0.5625 / 2
    assert kind_named("FP16") == "f16"
    with pytest.raises(BadRequestError, match="q3"):
        kind_named("q3")


def test_engines_differ_on_windows() -> None:
    model = shipped()["gpt-oss-120b"]
    assert cache(model, 4096, engine="vllm").per_token == 73728
    assert cache(model, 4096).per_token == 36864
    assert engine_named("llama_cpp") == "llama.cpp"
    with pytest.raises(BadRequestError, match="exllama"):
        engine_named("exllama")


def test_heads_that_cannot_be_shared_out_are_repeated() -> None:
    known = shipped()
    assert copies(known["llama-3.3-70b"], "vllm", 8) == 1
    assert copies(known["qwen3-235b-a22b"], "vllm", 8) == 2
    assert copies(known["deepseek-r1"], "tensorrt-llm", 8) == 8
    assert copies(known["deepseek-r1"], "llama.cpp", 8) == 1
    one = cache(known["qwen3-8b"], 100, engine="vllm")
    assert repeated(one, 1.0) is one
    assert repeated(one, 2.0).total == 2 * one.total


def test_a_constant_state() -> None:
    kept = cache(shipped()["qwen3.6-27b"], 4096, sequences=3)
    assert kept.state / MIB == pytest.approx(3 * 149.62)


@given(
    name=st.sampled_from(sorted(shipped())),
    context=st.integers(1, 1 << 20),
    engine=st.sampled_from(ENGINES),
    kind=st.sampled_from(sorted(BYTES)),
    sequences=st.integers(1, 64),
)
def test_more_never_costs_less(name: str, context: int, engine: str, kind: str, sequences: int) -> None:
    model, known = shipped()[name], engine_named(engine)
    one = cache(model, context, engine=known, kind=kind, sequences=sequences)
    assert cache(model, context + 1, engine=known, kind=kind, sequences=sequences).total >= one.total > 0
    assert cache(model, context, engine=known, kind=kind, sequences=sequences + 1).total >= one.total
