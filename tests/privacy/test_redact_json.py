"""Following JSON in pieces: where strings are, where the value ends, and that what is put into it leaves it JSON."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.privacy.redact_json import Syntax

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(max_size=6), VALUES, max_size=4)


@given(OBJECTS, st.booleans(), st.lists(st.integers(1, 7)))
def test_the_end_of_a_value_is_seen_in_any_split(value: Any, plain: bool, cuts: list[int]) -> None:
    text = json.dumps(value, ensure_ascii=plain)
    tail = "  then 1"
    syntax, at, ends = Syntax(), 0, []
    for size in (*cuts, len(text) + len(tail)):
        end = syntax.advance((text + tail)[at : at + size])
        if end is not None:
            ends.append(at + end)
        at += size
    assert ends[:1] == [len(text)]


UNIT = re.compile(r"\\u[0-9a-fA-F]{4}|\\.|[0-9.+\-eEtrufalsn]+|.", re.DOTALL)
"""What is not cut in two: an escape, a number, a bare word."""


@given(OBJECTS, st.data())
def test_whatever_is_covered_it_stays_json(value: Any, data: st.DataObject) -> None:
    text = json.dumps(value)
    edges = [0, *(unit.end() for unit in UNIT.finditer(text))]
    start = data.draw(st.sampled_from(edges))
    end = data.draw(st.sampled_from([edge for edge in edges if edge >= start]))
    syntax = Syntax()
    syntax.advance(text[:start])
    json.loads(text[:start] + syntax.cover(text[start:end], "[x]") + text[end:])


@pytest.mark.parametrize(
    ("before", "covered", "after", "expected"),
    [
        ('{"card": "', "4111 1111", '"}', {"card": "[x]"}),
        ('{"card": ', "4111", "}", {"card": "[x]"}),
        ('{"a": [1, ', "4111, 5", "]}", {"a": [1, "[x]", "[x]"]}),
        ('{"a": "x ', '4111", "b": "5', ' y"}', {"a": "x [x]", "[x]": "[x] y"}),
        ('{"a": "', 'he said \\"4111\\"', '"}', {"a": "[x]"}),
    ],
)
def test_structure_stays(before: str, covered: str, after: str, expected: Any) -> None:
    syntax = Syntax()
    syntax.advance(before)
    assert json.loads(before + syntax.cover(covered, "[x]") + after) == expected


def test_half_of_a_number_goes_with_the_other_half() -> None:
    syntax = Syntax()
    syntax.advance('{"n": ')
    assert syntax.number_before("12.", 9) == ("", 6)
    assert syntax.number_after("12.4111e5}", 7, 10) == 9
    syntax.advance('"')
    assert syntax.number_before("12.", 9) == ("12.", 9)
    assert syntax.number_after("12.4111e5}", 7, 10) == 7
