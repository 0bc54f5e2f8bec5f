"""A model file's header in the catalogue's words, so that the advisor can reckon with it. It reads no file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from nearfar.advisor.quant import BASE, BITS, PLAIN
from nearfar.advisor.tensors import parameters
from nearfar.advisor.weights import Weights, of_file
from nearfar.catalog.find import find_model
from nearfar.catalog.models import Attention, Model, Moe, Shape, shipped
from nearfar.core.errors import NotFoundError

if TYPE_CHECKING:  # what reads model files is only needed when there is one
    from nearfar.engine.header import Header

GLOBAL_EVERY = {"gemma2": 2, "gemma3": 6, "gpt-oss": 2, "gpt_oss": 2, "llama4": 4, "cohere2": 4}
"""Architecture → each so-manieth layer sees everything, the others a window (llama.cpp's models, autumn 2026)."""

STATE_EVERY = {"qwen3next": 4, "qwen35": 4, "qwen35moe": 4}
"""Architecture → each so-manieth layer sees everything, the others keep a state (llama.cpp's models, autumn 2026)."""
GUESSING = frozenset({"qwen35", "qwen35moe", "glm4moe"})
"""Architectures whose files may hold one more layer, which guesses tokens ahead; its cache is small."""


class FileModel(msgspec.Struct, frozen=True, kw_only=True):
    """What a file is, for the advisor."""

    model: Model
    weights: Weights
    quant: str
    engine: str
    """What runs such files: ``llama.cpp`` or ``transformers``."""
    note: str


def of_header(header: Header, path: Path) -> FileModel:
    """The catalogue's model of the same sizes with the file's weights; without one, a model made from the header."""
    quant = _quant(header.quantization)
    known = _same(header, path)
    model = known or _made(header, path)
    basis = f"counted in the header of {path.name}"
    weights = of_file(model, float(header.tensor_bytes), quant, basis)
    if known:
        note = f"its sizes are those of {known.id}, whose other facts are used"
    else:
        note = "not in the catalogue: everything is taken from its header"
        if header.sliding_window and header.architecture not in GLOBAL_EVERY:
            note += "; its window is counted as if every layer saw the whole context"
    return FileModel(
        model=model,
        weights=weights,
        quant=quant,
        engine="llama.cpp" if header.engine == "llama.cpp" else "transformers",
        note=note,
    )


def _same(header: Header, path: Path) -> Model | None:
    """The model of the catalogue with the same sizes; the one with the file's name, if there are several."""
    kept = max(header.kv_heads, default=0)
    layers = {header.layers, header.layers - 1} if header.architecture in GUESSING else {header.layers}
    same = [
        model
        for model in shipped().values()
        if model.shape.layers in layers
        and (model.shape.hidden, model.shape.vocab, model.shape.kv_heads)
        == (header.embedding_length, header.vocabulary, kept)
    ]
    if not same:
        return None
    for name in (header.name, path.stem):
        try:
            found = find_model(name).model
        except NotFoundError:
            continue
        if found in same:
            return found
    return same[0]


def _made(header: Header, path: Path) -> Model:
    stateful = STATE_EVERY.get(header.architecture, 0)
    every = stateful or (GLOBAL_EVERY.get(header.architecture, 0) if header.sliding_window else 0)
    attention: Attention = "hybrid" if stateful else "window" if every else "full"
    kept = max(header.kv_heads, default=header.heads) or 1
    full = max(1, header.layers // every) if every else 0
    moe = None
    if header.experts and header.experts_used:
        moe = Moe(experts=header.experts, active=header.experts_used, ffn=header.expert_feed_forward or 1)
    idle = header.expert_parameters * (1 - header.experts_used / header.experts) if moe else 0
    model = Model(
        id=header.name or path.stem,
        repo=str(path.name),
        family="",
        parameters=header.parameters,
        active=max(1, round(header.parameters - idle)),
        context=header.context_length or 2048,
        modalities=("text",),
        tools=False,
        chinese="not known",
        traditional_chinese="no",
        licences=(),
        gated=False,
        shape=Shape(
            layers=header.layers,
            hidden=header.embedding_length,
            heads=header.heads or 1,
            kv_heads=kept,
            # The cache's two halves may differ in width; their mean stands for both.
            head_dim=max(1, (header.key_length + header.value_length) // 2),
            ffn=header.feed_forward or 1,
            vocab=header.vocabulary or 1,
            tied=False,
            attention=attention,
            window=header.sliding_window if attention == "window" else 0,
            full_layers=full,
        ),
        moe=moe,
    )
    # The header does not say whether one table serves both ends; its number of parameters does.
    tied = msgspec.structs.replace(model, shape=msgspec.structs.replace(model.shape, tied=True))
    return min((model, tied), key=lambda each: abs(parameters(each) - header.parameters))


def _quant(label: str) -> str:
    """The file type, or the commonest type of its tensors, as the advisor names it."""
    name = label.upper()
    if name in BASE or name in PLAIN:
        return name
    same = {"Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M", "Q3_K": "Q3_K_M", "F8_E4M3": "Q8_0", "U8": "Q8_0", "MXFP4": "MXFP4"}
    if name in same:
        return same[name]
    return name if name in BITS and name in BASE else "F16"
