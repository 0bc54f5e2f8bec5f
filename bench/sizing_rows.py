"""Reads a measured point, in the words of its source, as a question to the advisor. It judges nothing."""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

from nearfar.advisor import buffers, fit, quant, serving
from nearfar.advisor.buffers import Run
from nearfar.advisor.cache import Engine, cache, engine_named
from nearfar.advisor.constants import Constants
from nearfar.advisor.figures import Figure, exact, spread
from nearfar.advisor.rig import Rig, named
from nearfar.advisor.weights import Weights, of_model
from nearfar.catalog.find import find_model
from nearfar.catalog.models import Model
from nearfar.core.errors import NearfarError

UNITS = {"GiB": 2.0**30, "MiB": 2.0**20, "GB": 1e9, "MB": 1e6, "bytes": 1.0}
SHAREGPT = (220, 200)
"""Tokens of a prompt and an answer in ShareGPT, about."""


class Point(NamedTuple):
    """What was measured, in our terms."""

    group: str
    label: str
    model: Model
    weights: Weights
    run: Run
    rig: Rig
    depth: int
    rates: str


def predict(row: dict[str, str], known: Constants) -> tuple[Point, float, Figure] | str:
    """The point, its measured value and ours; or why it is passed over."""
    reader = _READERS.get(row["kind"])
    if reader is None:
        return "a kind that is not predicted"
    try:
        return reader(row, known)
    except NearfarError as error:
        return error.message
    except _PassedOver as reason:
        return str(reason)


class _PassedOver(Exception):
    """The row says too little, or something that is out of scope."""


def _point(row: dict[str, str], known: Constants, group: str, *, engine: Engine, rig: Rig, context: int) -> Point:
    found = find_model(row["model"])
    text = row["quant"]
    if "mmproj" in row["model"] or "mix" in text or "(bpw" in text:
        raise _PassedOver("a file of its own kind")
    said = re.split(r"[ (]", text)[0].replace("F16/MXFP4", "F16")
    if said == "see":  # the page serves the weights as they were published
        said = "FP8" if found.model.id == "deepseek-r1" else "MXFP4" if found.model.experts_stored else "BF16"
    name = quant.named(said or found.quant or "F16")
    run = Run(engine=engine, context=context, quant=name)
    embeddings = "F16" if "fp16 embeddings" in text else ""
    weights = of_model(found.model, name, embeddings=embeddings, dynamic=quant.dynamic(text))
    if "checkpoint" in text and found.model.experts_stored:
        weights = of_model(found.model, "BF16")
    label = f"{row['model']} {text} {row['hardware']} {row['context']}".strip()
    return Point(group, label, found.model, weights, run, rig, 0, known.rates(rig.device, engine).id)


def _size(row: dict[str, str], known: Constants) -> tuple[Point, float, Figure]:
    point = _point(row, known, "", engine="llama.cpp", rig=named("RTX 4090"), context=4096)
    bits = quant.BITS[quant.BASE.get(point.run.quant, "F16")]
    group = (
        "file size, 4 bits and more"
        if (bits >= 4 and "IQ" not in point.run.quant[:2]) or point.run.quant == "IQ4_XS"
        else "file size, below 4 bits"
    )
    figure = point.weights.figure
    return point._replace(group=group), float(row["value"]) * UNITS[row["unit"]], figure


def _cache(row: dict[str, str], known: Constants) -> tuple[Point, float, Figure]:
    point = _point(
        {**row, "quant": "F16"},
        known,
        "cache of keys and values",
        engine="llama.cpp",
        rig=named("RTX 4090"),
        context=int(row["context"]),
    )
    kept = cache(point.model, point.run.context)
    value = kept.windowed if row["kind"] == "kv_cache_swa" else kept.whole
    return point, float(row["value"]) * UNITS[row["unit"]], exact(value, kept.basis)


def _buffer(row: dict[str, str], known: Constants) -> tuple[Point, float, Figure]:
    point = _point(
        {**row, "quant": "F16"},
        known,
        "compute buffer",
        engine="llama.cpp",
        rig=named("RTX 4090"),
        context=int(row["context"]),
    )
    batch = re.search(r"ub(\d+)", row["hardware"])
    run = msgspec.structs.replace(
        point.run, ubatch=int(batch[1]) if batch else 512, flash_attention="no-FA" not in row["hardware"]
    )
    return point._replace(run=run), float(row["value"]) * UNITS[row["unit"]], buffers.compute(point.model, run)


