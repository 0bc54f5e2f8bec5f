"""Time for one token and for a prompt, of one user. It knows rates and bytes, not whether they fit.

One token costs the bytes that it reads or, on graphics units with little arithmetic for their bandwidth, the unpacking
of its weights; a constant for each layer (starting its kernels: what bandwidth alone leaves out); and the cache that it
looks back on. Source of the form and the constants: data/speed.toml.
"""

from __future__ import annotations

import msgspec

from nearfar.advisor.buffers import Run
from nearfar.advisor.cache import cache
from nearfar.advisor.constants import Constants, Rates
from nearfar.advisor.figures import Figure, spread
from nearfar.advisor.rig import Rig
from nearfar.advisor.weights import Weights
from nearfar.catalog.models import Model

_DISK = 2.0e9
"""Bytes per second of weights that lie in no memory."""
_RAM_SHARE = 0.68
"""Of a machine's bandwidth, what its processor reaches on weights left to it."""
_GFLOPS_PER_GBS = 10.0
"""A processor's compute beside its bandwidth, for prompts: rough, hence the range."""
_TALK_US = 18.0
"""Per layer, between devices that work on one layer together."""
_HANDOVER_US = 300.0
"""Between devices that take turns, for each beyond the first: what four cards lose on one (XiongjieDai, May 2024)."""
_PARALLEL = 0.88
_SHARP = 4.0
"""How sharply the longer of reading and unpacking decides: they overlap, but not quite."""
_PLAIN = frozenset({"F16", "BF16", "F32"})
_SIMPLE = frozenset({"Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "IQ4_NL", "MXFP4", "MLX4", "MLX8", "INT4", "INT8"})
"""Types of blocks of 32 or of one scale for a group: little work to unpack."""


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """Where weights lie, as shares of what one token reads of them."""

    experts_beside: float = 0.0
    """Share of the experts in the machine's memory."""
    layers_beside: float = 0.0
    """Share of the layers, with their cache, in the machine's memory."""
    on_disk: float = 0.0
    """Share of the weights that no memory holds."""
    crowded: bool = False
    """The machine's memory barely holds its part: what is read from a file may be read again and again."""


HERE = Placed()


class Steps(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds that make up one token."""

    weights: float
    layers: float
    cache: float
    beside: float
    """Waiting for the processor's part, or for the disk."""

    @property
    def total(self) -> float:
        """All of them."""
        return self.weights + self.layers + self.cache + self.beside


def decode(
    model: Model, weights: Weights, run: Run, rig: Rig, constants: Constants, *, depth: int, placed: Placed = HERE
) -> Figure:
    """Tokens per second of one user, ``depth`` tokens into the context."""
    rates = constants.rates(rig.device, run.engine)
    steps = step(model, weights, run, rig, constants, depth=depth, placed=placed)
    low, high = _range(model, rig, rates, constants, placed)
    basis = f"{weights.read() / 1e9:.2f} GB a token at {_eta(run, rig, rates):.2f} of {rig.bandwidth / 1e9:.0f} GB/s"
    basis += f", {rates.layer_us:g} µs a layer; constants {rates.id} of {constants.date}"
    arithmetic = unpacking(model, run, rig, rates, constants)
    if arithmetic > 0.5 * steps.weights:
        basis += f"; unpacking the weights takes {arithmetic * 1e3:.3g} ms beside it"
    return spread(1 / steps.total, low, high, basis)


def step(
    model: Model, weights: Weights, run: Run, rig: Rig, constants: Constants, *, depth: int, placed: Placed = HERE
) -> Steps:
    """The seconds of one token, by cause."""
    rates = constants.rates(rig.device, run.engine)
    speed = rig.bandwidth * _eta(run, rig, rates)
    per_layer = rates.layer_us * 1e-6 * (constants.moe_layer if model.moe else 1.0)
    turns = 0.0
    if rig.count > 1 and run.engine in {"vllm", "tensorrt-llm"}:
        speed *= rig.count * _PARALLEL
        per_layer += _TALK_US * 1e-6
    elif not rig.device.processor:  # llama.cpp and Transformers take turns
        turns = (rig.count - 1) * _HANDOVER_US * 1e-6
    experts = weights.read() - weights.always
    beside = experts * placed.experts_beside + weights.read() * placed.layers_beside
    here = max(0.0, weights.read() - beside)
    kept = cache(model, min(depth, run.context) or 1, engine=run.engine, kind=run.kv).total
    slow = beside / (rig.ram_gbs * 1e9 * _RAM_SHARE) + weights.read() * placed.on_disk / _DISK
    share = here / weights.read() if weights.read() else 0.0
    return Steps(
        weights=overlapped(here / speed, share * unpacking(model, run, rig, rates, constants)),
        layers=model.shape.layers * per_layer + turns,
        cache=kept / (speed / _eta(run, rig, rates) * constants.cache_eta),
        beside=slow,
    )


def unpacking(model: Model, run: Run, rig: Rig, rates: Rates, constants: Constants) -> float:
    """Seconds that the arithmetic of one token's weights takes on ``rig``; 0 where it is never the limit."""
    shader = rig.device.shader_tflops or rig.device.fp16_tflops
    if not rates.ops or not shader or run.quant in _PLAIN:
        return 0.0
    operations = rates.ops * (constants.simple_ops if run.quant in _SIMPLE else 1.0)
    return operations * work(model) / 2 / (shader * 1e12)


def overlapped(reading: float, arithmetic: float) -> float:
    """Seconds of both, which run beside each other: a little more than the longer."""
    return float((reading**_SHARP + arithmetic**_SHARP) ** (1 / _SHARP))


def prefill(model: Model, run: Run, rig: Rig, constants: Constants, *, tokens: int, placed: Placed = HERE) -> Figure:
    """Tokens of a prompt of ``tokens`` that are read per second."""
    rates = constants.rates(rig.device, run.engine)
    share = (rates.prefill_plain or rates.prefill) if run.quant in _PLAIN else rates.prefill
    if model.moe:
        share *= constants.moe_prefill
    devices = rig.count * _PARALLEL if rig.count > 1 and run.engine in {"vllm", "tensorrt-llm"} else 1.0
    flops = tflops(rig, run.quant if run.engine != "llama.cpp" else "") * 1e12 * devices
    per_token = work(model) + 2.0 * model.shape.heads * model.shape.head_dim * model.shape.layers * min(
        tokens, run.context
    )
    speed = share * flops / per_token
    low, high = rates.prefill_low, rates.prefill_high
    beside = max(placed.experts_beside, placed.layers_beside)
    if beside or placed.on_disk:
        processor = _GFLOPS_PER_GBS * 1e9 * rig.ram_gbs / per_token
        # Large batches of weights left beside are carried to the device instead: somewhere between the two.
        speed = 1 / ((1 - beside) / speed + beside / (3 * processor) + placed.on_disk * 50 / speed)
        low, high = low * 0.5, high * 2.0
    if model.moe:
        low, high = low * 0.7, high * 1.4
    if not _known_compute(rig):
        low, high = low * 0.5, high * 2.0
    basis = f"{share:.2f} of {flops / 1e12:.3g} TFLOPS over {per_token / 1e9:.1f} GFLOP a token; constants {rates.id}"
    return spread(speed, low, high, basis)


def first_token(prompt: Figure, one: Figure, tokens: int) -> Figure:
    """Seconds until the first token of an answer to a prompt of ``tokens``, nobody else waiting."""
    return Figure(
        low=tokens / prompt.high + 1 / one.high,
        value=tokens / prompt.value + 1 / one.value,
        high=tokens / prompt.low + 1 / one.low,
        basis=f"a prompt of {tokens} tokens, then one token; loading is not counted",
    )


def work(model: Model) -> float:
    """Floating-point operations for one token, the look back left out."""
    shape = model.shape
    looked_up = 0 if shape.tied else shape.vocab * shape.hidden
    return 2.0 * max(1, model.active - looked_up)


def tflops(rig: Rig, quant: str = "") -> float:
    """TFLOPS of one device for weights of type ``quant``; the best 16-bit figure where none is named."""
    device = rig.device
    if device.processor:
        if device.fp16_tflops:  # measured
            return device.fp16_tflops
        return _GFLOPS_PER_GBS * device.bandwidth_gbs / 1000
    if quant == "FP8" and device.fp8_tflops:
        return device.fp8_tflops
    if quant in {"NVFP4", "MXFP4"} and device.fp4_tflops:
        return device.fp4_tflops
    if quant:
        return device.fp16_tflops or device.shader_tflops or device.bandwidth_gbs * 0.1
    return device.fp16_fast_tflops or device.fp16_tflops or device.shader_tflops or device.bandwidth_gbs * 0.1


def _known_compute(rig: Rig) -> bool:
    device = rig.device
    return bool(device.fp16_tflops or device.shader_tflops) or device.processor


def _eta(run: Run, rig: Rig, rates: Rates) -> float:
    if rig.device.processor:
        # Pages lie on both sockets in turns: half of what is read comes over the link between them.
        return (rig.device.achievable or rates.eta) * (1.0 if rig.count == 1 else 0.5)
    plain = run.quant in _PLAIN
    return rates.eta_plain if plain and rates.eta_plain else rates.eta


def _range(model: Model, rig: Rig, rates: Rates, constants: Constants, placed: Placed) -> tuple[float, float]:
    low, high = rates.low, rates.high
    if model.moe:
        low, high = min(low, constants.moe_low), max(high, constants.moe_high)
    if placed != HERE:
        low, high = low * 0.85, high * 1.1
    if placed.on_disk:
        low, high = low * 0.5, high * 1.5
    if placed.crowded:
        low *= 0.03
    if rig.device.processor and rig.count > 1:
        low, high = 0.45, 1.5
    if rig.device.kind == "described":
        low, high = min(low, 0.65), max(high, 1.4)
    return low, high
