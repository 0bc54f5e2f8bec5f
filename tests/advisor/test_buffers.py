"""Buffers, held against what engines logged."""

from __future__ import annotations

import pytest

from nearfar.advisor.buffers import MIB, Run, compute, nothing, overhead
from nearfar.catalog.models import shipped


@pytest.mark.parametrize(
    ("model", "run", "mib"),
    [
        ("gpt-oss-20b", Run(context=131072), 398.38),
        ("qwen3-1.7b", Run(context=1024), 300.75),
        ("llama-3.2-1b", Run(context=1024), 254.5),
        ("mistral-7b-v0.3", Run(context=8192, ubatch=256, flash_attention=False), 280),
        ("llama-3.1-405b", Run(context=4096, flash_attention=False), 1160),
    ],
)
def test_llama_cpp_as_logged(model: str, run: Run, mib: float) -> None:
    assert compute(shipped()[model], run).value / MIB == pytest.approx(mib, rel=2e-3)


def test_a_quantized_cache_needs_room_to_unpack() -> None:
    model = shipped()["qwen3.8-27b"]
    plain = compute(model, Run(context=262144))
    packed = compute(model, Run(context=262144, kv="q4_0"))
    assert packed.low == plain.value
    assert packed.low < 2.86 * 1e9 < packed.high  # unsloth#9525


def test_transformers() -> None:
    tied = shipped()["qwen3-1.7b"]
    table = 2.0 * tied.shape.vocab * tied.shape.hidden
    assert compute(tied, Run(engine="transformers", context=2048, quant="FP8")).value == table
    short = compute(tied, Run(engine="transformers", context=2048, quant="INT4"))
    assert compute(tied, Run(engine="transformers", context=32768, quant="INT4")).value > short.value


def test_engines_for_serving_say_how_little_they_know() -> None:
    figure = compute(shipped()["llama-3.1-8b"], Run(engine="vllm", context=8192))
    assert figure.high / figure.low > 4


def test_overhead_grows_with_devices() -> None:
    one, two = (overhead(Run(context=1, devices=count), cuda=True, on_cpu=False).value for count in (1, 2))
    assert two == 2 * one > 0
    assert overhead(Run(context=1), cuda=False, on_cpu=True).value < one
    assert nothing("none").high == 0