def _transformers(row: dict[str, str], known: Constants) -> tuple[Point, float, Figure]:
    lengths = [int(number) for number in re.findall(r"(?:in|out) (\d+)", row["context"])]
    if len(lengths) != 2:
        raise _PassedOver("a video, not a text")
    point = _point(
        row, known, "memory, Transformers", engine="transformers", rig=named(row["hardware"]), context=sum(lengths)
    )
    made = fit.estimate(point.model, point.rig, point.run, known, weights=point.weights)
    return point, float(row["value"]) * 2.0**20, made.total_bytes


def _kv_tokens(row: dict[str, str], known: Constants) -> tuple[Point, float, Figure]:
    budget = re.search(r"KV budget ([\d.]+) GiB(/GPU)?", row["hardware"])
    if not budget:
        rig = named(row["hardware"])
        point = _point(row, known, "tokens that vLLM has room for", engine="vllm", rig=rig, context=int(row["context"]))
        made = fit.estimate(point.model, rig, point.run, known, weights=point.weights)
        return point, float(row["value"]), made.kv_tokens
    devices = int((re.search(r"TP(\d)", row["hardware"]) or ["", "1"])[1])
    point = _point(row, known, "tokens in a given cache", engine="vllm", rig=named("H100"), context=4096)
    per_token = cache(point.model, 4096, engine="vllm").per_token
    return (
        point,
        float(row["value"]),
        spread(float(budget[1]) * 2**30 * devices / per_token, 0.98, 1.02, "budget, as rounded, over bytes per token"),
    )


def _rig(row: dict[str, str]) -> tuple[Rig, int | None]:
    """The machine, and how many layers were left to the processor."""
    text = row["hardware"]
    if "moe" not in text and "EPYC 7343" not in text:
        return named(text), None
    layers = re.search(r"n-cpu-moe (\d+)", f"{text} {row['source']}")
    if "14900K" in text:  # a card that is not named, everything but attention on the processor
        rig = named("RTX 4060 + 96GB")
        return msgspec.structs.replace(rig, ram_gbs=89.6), 36
    return named(text), int(layers[1]) if layers else 27


def _speed(row: dict[str, str], known: Constants) -> tuple[Point, float, Figure]:
    rig, layers = _rig(row)
    engine = engine_named("tensorrt-llm") if "TensorRT" in row["hardware"] else "llama.cpp"
    tokens = int(row["context"]) if row["context"].isdigit() else 512
    point = _point(row, known, "", engine=engine, rig=rig, context=max(tokens, 4096))
    kind = "experts" if point.model.moe else "dense"
    what = "decode" if row["kind"] == "decode_tps" else "prompt"
    # llama-bench's tg1024 begins with nothing: on average half of it lies behind a token.
    depth = min(tokens, 1024) // 2 if tokens <= 1024 else tokens
    run = msgspec.structs.replace(point.run, prompt=depth or 256)
    made = fit.estimate(point.model, rig, run, known, weights=point.weights, offload=layers)
    if layers is None and made.offloaded_layers:
        raise _PassedOver("it would not fit")
    group = f"{what}, {kind}{', partly on the processor' if layers is not None else ''}"
    figure = made.decode_tps if what == "decode" else made.prefill_tps
    return point._replace(group=group, run=run, depth=depth), float(row["value"]), figure


def _served(row: dict[str, str], known: Constants) -> tuple[Point, float, Figure]:
    total = row["kind"] == "throughput_total_tps"
    lengths = re.search(r"ISL(\d+)/OSL(\d+)", row["context"])
    prompt, answer = (int(lengths[1]), int(lengths[2])) if lengths else SHAREGPT
    engine = engine_named("vllm" if total else "tensorrt-llm")
    rig = named(row["hardware"])
    point = _point(row, known, "", engine=engine, rig=rig, context=prompt + answer)
    run = point.run
    if not total:
        run = msgspec.structs.replace(run, kv="fp8")  # as these tables are run
    made = serving.serve(point.model, point.weights, run, rig, known, serving.Load(prompt=prompt, answer=answer))
    if made is None:
        raise _PassedOver("it would not fit")
    kind = "experts" if point.model.moe else "dense, one device" if rig.count == 1 else "dense, several"
    table = "ShareGPT, vLLM" if total else "TensorRT-LLM table"
    return (
        point._replace(group=f"serving, {table}, {kind}"),
        float(row["value"]),
        made.total_tps if total else made.out_tps,
    )


_READERS = {
    "file_size": _size,
    "kv_cache": _cache,
    "kv_cache_swa": _cache,
    "compute_buffer": _buffer,
    "total_memory_transformers": _transformers,
    "kv_tokens": _kv_tokens,
    "decode_tps": _speed,
    "prefill_tps": _speed,
    "throughput_out_tps": _served,
    "throughput_total_tps": _served,
}
