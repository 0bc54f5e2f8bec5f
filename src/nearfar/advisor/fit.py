"""Whether a model fits a machine, and how fast it is there. It reads nothing, asks nobody and knows no remedy."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import msgspec

from nearfar.advisor import buffers, serving, speed
from nearfar.advisor.buffers import GIB, Run
from nearfar.advisor.cache import Cache, cache, copies, repeated
from nearfar.advisor.constants import Constants
from nearfar.advisor.figures import Figure, exact, total
from nearfar.advisor.quant import BASE
from nearfar.advisor.rig import Rig
from nearfar.advisor.speed import HERE, Placed
from nearfar.advisor.weights import Weights, of_model
from nearfar.catalog.models import Model

Verdict = Literal["fits", "tight", "offload", "no"]
"""``tight``: it fits, and the range of the estimate does not; ``offload``: with weights in the machine's memory."""

_SERVED = 0.9 * 0.985
"""Of a device's memory, what engines for serving take by default; drivers show a little less than the box says."""


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes, tokens per second and seconds; each with its range and basis."""

    model: str
    quant: str
    engine: str
    hardware: str
    context: int
    sequences: int
    kv_type: str
    verdict: Verdict
    usable_bytes: float
    weights_bytes: Figure
    kv_cache_bytes: Figure
    kv_cache_parts: dict[str, float]
    state_bytes: Figure
    compute_bytes: Figure
    overhead_bytes: Figure
    total_bytes: Figure
    device_bytes: Figure
    """The part of one device, what is offloaded left out."""
    offloaded_layers: int
    """Layers whose weights (with experts: whose experts) lie in the machine's memory."""
    offloaded_bytes: float
    decode_tps: Figure
    decode_full_tps: Figure
    """At the end of the context."""
    prefill_tps: Figure
    first_token_seconds: Figure
    serving: serving.Served | None
    kv_tokens: Figure
    """Tokens of cache that the memory has room for, of all sequences together."""
    notes: tuple[str, ...]


def estimate(
    model: Model,
    rig: Rig,
    run: Run,
    constants: Constants,
    *,
    weights: Weights | None = None,
    offload: int | None = None,
    load: serving.Load | None = None,
) -> Estimate:
    """The whole answer for one model on one machine.

    ``offload``: layers to leave to the machine's memory; None: as few as it takes, where there is such memory.
    """
    run = msgspec.structs.replace(run, devices=rig.count)
    weights = weights or of_model(model, run.quant)
    need = _need(model, weights, run, rig)
    usable = _usable(rig, run)
    layers, placed, beside = _place(model, weights, need, usable, rig, run, offload)
    verdict = _verdict(need, usable, layers, placed)
    depth = min(run.prompt, run.context)
    one = speed.decode(model, weights, run, rig, constants, depth=depth, placed=placed)
    prompt = speed.prefill(model, run, rig, constants, tokens=depth, placed=placed)
    return Estimate(
        model=model.id,
        quant=run.quant,
        engine=run.engine,
        hardware=rig.label,
        context=run.context,
        sequences=run.sequences,
        kv_type=run.kv,
        verdict=verdict,
        usable_bytes=usable,
        weights_bytes=weights.figure,
        kv_cache_bytes=exact(need.cache.total, need.cache.basis),
        kv_cache_parts={"full_attention": need.cache.whole, "sliding_window": need.cache.windowed},
        state_bytes=exact(need.cache.state, "constant state of each sequence" if need.cache.state else "none"),
        compute_bytes=need.compute,
        overhead_bytes=need.overhead,
        total_bytes=need.total,
        device_bytes=_each(need.total, beside, rig.count),
        offloaded_layers=layers,
        offloaded_bytes=beside,
        decode_tps=one,
        decode_full_tps=speed.decode(model, weights, run, rig, constants, depth=run.context, placed=placed),
        prefill_tps=prompt,
        first_token_seconds=speed.first_token(prompt, one, depth),
        serving=serving.serve(model, weights, run, rig, constants, load) if load else None,
        kv_tokens=_kv_tokens(need, usable, beside),
        notes=tuple(_notes(model, run, rig, verdict, placed)),
    )


def _each(whole: Figure, beside: float, count: int) -> Figure:
    low, value, high = (max(0.0, each - beside) / count for each in (whole.low, whole.value, whole.high))
    return Figure(low=low, value=value, high=high, basis="the whole, less what is offloaded, shared out evenly")


