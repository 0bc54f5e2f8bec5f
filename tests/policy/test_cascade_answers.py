"""Answers are read by type, and the same answer said in another way is the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.policy.cascade_answers import KINDS, Kind, read, same


@pytest.mark.parametrize(
    ("kind", "text", "answer"),
    [
        ("number", "so 9 * $2 = $<<9*2=18>>18.\n#### 18\n", "18"),
        ("number", "He pays $57,500 in the end.", "57500"),
        ("number", "#### $20.00 per day, over 3 days", "20"),
        ("number", "The answer is 33.333, not 7", "33.333"),
        ("number", "thus \\boxed{-4} and 5 more", "-4"),
        ("number", "答案是 12", "12"),
        ("number", "\u2212 3", "-3"),
        ("number", "no digits here", None),
        ("choice", "The answer is (C).", "C"),
        ("choice", "c", "C"),
        ("choice", "B. Because a dog is a mammal", "B"),
        ("choice", "I think that, of these, a fox is D", "D"),
        ("choice", "答案：B", "B"),
        ("choice", "", None),
        ("choice", "none of it", None),
        ("literal", "```python\n[(4, 1), (2,3)]\n```", "[(4, 1), (2, 3)]"),
        ("literal", "It returns\n{'a': 1}", "{'a': 1}"),
        ("json", '```json\n{"b": 1, "a": [2]}\n```', '{"a": [2], "b": 1}'),
        ("json", "{not json", None),
        ("text", "Final answer: The Battle of Hastings.", "battle of hastings"),
        ("text", "   ", None),
    ],
)
def test_what_is_read(kind: Kind, text: str, answer: str | None) -> None:
    assert read(text, kind) == answer


@pytest.mark.parametrize(
    ("kind", "one", "other", "alike"),
    [
        ("number", "33.33", "it is 33.3333", True),
        ("number", "33", "34", False),
        ("number", "0", "0.0", True),
        ("number", "1,000", "1000.00 dollars", True),
        ("choice", "(a)", "Answer: A", True),
        ("choice", "A", "B", False),
        ("text", "Paris", "It is Paris, France", True),
        ("text", "Paris", "London", False),
        ("text", "red", "hundred", False),
        ("json", '{"a": 1, "b": 2}', '{"b":2,"a":1}', True),
        ("code", "```python\nx = 1  # one\n```", "x=1", True),
        ("code", "x = 1", "y = 1", False),
    ],
)
def test_what_agrees(kind: Kind, one: str, other: str, alike: bool) -> None:
    assert same(read(one, kind), read(other, kind), kind) is alike
    assert same(read(other, kind), read(one, kind), kind) is alike


def test_longer_texts_agree_by_their_words() -> None:
    one = read("Water boils at a lower temperature on a mountain because the pressure of the air is lower.", "text")
    other = read("On a mountain water boils at lower temperature because the air pressure is lower there.", "text")
    third = read("Salt lowers the freezing point of water so roads stay clear of ice in the winter months.", "text")
    assert same(one, other, "text")
    assert not same(one, third, "text")


@given(st.text(max_size=300), st.text(max_size=300), st.sampled_from(KINDS))
def test_any_words_are_read_and_compared_without_an_error(one: str, other: str, kind: Kind) -> None:
    left, right = read(one, kind), read(other, kind)
    assert same(left, right, kind) == same(right, left, kind)
    assert same(left, left, kind) == (left is not None)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-1_000_000, max_value=1_000_000, places=2))
def test_a_number_is_itself_however_it_is_dressed(value: object) -> None:
    assert same(read(f"#### {value}", "number"), read(f"The answer is ${value:,} a day.", "number"), "number")
