"""The normal form and the way back, against unicodedata and for arbitrary texts."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.privacy.normal import Normal, lowered

TRICKY = st.text(
    st.one_of(st.characters(), st.sampled_from("Ａ１\u200b\u202e①㍿e\u0301ｶﾞ각\u1160İß－٣ \U000e0041ﬃ王")), max_size=60
)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("A123456789", "A123456789"),
        ("Ａ１２３４５６７８９", "A123456789"),
        ("卡號：４１１１－１１１１", "卡號:4111-1111"),
        ("09\u200b12\u200d34\ufeff5678", "0912345678"),
        ("ab\u202ecd\u2066", "abcd"),
        ("0912–345—678", "0912-345-678"),
        ("٠٩١٢", "0912"),
        ("e\u0301 é", "é é"),
        ("㍿①", "株式会社1"),
        ("x\U000e0041\U000e0042y", "xy"),
        ("a\u3000b\u00a0c", "a b c"),
        ("1\ufe0f\u20e3", "1\u20e3"),
    ],
)
def test_what_is_normal(text: str, plain: str) -> None:
    assert Normal.of(text).text == plain


def test_the_way_back_covers_what_was_removed_inside() -> None:
    text = "號A12\u200b3456789。"
    normal = Normal.of(text)
    at = normal.text.index("A")
    assert text[slice(*normal.original(at, at + 10))] == "A12\u200b3456789"


def test_one_of_several_gets_its_whole_source() -> None:
    normal = Normal.of("a㍿b")
    assert normal.original(1, 2) == (1, 2)
    assert normal.original(4, 5) == (1, 2)
    assert normal.original(5, 6) == (2, 3)


@given(TRICKY)
def test_every_place_maps_into_the_text_and_in_order(text: str) -> None:
    normal = Normal.of(text)
    places = [normal.original(at, at + 1) for at in range(len(normal.text))]
    assert all(0 <= start < end <= len(text) for start, end in places)
    assert places == sorted(places)
    assert len(normal.lower) == len(normal.text)


@given(TRICKY)
def test_a_character_comes_from_its_own_source(text: str) -> None:
    normal = Normal.of(text)
    for at, char in enumerate(normal.text):
        start, end = normal.original(at, at + 1)
        assert char in Normal.of(text[start:end]).text


@given(
    st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF) | st.sampled_from("Ａ１，：ab１2①ﬀ"), max_size=60)
)
def test_it_is_nfkc(text: str) -> None:
    assert Normal.of(text).text == unicodedata.normalize("NFKC", text)


@given(TRICKY)
def test_twice_is_once(text: str) -> None:
    once = Normal.of(text).text
    assert Normal.of(Normal.of(once).text).text == Normal.of(once).text


@given(TRICKY)
def test_lower_case_is_equally_long(text: str) -> None:
    assert len(lowered(text)) == len(text)
