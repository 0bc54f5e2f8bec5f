"""Which type each matrix of a file of weights has, and how many bits that takes. It knows roles, not models.

GGUF's file types mix tensor types by rules of llama.cpp's quantizer (``src/llama-quant.cpp``, as of autumn 2026); types
of other engines keep the embeddings at 16 bits. Bits per weight follow from the formats' blocks and are exact.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from nearfar.advisor.tensors import Matrix
from nearfar.core.errors import BadRequestError

BITS = {
    "F32": 32.0,
    "F16": 16.0,
    "BF16": 16.0,
    "Q8_0": 8.5,
    "Q6_K": 6.5625,
    "Q5_K": 5.5,
    "Q5_0": 5.5,
    "Q5_1": 6.0,
    "Q4_K": 4.5,
    "Q4_0": 4.5,
    "Q4_1": 5.0,
    "IQ4_NL": 4.5,
    "IQ4_XS": 4.25,
    "Q3_K": 3.4375,
    "IQ3_S": 3.4375,
    "IQ3_XXS": 3.0625,
    "Q2_K": 2.625,
    "IQ2_S": 2.5,
    "IQ2_XS": 2.3125,
    "IQ2_XXS": 2.0625,
    "IQ1_M": 1.75,
    "IQ1_S": 1.5625,
    "MXFP4": 4.25,
    "NVFP4": 4.5,
    "FP8": 8.0,
    "INT8": 8.15625,  # groups of 128: a 16-bit scale and, packed, a zero point
    "INT4": 4.15625,
    "MLX4": 4.5,  # groups of 64: a scale and a bias of 16 bits; of the embeddings too
    "MLX8": 8.5,
}
"""Tensor type → bits per weight."""

PLAIN = {"F32", "F16", "BF16"}
"""File types in which every matrix has the same type."""
OTHER_ENGINES = {
    "FP8": "FP8",
    "INT8": "INT8",
    "INT4": "INT4",
    "MLX4": "MLX4",
    "MLX8": "MLX8",
    "NVFP4": "NVFP4",
    "MXFP4": "MXFP4",
}
"""Types of safetensors checkpoints → the type of their linear layers."""
ALIASES = {
    "FP16": "F16",
    "AWQ": "INT4",
    "AWQ-INT4": "INT4",
    "GPTQ-INT4": "INT4",
    "GPTQ": "INT4",
    "GPTQ-INT8": "INT8",
    "FP4": "NVFP4",
    "4BIT": "MLX4",
    "8BIT": "MLX8",
    "Q4_K_XL": "Q4_K_M",
    "Q5_K_XL": "Q5_K_M",
    "Q3_K_XL": "Q3_K_M",
    "Q2_K_XL": "Q2_K",
    "Q6_K_XL": "Q6_K",
    "Q8_K_XL": "Q8_0",
    "Q4_K": "Q4_K_M",
    "Q5_K": "Q5_K_M",
    "Q3_K": "Q3_K_M",
}
"""Other names → ours."""

BASE = {
    "Q8_0": "Q8_0",
    "Q6_K": "Q6_K",
    "Q5_K_M": "Q5_K",
    "Q5_K_S": "Q5_K",
    "Q5_0": "Q5_0",
    "Q5_1": "Q5_1",
    "Q4_K_M": "Q4_K",
    "Q4_K_S": "Q4_K",
    "Q4_0": "Q4_0",
    "Q4_1": "Q4_1",
    "IQ4_NL": "IQ4_NL",
    "IQ4_XS": "IQ4_XS",
    "Q3_K_L": "Q3_K",
    "Q3_K_M": "Q3_K",
    "Q3_K_S": "Q3_K",
    "IQ3_M": "IQ3_S",
    "IQ3_S": "IQ3_S",
    "IQ3_XS": "IQ3_S",
    "IQ3_XXS": "IQ3_XXS",
    "Q2_K": "Q2_K",
    "Q2_K_S": "Q2_K",
    "IQ2_M": "IQ2_S",
    "IQ2_S": "IQ2_XS",
    "IQ2_XS": "IQ2_XS",
    "IQ2_XXS": "IQ2_XXS",
    "IQ1_M": "IQ1_M",
    "IQ1_S": "IQ1_S",
}
"""GGUF's file types → the type of most of their matrices."""
LADDER = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "IQ4_XS", "Q3_K_M", "IQ3_XXS", "Q2_K", "IQ2_XXS")
"""File types worth trying, the best first."""

