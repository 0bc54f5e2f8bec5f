"""Speeds: what follows from the form, and a few measured points."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.advisor.buffers import Run
from nearfar.advisor.constants import shipped as constants
from nearfar.advisor.rig import named
from nearfar.advisor.speed import Placed, decode, first_token, overlapped, prefill, step, tflops, unpacking
from nearfar.advisor.weights import of_model
from nearfar.catalog.hardware import shipped as devices
from nearfar.catalog.models import shipped


@pytest.mark.parametrize(
    ("model", "quant", "hardware", "tps"),
    [
        # XiongjieDai's tables (May 2024) and llmfit's community runs (2026).
        ("llama-3-8b", "Q4_K_M", "RTX 4090", 127.74),
        ("llama-3-70b", "Q4_K_M", "RTX A6000", 14.58),
        ("llama-3-8b", "F16", "H100 PCIe", 67.79),
        ("llama-3.1-8b", "Q4_K_M", "RX 7900 XT", 114.33),
        ("qwen3-14b", "Q4_K_M", "Apple M4 Pro", 26.64),
        ("phi-4", "Q6_K", "EPYC 9554", 23.246),
    ],
)
def test_measured(model: str, quant: str, hardware: str, tps: float) -> None:
    known = shipped()[model]
    figure = decode(
        known, of_model(known, quant), Run(context=4096, quant=quant), named(hardware), constants(), depth=512
    )
    assert figure.value == pytest.approx(tps, rel=0.10)
    assert figure.low < tps < figure.high
    assert figure.high / figure.low <= 1.9


@pytest.mark.parametrize(
    ("model", "quant", "hardware", "tps"),
    [
        # Cards that no constant was fitted to: llmfit's community runs (its pull requests 915 and 1031, 2026).
        ("llama-3.1-8b", "Q4_K_M", "Apple M2 Pro", 33.0),
        ("llama-3.1-8b", "Q8_0", "Apple M2 Pro", 22.0),
        ("phi-4-reasoning-plus", "Q4_K_M", "Apple M2 Pro", 17.2),
        ("gemma-3-12b", "Q4_K_M", "Apple M2 Pro", 19.8),
        ("qwen3-8b", "Q4_K_M", "RX 6800", 80.4),
    ],
)
def test_cards_that_were_not_fitted(model: str, quant: str, hardware: str, tps: float) -> None:
    known = shipped()[model]
    run = Run(context=4096, quant=quant)
    assert decode(known, of_model(known, quant), run, named(hardware), constants(), depth=128).value == pytest.approx(
        tps, rel=0.15
    )


def test_unpacking_is_what_a_card_with_little_arithmetic_waits_for() -> None:
    model, rig = shipped()["llama-3-8b"], named("M1 Max")
    rates = constants().rates(rig.device, "llama.cpp")

    def of(quant: str) -> float:
        return unpacking(model, Run(context=4096, quant=quant), rig, rates, constants())

    assert of("Q4_K_M") > of("Q4_0") > of("F16") == 0
    assert unpacking(model, Run(context=4096, quant="Q4_K_M"), named("RTX 4090"), rates, constants()) < 0.2 * of(
        "Q4_K_M"
    )
    weights = of_model(model, "Q4_K_M")
    told = decode(model, weights, Run(context=4096, quant="Q4_K_M"), rig, constants(), depth=512).basis
    assert "unpacking" in told


@given(reading=st.floats(1e-9, 1), arithmetic=st.floats(1e-9, 1))
def test_what_runs_beside_each_other_takes_at_least_the_longer(reading: float, arithmetic: float) -> None:
    both = overlapped(reading, arithmetic)
    assert max(reading, arithmetic) * (1 - 1e-9) <= both <= 1.19 * max(reading, arithmetic) + 1e-12


@given(
    name=st.sampled_from(sorted(shipped())),
    device=st.sampled_from(sorted(devices())),
    depth=st.integers(1, 100_000),
)
def test_no_token_is_faster_than_the_bandwidth(name: str, device: str, depth: int) -> None:
    model, rig = shipped()[name], named(device)
    weights = of_model(model, "Q4_K_M")
    figure = decode(model, weights, Run(context=100_000), rig, constants(), depth=depth)
    assert 0 < figure.low <= figure.value <= figure.high
    assert figure.value <= rig.bandwidth / weights.read()


def test_longer_answers_are_slower_and_weights_elsewhere_too() -> None:
    model = shipped()["llama-3-8b"]
    weights, rig, run = of_model(model, "Q4_K_M"), named("RTX 4090"), Run(context=65536)

    def at(depth: int, placed: Placed) -> float:
        return decode(model, weights, run, rig, constants(), depth=depth, placed=placed).value

    assert at(100, Placed()) > at(60_000, Placed())
    assert at(100, Placed()) > at(100, Placed(layers_beside=0.5)) > at(100, Placed(layers_beside=0.5, on_disk=0.2))
    crowded = decode(model, weights, run, rig, constants(), depth=1, placed=Placed(layers_beside=0.5, crowded=True))
    assert crowded.low < 0.1 * crowded.value


def test_engines_that_work_in_parallel_gain_from_devices() -> None:
    model = shipped()["llama-3-70b"]
    weights = of_model(model, "FP8")
    one, two = named("H100"), named("2x H100")
    vllm = Run(engine="vllm", context=4096, quant="FP8")
    assert (
        step(model, weights, vllm, two, constants(), depth=1).total
        < step(model, weights, vllm, one, constants(), depth=1).total
    )
    llama = msgspec.structs.replace(vllm, engine="llama.cpp")
    alone, turns = (step(model, weights, llama, rig, constants(), depth=1).total for rig in (one, two))
    assert alone < turns < 1.05 * alone


def test_prompts() -> None:
    model, run = shipped()["llama-3-8b"], Run(context=65536)
    fast = prefill(model, run, named("RTX 4090"), constants(), tokens=1024)
    assert fast.value == pytest.approx(6898, rel=0.2)
    assert prefill(model, run, named("RTX 4090"), constants(), tokens=60_000).value < fast.value
    slow = prefill(model, run, named("CPU"), constants(), tokens=1024)
    assert slow.value < fast.value / 20
    wait = first_token(fast, fast, 1024)
    assert wait.low < wait.value < wait.high


def test_compute_by_type() -> None:
    assert tflops(named("H100"), "FP8") == 1978
    assert tflops(named("H100"), "BF16") == 989
    assert tflops(named("B200"), "NVFP4") == 9000
    assert tflops(named("RTX 3090"), "FP8") == 71.2
    assert tflops(named("Apple M4")) == 4.6
