"""The quick look and the steps agree; each step's own words are tested through decide()."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.policy.test_decide import FAR, NEAR, RULES, deployment, facts

from nearfar.core.places import Class, Place
from nearfar.core.routing import Candidate, Capability, Route
from nearfar.policy import strategies
from nearfar.policy.decide import sift
from nearfar.policy.decide_steps import STEPS, fitting
from nearfar.policy.rules import Rules

NEEDS = st.frozensets(st.sampled_from(["tools", "images", "json_schema", "media_urls"]), max_size=2)


@settings(deadline=None)
@given(
    st.sampled_from(sorted(strategies.STRATEGIES)),
    st.sampled_from(list(Class)),
    NEEDS,
    st.integers(1, 2000),
    st.sampled_from([None, 10, 900]),
    st.sampled_from(["chat", "embeddings"]),
    st.sampled_from(["serve", "probe", "shadow"]),
    st.sampled_from(["", "it hung"]),
    st.booleans(),
)
def test_the_quick_look_lets_nobody_through_whom_a_step_objects_to(
    strategy: str,
    class_: Class,
    needs: frozenset[str],
    tokens: int,
    limit: int | None,
    operation: str,
    purpose: str,
    guard: str,
    offline: bool,
) -> None:
    no = {"tools": Capability(can=False, source="probed"), "images": Capability(can=True, source="declared")}
    kinds: list[tuple[dict[str, Any], str]] = [
        ({}, ""),
        ({"context": 500}, ""),
        ({"capabilities": no}, ""),
        ({"operations": frozenset({"embeddings"})}, ""),
        ({}, "no key"),
    ]
    known = [
        Candidate(deployment=deployment(f"{place.label}-{number}", place, **more), trouble=trouble)
        for place in Place
        for number, (more, trouble) in enumerate(kinds)
    ]
    rules = Rules(
        name="test", furthest=(Place.CLOUD, Place.LAN, Place.LAN, Place.DEVICE), default=Class.PUBLIC, offline=offline
    )
    asked = facts(
        class_=class_,
        needs=needs,
        input_tokens=tokens,
        max_output=limit,
        operation=operation,
        purpose=purpose,
        guard=guard,
    )
    route = Route(name="r", strategy=strategy, deployments=tuple(c.deployment.name for c in known))
    sifted = sift(asked, route, known, rules)
    objected = {c.deployment.name for c in known if any(step(asked, route, c, rules) is not None for step in STEPS)}
    assert {item.deployment for item in sifted.rejected} == objected
    assert [c.deployment.name for c in sifted.allowed] == [
        c.deployment.name for c in known if c.deployment.name not in objected
    ]


def test_nothing_is_quick_about_what_lies_elsewhere() -> None:
    route = Route(name="r", strategy="local-first", deployments=("near", "far"))
    quick = fitting(facts(elsewhere=frozenset({"file_id"})), route, RULES)
    assert not quick(Candidate(deployment=NEAR))
    assert fitting(facts(), route, RULES)(Candidate(deployment=FAR))
