"""Bytes of keys and values for a model, a context and an engine. It knows no device.

Checked against the logs of engines: see ``bench/sizing.py``.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from nearfar.catalog.models import Model
from nearfar.core.errors import BadRequestError

Engine = Literal["llama.cpp", "vllm", "transformers", "tensorrt-llm"]
ENGINES: tuple[Engine, ...] = ("llama.cpp", "vllm", "transformers", "tensorrt-llm")

BYTES = {
    "f32": 4.0,
    "f16": 2.0,
    "bf16": 2.0,
    "fp8": 1.0,
    "q8_0": 34 / 32,
    "q5_1": 24 / 32,
    "q5_0": 22 / 32,
    "q4_1": 20 / 32,
    "q4_0": 18 / 32,
}
"""Type of the cache → bytes per number."""

_ROUND = 256
"""llama.cpp's caches hold a multiple of so many tokens."""


class Cache(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes for all sequences together."""

    whole: float
    """Of layers that see the whole context."""
    windowed: float
    """Of layers that see a window or a chunk."""
    state: float
    """Constant, whatever the context: of layers without keys and values."""
    per_token: float
    """Bytes that one more token of one sequence takes while it still grows."""
    basis: str

    @property
    def total(self) -> float:
        """Keys and values, without the constant state."""
        return self.whole + self.windowed


def kind_named(text: str) -> str:
    """A type of cache. Raises BadRequestError."""
    name = text.strip().lower().replace("-", "_")
    name = {"fp16": "f16", "q8": "q8_0", "q4": "q4_0", "fp8_e4m3": "fp8", "fp8_e5m2": "fp8", "auto": "f16"}.get(
        name, name
    )
    if name not in BYTES:
        raise BadRequestError(
            f"{text!r} is no type of cache.",
            code="kv_type_unknown",
            param="kv_type",
            hint=f"Use one of {', '.join(BYTES)}.",
        )
    return name


def engine_named(text: str) -> Engine:
    """An engine. Raises BadRequestError."""
    name = text.strip().lower().replace("_", "-")
    same = {"llamacpp": "llama.cpp", "llama-cpp": "llama.cpp", "gguf": "llama.cpp", "trt-llm": "tensorrt-llm"}
    same |= {"tensorrt": "tensorrt-llm", "trtllm": "tensorrt-llm", "hf": "transformers", "ollama": "llama.cpp"}
    name = same.get(name, name)
    for each in ENGINES:
        if name == each:
            return each
    raise BadRequestError(
        f"{text!r} is no engine that is known.",
        code="engine_unknown",
        param="engine",
        hint=f"Use one of {', '.join(ENGINES)}.",
    )


def cache(
    model: Model,
    context: int,
    *,
    engine: Engine = "llama.cpp",
    kind: str = "f16",
    sequences: int = 1,
    ubatch: int = 512,
) -> Cache:
    """Keys and values of ``sequences`` sequences of ``context`` tokens each."""
    shape, mla = model.shape, model.mla
    size = BYTES[kind]
    state = shape.state_mib * 2**20 * sequences
    if mla is not None:
        token = shape.layers * (mla.kv_rank + mla.rope) * size
        return Cache(
            whole=token * context * sequences,
            windowed=0,
            state=state,
            per_token=token,
            basis=f"latent attention: {shape.layers} layers * {mla.kv_rank + mla.rope} numbers * {size:g} B",
        )
    of_all = _numbers(model, whole=True) * size * shape.seeing_all
    others = 0 if shape.attention == "hybrid" else shape.layers - shape.seeing_all
    of_window = _numbers(model, whole=False) * size * others
    if others and engine == "llama.cpp":
        # One cache for all sequences: a window each, and room for the tokens of one step.
        cells = min(context * sequences, _up(shape.window * sequences + ubatch))
        windowed, growing = of_window * cells, of_all
        basis = f"{shape.seeing_all} layers see {context} tokens, {others} a window: {cells} cells"
    elif others and engine == "transformers":
        windowed, growing = of_window * min(context, shape.window) * sequences, of_all
        basis = f"{shape.seeing_all} layers see {context} tokens, {others} a window of {shape.window}"
    else:
        windowed, growing = of_window * context * sequences, of_all + of_window
        numbers = _numbers(model, whole=True)
        basis = f"{shape.seeing_all + others} layers * {context} tokens * {numbers} numbers * {size:g} B"
        basis += f"; {engine} keeps all of them for layers with a window too" if others else ""
    return Cache(whole=of_all * context * sequences, windowed=windowed, state=state, per_token=growing, basis=basis)


def copies(model: Model, engine: Engine, devices: int) -> float:
    """How often the cache lies in memory when ``devices`` share each layer.

    Heads of keys are dealt out; where there are fewer than devices they are repeated, and a latent vector always is.
    """
    if engine not in {"vllm", "tensorrt-llm"} or devices == 1:
        return 1.0
    heads = 1 if model.mla is not None else model.shape.global_kv_heads or model.shape.kv_heads
    return devices / min(devices, heads)


def repeated(kept: Cache, times: float) -> Cache:
    """``kept``, ``times`` over."""
    if times == 1.0:
        return kept
    return Cache(
        whole=kept.whole * times,
        windowed=kept.windowed * times,
        state=kept.state * times,
        per_token=kept.per_token * times,
        basis=f"{kept.basis}; {times:g} times, because its heads cannot be shared out further",
    )


def _numbers(model: Model, *, whole: bool) -> int:
    """Numbers per token in one layer."""
    shape = model.shape
    if whole and shape.global_head_dim:
        return (1 if shape.values_are_keys else 2) * shape.global_kv_heads * shape.global_head_dim
    return 2 * shape.kv_heads * shape.head_dim


def _up(cells: int) -> int:
    return math.ceil(cells / _ROUND) * _ROUND