def _kv_tokens(need: _Need, usable: float, beside: float) -> Figure:
    per_token = need.cache.per_token
    low, value, high = (
        max(0.0, (usable + beside + need.cache.total - total) // per_token) if per_token else 0.0
        for total in (need.total.high, need.total.value, need.total.low)
    )
    return Figure(low=low, value=value, high=high, basis=f"what is left, over {per_token:.0f} B a token")


class _Need(msgspec.Struct, frozen=True, kw_only=True):
    cache: Cache
    compute: Figure
    overhead: Figure
    total: Figure


def _need(model: Model, weights: Weights, run: Run, rig: Rig) -> _Need:
    kept = cache(
        model, run.context, engine=run.engine, kind=run.kv, sequences=run.sequences, ubatch=min(run.ubatch, run.context)
    )
    kept = repeated(kept, copies(model, run.engine, rig.count))
    compute = buffers.compute(model, run)
    if run.engine == "llama.cpp" and rig.count > 1:
        compute = compute.times(rig.count)
    overhead = buffers.overhead(run, cuda=rig.speaks_cuda, on_cpu=rig.device.processor)
    parts = [weights.figure, exact(kept.total, ""), exact(kept.state, ""), compute, overhead]
    everything = total(parts, "weights + cache + state + compute + overhead")
    return _Need(cache=kept, compute=compute, overhead=overhead, total=everything)


def needed(model: Model, rig: Rig, run: Run, weights: Weights | None = None) -> float:
    """Bytes in all, the value alone: for trying many variants."""
    run = msgspec.structs.replace(run, devices=rig.count)
    return _need(model, weights or of_model(model, run.quant), run, rig).total.value


def room(rig: Rig, run: Run) -> float:
    """Bytes that ``run``'s engine may take on ``rig``."""
    return _usable(rig, run)


def _usable(rig: Rig, run: Run) -> float:
    return rig.usable * (_SERVED if run.engine in {"vllm", "tensorrt-llm"} and not rig.device.unified else 1.0)


def _place(
    model: Model, weights: Weights, need: _Need, usable: float, rig: Rig, run: Run, offload: int | None
) -> tuple[int, Placed, float]:
    """Layers beside, as shares, and the bytes that they take off the devices."""
    shape = model.shape
    if rig.device.unified or run.engine != "llama.cpp":
        short = need.total.value - usable
        # What fits nowhere is read from the disk again and again; engines on graphics cards refuse instead.
        on_disk = min(0.95, max(0.0, short / weights.total)) if rig.device.unified else 0.0
        return 0, Placed(on_disk=on_disk) if on_disk else HERE, 0.0
    per_layer = (weights.experts if model.moe else weights.attention + weights.dense) / shape.layers
    if not model.moe:
        per_layer += need.cache.total / shape.layers
    layers = offload if offload is not None else 0
    if offload is None and need.total.value > usable and rig.ram:
        layers = math.ceil((need.total.value - usable) / per_layer)
    layers = max(0, min(layers, shape.layers))
    if not layers:
        return 0, HERE, 0.0
    share, beside = layers / shape.layers, layers * per_layer
    # Without its memory being known, the machine is believed to have enough.
    missing = max(0.0, beside - rig.ram * 0.85) if rig.ram else 0.0
    on_disk = min(0.95, missing / weights.total)
    crowded = bool(rig.ram) and beside > 0.6 * rig.ram
    if model.moe:
        return layers, Placed(experts_beside=share, on_disk=on_disk, crowded=crowded), beside
    return layers, Placed(layers_beside=share, on_disk=on_disk, crowded=crowded), beside


def _verdict(need: _Need, usable: float, layers: int, placed: Placed) -> Verdict:
    if placed.on_disk:
        return "no"
    if layers:
        return "offload"
    if need.total.value > usable:
        return "no"
    return "fits" if need.total.high <= usable else "tight"


def _notes(model: Model, run: Run, rig: Rig, verdict: Verdict, placed: Placed) -> list[str]:
    notes = list(_impossible(run, rig))
    if rig.note:
        notes.append(rig.note)
    if run.context > model.context:
        notes.append(f"the model was made for {model.context} tokens of context")
    if placed.on_disk:
        notes.append(
            "weights that fit into no memory are read from the disk for each token: a token then takes a second or so"
        )
    if placed.crowded:
        notes.append(
            "little of the machine's memory is left: when it runs out, weights come from the disk, a token a second"
        )
    if verdict == "no" and not rig.device.unified and run.engine == "llama.cpp" and not rig.ram:
        notes.append("with --ram GIB it is told what leaving weights to the machine's memory would do")
    if verdict == "no" and not placed.on_disk:
        notes.append("speeds are those of the device if it had the memory")
    if model.moe:
        notes.append("all experts must be in memory, though few of them compute a token")
    if model.unverified:
        notes.append(f"not verified: {'; '.join(model.unverified)}")
    if model.multimodal and run.engine == "llama.cpp":
        notes.append("for images or sound a projector file comes on top, often half a GB to one and a half")
    return notes


def _impossible(run: Run, rig: Rig) -> Iterator[str]:
    """What an engine does not do, so that figures for it are of no use."""
    served = {"vllm": "vLLM", "tensorrt-llm": "TensorRT-LLM"}.get(run.engine)
    if served is None:
        if run.engine == "transformers" and run.quant in BASE:
            yield "Transformers unpacks GGUF weights to 16 bits: say --quant BF16 for what it then needs"
        return
    if run.quant in BASE:
        only = "reads no GGUF files" if run.engine == "tensorrt-llm" else "reads GGUF files slowly and as an experiment"
        yield f"{served} {only}: AWQ, FP8 and BF16 are for it, --engine llama.cpp for {run.quant}"
    if run.kv not in {"f16", "bf16", "fp8"}:
        yield f"{served} keeps keys and values in 16 bits or as fp8: there is no {run.kv} in it"
    if not rig.speaks_cuda and (run.engine == "tensorrt-llm" or rig.device.unified):
        yield f"{served} does not run on {rig.device.name}"


def gib(count: float) -> str:
    """Bytes for people: ``4.6 GiB``."""
    return f"{count / GIB:.1f} GiB"
