"""The last look at the exact bytes: values in every form are found, masked bodies are clean, time is linear."""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.privacy.masking import bodies, find, vault

from nearfar.privacy import mask
from nearfar.privacy.vault import Vault
from nearfar.privacy.vault_check import Needles, leaks

NAME, MAIL = "王小明", "alice.wong@clinic.example"


def own() -> Vault:
    made = vault()
    made.mask(NAME, "person")
    made.mask(MAIL, "email")
    return made


def _full_width(text: str) -> str:
    return "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text)


def _entities(text: str) -> str:
    return "".join(f"&#{ord(char)};" for char in text)


FORMS: dict[str, Callable[[str], str]] = {
    "plain": lambda v: v,
    "upper": str.upper,
    "full width": _full_width,
    "spaces": " ".join,
    "zero width": "\u200b".join,
    "lines": "\n".join,
    "percent": urllib.parse.quote,
    "form": lambda v: urllib.parse.quote_plus(v, safe=""),
    "json": lambda v: "".join(f"\\u{ord(char):04x}" for char in v),
    "json in json": lambda v: json.dumps(json.dumps(v)),
    "html": _entities,
    "base64": lambda v: base64.b64encode(v.encode()).decode(),
    "base64 url": lambda v: base64.urlsafe_b64encode(v.encode()).decode().rstrip("="),
    "base64 within": lambda v: base64.b64encode(f"a longer text with {v} in its midst".encode()).decode(),
    "base64 other form": lambda v: base64.b64encode(f"a longer text with {_full_width(v.upper())}.".encode()).decode(),
    "base64 after": lambda v: "data" + base64.b64encode(v.encode()).decode(),
    "hex": lambda v: v.encode().hex(),
    "hex upper": lambda v: f"a longer text: {v}".encode().hex().upper(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", [NAME, MAIL])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_a_value_is_found_in_every_form(form: str, value: str, ascii_only: bool) -> None:
    text = f"see {FORMS[form](value)} here"
    body = json.dumps({"messages": [{"content": "fine"}, {"content": text}]}, ensure_ascii=ascii_only).encode()
    assert leaks(body, own()) == ["messages[1].content"]


def test_it_names_every_path_keys_and_unknown_members_too() -> None:
    body = json.dumps({"metadata": {NAME: "x"}, "x_new": [{"deep": NAME}], "messages": []}, ensure_ascii=False).encode()
    assert leaks(body, own()) == [f"metadata.{NAME}", "x_new[0].deep"]


def test_arguments_and_numbers_are_looked_at() -> None:
    made = vault()
    made.mask("0912345678", "phone")
    made.mask("912345678", "phone")
    body = json.dumps(
        {"a": {"function": {"arguments": json.dumps({"p": "0912-345-678 0912 345 678"})}}, "metadata": {"n": 912345678}}
    )
    assert leaks(body.encode(), made) == ["a.function.arguments.p", "metadata.n"]


@pytest.mark.parametrize(
    "body", [f"not json {NAME}".encode(), b'{"a":"%s"' % NAME.encode(), b"--x\r\n\r\n%s\xff" % NAME.encode()]
)
def test_a_body_that_is_no_json_is_one_text(body: bytes) -> None:
    assert leaks(body, own()) == ["$"]


def test_masks_themselves_are_no_leak_even_of_the_word_person() -> None:
    made = vault()
    text = f"{made.mask('person', 'person')} {made.mask('NATIONALID', 'tw.national_id')}"
    assert leaks(json.dumps({"x_y": text, "z_": made.word("person", "person")}).encode(), made) == []
    assert leaks(b'{"x_y":"a person"}', made) == ["x_y"]


@pytest.mark.parametrize("value", ["陳", "ab", "123", "-"])
def test_values_too_short_to_tell_are_not_looked_for(value: str) -> None:
    made = vault()
    made.mask(value, "person")
    assert leaks(json.dumps({"x_y": f"{value} a {value}b"}).encode(), made) == []


def test_short_ascii_values_are_whole_words() -> None:
    needles = Needles(["Bob", "1234"])
    assert needles.spans("bobsled 91234 x1234") == []
    assert sorted(needles.spans("Bob's 1234.")) == [(0, 3), (6, 10)]
    assert Needles(["B o b"]).spans("x bob") == [(2, 5)]


def test_many_values_are_found_like_few() -> None:
    values = [f"user{n:04}@clinic.example" for n in range(600)]
    text = f"x {values[3]} Y{values[599].upper()}, user0600@clinic.example"
    for needles in (Needles(values), Needles([values[3], values[599]])):
        assert sorted(needles.spans(text)) == [(2, 25), (27, 50)]
        assert needles.exact(text) == [(2, 25)]


def test_a_role_that_equals_a_name_is_no_leak() -> None:
    made = vault()
    made.mask("user", "person")
    assert leaks(b'{"messages":[{"role":"user","content":"fine"}]}', made) == []
    assert leaks(b'{"messages":[{"role":"user","content":"the user"}]}', made) == ["messages[0].content"]


def test_an_empty_vault_finds_nothing() -> None:
    assert leaks(b'{"a":"b"}', vault()) == []


@pytest.mark.parametrize("dialect", bodies())
def test_masked_bodies_are_clean(dialect: str) -> None:
    made = vault()
    body = json.dumps(bodies()[dialect]).encode()
    found = mask.spots(body)
    texts = mask.mask(found.spots, [find(spot.text) for spot in found.spots], made)
    assert leaks(body, made)
    assert leaks(mask.mask_body(body, texts), made) == []


@given(st.text(alphabet="ab王小 \u200bＡ1", min_size=1, max_size=8), st.text(alphabet="ab王小 \u200bＡ1", max_size=30))
def test_spans_stand_in_the_text_and_hold_the_value(value: str, text: str) -> None:
    needles = Needles([value])
    assert all(text[start:end] == value for start, end in needles.exact(text))
    for start, end in needles.spans(text):
        assert 0 <= start < end <= len(text)
        assert Needles([value]).spans(text[start:end]), (value, text, start, end)
