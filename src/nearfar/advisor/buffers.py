"""Bytes that an engine needs beside weights and cache: intermediate values, its own libraries. It knows no speed."""

from __future__ import annotations

import msgspec

from nearfar.advisor.cache import BYTES, Engine
from nearfar.advisor.figures import Figure, exact, spread
from nearfar.catalog.models import Model

MIB = 1 << 20
GIB = 1 << 30

_VLLM_TOKENS = 8192
"""Tokens of one step that vLLM plans for."""
_VLLM_SEQUENCES = 256


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """How a model is run."""

    engine: Engine = "llama.cpp"
    context: int
    """Tokens of each sequence."""
    sequences: int = 1
    kv: str = "f16"
    ubatch: int = 512
    """Tokens that llama.cpp computes at once."""
    flash_attention: bool = True
    prompt: int = 1024
    """Tokens of the prompt for which times are told."""
    quant: str = "Q4_K_M"
    devices: int = 1


def compute(model: Model, run: Run) -> Figure:
    """Intermediate values of one step, on all devices together."""
    shape = model.shape
    if run.engine == "llama.cpp":
        return _llama(model, run)
    if run.engine == "transformers":
        return _transformers(model, run)
    tokens = min(_VLLM_TOKENS, max(run.context, 2048))
    values = run.devices * tokens * (2 * _width(model) + 4 * shape.hidden) * 2 + shape.vocab * _VLLM_SEQUENCES * 4
    basis = f"{tokens} tokens of one step: layers' values and {_VLLM_SEQUENCES} rows of scores; versions differ by GiB"
    return Figure(low=0.5 * values, value=float(values), high=max(8 * values, 2.0 * GIB), basis=basis)


def overhead(run: Run, *, cuda: bool, on_cpu: bool) -> Figure:
    """What the engine and the driver take for themselves, on all devices together."""
    if on_cpu:
        return spread(0.10 * GIB, 0.5, 3.0, "the engine's own code and tables")
    if run.engine == "transformers":
        return spread(
            0.05 * GIB * run.devices, 0.0, 6.0, "what PyTorch counts as allocated; the driver's part is not in it"
        )
    if run.engine == "llama.cpp":
        each, what = (0.4, "driver's context of each device") if cuda else (0.15, "driver's buffers")
        return spread(each * GIB * run.devices, 0.7, 1.5, what)
    talking = 0.37 * (run.devices if run.devices > 1 else 0)
    return spread((0.9 * run.devices + talking) * GIB, 0.5, 3.0, "driver, CUDA graphs, and NCCL between devices")


def _llama(model: Model, run: Run) -> Figure:
    shape, batch = model.shape, min(run.ubatch, max(run.context, 1))
    if run.flash_attention:
        scratch = 0.0
        if BYTES[run.kv] < 2:  # the cache of a layer is made whole again for the kernel
            scratch = 4.0 * 2 * shape.kv_heads * shape.head_dim * run.context
        buffer = 4.0 * batch * (shape.vocab + shape.hidden)
        basis = f"4 B * {batch} tokens * (vocabulary + width)"
        if not scratch:
            return spread(buffer, 0.9, 1.1, basis)
        return Figure(
            low=buffer,
            value=buffer + scratch,
            high=buffer + 2 * scratch,
            basis=basis + ", and room to unpack the cache",
        )
    buffer = 4.0 * batch * (1 + 4 * shape.hidden + run.context * (1 + shape.heads))
    return spread(buffer, 0.9, 1.1, f"4 B * {batch} tokens * (scores of {shape.heads} heads over the context)")


def _transformers(model: Model, run: Run) -> Figure:
    shape = model.shape
    extra, basis = 30.0 * MIB, "little beside the cache"
    if run.quant == "FP8" and shape.tied:
        extra, basis = 2.0 * shape.vocab * shape.hidden, "FP8 checkpoints hold the output table a second time"
    elif run.quant == "INT4":
        extra = 80.0 * MIB + 5.2 * shape.hidden * run.context
        basis = "weights of four bits are unpacked for the prompt: 5.2 B * width * tokens"
    return spread(extra, 0.5, 2.0, basis)


def _width(model: Model) -> int:
    moe = model.moe
    return model.shape.ffn if moe is None else moe.shared_ffn + moe.active * moe.ffn


def nothing(basis: str) -> Figure:
    """Zero bytes, and why."""
    return exact(0.0, basis)
