"""Patterns of rules: what is refused, how wide a match can be, and that hostile repetition stays linear."""

from __future__ import annotations

import pytest

from bench.privacy import HOSTILE
from nearfar.privacy import patterns, rules
from nearfar.privacy.rules import Rule


@pytest.mark.parametrize(
    ("pattern", "width"),
    [
        ("abc", (3, 3)),
        ("a|bcd", (1, 3)),
        ("[0-9]{3}-?", (3, 4)),
        ("(?<![0-9])(?:ab){2,3}(?=x)", (4, 6)),
        ("([- ])[0-9]\\1", (3, 3)),
        ("[^]a]{0,5}", (0, 5)),
        ("(?P<v>a{2})b?", (2, 3)),
        ("[\\u4e00-\\u9fff]{2}\\.", (3, 3)),
        ("a{2,4}?", (2, 4)),
    ],
)
def test_the_width(pattern: str, width: tuple[int, int]) -> None:
    assert patterns.width(pattern)[:2] == width


@pytest.mark.parametrize(
    "pattern",
    [
        "a*",
        "a+",
        "a{2,}",
        "(?:ab)+",
        r"\d",
        r"\bword",
        r"\w{3}",
        r"\s",
        "a.b",
        "(?P>x)",
        "(a",
        "a)",
        "[ab",
        "*a",
        "a{99999}",
        r"(?(1)a|b)",
    ],
)
def test_what_rules_may_not_use(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        patterns.width(pattern)


@pytest.mark.parametrize("rule", rules.shipped(), ids=lambda rule: rule.name)
def test_no_match_is_wider_or_narrower_than_told(rule: Rule) -> None:
    for example in rule.row.good:
        text, _ = rules.marked(example)
        for match in rule.regex.finditer(text):
            assert rule.least <= len(match[0]) <= rule.width


@pytest.mark.slow
@pytest.mark.parametrize("rule", rules.shipped(), ids=lambda rule: rule.name)
def test_hostile_repetition_ends(rule: Rule) -> None:
    """20 kB of what stopped other detectors, past every prefilter: what explodes would not end."""
    for text in HOSTILE.values():
        assert all(len(match[0]) <= rule.width for match in rule.regex.finditer(text[:20_000]))
