"""Words: which are heard, how near, and that a longer word hides what only begins in it."""

from __future__ import annotations

import msgspec
import pytest

from nearfar.privacy import rules
from nearfar.privacy.heard import Heard, Words
from nearfar.privacy.rules import Row, Rule


def rule(context: list[str], trailing: list[str] | None = None, against: list[str] | None = None) -> Rule:
    row = Row(kind="x", pattern="[0-9]{3}", score=0.5, good=["«123»"], bad=["1"], need=True, context=context)
    return rules.compiled(msgspec.structs.replace(row, trailing=trailing or [], against=against or []))


RULES = [
    rule(context=["card", "卡號"], against=["order"]),
    rule(context=["credit card", "健保卡"]),
    rule(context=["id"], trailing=["office"]),
]
WORDS = Words(RULES)


def heard(text: str) -> Heard:
    return WORDS.heard(text.lower(), [(0, len(text))])


@pytest.mark.parametrize(
    ("text", "index", "ends"),
    [
        ("card 123", 0, [4]),
        ("card or card", 0, [4, 12]),
        ("credit card 123", 0, [11]),  # a word inside a longer one
        ("credit card 123", 1, [11]),
        ("健保卡號 123", 1, [3]),
        ("健保卡號 123", 0, []),  # the longer word hides what goes on behind it
        ("卡號 a card, 卡號", 0, [2, 9, 13]),  # in order, whichever word it is
        ("postcard 123", 0, []),
        ("identity 123", 2, []),
        ("nothing", 0, []),
    ],
)
def test_where_words_end_that_explain_what_is_behind(text: str, index: int, ends: list[int]) -> None:
    words = heard(text)
    assert words.asked_ahead(index) == ends
    assert words.ends == {index: ends}


def test_where_words_begin_that_explain_what_is_before() -> None:
    words = heard("123 my office")
    assert words.asked_behind(2) == [7]
    assert words.asked_behind(0) == []
    assert words.starts == {2: [7], 0: []}


def test_where_rules_that_need_words_may_begin() -> None:
    windows = heard("a card, an id").windows()
    assert windows == {0: [(2, 2 + 4 + 20)], 2: [(11, 11 + 2 + 20)]}


@pytest.mark.parametrize(
    ("text", "refuted"),
    [
        ("order 123", True),
        ("card of an order 123", True),
        ("order: 0000 123", True),  # its first letter is the twelfth before
        ("order: 00000 123", False),
        ("123 order", False),
        ("card 123", False),
    ],
)
def test_a_word_shortly_before_speaks_against_it(text: str, refuted: bool) -> None:
    words = heard(text)
    assert words.refutes(0, text.index("123")) is refuted
    assert not words.refutes(1, text.index("123"))


def test_only_the_zones_are_listened_to() -> None:
    assert WORDS.heard("card 123 card", [(5, 13)]).windows() == {0: [(9, 13 + 20)]}
