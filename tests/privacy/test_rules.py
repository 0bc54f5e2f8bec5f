"""Every shipped rule finds its good examples exactly and leaves its bad ones; wrong rules are refused by name."""

from __future__ import annotations

import pytest

from nearfar.privacy import rules
from nearfar.privacy.rules import Rule
from nearfar.privacy.scan import Scanner

SHIPPED = rules.shipped()
ALL = Scanner(SHIPPED)
every = pytest.mark.parametrize("rule", SHIPPED, ids=[rule.name for rule in SHIPPED])


@every
def test_good_examples_are_found_exactly_and_bad_ones_left(rule: Rule) -> None:
    alone = Scanner([rule], floor=0.0)
    for example in rule.row.good:
        text, spans = rules.marked(example)
        assert [(each.start, each.end) for each in alone.scan(text).findings] == spans, example
    for example in rule.row.bad:
        assert alone.scan(rules.plain(example)).findings == (), example


@every
def test_among_all_rules_good_examples_are_still_covered(rule: Rule) -> None:
    for example in rule.row.good:
        text, spans = rules.marked(example)
        found = ALL.scan(text).findings
        for start, end in spans:
            assert any(each.start <= start and end <= each.end for each in found), (example, found)


def test_what_is_found_alone_is_found_in_each_line_of_a_list() -> None:
    for value in (
        text[start:end] for rule in SHIPPED for text, spans in map(rules.marked, rule.row.good) for start, end in spans
    ):
        alone = [each.start for each in ALL.scan(value).findings]
        lines = {each.start for each in ALL.scan(f"{value}\n{value}\r\n{value}").findings}
        assert lines >= {at + line for at in alone for line in (0, len(value) + 1, 2 * len(value) + 3)}, value
