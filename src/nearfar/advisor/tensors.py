"""The matrices of a model, counted from its shape. It knows no type and no file.

Norms, biases and what is added for images or speech are left out of the matrices; ``extra`` stands for the latter.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from nearfar.catalog.models import Model

Role = Literal[
    "embedding", "output", "q", "k", "v", "qkv", "o", "latent", "gate", "up", "down", "router",
    "expert_gate", "expert_up", "expert_down", "extra",
]  # fmt: skip
EXPERT_ROLES: tuple[Role, ...] = ("expert_gate", "expert_up", "expert_down")
ATTENTION_ROLES: tuple[Role, ...] = ("q", "k", "v", "qkv", "o", "latent")
DENSE_ROLES: tuple[Role, ...] = ("gate", "up", "down", "router")


class Matrix(msgspec.Struct, frozen=True, kw_only=True):
    """``count`` layers each have one of these."""

    role: Role
    elements: int
    columns: int
    """Length of a row, which decides what types it can take."""
    count: int
    shared: bool = False
    """Belongs to the expert that computes every token."""
    places: tuple[int, int] | None = None
    """The first layer that has one, and the steps to the next; None: spread over the layers."""


def matrices(model: Model) -> list[Matrix]:
    """All matrices that a text goes through."""
    shape = model.shape
    table = shape.vocab * shape.hidden
    made = [Matrix(role="embedding", elements=table, columns=shape.hidden, count=1)]
    if not shape.tied:
        made.append(Matrix(role="output", elements=table, columns=shape.hidden, count=1))
    return [each for each in (*made, *_attention(model), *_feed_forward(model)) if each.count and each.elements]


def parameters(model: Model) -> int:
    """Elements of all matrices."""
    return sum(each.elements * each.count for each in matrices(model))


def _attention(model: Model) -> list[Matrix]:
    shape, mla = model.shape, model.mla
    hidden = shape.hidden
    if mla is not None:
        per_head = mla.nope + mla.rope
        return [
            Matrix(
                role="latent",
                elements=hidden * mla.q_rank + hidden * (mla.kv_rank + mla.rope),
                columns=hidden,
                count=shape.layers,
            ),
            Matrix(role="latent", elements=mla.q_rank * shape.heads * per_head, columns=mla.q_rank, count=shape.layers),
            Matrix(
                role="latent",
                elements=mla.kv_rank * shape.heads * (mla.nope + mla.value),
                columns=mla.kv_rank,
                count=shape.layers,
            ),
            Matrix(
                role="o", elements=shape.heads * mla.value * hidden, columns=shape.heads * mla.value, count=shape.layers
            ),
        ]
    if shape.global_head_dim:
        special = shape.full_layers
        made = _heads(hidden, shape.heads, shape.kv_heads, shape.head_dim, shape.layers - special)
        of_all = _heads(hidden, shape.heads, shape.global_kv_heads, shape.global_head_dim, special)
        return [*made, *(each for each in of_all if not (shape.values_are_keys and each.role == "v"))]
    if shape.attention == "hybrid":
        return [*_gated_heads(model), *_with_state(model)]
    if shape.fused:
        return _fused(hidden, shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim, shape.layers)
    return _heads(hidden, shape.heads, shape.kv_heads, shape.head_dim, shape.layers)


def _gated_heads(model: Model) -> list[Matrix]:
    """Layers that see everything: beside each query stands a gate for its answer."""
    shape = model.shape
    made = _heads(shape.hidden, shape.heads, shape.kv_heads, shape.head_dim, shape.full_layers)
    return [msgspec.structs.replace(each, elements=each.elements * (2 if each.role == "q" else 1)) for each in made]


def _with_state(model: Model) -> list[Matrix]:
    """Layers that keep a state: the quantizer counts the matrix of queries, keys and values among the values."""
    shape, count = model.shape, model.shape.layers - model.shape.full_layers
    keys, values, hidden = shape.linear_keys, shape.linear_values, shape.hidden
    return [
        Matrix(role="v", elements=hidden * (2 * keys + values), columns=hidden, count=count),
        Matrix(role="latent", elements=hidden * values, columns=hidden, count=count),
        Matrix(role="latent", elements=values * hidden, columns=values, count=count),
    ]


def _fused(hidden: int, query: int, kept: int, count: int) -> list[Matrix]:
    return [
        Matrix(role="qkv", elements=hidden * (query + 2 * kept), columns=hidden, count=count),
        Matrix(role="o", elements=query * hidden, columns=query, count=count),
    ]


def _heads(hidden: int, heads: int, kv_heads: int, size: int, count: int) -> list[Matrix]:
    query, kept = heads * size, kv_heads * size
    return [
        Matrix(role="q", elements=hidden * query, columns=hidden, count=count),
        Matrix(role="k", elements=hidden * kept, columns=hidden, count=count),
        Matrix(role="v", elements=hidden * kept, columns=hidden, count=count),
        Matrix(role="o", elements=query * hidden, columns=query, count=count),
    ]


def _feed_forward(model: Model) -> list[Matrix]:
    shape, moe, hidden = model.shape, model.moe, model.shape.hidden
    if moe is None:
        return _gated(hidden, shape.ffn, shape.layers)
    mixed = (shape.layers - moe.first_dense) // moe.every
    # Llama 4 has experts in each second layer, beginning with the second.
    where = (moe.first_dense + moe.every - 1, moe.every)
    made = _placed(_gated(hidden, shape.ffn, shape.layers - mixed), (0, moe.every))
    experts = [msgspec.structs.replace(each, shared=True) for each in _gated(hidden, moe.shared_ffn, mixed)]
    experts.append(Matrix(role="router", elements=hidden * moe.experts, columns=hidden, count=mixed))
    one = hidden * moe.ffn * moe.experts
    experts += [
        Matrix(role="expert_gate", elements=one, columns=hidden, count=mixed),
        Matrix(role="expert_up", elements=one, columns=hidden, count=mixed),
        Matrix(role="expert_down", elements=one, columns=moe.ffn, count=mixed),
    ]
    return made + _placed(experts, where)


def _placed(made: list[Matrix], places: tuple[int, int]) -> list[Matrix]:
    return [msgspec.structs.replace(each, places=places) for each in made]


def _gated(hidden: int, width: int, count: int) -> list[Matrix]:
    return [
        Matrix(role="gate", elements=hidden * width, columns=hidden, count=count),
        Matrix(role="up", elements=hidden * width, columns=hidden, count=count),
        Matrix(role="down", elements=hidden * width, columns=width, count=count),
    ]
