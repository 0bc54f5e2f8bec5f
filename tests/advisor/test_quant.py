from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.advisor.quant import BASE, BITS, LADDER, OTHER_ENGINES, PLAIN, dynamic, known, more_bits, named, types
from nearfar.advisor.tensors import Matrix
from nearfar.core.errors import BadRequestError


def test_names() -> None:
    assert named("q4_k_m") == "Q4_K_M"
    assert named("UD-Q4_K_XL") == "Q4_K_M"
    assert named("AWQ-INT4") == "INT4"
    assert named("fp16") == "F16"
    assert dynamic("UD-IQ2_XXS")
    assert not dynamic("IQ2_XXS")
    with pytest.raises(BadRequestError) as caught:
        named("Q7_Z")
    assert "Q4_K_M" in caught.value.hint
    assert {"Q4_K_M", "AWQ"} <= set(known())


def test_more_bits() -> None:
    assert [sum(more_bits(at, layers) for at in range(layers)) for layers in (32, 80)] == [16, 40]


@pytest.mark.parametrize(
    ("role", "quant", "expected"),
    [
        ("output", "Q4_K_M", {"Q6_K"}),
        ("output", "Q8_0", {"Q8_0"}),
        ("embedding", "IQ2_XXS", {"Q2_K"}),
        ("down", "Q4_K_M", {"Q6_K", "Q4_K"}),
        ("gate", "Q4_K_M", {"Q4_K"}),
        ("v", "Q4_K_S", {"Q5_K", "Q4_K"}),
        ("qkv", "Q4_K_M", {"Q5_K"}),
        ("qkv", "Q5_K_M", {"Q6_K"}),
        ("qkv", "Q6_K", {"Q6_K"}),
        ("router", "Q4_K_M", {"F32"}),
        ("embedding", "INT4", {"BF16"}),
        ("up", "FP8", {"FP8"}),
    ],
)
def test_roles(role: str, quant: str, expected: set[str]) -> None:
    matrix = Matrix(role=role, elements=1, columns=4096, count=32)  # type: ignore[arg-type] # a role as a text
    split = types(matrix, quant, layers=32, heads=32, kv_heads=8, experts=0, tied=False)
    assert {kind for kind, _ in split} == expected


def test_rows_that_fill_no_block_fall_back() -> None:
    matrix = Matrix(role="gate", elements=1, columns=896, count=1)
    assert types(matrix, "Q4_K_M", layers=24, heads=14, kv_heads=2, experts=0, tied=True) == [("Q5_0", 1.0)]


@given(
    role=st.sampled_from(["embedding", "output", "q", "k", "v", "qkv", "o", "gate", "up", "down", "expert_down"]),
    quant=st.sampled_from(sorted({*BASE, *PLAIN, *OTHER_ENGINES})),
    layers=st.integers(1, 130),
    columns=st.sampled_from([64, 100, 896, 4096]),
    experts=st.sampled_from([0, 8, 128]),
)
def test_shares_add_up_and_types_are_known(role: str, quant: str, layers: int, columns: int, experts: int) -> None:
    matrix = Matrix(role=role, elements=1, columns=columns, count=layers)  # type: ignore[arg-type] # a role as a text
    split = types(matrix, quant, layers=layers, heads=32, kv_heads=8, experts=experts, tied=False)
    assert abs(sum(share for _, share in split) - 1) < 1e-9
    assert all(kind in BITS for kind, _ in split)


def test_the_ladder_goes_down() -> None:
    bits = [BITS[BASE[each]] for each in LADDER]
    assert bits == sorted(bits, reverse=True)
