"""Escapes are undone, and every character knows where it stood."""

from __future__ import annotations

import json
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.privacy.vault_escapes import plain


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("abc", "abc"),
        ("a\\u738bb", "a王b"),
        ("\\ud83d\\ude00", "\U0001f600"),
        ("\\ud83d", "\ud83d"),
        ('\\n\\/\\\\\\"', '\n/\\"'),
        ("%E7%8E%8B%41%", "王A%"),
        ("%ff", "\udcff"),
        ("\\u12", "\\u12"),
        ("", ""),
    ],
)
def test_escapes(text: str, expected: str) -> None:
    found, offsets = plain(text)
    assert found == expected
    assert len(offsets) == len(found) + 1
    assert offsets[-1] == len(text)


def test_the_way_back() -> None:
    text = "x\\u738b%E5%B0%8Fy"
    found, offsets = plain(text)
    assert found == "x王小y"
    assert [text[offsets[at] : offsets[at + 1]] for at in range(4)] == ["x", "\\u738b", "%E5%B0%8F", "y"]


@given(st.text(max_size=20))
def test_what_others_escape_is_found_again(text: str) -> None:
    assert plain(json.dumps(text.replace("%", ""))[1:-1])[0] == text.replace("%", "")
    if not any("\ud800" <= char <= "\udfff" for char in text):
        assert plain(urllib.parse.quote(text.replace("\\", "")))[0] == text.replace("\\", "")


@given(st.text(alphabet="a\\\\u12d83%E7n王", max_size=30))
def test_every_piece_stands_where_it_says(text: str) -> None:
    found, offsets = plain(text)
    assert len(offsets) == len(found) + 1
    assert offsets == sorted(offsets)
    assert "".join(text[offsets[at] : offsets[at + 1]] for at in range(len(found))) == text
