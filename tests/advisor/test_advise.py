"""The questions that users bring, and what must come out."""

from __future__ import annotations

import msgspec
import pytest
from tests.advisor.cases import advice, case

from nearfar.advisor.advise import advise, tuning
from nearfar.advisor.options import options
from nearfar.catalog.models import shipped
from nearfar.core.errors import NotFoundError

GIB = 1 << 30


def test_a_prototype_without_hardware_goes_to_the_cloud_and_hears_when_that_changes() -> None:
    _, found = advice(prototype=True, work={"calls": 2000})
    assert found.recommended in {"api", "cloud"}
    assert found.against_cloud is not None
    assert found.against_cloud.money is not None
    assert found.against_cloud.money > 2000


@pytest.mark.parametrize("said", [{"stay": True}, {"offline": True}, {"work": {"private_share": 1.0}}])
def test_what_may_not_leave_stays_and_no_cloud_is_a_runner_up(said: dict[str, object]) -> None:
    _, found = advice(hardware="RTX 3090", **said)
    assert found.recommended == "near"
    leaving = {"rent", "api", "cloud", "hybrid", "cascade"}
    assert {said.key for way, said in found.runners_up if way in leaving} <= {"lacks_leaves", "lacks_no_network"}
    assert all(found.options[way].usd is None for way in found.options if way in leaving)
    assert all(usd is None for way in found.curves if way in leaving for _, usd in found.curves[way])
    assert (found.against_api, found.against_cloud, found.flips) == (None, None, ())
    assert found.preset in {"government", "offline"}


def test_what_may_not_leave_is_never_sent_even_when_the_machine_is_too_slow() -> None:
    _, found = advice(hardware="RTX 3090", stay=True, work={"calls": 50_000_000})
    assert found.recommended in {"near", "buy"}
    assert "near_short" in {said.key for said in found.why}


def test_an_edge_device_hears_what_fits_and_how_fast() -> None:
    _, found = advice(hardware="Jetson Orin Nano 8GB", offline=True, quality="simple", work={"calls": 3000})
    assert found.recommended == "near"
    speed = next(said for said in found.notes if said.key == "speed")
    assert float(speed.values["low"]) > 0


@pytest.mark.parametrize("calls", [20_000, 100_000, 1_000_000])
def test_curves_and_the_rule_of_thumb_for_this_case(calls: int) -> None:
    made, found = advice(work={"calls": calls})
    assert {points[0] for points in found.curves["api"]} >= {20_000, 100_000, 1_000_000, calls}
    amounts = [usd for _, usd in found.curves["cloud"] if usd is not None]
    assert amounts == sorted(amounts)
    assert found.rule_of_thumb.key.startswith("rule_")
    assert made.question.workload.calls == calls


def test_the_rule_of_thumb_fails_for_agents_at_frontier_prices_on_a_machine_that_is_there() -> None:
    _, found = advice(hardware="RTX 3090", cloud="anthropic/claude-sonnet-5-5", work={"input": 6000, "output": 400})
    assert found.against_cloud is not None
    assert found.against_cloud.calls is not None
    assert found.against_cloud.calls < 10_000


def test_steady_volume_says_never_where_the_machine_cannot_serve_the_break_even() -> None:
    _, found = advice(work={"calls": 100_000, "peak": 6})
    assert found.against_api is not None
    assert found.against_api.never
    assert found.against_api.money is not None
    assert found.against_api.money > found.against_api.capacity
    assert found.recommended == "api"


def test_spikes_are_split_between_near_and_far() -> None:
    _, found = advice(hardware="RTX 3090", work={"calls": 150_000, "peak": 9})
    assert found.recommended == "hybrid"
    assert 0.2 < found.options["hybrid"].near_share < 1


def test_the_best_quality_is_a_cascade_where_near_pays_and_the_cloud_where_it_does_not() -> None:
    _, found = advice(hardware="RTX 3090", quality="best", work={"calls": 50_000})
    assert found.recommended == "cascade"
    assert found.options["cascade"].near_share == pytest.approx(0.65)
    _, few = advice(quality="best", work={"calls": 1000})
    assert few.recommended == "cloud"


def test_a_model_of_ones_own_runs_where_its_weights_can_be_put() -> None:
    _, found = advice(hardware="RTX 3090", finetune=True)
    assert found.recommended in {"near", "buy", "rent"}
    assert found.tuning is not None
    assert found.tuning.qlora < found.tuning.lora < found.tuning.full


def test_memory_for_fine_tuning_is_in_the_known_range() -> None:
    """An 8B model: QLoRA on a card of 16 GB, LoRA in half precision on 24 GB, all parameters on two of 80 GB."""
    found = tuning(shipped()["llama-3.1-8b"])
    assert 5 < found.qlora / GIB < 12
    assert 15 < found.lora / GIB < 22
    assert 110 < found.full / GIB < 140


def test_traditional_chinese_restricts_the_models_and_tells_what_a_character_takes() -> None:
    made, found = advice(traditional_chinese=True)
    assert made.model is not None
    assert made.model.traditional_chinese in {"tuned", "listed", "chinese", "covered"}
    assert found.characters is not None
    assert found.characters.key.startswith("characters")


