"""What requests draw on beyond their words, on the way to a decision."""

from __future__ import annotations

import pytest

from nearfar.core.chat import Request
from nearfar.core.places import Class, Place
from nearfar.core.routing import Candidate, Decision, Deployment, Ranked
from nearfar.gateway.fleet import Snapshot, Target
from nearfar.gateway.references import granted, names
from nearfar.policy.rules import Rules
from nearfar.wire.registry import provider_wire

FAR = (Place.CLOUD, Place.CLOUD, Place.DEVICE, Place.DEVICE)


def asked(*wishes: str, elsewhere: tuple[tuple[str, str], ...] = ()) -> Request:
    return Request(
        id="req-1",
        wire="openai.responses",
        operation="chat",
        model="m",
        body=b"{}",
        fields={},
        wishes=frozenset(wishes),
        elsewhere=elsewhere,
    )


def rules(*allow: str, offline: bool = False) -> Rules:
    return Rules(name="p", furthest=FAR, default=Class.INTERNAL, elsewhere=frozenset(allow), offline=offline)


def decided(class_: Class, *providers: str) -> tuple[Decision, Snapshot]:
    """A decision for deployments that are called as their providers; ``other`` speaks another dialect."""
    targets = {}
    for name in providers:
        deployment = Deployment(name=name, provider=name, model="m", wire="w", base_url="", place=Place.CLOUD)
        wire = "openai.chat" if name == "other" else "openai.responses"
        targets[name] = Target(deployment, {"chat": provider_wire(wire)}, ())
    ranked = tuple(Ranked(candidate=Candidate(deployment=item.deployment), reason="") for item in targets.values())
    decision = Decision(
        id="dec-1",
        route="r",
        strategy="local-first",
        policy="p",
        class_=class_,
        class_reason="",
        furthest=Place.CLOUD,
        ranked=ranked,
        rejected=(),
    )
    return decision, Snapshot(targets, {})


def test_the_names_that_policies_use() -> None:
    assert names(asked(elsewhere=(("file_id", "messages[0]"), ("mcp", "tools[0]")))) == {"file_id", "mcp"}
    assert names(asked()) == frozenset()


@pytest.mark.parametrize(
    ("allow", "class_", "providers", "may"),
    [
        (("web_search",), Class.INTERNAL, ("openai",), True),
        (("*",), Class.INTERNAL, ("openai", "azure"), True),
        (("web_search@openai",), Class.INTERNAL, ("openai",), True),
        (("web_search@openai",), Class.INTERNAL, ("openai", "azure"), False),
        (("web_search@openai",), Class.INTERNAL, ("openai", "other"), True),
        ((), Class.INTERNAL, ("openai",), False),
        (("file_id",), Class.INTERNAL, ("openai",), False),
        (("web_search",), Class.CONFIDENTIAL, ("openai",), False),
    ],
)
def test_a_wish_is_granted_where_it_is_named_and_the_words_may_go_anywhere(
    allow: tuple[str, ...], class_: Class, providers: tuple[str, ...], may: bool
) -> None:
    found = granted(rules(*allow), asked("web_search"), *decided(class_, *providers))
    assert found == ({"web_search"} if may else frozenset())


def test_offline_no_wish_is_granted() -> None:
    assert granted(rules("*", offline=True), asked("web_search"), *decided(Class.PUBLIC, "openai")) == frozenset()
