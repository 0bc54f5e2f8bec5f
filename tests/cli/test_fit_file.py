from __future__ import annotations

from pathlib import Path

import pytest

from nearfar.advisor.cache import cache
from nearfar.cli.fit_file import of_header
from nearfar.engine.header import Header

PATH = Path("some-file.gguf")


def header(**changes: object) -> Header:
    values: dict[str, object] = {
        "architecture": "llama",
        "file_bytes": 5_000_000_000,
        "tensor_bytes": 4_900_000_000,
        "parameters": 8_030_261_248,
        "quantization": "Q4_K_M",
        "context_length": 131072,
        "layers": 32,
        "embedding_length": 4096,
        "feed_forward": 14336,
        "heads": 32,
        "kv_heads": (8,),
        "key_length": 128,
        "value_length": 128,
        "vocabulary": 128256,
    }
    return Header(**{**values, **changes})  # type: ignore[arg-type] # fields by name


def test_sizes_of_the_catalogue() -> None:
    found = of_header(header(name="Meta Llama 3.1 8B Instruct"), PATH)
    assert found.model.id == "llama-3.1-8b"
    assert found.weights.total == pytest.approx(4_900_000_000)
    assert found.weights.low == found.weights.high == 1.0
    assert "llama-3.1-8b" in found.note
    assert of_header(header(name="whatever"), PATH).model.shape.layers == 32


def test_sizes_of_nobody() -> None:
    found = of_header(header(layers=31, name="mine"), PATH)
    assert (found.model.id, found.model.shape.layers, found.model.parameters) == ("mine", 31, 8_030_261_248)
    assert found.model.shape.attention == "full"
    assert "not in the catalogue" in found.note


def test_one_table_for_both_ends_shows_in_the_number_of_parameters() -> None:
    own = header(layers=31)
    table = own.vocabulary * own.embedding_length
    untied = header(layers=31, parameters=of_header(own, PATH).model.shape.layers * 218_103_808 + 2 * table)
    assert not of_header(untied, PATH).model.shape.tied
    tied = header(layers=31, parameters=untied.parameters - table)
    assert of_header(tied, PATH).model.shape.tied
    assert of_header(own, PATH).engine == "llama.cpp"
    assert of_header(header(engine="transformers", quantization="BF16"), PATH).engine == "transformers"


def test_windows_by_architecture() -> None:
    known = of_header(header(layers=30, architecture="gemma3", sliding_window=1024), PATH).model.shape
    assert (known.attention, known.window, known.full_layers) == ("window", 1024, 5)
    strange = of_header(header(layers=30, sliding_window=1024), PATH)
    assert strange.model.shape.attention == "full"
    assert "window is counted" in strange.note


def test_layers_with_a_state_keep_no_cache() -> None:
    sizes: dict[str, object] = {
        "architecture": "qwen35", "embedding_length": 5120, "kv_heads": (4,), "key_length": 256, "value_length": 256,
        "vocabulary": 248_320,
    }  # fmt: skip
    assert of_header(header(layers=64, name="Qwen3.6 27B", **sizes), PATH).model.id == "qwen3.6-27b"
    # One layer more guesses tokens ahead.
    assert of_header(header(layers=65, name="Qwen3.8 27B", **sizes), PATH).model.id == "qwen3.8-27b"
    strange = of_header(header(layers=32, name="mine", **sizes), PATH).model
    assert (strange.shape.attention, strange.shape.full_layers, strange.shape.window) == ("hybrid", 8, 0)
    assert cache(strange, 1000).whole == 8 * 1000 * 2 * 4 * 256 * 2


def test_experts_from_the_header() -> None:
    found = of_header(
        header(
            layers=20,
            experts=64,
            experts_used=4,
            expert_feed_forward=1024,
            parameters=10_000_000_000,
            expert_parameters=8_000_000_000,
        ),
        PATH,
    ).model
    assert found.moe is not None
    assert (found.moe.experts, found.moe.active) == (64, 4)
    assert found.active == 2_500_000_000


@pytest.mark.parametrize(
    ("label", "quant"), [("Q4_K", "Q4_K_M"), ("BF16", "BF16"), ("strange", "F16"), ("Q6_K", "Q6_K")]
)
def test_types(label: str, quant: str) -> None:
    assert of_header(header(quantization=label), PATH).quant == quant