def test_part_of_the_calls_may_not_leave() -> None:
    _, found = advice(hardware="RTX 3090", work={"private_share": 0.4, "calls": 150_000})
    assert found.recommended == "hybrid"
    assert 0.4 <= found.options["hybrid"].near_share < 1
    assert found.preset == "team"


def test_what_stays_is_no_hybrid_where_near_can_serve_the_rest_too() -> None:
    _, found = advice(hardware="RTX 3090", work={"private_share": 0.4, "calls": 1000})
    assert found.recommended == "near"
    assert found.options["hybrid"].lacks == "no_rest"
    assert found.preset == "team"


def test_nobody_who_looks_after_machines_means_no_machine() -> None:
    _, found = advice(operator=False, hardware="RTX 3090")
    assert found.recommended in {"api", "cloud"}


def test_runners_up_say_why_not_they() -> None:
    _, found = advice()
    assert len(found.runners_up) == 2
    for way, said in found.runners_up:
        assert way != found.recommended
        assert said.key in {"dearer", "cheaper_but", "other_reasons"} or said.key.startswith("lacks_")


def test_a_licence_that_forbids_the_use_excludes_the_model() -> None:
    free = case(hardware="RTX 3090")
    assert free.own is not None
    bound = case(hardware="RTX 3090", use="commercial, EU, 900M users")
    assert bound.own is None or bound.own.licence.verdict != "no"


def test_an_unknown_cloud_is_answered_with_names_that_are_known() -> None:
    with pytest.raises(NotFoundError) as caught:
        case(cloud="openai/gpt-5-mimi")
    assert "openai/gpt-5-mini" in caught.value.hint


@pytest.mark.parametrize("calls", [0, 1, 1e9])
def test_any_volume_is_answered(calls: float) -> None:
    made = case(hardware="RTX 3090", work={"calls": calls})
    found = advise(made)
    assert found.recommended in options(made)


def test_a_machine_is_not_bought_for_what_nobody_can_measure() -> None:
    """A hybrid that is some percent cheaper than a hoster is no reason to buy a workstation."""
    _, found = advice(work={"calls": 3_000_000})
    hybrid, api = found.options["hybrid"].usd, found.options["api"].usd
    assert hybrid is not None
    assert api is not None
    assert 0.9 * api < hybrid < api
    assert found.recommended == "api"
    assert "simplest" in {said.key for said in found.why}
    assert dict(found.runners_up)["hybrid"].key == "no_simpler"


def test_near_that_serves_everything_is_no_hybrid() -> None:
    _, found = advice(hardware="RTX 3090", work={"calls": 30_000, "input": 6000, "output": 400, "peak": 1})
    assert found.recommended == "near"
    assert found.options["hybrid"].usd is None
    assert found.options["hybrid"].lacks == "no_rest"
    assert "hybrid" not in {way for way, _ in found.runners_up}


def test_a_machine_that_is_not_there_is_no_runner_up() -> None:
    for said in ({}, {"stay": True}):
        _, found = advice(**said)
        assert "near" not in {way for way, _ in found.runners_up}


def test_fine_tuning_says_what_fits_the_machine() -> None:
    _, found = advice(hardware="RTX 4090", finetune=True)
    assert found.tuning is not None
    assert found.tuning.room is not None
    assert found.tuning.qlora < found.tuning.room < found.tuning.full
    assert "RTX 4090" in found.tuning.where


def test_what_may_not_leave_hears_of_masks_unless_there_is_no_network() -> None:
    assert "beyond_near" in {said.key for said in advice(stay=True)[1].notes}
    assert "beyond_near" not in {said.key for said in advice(offline=True)[1].notes}


def test_calls_that_may_not_leave_are_never_all_sent_away() -> None:
    """Neither as a runner-up nor when near is too slow for the part that has to stay."""
    _, found = advice(hardware="RTX 3090", work={"private_share": 0.3, "calls": 150_000})
    assert found.recommended == "hybrid"
    assert {way for way, _ in found.runners_up if found.options[way].usd is not None} <= {"near", "buy", "cascade"}
    slow = {"private_share": 0.3, "calls": 30_000, "input": 2500, "output": 1600, "hours": 176, "peak": 4}
    _, found = advice(hardware="RTX 3090", work=slow)
    assert found.recommended in {"near", "buy"}
    assert [said.key for said in found.why][:1] == ["private_near"]
    assert "near_short" in {said.key for said in found.why}
    assert found.options["hybrid"].lacks == "too_slow"


def test_traditional_chinese_is_told_in_words_with_the_models_that_can_do_it() -> None:
    _, found = advice(hardware="RTX 4090", traditional_chinese=True)
    assert found.characters is not None
    assert found.characters.key == "characters"
    assert found.characters.values["level"] == "tuned"
    (speakers,) = (said for said in found.notes if said.key == "speakers")
    assert str(speakers.values["models"]).startswith("taide-")


def test_a_licence_that_nobody_verified_is_told_as_such() -> None:
    made = case(hardware="RTX 3090", stay=True)
    assert made.own is not None
    answer = msgspec.structs.replace(made.own.licence, unverified=("which licence it is under",))
    doubtful = msgspec.structs.replace(made, own=msgspec.structs.replace(made.own, licence=answer))
    assert "licence_unverified" in {said.key for said in advise(doubtful).licence}
