"""The class of a request: the highest of all that was said and found, with every reason."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.places import Class, Place
from nearfar.policy.classify import Seen, counted, verdict
from nearfar.policy.rules import Rules, classify

RULES = Rules(
    name="test",
    furthest=(Place.CLOUD, Place.CLOUD, Place.LAN, Place.DEVICE),
    default=Class.INTERNAL,
    unknown=Class.CONFIDENTIAL,
)
classes = st.sampled_from(Class)
kinds = st.dictionaries(st.sampled_from(["email", "tw.national_id", "medical.record", "new.kind"]), st.integers(1, 9))
parts = st.builds(
    Seen,
    part=st.sampled_from(["found", "history", "passage", "tool"]),
    kinds=kinds,
    unknown=st.integers(0, 2),
    floor=st.none() | classes,
)


def test_nothing_found_is_what_was_said() -> None:
    said = verdict(RULES, route=Class.PUBLIC, seen=[Seen()])
    assert (said.class_, said.reason, said.kinds) == (Class.INTERNAL, "default", {})


def test_a_find_raises_the_class_and_says_why() -> None:
    found = verdict(RULES, route=Class.PUBLIC, header=Class.PUBLIC, seen=[Seen(kinds={"email": 2, "medical.x": 1})])
    assert (found.class_, found.reason) == (Class.RESTRICTED, "found medical.x")
    assert [reason.source for reason in found.reasons] == ["found", "found", "route", "header"]
    assert "medical.x: special data" in found.reasons[0].text
    assert "email (2)" in found.reasons[1].text
    assert found.kinds == {"email": 2, "medical.x": 1}


def test_a_find_never_lowers_what_was_said() -> None:
    found = verdict(RULES, route=Class.PUBLIC, caller=Class.RESTRICTED, seen=[Seen(kinds={"email": 1})])
    assert (found.class_, found.reason) == (Class.RESTRICTED, "caller")


def test_where_it_was_found_is_told() -> None:
    seen = [Seen(part="history", kinds={"tw.national_id": 1}), Seen(part="tool", floor=Class.CONFIDENTIAL)]
    found = verdict(RULES, route=Class.PUBLIC, header=Class.PUBLIC, seen=seen)
    assert found.reason == "history tw.national_id"
    assert "tool: labelled" in [reason.text for reason in found.reasons]


def test_what_nobody_could_read_counts_as_the_policy_says() -> None:
    found = verdict(RULES, route=Class.PUBLIC, seen=[Seen(unknown=2)])
    assert (found.class_, found.reason, found.unknown) == (Class.CONFIDENTIAL, "unknown", 2)


def test_a_failed_detector_is_the_highest_class() -> None:
    found = verdict(RULES, route=Class.PUBLIC, header=Class.PUBLIC, guard="the detector names hung")
    assert (found.class_, found.reason, found.guard) == (Class.RESTRICTED, "guard", "the detector names hung")


def test_kinds_mean_more_together_also_in_different_parts() -> None:
    apart = [Seen(kinds={"person": 1}), Seen(part="history", kinds={"birth_date": 1})]
    assert verdict(RULES, route=Class.PUBLIC, seen=apart[:1]).class_ == Class.INTERNAL
    joint = verdict(RULES, route=Class.PUBLIC, seen=apart)
    assert (joint.class_, joint.reason) == (Class.CONFIDENTIAL, "found person with birth_date")


def test_a_list_of_people_is_confidential() -> None:
    assert verdict(RULES, route=Class.PUBLIC, seen=[Seen(kinds={"email": 19})]).class_ == Class.INTERNAL
    many = verdict(RULES, route=Class.PUBLIC, seen=[Seen(kinds={"email": 10}), Seen(kinds={"person": 10})])
    assert (many.class_, many.reason) == (Class.CONFIDENTIAL, "found many")


def test_harmless_values_are_counted_and_raise_nothing() -> None:
    found = verdict(RULES, route=Class.PUBLIC, header=Class.PUBLIC, seen=[Seen(harmless=3)])
    assert (found.class_, found.harmless, found.kinds) == (Class.PUBLIC, 3, {})


def test_kinds_are_counted() -> None:
    assert counted(["email", "card", "email"]) == {"email": 2, "card": 1}


@given(classes, st.none() | classes, st.none() | classes, st.none() | classes, st.lists(parts, max_size=4))
def test_the_class_is_the_highest_of_all(
    route: Class, caller: Class | None, header: Class | None, stored: Class | None, seen: list[Seen]
) -> None:
    found = verdict(RULES, route=route, caller=caller, header=header, stored=stored, seen=seen)
    said, _ = classify(RULES, route=route, caller=caller, header=header, stored=stored)
    assert found.class_ >= said
    assert found.class_ == max(reason.class_ for reason in found.reasons)
    for part in seen:
        assert found.class_ >= max([RULES.kinds.of(kind).class_ for kind in part.kinds], default=Class.PUBLIC)
        assert found.class_ >= (part.floor or Class.PUBLIC)
    assert found.reason.isascii()
    assert found.reason.isprintable()


@given(st.lists(parts, max_size=3), parts)
def test_more_content_never_lowers_the_class(seen: list[Seen], more: Seen) -> None:
    less = verdict(RULES, route=Class.PUBLIC, header=Class.PUBLIC, seen=seen)
    assert verdict(RULES, route=Class.PUBLIC, header=Class.PUBLIC, seen=[*seen, more]).class_ >= less.class_
