"""Rules of thumb: complete, dated, and about things that exist."""

from __future__ import annotations

from typing import get_args

import pytest

from nearfar.advisor import rules
from nearfar.advisor.rules import Quality, weight
from nearfar.catalog.models import shipped
from nearfar.catalog.prices import price_for

RULES = rules.shipped()


@pytest.mark.parametrize("quality", get_args(Quality))
def test_every_demand_has_a_cloud_with_a_price_and_a_least_size(quality: Quality) -> None:
    provider, _, model = RULES.cloud(quality).partition("/")
    assert price_for(provider, model) is not None
    assert RULES.least(quality) >= 1e9


def test_families_that_are_ranked_are_in_the_catalogue() -> None:
    families = {model.family for model in shipped().values()}
    assert set(RULES.generations) <= families
    assert {family for each in RULES.tokenizer for family in each.families} <= families
    assert {model for each in RULES.tokenizer for model in each.models} <= shipped().keys()


def test_experts_that_rest_count_less() -> None:
    models = shipped()
    assert weight(models["qwen3-32b"]) == models["qwen3-32b"].parameters
    assert models["qwen3-30b-a3b"].active < weight(models["qwen3-30b-a3b"]) < models["qwen3-30b-a3b"].parameters


def test_a_family_that_nobody_ranked_is_the_oldest() -> None:
    import msgspec

    unknown = msgspec.structs.replace(shipped()["phi-4"], family="Somebody's")
    assert RULES.generation(unknown) == len(RULES.generations)
    assert RULES.tokens_per_character(unknown) is None


def test_a_wrong_file_is_refused() -> None:
    with pytest.raises(ValueError, match="not a file of rules"):
        rules.load(b"date = 2026-11-22")
