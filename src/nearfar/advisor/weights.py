"""Bytes of a model's weights by their use, and how many of them one token reads. It knows types, not machines."""

from __future__ import annotations

import msgspec

from nearfar.advisor.figures import Figure, exact, spread
from nearfar.advisor.quant import BASE, BITS, LADDER, PLAIN, SMALL, types
from nearfar.advisor.tensors import ATTENTION_ROLES, EXPERT_ROLES, matrices, parameters
from nearfar.catalog.models import Model

_TOKENIZER = 40
"""Bytes in a GGUF file for each token of the vocabulary: its text, score, type and merge; seen with Qwen and Llama."""

_DYNAMIC = 1.36
"""Times the size: seen on Llama 4 in dynamic types of one and two bits (unsloth's table)."""

_DYNAMIC_DENSE = 1.15
"""The same without experts, and at three bits: one published size (unsloth#9525) is 1.2 times."""


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes, by use."""

    embedding: float
    """The table that tokens are looked up in: one row of it is read per token."""
    output: float
    attention: float
    dense: float
    """Feed-forward layers that compute every token, norms and routers."""
    experts: float
    extra: float
    """For images and speech."""
    tied: bool
    share: float
    """Of the experts, how many compute one token."""
    file_bytes: float
    basis: str
    low: float
    """Times the total: how small and how large a file of this name was seen."""
    high: float

    @property
    def total(self) -> float:
        """Everything that must be in memory."""
        return self.embedding + self.output + self.attention + self.dense + self.experts + self.extra

    @property
    def figure(self) -> Figure:
        """The total with its range."""
        if self.low == self.high == 1.0:
            return exact(self.total, self.basis)
        return spread(self.total, self.low, self.high, self.basis)

    @property
    def always(self) -> float:
        """Read for every step, whatever it computes."""
        return (self.embedding if self.tied else self.output) + self.attention + self.dense

    def read(self, batch: float = 1.0) -> float:
        """Bytes read for one step over ``batch`` tokens, each of which picks its experts for itself."""
        touched = 1.0 - (1.0 - self.share) ** batch if self.experts else 0.0
        return self.always + self.experts * touched


def of_model(model: Model, quant: str, *, embeddings: str = "", dynamic: bool = False) -> Weights:
    """The weights of ``model`` in type ``quant`` (a name from ``quant.named``), computed from its shape.

    ``embeddings``: their type, where a publisher kept them at more bits. ``dynamic``: see ``quant.dynamic``.
    """
    shape, moe = model.shape, model.moe
    sums = {"embedding": 0.0, "output": 0.0, "attention": 0.0, "dense": 0.0, "experts": 0.0}
    for matrix in matrices(model):
        split = types(
            matrix,
            _for_role(model, quant, expert=matrix.role in EXPERT_ROLES),
            layers=shape.layers,
            heads=shape.heads,
            kv_heads=shape.kv_heads,
            experts=moe.experts if moe else 0,
            tied=shape.tied,
        )
        if embeddings and matrix.role == "embedding":
            split = [(embeddings, 1.0)]
        size = sum(matrix.elements * matrix.count * share * BITS[kind] / 8 for kind, share in split)
        sums[_use(matrix.role)] += size
    sums["dense"] += 4 * shape.hidden * (2 * shape.layers + 1)  # norms, in 32 bits
    low, high, basis = _range(quant, model.experts_stored)
    if dynamic and (quant in SMALL or quant == "IQ3_XXS"):
        more = _DYNAMIC if model.moe and quant in SMALL else _DYNAMIC_DENSE
        sums = {use: size * more for use, size in sums.items()}
        low, high, basis = 0.85, 1.15, "llama.cpp's mix of types, and what dynamic types keep beyond it"
    extra = max(0.0, model.parameters - parameters(model)) * 2.0 if model.multimodal and _separate(model) else 0.0
    size = sum(sums.values())
    return Weights(
        **sums,
        extra=0.0 if quant in BASE else extra,
        tied=shape.tied,
        share=moe.active / moe.experts if moe else 0.0,
        file_bytes=size + shape.vocab * _TOKENIZER,
        basis=basis,
        low=low,
        high=high,
    )


def of_file(model: Model, bytes_: float, quant: str, basis: str) -> Weights:
    """The weights of a real file of ``bytes_``: its total is counted, its parts have the shape's proportions."""
    guess = of_model(model, quant)
    scale = bytes_ / guess.total
    return msgspec.structs.replace(
        guess,
        embedding=guess.embedding * scale,
        output=guess.output * scale,
        attention=guess.attention * scale,
        dense=guess.dense * scale,
        experts=guess.experts * scale,
        extra=guess.extra * scale,
        file_bytes=bytes_,
        basis=basis,
        low=1.0,
        high=1.0,
    )


def _for_role(model: Model, quant: str, *, expert: bool) -> str:
    """Weights published in four bits keep them for their experts in every file."""
    if not model.experts_stored:
        return quant
    if expert:
        return model.experts_stored
    return {"MXFP4": "Q8_0", "NVFP4": "BF16"}.get(quant, quant)


def _use(role: str) -> str:
    if role in {"embedding", "output"}:
        return role
    if role in ATTENTION_ROLES:
        return "attention"
    return "experts" if role in EXPERT_ROLES else "dense"


def _separate(model: Model) -> bool:
    """Whether what is beyond the text's matrices is a part of its own: more than what norms and biases explain."""
    return model.parameters > 1.015 * parameters(model)


def _range(quant: str, stored: str) -> tuple[float, float, str]:
    if stored:
        return 0.98, 1.03, f"experts as they were published, {stored}; the rest by the rules for this type"
    if quant in PLAIN:
        return 0.97, 1.02, "parameters of the shape, two bytes each (four for F32)"
    if quant not in BASE:
        return 0.97, 1.05, f"{quant} on linear layers, embeddings at 16 bits"
    if LADDER.index("IQ4_XS") < _rank(quant):
        return 0.90, 1.15, "llama.cpp's mix of types for this file type; publishers' mixes below four bits differ"
    return 0.98, 1.03, "llama.cpp's mix of types for this file type, over the model's matrices"


def _rank(quant: str) -> int:
    bits = BITS[BASE[quant]]
    return next((i for i, each in enumerate(LADDER) if BITS[BASE[each]] <= bits), len(LADDER))
