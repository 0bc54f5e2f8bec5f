"""Shapes: which rules a place with digits calls, and that no core hides what its pattern would find."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given
from hypothesis import strategies as st
from tests.examples import examples

from nearfar.privacy import rules, shapes
from nearfar.privacy.normal import Normal
from nearfar.privacy.rules import Rule
from nearfar.privacy.scan import Scanner
from nearfar.privacy.shapes import Shapes

CORED = [rule for rule in rules.shipped() if rule.core is not None]
BY_NAME = {rule.name: rule for rule in CORED}


def shapes_of(these: list[Rule]) -> Shapes[str]:
    return Shapes(these, lambda index, signs, begins: these[index].name)


def called(text: str) -> set[str]:
    return {name for _, _, (fits, _) in shapes_of(CORED).places(text) for name in fits}


def test_a_place_calls_the_rules_of_its_shape() -> None:
    assert "us.ssn" in called("my number 078-05-1120.")
    assert "us.ssn" not in called("my number 0780-5-1120.")
    assert "tw.national_id" in called("身分證A123456789，")
    assert "tw.national_id" not in called("電話123456789，")
    assert called("no digits, 12 and 3") == set()


def test_values_of_one_shape_are_one_entry() -> None:
    mine = shapes_of(CORED)
    for number in range(1000, 1100):
        mine.places(f"0912-{number // 10}-{number}")
    assert len(mine._known) == 1


def test_long_places_are_not_remembered() -> None:
    mine = shapes_of(CORED)
    ((_, _, (fits, _)),) = mine.places("1-" * 5_000 + "1")
    assert len(fits) == len(CORED)  # it is long enough for every rule, so every rule looks
    assert len(mine._known) == 0


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "ENTRIES", 10)
    mine = shapes_of(CORED)
    for number in range(3, 60):
        mine.places("1" * number)
    assert len(mine._known) <= 10


def without_core(rule: Rule) -> Rule:
    return msgspec.structs.replace(rule, core=None, row=msgspec.structs.replace(rule.row, core=""))


def finds(rule: Rule, text: str) -> list[tuple[int, int]]:
    return [(each.start, each.end) for each in Scanner([rule], floor=0.0).scan(text).findings]


@pytest.mark.parametrize("name", BY_NAME)
@pytest.mark.parametrize("around", ["", " ", "\n", "號", "("])
def test_good_examples_are_found_with_and_without_it(name: str, around: str) -> None:
    rule = BY_NAME[name]
    for example in rule.row.good:
        text = around + rules.marked(example)[0] + around
        assert finds(rule, text) == finds(without_core(rule), text)


@pytest.mark.slow
@pytest.mark.parametrize("name", BY_NAME)
def test_no_core_hides_what_the_pattern_finds(name: str) -> None:
    """Texts made from the pattern itself, checks left out: with the core and without it the same is found."""
    rule = msgspec.structs.replace(BY_NAME[name], check=None)

    @examples(150)
    @given(st.from_regex(rule.regex, fullmatch=True), st.sampled_from(["", " ", "\n", "號", "-", "(", "1 ", "x "]))
    def same(value: str, around: str) -> None:
        assume(value.isascii() or rule.regex.fullmatch(value))
        text = f"{around}{value}{around}"
        assert finds(rule, text) == finds(without_core(rule), text)

    same()


ALL = {rule.name: rule for rule in rules.shipped()}
APART = {"iban", "iban.named", "phone.international", "us.driver_license", "birth_date", "tw.mobile"}
"""Their patterns allow digits that lie farther apart, or fewer, than in any place with digits: (+886) ()912, L 79."""
BACK = {"secret.assigned", "tw.address"}
"""Theirs look back at their own first character, which texts made from an expression seldom bear."""
GLUED = {"special.health.icd", "special.genetic", "email.words"}
"""Theirs allow a word that calls them to go on with letters, or a plain @ between blanks."""


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(ALL.keys() - APART - BACK - GLUED))
def test_no_quick_look_hides_what_a_pattern_finds(name: str) -> None:
    """Texts made from each pattern: whatever spares a rule a search must not cost it a match that its check allows."""
    rule = ALL[name]
    word = f"{rule.row.context[0]} " if rule.row.need and rule.row.context else ""
    scanner = Scanner([rule], floor=0.0)

    @examples(40, suppress=list(HealthCheck))
    @given(st.from_regex(rule.regex, fullmatch=True))
    def found(value: str) -> None:
        text = word + value
        assume(len(value) < 400 and Normal.of(text).text == text and not set("\\%&").intersection(text))
        matches = [match for match in rule.regex.finditer(text) if match.start() >= len(word)]
        sure = [match for match in matches if rule.check is None or rule.check(match[rule.group])]
        covered = {at for each in scanner.scan(text).findings for at in range(each.start, each.end)}
        assert all(covered.intersection(range(*match.span(rule.group))) for match in sure)

    found()
