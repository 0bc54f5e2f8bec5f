"""Names as people and files write them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.catalog.names import find, nearest, split_quant, tokens


@pytest.mark.parametrize(
    ("name", "stem", "quant"),
    [
        ("Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf", "Meta-Llama-3.1-8B-Instruct", "Q4_K_M"),
        ("Qwen3-8B-4bit", "Qwen3-8B", "4BIT"),
        ("someone/Model-UD-IQ2_XXS.gguf", "Model", "IQ2_XXS"),
        ("gpt-oss-20b-MXFP4.gguf", "gpt-oss-20b", "MXFP4"),
        ("Qwen3-32B-AWQ", "Qwen3-32B", "AWQ"),
        ("Llama-3-8B", "Llama-3-8B", ""),
        ("phi-4:Q6_K", "phi-4", "Q6_K"),
    ],
)
def test_the_type_of_weights_is_split_off(name: str, stem: str, quant: str) -> None:
    assert split_quant(name) == (stem, quant)


def test_words() -> None:
    assert tokens("Qwen2.5-7B-Instruct") == ("qwen", "2.5", "7b")
    assert tokens("NVIDIA GeForce RTX 5070") == ("rtx", "5070")


def test_more_words_than_the_name_has_are_passed_over_and_told() -> None:
    names = {"a": ["Llama-3-8B"], "b": ["Llama-3-70B"]}
    match = find("Llama-3-Foo-8B", names)
    assert match is not None
    assert (match.key, match.exact, match.ignored) == ("a", False, ("foo",))
    exact = find("llama 3 8b instruct", names)
    assert exact is not None
    assert exact.exact


def test_a_size_is_never_passed_over() -> None:
    assert find("RTX 3080 Ti", {"a": ["RTX 3080"]}, must=re.compile("ti")) is None


def test_two_that_fit_equally_are_none() -> None:
    assert find("x 1 2", {"a": ["x 1"], "b": ["x 2"]}) is None


def test_nearest() -> None:
    assert nearest("gema-3-4b", ["gemma-3-4b", "qwen3-4b", "phi-4"])[0] == "gemma-3-4b"
    assert nearest("zzzzzz", ["gemma"]) == []


@given(st.text(max_size=60))
def test_any_text_is_taken(text: str) -> None:
    split_quant(text)
    find(text, {"a": ["Llama-3-8B"]})
