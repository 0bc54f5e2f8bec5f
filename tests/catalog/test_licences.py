"""May it be used so? Answers with reasons, on inherited licences, territories and numbers of users."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.catalog.licences import Use, commercial, judge, load, osi, shipped, use
from nearfar.catalog.models import shipped as models
from nearfar.core.errors import BadRequestError


def verdict(model: str, text: str) -> str:
    return judge(models()[model], use(text)).verdict


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("commercial, EU, 2M users", Use(commercial=True, territories=("EU",), users=2_000_000)),
        ("Commercial, Germany", Use(commercial=True, territories=("EU",))),
        ("research", Use()),
        ("commercial use, in France, with 2 million users", Use(commercial=True, territories=("EU",), users=2_000_000)),
        ("non commercial, DE", Use(territories=("EU",))),
        ("commercial, japan, 1,500,000 users", Use(commercial=True, territories=("Japan",), users=1_500_000)),
        ("commercial, Taiwan, 800 million users", Use(commercial=True, territories=("Taiwan",), users=800_000_000)),
        ("fine-tune, redistribute, US", Use(derive=True, redistribute=True, territories=("US",))),
        ("end user, EU", Use(end_user=True, territories=("EU",))),
        ("", Use()),
    ],
)
def test_uses_in_words(text: str, expected: Use) -> None:
    assert use(text) == expected


def test_what_is_not_understood_is_said_with_an_example() -> None:
    with pytest.raises(BadRequestError) as caught:
        use("commercial, on the moon")
    assert "on the moon" in caught.value.message
    assert "2M users" in caught.value.hint


@pytest.mark.parametrize(
    ("model", "text", "expected"),
    [
        ("llama-4-scout", "commercial, EU, 2M users", "no"),
        ("llama-4-scout", "end user, EU", "conditional"),
        ("llama-4-scout", "commercial, Taiwan, 2M users", "conditional"),
        ("llama-4-scout", "commercial, Taiwan, 800M users", "no"),
        ("llama-3.2-3b", "commercial, EU, 2M users", "conditional"),
        ("deepseek-r1-distill-llama-8b", "commercial, US, 900M users", "no"),
        ("deepseek-r1", "commercial, EU, 900M users", "yes"),
        ("qwen2.5-3b", "commercial", "no"),
        ("qwen2.5-3b", "research", "conditional"),
        ("qwen2.5-72b", "commercial, 200M users", "no"),
        ("qwen2.5-72b", "commercial, 2M users", "conditional"),
        ("gemma-3-12b", "commercial, EU", "conditional"),
        ("gemma-4-31b", "commercial, EU", "yes"),
        ("taide-llama3-lx-8b", "commercial, Taiwan, 2M users", "conditional"),
        ("gpt-oss-20b", "commercial, EU, 2M users", "yes"),
        ("phi-4", "commercial, redistribute", "yes"),
    ],
)
def test_judged(model: str, text: str, expected: str) -> None:
    assert verdict(model, text) == expected


def test_reasons_name_their_licence_and_source() -> None:
    answer = judge(models()["deepseek-r1-distill-llama-70b"], use("commercial, redistribute, 2M users"))
    assert {reason.licence for reason in answer.reasons} == {"Llama 3.3 Community License", "MIT License"}
    texts = " ".join(reason.text for reason in answer.reasons)
    assert "Built with Llama" in texts
    assert "within 700,000,000" in texts
    assert "copy of the licence" in texts
    assert all("checked 2026" in source for source in answer.sources)


def test_what_was_not_verified_is_said() -> None:
    assert judge(models()["qwen3-omni-30b-a3b"], Use(commercial=True)).unverified
    assert not judge(models()["qwen3-8b"], Use(commercial=True)).unverified


def test_filters() -> None:
    assert osi(models()["phi-4"])
    assert not osi(models()["deepseek-r1-distill-llama-8b"])
    assert commercial(models()["qwen2.5-3b"]) == "no"
    assert commercial(models()["gemma-3-4b"]) == "conditional"


@given(st.text(max_size=40))
def test_any_text_is_a_use_or_refused(text: str) -> None:
    with contextlib.suppress(BadRequestError):
        assert use(text).users >= 0


def test_every_licence_has_its_source_and_date() -> None:
    assert all(licence.source and licence.checked_on.year >= 2026 for licence in shipped().values())
    with pytest.raises(ValueError, match="not a table"):
        load(b"licence = 3")


def test_a_licence_that_nobody_verified_is_no_plain_yes() -> None:
    guessed = models()["qwen3.8-27b"]
    assert judge(guessed, use("commercial")).verdict == "conditional"
    assert any("read its card" in each for each in judge(guessed, use("commercial")).unverified)
    known = msgspec.structs.replace(guessed, unverified=())
    assert judge(known, use("commercial")).verdict == "yes"
