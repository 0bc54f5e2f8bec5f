"""Every shipped rule finds its good examples exactly and leaves its bad ones; wrong rules are refused by name."""

from __future__ import annotations

import pytest

from nearfar.privacy import rules
from nearfar.privacy.rules import Rule
from nearfar.privacy.scan import Scanner

SHIPPED = rules.shipped()
ALL = Scanner(SHIPPED)
GOOD = [
    pytest.param(rule, example, id=f"{rule.name}-{n}") for rule in SHIPPED for n, example in enumerate(rule.row.good)
]
BAD = [pytest.param(rule, example, id=f"{rule.name}-{n}") for rule in SHIPPED for n, example in enumerate(rule.row.bad)]


@pytest.mark.parametrize(("rule", "example"), GOOD)
def test_a_good_example_is_found_exactly(rule: Rule, example: str) -> None:
    text, spans = rules.marked(example)
    alone = Scanner([rule], floor=0.0).scan(text)
    assert [(each.start, each.end) for each in alone.findings] == spans


@pytest.mark.parametrize(("rule", "example"), GOOD)
def test_among_all_rules_it_is_still_covered(rule: Rule, example: str) -> None:
    text, spans = rules.marked(example)
    found = ALL.scan(text).findings
    for start, end in spans:
        assert any(each.start <= start and end <= each.end for each in found), found


@pytest.mark.parametrize(("rule", "example"), BAD)
def test_a_bad_example_is_left(rule: Rule, example: str) -> None:
    assert Scanner([rule], floor=0.0).scan(rules.plain(example)).findings == ()
