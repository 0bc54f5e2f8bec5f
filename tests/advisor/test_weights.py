"""Sizes of files, held against published ones."""

from __future__ import annotations

import pytest

from nearfar.advisor.quant import LADDER, types
from nearfar.advisor.tensors import matrices
from nearfar.advisor.weights import of_file, of_model
from nearfar.catalog.models import shipped

GIB, GB = 2.0**30, 1e9


@pytest.mark.parametrize(
    ("model", "quant", "size"),
    [
        # Tables of llama.cpp, model cards, logs; sources in the explanation of the formulas.
        ("llama-3-70b", "Q4_K_M", 39.60 * GIB),
        ("llama-3-70b", "Q5_K_M", 46.52 * GIB),
        ("llama-3-70b", "Q8_0", 69.83 * GIB),
        ("llama-3-70b", "IQ4_XS", 35.30 * GIB),
        ("gemma-3-12b", "Q4_K_M", 6.79 * GIB),
        ("gemma-3-4b", "Q5_K_S", 2.76 * GB),
        ("phi-4", "Q6_K", 11.20 * GIB),
        # bartowski/phi-4-GGUF (build b4456): one matrix for queries, keys and values.
        ("phi-4", "Q5_K_M", 10.60 * GB),
        ("phi-4", "Q4_K_M", 9.05 * GB),
        ("phi-4", "Q4_K_S", 8.44 * GB),
        ("phi-4", "IQ4_NL", 8.38 * GB),
        # mradermacher's files, compared on the card of sokann/Qwen3.6-27B-GGUF-5.076bpw: layers with a state.
        ("qwen3.6-27b", "Q4_K_M", 15.401 * GIB),
        ("qwen3.6-27b", "IQ4_XS", 14.036 * GIB),
        ("gpt-oss-20b", "MXFP4", 11.27 * GIB),
        ("gpt-oss-120b", "F16", 60.87 * GIB),
        ("qwen2.5-7b", "Q8_0", 7.54 * GIB),
    ],
)
def test_published_files(model: str, quant: str, size: float) -> None:
    weights = of_model(shipped()[model], quant)
    assert weights.total == pytest.approx(size, rel=0.005)
    assert weights.figure.low < size < weights.figure.high


def test_embeddings_that_a_publisher_kept() -> None:
    model = shipped()["gemma-3-27b"]
    assert of_model(model, "Q4_0", embeddings="F16").total == pytest.approx(17.2 * GB, rel=0.005)
    assert of_model(model, "Q4_0").total == pytest.approx(15.6 * GB, rel=0.005)


def test_dynamic_types_of_experts_are_larger() -> None:
    model = shipped()["llama-4-scout"]
    assert of_model(model, "IQ2_XXS", dynamic=True).total == pytest.approx(38.6 * GB, rel=0.05)


def test_a_dynamic_type_of_a_dense_model() -> None:
    weights = of_model(shipped()["qwen3.8-27b"], "IQ3_XXS", dynamic=True).figure
    assert weights.low < 12.32 * GIB < weights.high  # unsloth#9525


def test_a_real_file_is_counted() -> None:
    weights = of_file(shipped()["llama-3-8b"], 5e9, "Q4_K_M", "the file")
    assert weights.total == pytest.approx(5e9)
    assert weights.figure.low == weights.figure.high
    assert weights.file_bytes == 5e9


def test_one_token_reads_its_experts_and_no_input_table() -> None:
    moe = of_model(shipped()["qwen3-30b-a3b"], "Q4_K_M")
    assert moe.read() < 0.15 * moe.total
    assert moe.read() < moe.read(8) < moe.read(1000) <= moe.total
    dense = of_model(shipped()["llama-3-8b"], "F16")
    assert dense.read() == pytest.approx(dense.total - dense.embedding)
    tied = of_model(shipped()["gemma-3-1b"], "F16")
    assert tied.read() == pytest.approx(tied.total)


def test_fewer_bits_are_fewer_bytes() -> None:
    for model in shipped().values():
        if model.shape.hidden % 256:  # rows that fill no block of 256 fall back to types of 32, which are larger
            continue
        # Q2_K keeps its output at six bits, IQ3_XXS at five: in a small model with one table that turns them round.
        sizes = [of_model(model, quant).total for quant in LADDER if quant != "Q2_K"]
        assert sizes == sorted(sizes, reverse=True), model.id


def test_how_many_matrices_have_which_type() -> None:
    """Gemma 4 12B as Q4_K_M: 45 matrices in Q6_K and 284 in Q4_K, by a log (ikawrakow/ik_llama.cpp#1921)."""
    model = shipped()["gemma-4-12b"]
    counted = {"Q6_K": 0.0, "Q4_K": 0.0}
    for matrix in matrices(model):
        for kind, share in types(matrix, "Q4_K_M", layers=48, heads=16, kv_heads=8, experts=0, tied=True):
            counted[kind] += share * matrix.count
    assert counted == {"Q6_K": 45, "Q4_K": 284}
