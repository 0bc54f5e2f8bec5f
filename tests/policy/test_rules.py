"""Rules and classification."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.places import Class, Place, Treatment
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


def test_a_plain_policy_masks_nothing() -> None:
    limits = RULES.limits(Class.CONFIDENTIAL)
    assert (limits.clear, limits.masked, limits.rewritten, limits.media) == (Place.LAN,) * 4
    assert limits.treatment(Place.LAN) is Treatment.CLEAR
    assert limits.treatment(Place.CLOUD) is None


FORMS = Rules(
    name="forms",
    furthest=(Place.CLOUD, Place.LAN, Place.DEVICE, Place.DEVICE),
    masked=(Place.CLOUD, Place.PRIVATE_CLOUD, Place.LAN, Place.DEVICE),
    rewritten=(Place.CLOUD, Place.CLOUD, Place.LAN, Place.DEVICE),
    media=(Place.CLOUD, Place.DEVICE, Place.DEVICE, Place.DEVICE),
    default=Class.INTERNAL,
    purposes={"judge": (Place.CLOUD, Place.LAN, Place.DEVICE, Place.DEVICE), "embeddings": (Place.LAN,) * 4},
    trusted_tools=("save_note", "local_*"),
    elsewhere=frozenset({"web_search"}),
    audit=Class.CONFIDENTIAL,
    harmless={"*": ("1",), "desk": ("2",)},
)


def test_whoever_says_another_purpose_gets_no_further_than_serving_goes() -> None:
    narrow = msgspec.structs.replace(FORMS, purposes={"serve": (Place.DEVICE,) * 4, "judge": (Place.LAN,) * 4})
    for purpose in ("serve", "probe", "eval", "judge", "opinion"):
        assert narrow.limits(Class.PUBLIC, purpose).furthest() is Place.DEVICE


def test_the_least_treatment_that_a_place_allows() -> None:
    limits = FORMS.limits(Class.INTERNAL)
    assert [limits.treatment(place) for place in Place] == [
        *(Treatment.CLEAR, Treatment.CLEAR, Treatment.MASKED, Treatment.REWRITTEN)
    ]
    assert limits.treatment(Place.CLOUD, able=Treatment.MASKED) is None
    assert [limits.furthest(able) for able in Treatment] == [Place.LAN, Place.PRIVATE_CLOUD, Place.CLOUD]


def test_a_purpose_and_an_operation_only_narrow() -> None:
    assert FORMS.limits(Class.INTERNAL, "judge").furthest() == Place.LAN
    assert FORMS.limits(Class.PUBLIC, "serve", "embeddings").furthest() == Place.LAN
    assert FORMS.limits(Class.CONFIDENTIAL, "judge", "embeddings").clear == Place.DEVICE


@given(classes, st.sampled_from(["serve", "judge"]), st.sampled_from(["chat", "embeddings"]))
def test_each_form_reaches_at_least_as_far_as_the_one_before(class_: Class, purpose: str, operation: str) -> None:
    limits = FORMS.limits(class_, purpose, operation)
    assert limits.clear <= limits.masked <= limits.rewritten
    assert limits.furthest() <= FORMS.limits(class_).furthest()


def test_lists_of_names() -> None:
    assert [FORMS.trusts(tool) for tool in ("save_note", "local_db", "save_notes", "http_get")] == [
        True,
        True,
        False,
        False,
    ]
    assert FORMS.unnamed(frozenset({"web_search", "mcp", "file_id"})) == ["file_id", "mcp"]
    assert (
        Rules(name="x", furthest=RULES.furthest, default=RULES.default, elsewhere=frozenset("*")).unnamed(
            frozenset({"mcp"})
        )
        == []
    )
    assert FORMS.harmless_on("desk") == ("1", "2")
    assert FORMS.harmless_on("other") == ("1",)
    assert [FORMS.audited(class_) for class_ in Class] == [False, False, True, True]
    assert not any(RULES.audited(class_) for class_ in Class)


def test_which_kinds_are_looked_for_in_replies() -> None:
    kinds = ("email", "tw.mobile", "card", "us.ssn", "secret.openai", "medical_record", "person", "ip", "url", "odd")
    assert [kind for kind in kinds if RULES.watches(kind)] == [*kinds[:6]]
    chosen = Rules(
        name="test", furthest=RULES.furthest, default=Class.INTERNAL, reply_kinds=("us.*", "person", "secret")
    )
    assert [kind for kind in kinds if chosen.watches(kind)] == ["us.ssn", "secret.openai", "person"]
    everything = Rules(name="test", furthest=RULES.furthest, default=Class.INTERNAL, reply_kinds=("*",))
    assert all(everything.watches(kind) for kind in kinds)