SMALL = frozenset({"IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M"})
"""Types of two bits and less."""
_FALLBACK = {"Q2_K": "Q4_0", "Q3_K": "Q4_0", "Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
"""For rows that do not fill blocks of 256."""

Split = list[tuple[str, float]]
"""(tensor type, share of the layers)."""


def known() -> list[str]:
    """Every type that can be asked for."""
    return sorted({*BASE, *PLAIN, *OTHER_ENGINES, *ALIASES})


def named(text: str) -> str:
    """The type that ``text`` means. Raises BadRequestError."""
    name = text.strip().upper().removeprefix("UD-")
    name = ALIASES.get(name, name)
    if name in BASE or name in PLAIN or name in OTHER_ENGINES:
        return name
    raise BadRequestError(
        f"{text!r} is no type of weights that is known.",
        code="quant_unknown",
        param="quant",
        hint=f"Use one of {', '.join(LADDER)}, BF16, FP8, AWQ, NVFP4, MXFP4.",
    )


def dynamic(text: str) -> bool:
    """Whether ``text`` names one of Unsloth's dynamic types, which keep more bits than the name says below four."""
    return bool(re.search(r"(?i)\bud[-_]|dynamic|_k_xl", text))


def types(matrix: Matrix, quant: str, *, layers: int, heads: int, kv_heads: int, experts: int, tied: bool) -> Split:
    """The types of ``matrix`` in a file of type ``quant``."""
    if matrix.role == "router":
        return [("F32", 1.0)] if quant in BASE else [("BF16", 1.0)]
    if quant in PLAIN:
        return [(quant, 1.0)]
    if quant in OTHER_ENGINES:
        plain = matrix.role in {"embedding", "output"} and not quant.startswith("MLX")
        return [("BF16" if plain else OTHER_ENGINES[quant], 1.0)]
    split = _mixed(matrix, quant, layers=layers, sharing=heads // max(1, kv_heads), experts=experts, tied=tied)
    if matrix.columns % 256:
        return [(_fitting(kind, matrix.columns), share) for kind, share in split]
    return split


def _fitting(kind: str, columns: int) -> str:
    if columns % 32:
        return "F16"
    if kind.startswith("IQ") and kind != "IQ4_NL":
        return "IQ4_NL"
    return _FALLBACK.get(kind, kind)


def _mixed(matrix: Matrix, quant: str, *, layers: int, sharing: int, experts: int, tied: bool) -> Split:
    """llama.cpp's rules. ``sharing``: query heads for each head of keys."""
    base, role = BASE[quant], matrix.role
    if role == "output" or (role == "embedding" and tied):
        return [("Q5_K" if quant in SMALL or quant == "IQ3_XXS" else base if base == "Q8_0" else "Q6_K", 1.0)]
    if role == "embedding":
        if quant in {"IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS"}:
            return [("Q2_K", 1.0)]
        return [("IQ3_S" if quant in {"IQ2_S", "IQ2_M", "IQ3_XXS"} else base, 1.0)]
    if role == "v":
        return _values(matrix, quant, layers, sharing, experts)
    if role == "qkv":  # as files were made until 2026; since then it counts as values, which is 1 % less of a Q5_K_M
        better = {"Q4_K_M": "Q5_K", "Q5_K_M": "Q6_K", "Q3_K_M": "Q4_K", "Q3_K_L": "Q4_K", "IQ3_M": "Q4_K"}
        return [(better.get(quant, base), 1.0)]
    if role in {"down", "expert_down"}:
        return _down(matrix, quant, layers)
    if role in {"k", "q"}:
        if experts == 8 and role == "k":
            return [("Q4_K" if quant in SMALL else "Q8_0", 1.0)]
        return [({"IQ3_XS": "IQ3_XXS", "IQ3_XXS": "IQ2_S"}.get(quant, base), 1.0)]
    if role == "o":
        if experts == 8 and base not in {"Q5_K", "Q6_K", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"}:
            return [("Q5_K", 1.0)]
        better = {"Q2_K": "Q3_K", "IQ3_XXS": "IQ3_S", "Q3_K_M": "Q4_K", "Q3_K_L": "Q5_K", "IQ3_M": "Q4_K"}
        better |= {"IQ1_S": "IQ2_XXS", "IQ1_M": "IQ2_XXS", "IQ2_S": "IQ3_S", "IQ2_M": "IQ3_S"}
        return [(better.get(quant, base), 1.0)]
    if quant == "IQ3_XS" and role in {"gate", "up", "expert_gate", "expert_up"}:
        return _some("IQ3_XXS", lambda at: layers // 8 <= at < 7 * layers // 8, base, matrix, layers)
    return [(base, 1.0)]


def _values(matrix: Matrix, quant: str, layers: int, sharing: int, experts: int) -> Split:
    base = BASE[quant]
    if quant in SMALL:
        better = "Q4_K" if sharing >= 4 or experts >= 4 else "IQ3_S" if quant in {"IQ2_S", "IQ2_M"} else "Q2_K"
        return [(better, 1.0)]
    if experts == 8:
        return [("Q8_0", 1.0)]
    split: Split = [(base, 1.0)]
    shared = sharing >= 4
    if quant in {"Q4_K_M", "Q5_K_M"}:
        split = _some("Q6_K", lambda at: more_bits(at, layers), base, matrix, layers)
    elif quant == "Q4_K_S":
        split = _some("Q5_K", lambda at: at < 4, base, matrix, layers)
    elif quant == "Q3_K_M":
        split = _some("Q5_K", lambda at: at < 2, "Q4_K", matrix, layers)
    elif quant == "Q3_K_L":
        split = [("Q5_K", 1.0)]
    elif quant == "Q2_K":
        split = [("Q4_K" if shared else "Q3_K", 1.0)]
    elif quant == "IQ3_M" or (shared and quant in {"Q2_K_S", "IQ3_XXS", "IQ3_XS", "IQ3_S"}):
        split = [("Q4_K", 1.0)]
    elif shared and quant in {"IQ4_NL", "IQ4_XS"}:
        split = [("Q5_K", 1.0)]
    if layers == 80:  # the rule names 70B: its values are few and worth more bits
        split = [("Q5_K" if kind in {"Q3_K", "Q4_K"} else kind, share) for kind, share in split]
    return split


def _down(matrix: Matrix, quant: str, layers: int) -> Split:
    base = BASE[quant]
    first = layers // 8
    if quant in SMALL:
        return _some("IQ3_S" if quant in {"IQ2_S", "IQ2_M"} else "Q2_K", lambda at: at < first, base, matrix, layers)
    if quant in {"Q4_K_M", "Q5_K_M"}:
        return _some("Q6_K", lambda at: more_bits(at, layers), base, matrix, layers)
    if quant == "Q4_K_S":
        return _some("Q5_K", lambda at: at < first, base, matrix, layers)
    if quant == "Q3_K_M":
        return _some("Q5_K", lambda at: at < layers // 16, "Q4_K", matrix, layers)
    if quant in {"IQ3_M", "Q2_K_S"}:
        return _some("Q4_K", lambda at: at < first, base, matrix, layers)
    return [({"Q3_K_L": "Q5_K", "Q2_K": "Q3_K"}.get(quant, base), 1.0)]


def _some(better: str, chosen: Callable[[int], bool], rest: str, matrix: Matrix, layers: int) -> Split:
    """``better`` in the layers that are ``chosen``, of those that have this matrix."""
    first, step = matrix.places or (0, 1)
    count = matrix.count if matrix.places else layers
    share = sum(chosen(first + number * step) for number in range(count)) / count
    return [(better, share), (rest, 1.0 - share)]


def more_bits(layer: int, layers: int) -> bool:
    """Whether a layer keeps more bits in the ``_M`` types: the first and last eighth, and each third between."""
    return layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2
