"""Checks of an answer find what is wrong in it, and nothing in what is right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.policy.cascade_checks import fits, python, refuses, slips


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2 + 3 = 5, then 5 x 4 = 20", (2, 0)),
        ("2 + 3 = 6", (1, 1)),
        ("<<9*2=18>>", (1, 0)),
        ("<<9*2=19>>", (1, 1)),
        ("8 × 3 = 24 and 9 ÷ 2 = 4.5", (2, 0)),
        ("10 / 3 = 3.33", (1, 0)),
        ("$40 + $24 = $64", (1, 0)),
        ("150% * 80,000 = 120,000", (1, 0)),
        ("(2 + 3) * 4 = 20", (1, 0)),
        ("2 + 3 * 4 = 20", (1, 1)),
        ("7 / 0 = 3", (0, 0)),
        ("x + 3 = 5", (0, 0)),
        ("nothing", (0, 0)),
    ],
)
def test_slips(text: str, found: tuple[int, int]) -> None:
    assert slips(text) == found


@given(st.text(alphabet="0123456789+-*/=(). x$,%<>", max_size=400))
def test_no_arithmetic_breaks_the_check(text: str) -> None:
    checked, wrong = slips(text)
    assert 0 <= wrong <= checked


def test_deep_nesting_is_given_up() -> None:
    assert slips("(" * 500 + "1+1" + ")" * 500 + " = 2") in {(0, 0), (1, 0)}


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("I'm sorry, but I can't help with that.", True),
        ("I cannot provide that information.", True),
        ("As an AI language model, I have no opinion", True),
        ("很抱歉，我無法回答這個問題。", True),
        ("我不能提供這項資訊", True),
        ("I can help. First, cut the onion.", False),
        ("Sorrow is a feeling.", False),
        ("He said he was sorry.", False),
        ("", False),
    ],
)
def test_refusals(text: str, refused: bool) -> None:
    assert refuses(text) is refused


def test_python_is_parsed_and_never_run() -> None:
    assert python("no code") is None
    assert python("```python\nimport os; os.abort()\n```") is True
    assert python("```python\ndef f(:\n```") is False
    assert python("```js\nlet x\n```") is None


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ('{"name": "x", "age": 3}', True),
        ('```json\n{"name": "x"}\n```', True),
        ('{"age": 3}', False),
        ('{"name": 3}', False),
        ('{"name": "x", "age": true}', False),
        ('{"name": "x", "kind": "c"}', False),
        ('{"name": "x", "tags": ["a", 1]}', False),
        ("not json", False),
    ],
)
def test_schema(text: str, good: bool) -> None:
    schema: dict[str, object] = {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string"},
            "age": {"type": ["integer", "null"]},
            "kind": {"enum": ["a", "b"]},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
    }
    assert fits(text, schema) is good
