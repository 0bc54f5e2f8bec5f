"""Which model runs on a machine: able, allowed, fitting, fast enough."""

from __future__ import annotations

import msgspec
import pytest

from nearfar.advisor import constants, rules
from nearfar.advisor.cost import capacity
from nearfar.advisor.near import Near, Wanted, choose, suitable
from nearfar.advisor.rig import named
from nearfar.advisor.rules import weight
from nearfar.advisor.workload import Workload
from nearfar.catalog.licences import use
from nearfar.catalog.models import SPEAKS_TRADITIONAL, shipped

MODELS = list(shipped().values())
WORK = Workload(calls=1000)


def chosen(hardware: str, wanted: Wanted, work: Workload = WORK) -> Near | None:
    return choose(wanted, named(hardware), work, MODELS, constants.shipped(), rules.shipped())


@pytest.mark.parametrize("hardware", ["RTX 3090", "RTX 4060 Ti 16GB", "2x RTX 3090", "M1 Max 64GB"])
def test_what_is_chosen_fits_with_weights_that_lose_little_and_can_be_read_along(hardware: str) -> None:
    found = chosen(hardware, Wanted(least=3e9, context=4096))
    assert found is not None
    assert found.estimate.total_bytes.value <= found.estimate.usable_bytes
    assert found.quant not in {"Q3_K_M", "Q2_K", "IQ2_XXS"}
    assert found.speeds.decode >= 8


def test_nothing_is_chosen_where_nothing_suitable_fits() -> None:
    assert chosen("GTX 1050 Ti", Wanted(least=12e9, context=4096)) is None


def test_what_is_asked_for_is_held() -> None:
    for model in suitable(Wanted(least=10e9, context=65_536, vision=True, tools=True), MODELS):
        assert model.vision
        assert model.tools
        assert model.context >= 65_536
        assert weight(model) >= 10e9
    for model in suitable(Wanted(least=1e9, context=4096, traditional_chinese=True), MODELS):
        assert model.traditional_chinese in SPEAKS_TRADITIONAL


def test_a_licence_that_forbids_the_use_leaves_the_model_out() -> None:
    allowed = {model.id for model in suitable(Wanted(least=1e9, context=4096, use=use("commercial")), MODELS)}
    assert "qwen2.5-3b" not in allowed, "for research only"
    assert "qwen3-8b" in allowed


def test_a_model_that_can_serve_all_calls_goes_before_a_larger_one_that_cannot() -> None:
    wanted = Wanted(least=3e9, context=4096)
    few, many = chosen("RTX 3090", wanted), chosen("RTX 3090", wanted, Workload(calls=150_000, peak=3))
    assert few is not None
    assert many is not None
    assert weight(many.model) < weight(few.model)
    assert capacity(many.speeds, Workload(calls=150_000, peak=3)) >= 150_000


def test_unified_memory_serves_one_after_the_other() -> None:
    found = chosen("M1 Max 64GB", Wanted(least=3e9, context=4096))
    assert found is not None
    assert found.speeds.batched == 0


def test_models_that_always_think_are_chosen_only_where_thinking_is_reckoned_with() -> None:
    from nearfar.advisor.near import ALWAYS_THINKS

    models = list(shipped().values())
    wanted = Wanted(least=3e9, context=4096)
    assert not {model.family for model in suitable(wanted, models)} & ALWAYS_THINKS
    thinking = msgspec.structs.replace(wanted, thinking=True)
    assert {model.family for model in suitable(thinking, models)} >= ALWAYS_THINKS
