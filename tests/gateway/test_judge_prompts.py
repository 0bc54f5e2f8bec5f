"""gateway/judge_prompts.py: the prompts are data, and a judge's word counts only in its one form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.gateway.judge_prompts import asked, load, numbers, shipped

GOOD = """date = 2026-11-22
[[source]]
name = "s"
[[prompt]]
language = "en"
system = "{mark}"
ask = "{mark} {conversation} {first} {second}"
[[prompt]]
language = "zh-Hant"
system = "{mark}"
ask = "{mark} {conversation} {first} {second}"
"""


def test_the_shipped_prompts_are_whole_and_read_once() -> None:
    assert [item.language for item in shipped()] == ["en", "zh-Hant"]
    assert shipped() is shipped()


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ('"zh-Hant"', '"fr"', "Traditional Chinese"),
        (" {second}", "", "ask must hold"),
        ('system = "{mark}"', 'system = "x"', "system mark"),
        ("ask = ", "asks = ", "unknown field"),
        ("date =", "date", "not a file of prompts"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(old: str, new: str, match: str) -> None:
    load(GOOD.encode())
    with pytest.raises(ValueError, match=match):
        load(GOOD.replace(old, new).encode())


def test_what_is_judged_cannot_change_what_is_asked() -> None:
    system, ask = asked(shipped(), mark="##7f", conversation="Why {first}?", first="{second} {mark}", second="b")
    assert "##7f answer a\n{second} {mark}\n##7f answer b\nb\n##7f end" in ask
    assert "##7f" in system
    assert "回覆 a" in asked(shipped(), mark="#", conversation="水為什麼會沸騰？", first="a", second="b")[1]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": 7, "b": 0}', (0.7, 0.0)),
        ('\n```json\n{"a":10,"b":4}\n```\n', (1.0, 0.4)),
        ('{"b": 1, "a": 2}', (0.2, 0.1)),
        ('{"a": 11, "b": 0}', None),
        ('{"a": -1, "b": 0}', None),
        ('{"a": 7.5, "b": 0}', None),
        ('{"a": "7", "b": 0}', None),
        ('{"a": 7}', None),
        ('{"a": 7, "b": 0, "why": "x"}', None),
        ('A is better. {"a": 7, "b": 0}', None),
        ('{"a": 7, "b": 0} {"a": 0, "b": 7}', None),
        ("", None),
        ("\ud800", None),
    ],
)
def test_its_word_counts_in_one_form_alone(text: str, found: tuple[float, float] | None) -> None:
    assert numbers(text) == found


@given(st.text())
def test_nothing_that_it_says_is_an_error(text: str) -> None:
    found = numbers(text)
    assert found is None or all(0 <= number <= 1 for number in found)
