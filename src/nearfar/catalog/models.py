"""Open-weight models as dated data: shapes, licences, languages, what was verified. It computes no memory and no speed.

The files lie in ``data/models``, one for each family; a new family is a new file.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from nearfar.core.data import decode

Attention = Literal["full", "window", "chunked", "mla", "hybrid"]
"""``window`` and ``chunked``: most layers see the last tokens only; ``mla``: keys and values are stored as one
compressed vector; ``hybrid``: most layers keep a state of constant size instead."""

Chinese = Literal["tuned", "listed", "chinese", "covered", "weak", "no"]
"""How far Traditional Chinese goes: made for it · named by the maker · Chinese is named, its script is not · one of
many languages that are said to be covered · little · not a language of the model."""

SPEAKS_TRADITIONAL: tuple[Chinese, ...] = ("tuned", "listed", "chinese", "covered")
"""What a search for zh-TW finds, best first."""


class Moe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mixture of experts."""

    experts: int
    active: int
    """Experts that compute a token, the shared one not counted."""
    ffn: int
    """Width of one expert."""
    shared_ffn: int = 0
    """Width of the part that computes every token; 0 without one."""
    first_dense: int = 0
    """Layers at the beginning that have no experts."""
    every: int = 1
    """Each so-manieth layer has experts."""


class Mla(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Multi-head latent attention: ranks and widths in numbers per token."""

    q_rank: int
    kv_rank: int
    rope: int
    nope: int
    value: int


class Shape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The sizes that memory and speed follow from."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocab: int
    tied: bool
    """Input and output embeddings are one table."""
    attention: Attention = "full"
    window: int = 0
    """Tokens that a layer with a window (or chunk) sees."""
    full_layers: int = 0
    """Layers that see everything; only where not all do."""
    global_kv_heads: int = 0
    global_head_dim: int = 0
    """Where layers that see everything have other heads."""
    values_are_keys: bool = False
    """Layers that see everything use one table for keys and values."""
    fused: bool = False
    """One matrix makes queries, keys and values."""
    linear_keys: int = 0
    linear_values: int = 0
    """Widths of keys and of values in layers that keep a state instead of a cache; such models gate their queries."""
    state_mib: float = 0.0
    """MiB of constant state per sequence."""

    @property
    def seeing_all(self) -> int:
        """How many layers keep keys and values of the whole context."""
        return self.full_layers if self.attention in {"window", "chunked", "hybrid"} else self.layers


class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One repository of weights."""

    id: str
    repo: str
    aliases: tuple[str, ...] = ()
    base: str = ""
    """The repository it was made from, whose licence it may inherit."""
    family: str
    parameters: int
    active: int
    """Parameters that compute one token."""
    context: int
    modalities: tuple[str, ...]
    tools: bool
    languages: tuple[str, ...] = ()
    languages_note: str = ""
    """What the maker says where it lists no languages."""
    chinese: str
    traditional_chinese: Chinese
    licences: tuple[str, ...]
    """Its own and those that it inherits; all of them bind."""
    gated: bool
    verified: dict[str, str] = {}
    unverified: tuple[str, ...] = ()
    note: str = ""
    experts_stored: str = ""
    """The type that its experts keep in every file, because the weights were published in it."""
    shape: Shape
    moe: Moe | None = None
    mla: Mla | None = None
    date: dt.date = dt.date(2000, 1, 1)
    """When the data were checked; the date of the file."""

    @property
    def vision(self) -> bool:
        """Whether it reads images."""
        return "image" in self.modalities

    @property
    def multimodal(self) -> bool:
        """Whether it reads or makes anything besides text."""
        return self.modalities != ("text",)


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    date: dt.date
    source: str
    model: list[Model]


def load(text: bytes) -> list[Model]:
    """Read one file of models strictly; ValueError says what is wrong."""
    file = decode(text, _File, "not a file of models")
    if not file.source:
        raise ValueError("a file of models names its source")
    for model in file.model:
        _check(model)
    return [msgspec.structs.replace(model, date=file.date) for model in file.model]


def _check(model: Model) -> None:
    shape = model.shape
    if shape.layers < 1 or shape.hidden < 1 or shape.vocab < 1 or not 0 <= shape.full_layers <= shape.layers:
        raise ValueError(f"{model.id}: impossible sizes")
    if shape.attention in {"window", "chunked"} and not (shape.window and shape.full_layers):
        raise ValueError(f"{model.id}: a window needs its size and the number of layers that see everything")
    if (shape.attention == "hybrid") is not bool(shape.linear_keys and shape.linear_values):
        raise ValueError(f"{model.id}: layers with a state need the widths of their keys and values")
    if (shape.attention == "mla") is (model.mla is None):
        raise ValueError(f"{model.id}: latent attention needs its ranks, and nothing else has them")
    if model.active > model.parameters or not model.licences:
        raise ValueError(f"{model.id}: impossible parameters, or no licence")


def join(files: Iterable[Iterable[Model]]) -> dict[str, Model]:
    """Id → model; ValueError where two have one id."""
    models: dict[str, Model] = {}
    for file in files:
        for model in file:
            if model.id in models:
                raise ValueError(f"{model.id} is there twice")
            models[model.id] = model
    return models


@functools.cache
def shipped() -> dict[str, Model]:
    """The models that come with nearfar, read once."""
    folder = Path(__file__).parent / "data" / "models"
    return join(load(path.read_bytes()) for path in sorted(folder.glob("*.toml")))
