"""Prompts in the language of a text, with values that stay what they are."""

from __future__ import annotations

import pytest

from nearfar.gateway.prompts import fill, fitting


@pytest.mark.parametrize(
    ("text", "language"), [("hello there", "en"), ("今天天氣如何?", "zh"), ("x" * 95 + "天", "en"), ("", "en")]
)
def test_the_language_is_that_of_the_text(text: str, language: str) -> None:
    assert fitting(["en", "zh"], text) == language


def test_what_looks_like_a_slot_in_a_value_is_none() -> None:
    filled = fill('{first} and {second}: {"a": 7} {other}', {"first": "{second}", "second": "2"})
    assert filled == '{second} and 2: {"a": 7} {other}'
