from __future__ import annotations

import pytest

from nearfar.advisor.buffers import Run
from nearfar.advisor.constants import shipped as constants
from nearfar.advisor.rig import named
from nearfar.advisor.serving import Load, Served, serve
from nearfar.advisor.weights import of_model
from nearfar.catalog.models import shipped


def served(model: str, quant: str, hardware: str, load: Load, engine: str = "tensorrt-llm") -> Served | None:
    known = shipped()[model]
    run = Run(engine=engine, context=load.prompt + load.answer, quant=quant, kv="fp8")  # type: ignore[arg-type] # a name
    return serve(known, of_model(known, quant), run, named(hardware), constants(), load)


@pytest.mark.parametrize(
    ("model", "quant", "hardware", "prompt", "answer", "tps"),
    [
        # TensorRT-LLM's published tables.
        ("llama-3.1-8b", "FP8", "H100", 1000, 1000, 15220),
        ("llama-3.1-8b", "FP8", "H200", 5000, 500, 3902),
        ("llama-3.3-70b", "FP8", "H200", 1000, 1000, 2909),
        ("llama-3.3-70b", "NVFP4", "RTX PRO 6000", 5000, 500, 401),
    ],
)
def test_published(model: str, quant: str, hardware: str, prompt: int, answer: int, tps: float) -> None:
    made = served(model, quant, hardware, Load(prompt=prompt, answer=answer))
    assert made is not None
    assert 0.6 <= made.out_tps.value / tps <= 1.4
    assert made.out_tps.low < tps < made.out_tps.high
    assert made.total_tps.value == pytest.approx(made.out_tps.value * (prompt + answer) / answer)


def test_what_does_not_fit_serves_nobody() -> None:
    assert served("llama-3.1-405b", "FP8", "H100", Load()) is None


def test_fewer_at_once_are_less_in_all() -> None:
    few = served("llama-3.1-8b", "FP8", "H100", Load(sequences=4))
    many = served("llama-3.1-8b", "FP8", "H100", Load())
    assert few is not None
    assert many is not None
    assert few.sequences == 4
    assert few.out_tps.value < many.out_tps.value
    assert few.out_tps.value / 4 > many.out_tps.value / many.sequences


def test_more_at_once_are_never_less_in_all() -> None:
    for model, quant, hardware, engine in (
        ("deepseek-r1", "FP8", "8x H200", "vllm"),
        ("llama-3.1-8b", "Q4_K_M", "RTX 4090", "llama.cpp"),
    ):
        paces = []
        for count in (1, 2, 8, 32, 90, 512):
            made = served(model, quant, hardware, Load(prompt=1024, answer=256, sequences=count), engine=engine)
            assert made is not None
            paces.append(made.out_tps.value)
        assert paces == sorted(paces)


def test_untuned_engines_get_less() -> None:
    tuned = served("qwen3-30b-a3b", "BF16", "H100", Load())
    plain = served("qwen3-30b-a3b", "BF16", "H100", Load(), engine="vllm")
    assert tuned is not None
    assert plain is not None
    assert plain.out_tps.value < tuned.out_tps.value


def test_a_fast_device_waits_for_the_engines_own_program() -> None:
    """vLLM's server takes time for each token that it answers: twice the device is less than twice the tokens."""
    paces = {}
    for engine in ("vllm", "tensorrt-llm"):
        for device in ("A100 80GB", "H100"):
            made = served("llama-3.1-8b", "BF16", device, Load(prompt=220, answer=200), engine=engine)
            assert made is not None
            paces[engine, device] = made.out_tps
    own = constants().serving.span("vllm", moe=False).answer_us
    assert paces["vllm", "H100"].value < 1e6 / own
    assert f"{own:g} µs of the engine's own a token" in paces["vllm", "H100"].basis
    gain = {
        engine: paces[engine, "H100"].value / paces[engine, "A100 80GB"].value for engine in ("vllm", "tensorrt-llm")
    }
    assert gain["vllm"] < 0.75 * gain["tensorrt-llm"]
