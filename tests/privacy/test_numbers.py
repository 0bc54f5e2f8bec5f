"""Rules for digits as they are tried: windows, what is known already, words that must be near."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from nearfar.privacy import rules
from nearfar.privacy.normal import Normal
from nearfar.privacy.numbers import Numbers, Spot, merged

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
