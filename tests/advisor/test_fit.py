"""Verdicts, placements and what is told with them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.examples import examples

from nearfar.advisor.buffers import Run
from nearfar.advisor.constants import shipped as constants
from nearfar.advisor.fit import Estimate, estimate, gib, needed, room
from nearfar.advisor.rig import named
from nearfar.advisor.serving import Load
from nearfar.catalog.hardware import GIB
from nearfar.catalog.hardware import shipped as devices
from nearfar.catalog.models import shipped


def made(model: str, hardware: str, run: Run | None = None, *, offload: int | None = None) -> Estimate:
    return estimate(shipped()[model], named(hardware), run or Run(context=8192), constants(), offload=offload)


@pytest.mark.parametrize(
    ("model", "hardware", "verdict"),
    [
        ("llama-3.1-8b", "RTX 3090", "fits"),
        ("llama-3.3-70b", "RTX 3090", "no"),
        ("llama-3.3-70b", "RTX 3090 + 64GB", "offload"),
        ("llama-3.3-70b", "2x RTX 3090", "fits"),
        ("gpt-oss-120b", "RTX 3090 + 96GB", "offload"),
        ("gpt-oss-120b", "RTX 3090 + 16GB", "no"),
        ("gpt-oss-120b", "Apple M4 Max 128GB", "fits"),
        ("gpt-oss-20b", "Apple M4 16GB", "no"),
    ],
)
def test_verdicts(model: str, hardware: str, verdict: str) -> None:
    assert made(model, hardware).verdict == verdict


def test_parts_make_the_total() -> None:
    told = made("gpt-oss-20b", "RTX 4090", Run(context=131072))
    parts = (told.weights_bytes, told.kv_cache_bytes, told.state_bytes, told.compute_bytes, told.overhead_bytes)
    assert told.total_bytes.value == pytest.approx(sum(part.value for part in parts))
    assert told.device_bytes.value == told.total_bytes.value
    assert told.kv_cache_parts == {"full_attention": 3072 * 2**20, "sliding_window": 18 * 2**20}
    assert told.kv_tokens.low > 131072


def test_as_few_layers_as_it_takes() -> None:
    told = made("gpt-oss-120b", "RTX 3090 + 96GB")
    assert 0 < told.offloaded_layers < 36
    assert told.total_bytes.value - told.offloaded_bytes <= told.usable_bytes
    assert made("gpt-oss-120b", "RTX 3090 + 96GB", offload=36).offloaded_layers == 36
    assert made("gpt-oss-120b", "RTX 3090 + 96GB", offload=36).decode_tps.value < told.decode_tps.value


def test_memory_that_is_too_small_is_told() -> None:
    thrashing = made("gpt-oss-120b", "RTX 3090 + 16GB")
    assert any("disk" in note for note in thrashing.notes)
    assert thrashing.decode_tps.value < 3
    assert any("--ram" in note for note in made("gpt-oss-120b", "RTX 3090").notes)
    assert any("made for 8192" in note for note in made("llama-3-8b", "RTX 3090", Run(context=32768)).notes)


def test_memory_of_transformers_as_measured() -> None:
    run = Run(engine="transformers", context=32768, quant="BF16")
    assert made("qwen3-14b", "H20", run).total_bytes.value == pytest.approx(33336 * 2**20, rel=0.02)


def test_serving_is_told_when_asked() -> None:
    model, rig = shipped()["llama-3.1-8b"], named("H100")
    run = Run(engine="vllm", context=2000, quant="FP8")
    assert estimate(model, rig, run, constants()).serving is None
    assert estimate(model, rig, run, constants(), load=Load()).serving is not None
    assert room(rig, run) == pytest.approx(0.9 * 80 * GIB, rel=0.02)


def test_tokens_that_vllm_has_room_for() -> None:
    run = Run(engine="vllm", context=262144, quant="FP8")
    found = estimate(shipped()["qwen3.8-27b"], named("2x RTX 5090"), run, constants()).kv_tokens
    assert found.low < 377_456 < found.high  # vllm-project/recipes#810
    assert found.value == pytest.approx(377_456, rel=0.1)


@examples(60)
@given(
    name=st.sampled_from(sorted(shipped())),
    device=st.sampled_from(sorted(devices())),
    engine=st.sampled_from(["llama.cpp", "vllm", "transformers", "tensorrt-llm"]),
    context=st.integers(1, 200_000),
    sequences=st.integers(1, 32),
)
def test_every_pair_gets_sound_figures(name: str, device: str, engine: str, context: int, sequences: int) -> None:
    model, rig = shipped()[name], named(device, ram_gb=64)
    quant = "Q4_K_M" if engine == "llama.cpp" else "BF16"
    run = Run(engine=engine, context=context, sequences=sequences, quant=quant)  # type: ignore[arg-type] # a name
    told = estimate(model, rig, run, constants())
    for figure in (told.total_bytes, told.decode_tps, told.prefill_tps, told.first_token_seconds):
        assert 0 < figure.low <= figure.value <= figure.high
        assert figure.basis
    assert told.total_bytes.value == pytest.approx(needed(model, rig, run))
    if told.verdict == "fits":
        assert told.total_bytes.high <= told.usable_bytes
    assert gib(2**30) == "1.0 GiB"


@pytest.mark.parametrize(
    ("hardware", "engine", "quant", "kv", "told"),
    [
        ("H100", "tensorrt-llm", "Q4_K_M", "f16", "reads no GGUF"),
        ("H100", "vllm", "Q4_K_M", "f16", "AWQ, FP8 and BF16 are for it"),
        ("M4 Max", "vllm", "BF16", "f16", "does not run on Apple M4 Max"),
        ("RTX 4090", "vllm", "BF16", "q4_0", "there is no q4_0"),
        ("RTX 4090", "transformers", "Q8_0", "f16", "unpacks GGUF"),
        ("RX 7900 XT", "tensorrt-llm", "BF16", "f16", "does not run on RX 7900 XT"),
    ],
)
def test_what_an_engine_does_not_do_is_told(hardware: str, engine: str, quant: str, kv: str, told: str) -> None:
    run = Run(engine=engine, context=4096, quant=quant, kv=kv)  # type: ignore[arg-type] # a name
    found = estimate(shipped()["qwen3-8b"], named(hardware), run, constants())
    assert told in " ".join(found.notes)


@pytest.mark.parametrize(("engine", "quant"), [("vllm", "INT4"), ("vllm", "FP8"), ("llama.cpp", "Q4_K_M")])
def test_what_an_engine_does_needs_no_telling(engine: str, quant: str) -> None:
    run = Run(engine=engine, context=4096, quant=quant)  # type: ignore[arg-type] # a name
    found = estimate(shipped()["qwen3-8b"], named("H100"), run, constants())
    assert not [note for note in found.notes if "reads" in note or "run on" in note]


def test_a_step_is_never_longer_than_the_context() -> None:
    sizes = [
        estimate(
            shipped()["qwen3-8b"],
            named("H100"),
            Run(context=4096, ubatch=ubatch),
            constants(),
        ).compute_bytes.value
        for ubatch in (4096, 10**12)
    ]
    assert sizes[0] == sizes[1]
