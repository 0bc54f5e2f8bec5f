"""The table of kinds: every line has a class and a reason, and what nobody listed is not harmless."""

from __future__ import annotations

import pytest

from nearfar.core.places import Class
from nearfar.policy.classify_kinds import changed, load, shipped
from nearfar.privacy import rules

HEAD = b"""date = 2026-11-22
otherwise = "confidential"
[[source]]
name = "a law"
[many]
count = 3
class = "confidential"
"""


@pytest.mark.parametrize(
    ("kind", "class_"),
    [
        ("medical.diagnosis", Class.RESTRICTED),
        ("criminal.record", Class.RESTRICTED),
        ("tw.national_id", Class.CONFIDENTIAL),
        ("card", Class.CONFIDENTIAL),
        ("secret.github", Class.CONFIDENTIAL),
        ("de.tax.number", Class.CONFIDENTIAL),
        ("email", Class.INTERNAL),
        ("person", Class.INTERNAL),
        ("us.ssn", Class.CONFIDENTIAL),
        ("us.ein", Class.PUBLIC),
        ("tw.business_number", Class.PUBLIC),
    ],
)
def test_what_ships(kind: str, class_: Class) -> None:
    found = shipped().of(kind)
    assert found.class_ == class_
    assert found.why


def test_every_kind_that_is_looked_for_has_a_line() -> None:
    looked_for = {rule.kind for rule in rules.shipped()} | {"person"}
    assert sorted(kind for kind in looked_for if shipped().of(kind).group == "unlisted") == []


def test_a_kind_that_nobody_listed_is_confidential() -> None:
    assert (shipped().of("zz.new").class_, shipped().of("zz.new").group) == (Class.CONFIDENTIAL, "unlisted")


def test_the_longest_beginning_wins() -> None:
    table = load(
        HEAD
        + b"""
[[row]]
kinds = ["a.*"]
class = "internal"
group = "g"
why = "w"
[[row]]
kinds = ["a.b.*", "a.b"]
class = "restricted"
group = "g"
why = "w"
"""
    )
    assert [table.of(kind).class_ for kind in ("a.x", "a.x.y", "a.b.c", "a.b", "ab")] == [
        *(Class.INTERNAL, Class.INTERNAL, Class.RESTRICTED, Class.RESTRICTED, Class.CONFIDENTIAL)
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "not a table of kinds"),
        (b"\xff", "not a table of kinds"),
        (HEAD + b'[[row]]\nkinds = ["a"]\nclass = "secret"\ngroup = "g"\nwhy = "w"', "unknown class"),
        (HEAD + b'[[row]]\nkinds = ["a"]\nclass = "public"\ngroup = "g"\nwhy = ""', "says no reason"),
        (HEAD + b'[[row]]\nkinds = ["a", "a"]\nclass = "public"\ngroup = "g"\nwhy = "w"', "listed twice"),
        (HEAD + b'[[row]]\nkinds = ["a"]\nclass = "public"\ngroup = "g"\nwhy = "w"\nregex = "x"', "unknown field"),
        (HEAD.replace(b'[[source]]\nname = "a law"', b"source = []") + b"row = []", "not a table|names its sources"),
    ],
)
def test_a_wrong_table_is_refused(text: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        load(text)


def test_a_policy_changes_groups_and_kinds() -> None:
    own = changed(shipped(), {"contact": Class.CONFIDENTIAL}, {"tw.x": Class.PUBLIC, "email": Class.PUBLIC}, "mine")
    assert own.of("phone").class_ == Class.CONFIDENTIAL
    assert own.of("email").class_ == Class.PUBLIC
    assert own.of("tw.x").class_ == Class.PUBLIC
    assert "policy mine" in own.of("tw.x").why
    assert shipped().of("phone").class_ == Class.INTERNAL


def test_a_group_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="no kind is in the group contacts: use business, contact"):
        changed(shipped(), {"contacts": Class.PUBLIC}, {}, "mine")
