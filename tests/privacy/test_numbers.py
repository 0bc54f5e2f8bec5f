"""Rules for digits as they are tried: windows, what is known already, words that must be near."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.privacy import rules
from nearfar.privacy.normal import Normal
from nearfar.privacy.numbers import Numbers, Spot, merged
from nearfar.privacy.rules import Row

THESE = [rule for rule in rules.shipped() if not (rule.row.near or rule.row.token)]
NUMBERS = Numbers(THESE, 0.4)


def spots(text: str) -> list[Spot]:
    out: list[Spot] = []
    NUMBERS.find(Normal.of(text), out)
    return out


def test_a_place_that_is_known_for_sure_is_not_told_again() -> None:
    """0912345678 is a mobile phone; what other rules make of the same characters could not win."""
    assert [(each[5], each[3], each[4]) for each in spots("手機0912345678。")] == [("tw.mobile", 2, 12)]


def test_words_call_rules_and_lift_their_scores() -> None:
    near, far = spots("統編04595257"), spots("統編是這個號碼04595257")
    assert {each[5] for each in near} == {each[5] for each in far} == {"tw.business_number"}
    assert min(near)[2] < min(far)[2] < 0  # scores are told as less than nothing: the least goes first
    assert spots("04595257") == []


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("id 123456", 0.518),  # 0.5, and the part of 0.02 that is left one character away
        ("my id is 123456", 0.511),
        ("123456 id", 0.515),
        ("id 123456 id", 0.518),  # of two words the nearer one
        ("identity 123456", 0),
        ("id and much more 123456", 0),
    ],
)
def test_a_nearer_word_lifts_the_score_more(text: str, score: float) -> None:
    row = Row(kind="x", pattern="[0-9]{6}", score=0.3, sure=0.5, need=True, good=["«123456»"], bad=["1"])
    row = msgspec.structs.replace(row, context=["id"], trailing=["id"], before=8, after=3)
    out: list[Spot] = []
    Numbers([rules.compiled(row)], 0.0).find(Normal.of(text), out)
    assert [-each[2] for each in out] == ([score] if score else [])


def test_a_word_against_it() -> None:
    assert spots("order 4111-1111-1111-1111") == []


def test_without_digits_nothing_is_tried() -> None:
    assert spots("帳號 is a word, and so is card; 12 is no place with digits") == []


@given(st.lists(st.tuples(st.integers(-50, 200), st.integers(0, 40)), max_size=20))
def test_merged_windows_cover_the_same_and_do_not_touch(pairs: list[tuple[int, int]]) -> None:
    windows = sorted((start, start + size) for start, size in pairs)
    one = merged(windows)
    assert {at for start, end in one for at in range(start, end + 1)} == {
        at for start, end in windows for at in range(start, end + 1)
    }
    assert all(before[1] < after[0] for before, after in itertools.pairwise(one))
