"""Calls: which rules a text calls, and that they are tried where their literals stand."""

from __future__ import annotations

import pytest

from nearfar.privacy import calls, rules
from nearfar.privacy.calls import Literals, Tokens, WholeWords
from nearfar.privacy.rules import Rule
from nearfar.privacy.scan import Scanner
from nearfar.privacy.unwrap import readings

NEAR = [rule for rule in rules.shipped() if rule.row.near and not rule.row.token]
LITERALS = Literals(rule for rule in NEAR if not rule.row.whole)
WORDS = WholeWords([rule for rule in NEAR if rule.row.whole])
TOKENS = Tokens(rule for rule in rules.shipped() if rule.row.token)
BY_NAME = {rule.name: rule for rule in rules.shipped()}


def names(called: list[tuple[Rule, list[int]]]) -> set[str]:
    return {rule.name for rule, _ in called}


def test_literals_call_their_rules_where_they_end() -> None:
    called = {rule.name: places for rule, places in LITERALS.called("a key, and my secret key")}
    assert called["secret.assigned"] == [5, 20, 24]
    assert "email" not in called
    assert LITERALS.called("nothing") == []


def test_many_literals_are_one_expression() -> None:
    assert {rule.name: places for rule, places in LITERALS.called("住在台北市。")}["tw.address"] == [4]


def test_what_else_must_stand_in_the_text() -> None:
    assert "url.credentials" not in names(LITERALS.called("see https://example.org"))
    assert "url.credentials" in names(LITERALS.called("see https://example.org and a@b"))


def test_latin_words_call_whole() -> None:
    assert "special.criminal" in names(WORDS.called("he was convicted of it"))
    assert "special.criminal" not in names(WORDS.called("he was convicted, off it"))
    assert WORDS.called("unconvicted ofttimes") == []


@pytest.mark.parametrize("rule", [rule for rule in NEAR if rule.row.whole], ids=lambda rule: rule.name)
def test_every_word_calls_its_rule(rule: Rule) -> None:
    for literal in rule.row.near:
        text = f"so {literal} {' '.join(rule.row.has)}"
        assert {each.name: places for each, places in WORDS.called(text)}[rule.name][0] == 3 + len(literal)


def test_tokens_call_their_rules_in_the_tokens_that_hold_a_literal() -> None:
    text = "ghp_aaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbb sk-ccccccccccccccccc/ghp_x"
    called = {rule.name: windows for rule, windows in TOKENS.called(text, readings(text)[0][0].tokens)}
    assert called["secret.github"] == [(-2, 22, 22), (40, len(text) + 2, len(text) + 2)]
    assert called["secret.openai"] == [(40, len(text) + 2, len(text) + 2)]
    assert "secret.twilio" in called  # for its sk
    assert "mac" not in called  # it has its -, but not in that shape
    assert "it.fiscal_code" not in called


def test_a_token_is_called_by_its_literal_and_its_shape() -> None:
    text = "aa-bb-cc-dddddddddd nic=00-1b-44-11-3a-b7"
    called = {rule.name: windows for rule, windows in TOKENS.called(text, readings(text)[0][0].tokens)}
    assert called["mac"] == [(18, 43, 43)]
    assert "ip.v6" not in called


def test_a_token_without_literals_is_called_by_its_shape() -> None:
    text = "cccccccccccccccccc rssmra80a01h501u"
    called = {rule.name: windows for rule, windows in TOKENS.called(text, [(0, 18), (19, 35)])}
    assert called["it.fiscal_code"] == [(17, 37, 37)]


def test_windows_end_with_their_last_literal() -> None:
    email = BY_NAME["email"]
    ((start, end, last),) = calls.around(email, [100, 110], "x" * 300, [])
    assert (start, last) == (100 - 66, 110)
    assert end == 110 + 280
    two = calls.around(email, [100, 600], "x" * 900, [])
    assert [window[2] for window in two] == [100, 600]


def test_where_more_is_known_of_the_same_kind_a_rule_is_not_tried() -> None:
    words, email = BY_NAME["email.words"], BY_NAME["email"]
    lower = "x" * 100
    spot = (False, -10, -0.95, 20, 30, "email", "email")
    assert calls.around(words, [25], lower, [spot]) == []
    assert calls.around(email, [25], lower, [spot]) != []  # no surer than itself
    assert calls.around(words, [25], lower, []) != []


def test_what_holds_no_blank_is_not_looked_for_beyond_one() -> None:
    ((start, end, last),) = calls.around(BY_NAME["email"], [30], "x" * 20 + " " + "y" * 30 + " z", [])
    assert (start, end, last) == (21, 51, 30)
    (window,) = calls.around(BY_NAME["email.words"], [30], "x" * 20 + " " + "y" * 30, [])
    assert window[0] < 20


def test_what_is_known_of_another_kind_hides_nothing() -> None:
    """An address of mail that a link seems to hold is looked for all the same."""
    found = Scanner([BY_NAME["url"], BY_NAME["email"]]).scan("https://a.example/b@c.example.org").findings
    assert [each.kind for each in found] == ["email"]


@pytest.mark.parametrize("rule", [*NEAR, *(r for r in rules.shipped() if r.row.token)], ids=lambda rule: rule.name)
def test_a_rule_alone_finds_its_examples(rule: Rule) -> None:
    scanner = Scanner([rule], floor=0.0)
    for example in rule.row.good:
        text, spans = rules.marked(example)
        assert [(each.start, each.end) for each in scanner.scan(f"{text}\n{text}").findings][: len(spans)] == spans
