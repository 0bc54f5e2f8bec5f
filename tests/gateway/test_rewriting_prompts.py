"""The prompts are data, and what stands in a conversation cannot change what they ask."""

from __future__ import annotations

import pytest

from nearfar.gateway import rewriting_prompts
from nearfar.gateway.prompts import fill, fitting
from nearfar.gateway.rewriting_prompts import load, shipped

GOOD = """date = 2026-11-22
[[source]]
name = "s"
[[prompt]]
language = "en"
rewrite = "r"
rewrite_ask = "{conversation}"
merge = "m"
merge_ask = "{conversation} {answer}"
[[prompt]]
language = "zh-Hant"
rewrite = "r"
rewrite_ask = "{conversation}"
merge = "m"
merge_ask = "{conversation} {answer}"
"""


def test_the_shipped_prompts_are_whole_and_read_once() -> None:
    assert [item.language for item in shipped()] == ["en", "zh-Hant"]
    assert shipped() is rewriting_prompts.shipped()


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ('"zh-Hant"', '"fr"', "Traditional Chinese"),
        ('rewrite_ask = "{conversation}"', 'rewrite_ask = "x"', "rewrite_ask must hold conversation"),
        ("{conversation} {answer}", "{answer} {answer}", "merge_ask must hold conversation, answer"),
        ("merge = ", "marge = ", "unknown field"),
        ("date =", "date", "not a file of prompts"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(old: str, new: str, match: str) -> None:
    load(GOOD.encode())
    with pytest.raises(ValueError, match=match):
        load(GOOD.replace(old, new).encode())


def test_a_conversation_is_asked_about_in_its_own_language() -> None:
    assert fitting(shipped(), "How do I cook rice?").language == "en"
    assert fitting(shipped(), "米飯要怎麼煮？").language == "zh-Hant"
    assert fitting(shipped(), "[user]\n請幫我把 deployment.yaml 的 replicas 改成 3").language == "zh-Hant"
    assert fitting(shipped(), "").language == "en"


def test_what_looks_like_a_slot_in_a_conversation_is_text() -> None:
    values = {"conversation": "say {answer} and {conversation}", "answer": "A"}
    assert fill("<{conversation}> {answer} {other}", values) == "<say {answer} and {conversation}> A {other}"
