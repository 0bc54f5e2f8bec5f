"""Rules and classification."""

from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.places import Class, Place
from nearfar.policy.rules import Rules, classify

RULES = Rules(name="test", furthest=(Place.CLOUD, Place.CLOUD, Place.LAN, Place.DEVICE), default=Class.INTERNAL)
classes = st.sampled_from(Class)


def test_each_class_has_its_reach() -> None:
    assert [RULES.reach(class_) for class_ in Class] == [Place.CLOUD, Place.CLOUD, Place.LAN, Place.DEVICE]


def test_a_request_nobody_spoke_about_has_the_default() -> None:
    assert classify(RULES, route=Class.PUBLIC, caller=None, header=None) == (Class.INTERNAL, "default")


def test_a_header_may_declare_public() -> None:
    assert classify(RULES, route=Class.PUBLIC, caller=None, header=Class.PUBLIC) == (Class.PUBLIC, "route")


def test_the_reason_names_who_raised_it() -> None:
    assert classify(RULES, route=Class.INTERNAL, caller=None, header=Class.RESTRICTED) == (Class.RESTRICTED, "header")
    assert classify(RULES, route=Class.PUBLIC, caller=Class.CONFIDENTIAL, header=Class.PUBLIC) == (
        Class.CONFIDENTIAL,
        "caller",
    )


@given(classes, st.none() | classes, st.none() | classes)
def test_nobody_can_lower_what_another_demands(route: Class, caller: Class | None, header: Class | None) -> None:
    class_, _ = classify(RULES, route=route, caller=caller, header=header)
    assert class_ >= max(said for said in (route, caller, header) if said is not None)


def test_a_route_only_raises_the_default() -> None:
    strict = Rules(name="strict", furthest=RULES.furthest, default=Class.RESTRICTED)
    assert classify(strict, route=Class.INTERNAL, caller=None, header=None) == (Class.RESTRICTED, "default")
    assert classify(RULES, route=Class.RESTRICTED, caller=None, header=None) == (Class.RESTRICTED, "route")


@given(classes, st.none() | classes, st.none() | classes, classes)
def test_a_continued_conversation_only_raises(
    route: Class, caller: Class | None, header: Class | None, stored: Class
) -> None:
    alone = classify(RULES, route=route, caller=caller, header=header)
    found = classify(RULES, route=route, caller=caller, header=header, stored=stored)
    assert found[0] == max(alone[0], stored)
    assert (found == alone) if stored <= alone[0] else (found[1] == "conversation")
