"""Texts inside texts, each with its place; what cannot be read is told."""

from __future__ import annotations

import base64
import hashlib
import json
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.privacy.unwrap import LONG, readings

VALUE = "身分證A123456789"


def found(text: str, value: str) -> list[str]:
    """What stands in ``text`` where one of its readings says ``value``."""
    ways, _ = readings(text)
    return [text[slice(*way.original(at, at + len(value)))] for way in ways if (at := way.normal.text.find(value)) >= 0]


@pytest.mark.parametrize(
    "wrapped",
    [
        json.dumps({"text": VALUE}),
        json.dumps({"text": f"a\n{VALUE}"}, ensure_ascii=False),
        json.dumps(json.dumps({"text": VALUE})),
        json.dumps(json.dumps(json.dumps([VALUE]))),
        urllib.parse.quote(VALUE),
        "https://example.org/?q=" + urllib.parse.quote(VALUE),
        "".join(f"&#{ord(char)};" for char in VALUE),
        "".join(f"&#x{ord(char):x};" for char in VALUE),
        "身分證&nbsp;A123456789".replace("&nbsp;", "&ZeroWidthSpace;"),
        base64.b64encode(f"name {VALUE}".encode()).decode(),
        "data:text/plain;base64," + base64.b64encode(VALUE.encode()).decode(),
        base64.urlsafe_b64encode(f"??>>{VALUE}".encode()).decode().rstrip("="),
        VALUE.encode().hex(),
        "x" + "".join(chr(0xE0000 + ord(char)) for char in "A123456789") + "y",
    ],
)
def test_the_value_is_read_and_placed(wrapped: str) -> None:
    assert found(f"see {wrapped} end", "A123456789")
    assert all(piece in wrapped for piece in found(f"see {wrapped} end", "A123456789"))


def test_an_escape_keeps_the_exact_place() -> None:
    text = '{"a": "x\\nA123456789\\u7684"}'
    assert found(text, "A123456789")[0] == "A123456789"


def test_what_is_two_things_is_read_both_ways() -> None:
    assert found("手續費3%0912345678", "0912345678") == ["0912345678"]


@pytest.mark.parametrize("text", ["C:\\new\\table", "100% of it", "a & b &c; &unknown;", "%zz %E7", "\\", "\\q"])
def test_what_is_no_escape_stays(text: str) -> None:
    ways, unknowns = readings(text)
    assert ways
    assert unknowns == []


def test_a_long_blob_that_is_no_text_is_unknown() -> None:
    blob = base64.b64encode(b"".join(hashlib.sha256(bytes([n])).digest() for n in range(9))).decode()
    _, unknowns = readings(f"file: {blob}!")
    assert [(each.start, each.end) for each in unknowns] == [(6, 6 + len(blob))]
    lines = "\n".join(blob[at : at + 76] for at in range(0, len(blob), 76))
    assert len(readings(lines)[1]) == 1


def test_hashes_and_keys_are_no_unknowns() -> None:
    text = "\n".join(hashlib.sha256(bytes([n])).hexdigest() for n in range(20))
    assert readings(text)[1] == []
    assert readings("commit " + "0a" * 20)[1] == []
    assert LONG > 128


@given(st.text(st.characters() | st.sampled_from("\\u%&;#0aA="), max_size=80))
def test_every_reading_leads_back_into_the_text(text: str) -> None:
    ways, unknowns = readings(text)
    for way in ways:
        for at in range(len(way.normal.text)):
            start, end = way.original(at, at + 1)
            assert 0 <= start < end <= len(text)
    assert all(0 <= each.start < each.end <= len(text) for each in unknowns)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=40))
def test_json_says_what_it_holds(text: str) -> None:
    ways, _ = readings(json.dumps(text))
    plain, _ = readings(f'"{text}"')
    assert plain[0].normal.text in {way.normal.text for way in ways} or "\\" in text or "%" in text or "&" in text


@pytest.mark.parametrize("value", ["A123456789", "0912345678", "0912-345-678"])
def test_base64_of_ten_bytes_is_read(value: str) -> None:
    """Shorter ones are not looked into: twelve characters of that alphabet are any word."""
    blob = base64.b64encode(value.encode()).decode()
    ways, _ = readings(f"id={blob}, and more")
    assert [way.original(0, len(value)) for way in ways if way.normal.text == value] == [(3, 3 + len(blob))]
