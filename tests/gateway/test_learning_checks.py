"""gateway/learning_checks.py: what comparing two answers says, and what it leaves to a judge."""

from __future__ import annotations

from typing import Any

import pytest

from nearfar.gateway.learning_checks import EQUAL, compared
from nearfar.policy.cascade import Answer
from nearfar.policy.cascade_answers import Kind

SCHEMA = {"type": "object", "required": ["age"], "properties": {"age": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("kind", "near", "far", "worth"),
    [
        ("number", "so it is 42.", "The answer is 42.0", EQUAL),
        ("number", "so it is 41.", "The answer is 42", (0, 1)),
        ("number", "I do not know", "42", (0, 1)),
        ("number", "42", "I cannot help with that 42", None),
        ("number", "42", "no idea", None),
        ("choice", "B", "The answer is (B).", EQUAL),
        ("choice", "C", "The answer is (B).", (0, 1)),
        ("literal", "[1, 2]", "[1,2]", EQUAL),
        ("text", "The harbour.", "the harbour", EQUAL),
        ("text", "A harbour by the sea", "A market in town", None),
        ("code", "```python\nx = 1\n```", "```python\nx = (\n```", (1, 0)),
        ("code", "```python\nx = 1\n```", "```python\nx  =  1\n```", EQUAL),
        ("code", "```python\nx = 1\n```", "```python\nx = 2\n```", None),
        ("code", "```python\nx = (\n```", "```python\ny = (\n```", (0, 0)),
        ("code", "nothing", "```python\nx = 1\n```", None),
    ],
)
def test_answers_are_compared_by_their_type(kind: Kind, near: str, far: str, worth: Any) -> None:
    assert compared(Answer(text=near, finish="stop"), Answer(text=far, finish="stop"), kind) == worth


@pytest.mark.parametrize(
    ("near", "far", "worth"),
    [
        ('{"age": 3}', '{ "age":3 }', EQUAL),
        ('{"age": 3}', '{"age": 4}', None),
        ('{"age": "three"}', '{"age": 4}', (0, 1)),
        ("three", "four", (0, 0)),
        ('{"age": 3}', "{", (1, 0)),
    ],
)
def test_a_schema_is_checked(near: str, far: str, worth: Any) -> None:
    assert compared(Answer(text=near), Answer(text=far), "json", SCHEMA) == worth


def test_what_was_cut_is_worth_nothing_and_no_reference() -> None:
    whole, cut = Answer(text="42", finish="stop"), Answer(text="42", finish="length")
    assert compared(cut, whole, "number") == (0, 1)
    assert compared(whole, cut, "number") is None
