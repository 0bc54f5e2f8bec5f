"""Models by the names of files, repositories and people."""

from __future__ import annotations

import pytest

from nearfar.catalog.find import find_model
from nearfar.catalog.models import shipped
from nearfar.core.errors import NotFoundError


@pytest.mark.parametrize(
    ("name", "id", "quant"),
    [
        ("llama-3.1-8b", "llama-3.1-8b", ""),
        ("Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf", "llama-3.1-8b", "Q4_K_M"),
        ("deepseek-ai_DeepSeek-R1-0528-Qwen3-8B-Q4_K_M.gguf", "deepseek-r1-0528-qwen3-8b", "Q4_K_M"),
        ("Qwen3-30B-A3B-Instruct-2507-Q4_K_M.gguf", "qwen3-30b-a3b", "Q4_K_M"),
        ("Mistral-Small-24B-Instruct-2501", "mistral-small-3-2501", ""),
        ("openai/gpt-oss-120b", "gpt-oss-120b", ""),
        ("TAIDE", "taide-gemma-3-12b", ""),
    ],
)
def test_found(name: str, id: str, quant: str) -> None:
    found = find_model(name)
    assert (found.model.id, found.quant, found.exact) == (id, quant, True)


def test_every_id_and_repository_finds_its_model() -> None:
    for model in shipped().values():
        assert find_model(model.id).model is model
        assert find_model(model.repo).model is model


def test_a_relative_is_found_and_said_to_be_one() -> None:
    found = find_model("Llama-3.1-Nemotron-70B-Instruct")
    assert (found.model.id, found.exact, found.ignored) == ("llama-3.1-70b", False, ("nemotron",))


@pytest.mark.parametrize("name", ["gema-3-4b", "qwen3-9b", ""])
def test_unknown_names_get_the_nearest_and_the_next_command(name: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        find_model(name)
    assert "nearfar models search" in caught.value.hint
    if name:
        assert "gemma-3-4b" in caught.value.hint or "qwen3-8b" in caught.value.hint
