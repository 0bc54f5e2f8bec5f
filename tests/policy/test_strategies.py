"""Each strategy orders as its words say, and nothing else changes its order."""

from __future__ import annotations

from collections import Counter
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.places import Class, Place
from nearfar.core.routing import Branch, Candidate, Deployment, Facts, Lean, Route
from nearfar.policy import strategies
from nearfar.policy.strategies import NOTHING, STRATEGIES, Outlook, arrange
from nearfar.settings import model

FACTS = Facts(
    operation="chat",
    class_=Class.PUBLIC,
    class_reason="default",
    purpose="serve",
    input_tokens=10,
    max_output=None,
    needs=frozenset(),
    stream=True,
)


def candidate(name: str, place: Place = Place.CLOUD, *, quality: float | None = None, **more: Any) -> Candidate:
    made = Deployment(name=name, provider="p", model="m", wire="w", base_url="u", place=place, quality=quality)
    return Candidate(deployment=made, **more)


NEAR, LAN, FAR = candidate("near", Place.DEVICE), candidate("lan", Place.LAN), candidate("far")
ALL = (FAR, LAN, NEAR)


def order(
    strategy: str,
    allowed: tuple[Candidate, ...] = ALL,
    outlooks: dict[str, Outlook] | None = None,
    *,
    draw: float = 0.0,
    conversation: int = 0,
    lean: Lean | None = None,
    **route: Any,
) -> list[str]:
    known = Route(name="r", strategy=strategy, deployments=tuple(c.deployment.name for c in allowed), **route)
    facts = Facts(
        **{
            **{f: getattr(FACTS, f) for f in FACTS.__struct_fields__},
            "draw": draw,
            "conversation": conversation,
            "lean": lean,
        }
    )
    return [c.deployment.name for c in arrange(facts, known, allowed, outlooks or {})]


def seconds(**expected: float) -> dict[str, Outlook]:
    return {name: Outlook(wait=value, seconds=value, price=value, first=value) for name, value in expected.items()}


def test_every_strategy_of_the_settings_is_here_and_says_what_it_does() -> None:
    assert set(STRATEGIES) == set(get_args(model.Strategy))
    assert all(item.about and set(item.order) <= set(strategies.COLUMNS) for item in STRATEGIES.values())


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("local-first", ["near", "lan", "far"]),
        ("cascade", ["near", "lan", "far"]),
        ("cloud-first", ["far", "lan", "near"]),
        ("quality", ["far", "lan", "near"]),
        ("canary", ["far", "lan", "near"]),
        ("shadow", ["far", "lan", "near"]),
    ],
)
def test_the_order_without_live_facts(strategy: str, expected: list[str]) -> None:
    assert order(strategy) == expected


def test_fastest_goes_by_what_is_expected_and_near_wins_a_tie() -> None:
    assert order("fastest", outlooks=seconds(near=2.0, lan=0.5, far=1.0)) == ["lan", "far", "near"]
    assert order("fastest", outlooks=seconds(near=1.0, lan=2.0, far=1.0)) == ["near", "far", "lan"]


def test_cheapest_puts_unknown_prices_last() -> None:
    known = {"near": Outlook(price=0.0), "far": Outlook(price=5.0), "lan": Outlook()}
    assert order("cheapest", outlooks=known) == ["near", "far", "lan"]


def test_quality_goes_by_the_owners_word() -> None:
    rated = (candidate("a"), candidate("b", quality=0.5), candidate("c", quality=0.9))
    assert order("quality", rated) == ["c", "b", "a"]


@given(st.sampled_from(sorted(STRATEGIES)), st.permutations(["near", "lan", "far"]), st.floats(0, 0.999))
def test_what_cools_down_goes_last_under_every_strategy(strategy: str, resting: list[str], draw: float) -> None:
    rest = resting[0]
    known = tuple(
        candidate(c.deployment.name, c.deployment.place, cooling=5.0 if c.deployment.name == rest else 0.0) for c in ALL
    )
    branch = Branch(deployment=resting[1], share=0.5)
    assert order(strategy, known, draw=draw, conversation=7, affinity=True, branch=branch)[-1] == rest


def test_what_takes_long_to_load_stands_behind_unless_the_route_waits() -> None:
    cold = (candidate("far"), candidate("near", Place.DEVICE, state="cold", wait=9.0))
    assert order("local-first", cold) == ["far", "near"]
    assert order("local-first", cold, cold="wait") == ["near", "far"]


def test_a_first_content_beyond_the_patience_changes_sides_in_both_directions() -> None:
    late = seconds(near=3.5, far=0.6, lan=3.0)
    assert order("local-first", outlooks=late, spill_after=1.0) == ["far", "near", "lan"]
    assert order("local-first", outlooks=late, spill_after=3.2) == ["lan", "far", "near"]
    assert order("local-first", outlooks=late, spill_after=5.0) == ["near", "lan", "far"]
    slow = seconds(far=4.0, lan=0.1, near=0.2)
    assert order("cloud-first", outlooks=slow, spill_after=1.0) == ["lan", "near", "far"]
    reading = {"near": Outlook(wait=0.0, first=3.0), "far": Outlook(wait=0.0, first=0.5)}
    assert order("local-first", outlooks=reading, spill_after=2.0)[-1] == "near", "its prompt is long; nobody waits"


def test_nobody_changes_sides_for_one_that_is_later_still() -> None:
    late = seconds(near=3.0, far=4.0, lan=9.0)
    assert order("local-first", outlooks=late, spill_after=1.0) == ["near", "lan", "far"]
    resting = (candidate("far", cooling=5.0), LAN, NEAR)
    late = seconds(near=3.0, far=0.5, lan=4.0)
    assert order("local-first", resting, late, spill_after=1.0) == ["near", "lan", "far"]


def test_the_end_of_a_plain_reply_is_not_its_first_content() -> None:
    plain = {
        "near": Outlook(seconds=20.0, first=0.4),
        "far": Outlook(seconds=3.0, first=0.5),
        "lan": Outlook(first=1.0),
    }
    assert order("local-first", outlooks=plain, spill_after=1.0) == ["near", "lan", "far"]


def test_where_both_sides_are_compared_the_patience_is_by_how_much_near_may_be_later() -> None:
    known = {
        "near": Outlook(wait=9.0, seconds=2.0),
        "far": Outlook(wait=0.1, seconds=0.9),
        "lan": Outlook(wait=0.0, seconds=1.6),
    }
    assert order("fastest", outlooks=known) == ["far", "lan", "near"]
    assert order("fastest", outlooks=known, spill_after=1.0) == ["lan", "far", "near"]
    assert order("fastest", outlooks=known, spill_after=1.2) == ["lan", "near", "far"]
    prices = {name: Outlook(0.0, outlook.seconds, 0.0, 5.0) for name, outlook in known.items()}
    assert order("cheapest", outlooks=prices, spill_after=9.0) == ["far", "lan", "near"], "it compares prices"


def test_what_is_equal_in_every_column_stays_in_the_configured_order() -> None:
    same = {name: Outlook(0.0, 1.0) for name in ("far", "near", "lan")}
    assert order("fastest", outlooks=same) == ["near", "lan", "far"]
    almost = same | {"far": Outlook(0.0, 0.5)}
    assert order("fastest", outlooks=almost) == ["far", "near", "lan"]
    apart = {name: Outlook(0.0, float(at)) for at, name in enumerate(("lan", "far", "near"))}
    assert order("fastest", outlooks=apart) == ["lan", "far", "near"]


def test_balance_chooses_within_a_side_only() -> None:
    two = (candidate("a", Place.DEVICE), candidate("b", Place.DEVICE), FAR)
    known = seconds(a=2.0, b=1.0, far=0.1)
    assert order("local-first", two, known, balance="wait") == ["b", "a", "far"]
    assert order("local-first", two, known) == ["a", "b", "far"]


def test_weights_are_kept_over_many_draws() -> None:
    three = tuple(candidate(name) for name in "abc")
    drawn = Counter(
        order("weighted", three, draw=step / 1000, weights={"a": 3.0, "b": 1.0, "c": 0.0})[0] for step in range(1000)
    )
    assert drawn == {"a": 750, "b": 250}


def test_whoever_rests_is_not_drawn() -> None:
    two = (candidate("a", cooling=3.0), candidate("b"))
    assert {order("weighted", two, draw=step / 10)[0] for step in range(10)} == {"b"}


def test_a_canary_gets_its_share_and_is_otherwise_last() -> None:
    branch = Branch(deployment="lan", share=0.1)
    assert order("canary", draw=0.05, branch=branch)[0] == "lan"
    assert order("canary", draw=0.5, branch=branch) == ["far", "near", "lan"]


def test_a_shadow_answers_clients_last_of_all() -> None:
    assert order("shadow", draw=0.0, branch=Branch(deployment="far", share=1.0)) == ["lan", "near", "far"]


@given(st.integers(1, 2**64 - 1))
def test_a_conversation_stays_at_home_when_another_deployment_goes(conversation: int) -> None:
    four = tuple(candidate(name) for name in ("alpha", "beta", "gamma", "delta"))
    first = order("cloud-first", four, conversation=conversation, affinity=True)[0]
    other = next(c for c in four if c.deployment.name != first)
    fewer = tuple(c for c in four if c is not other)
    assert order("cloud-first", fewer, conversation=conversation, affinity=True)[0] == first


def test_conversations_are_spread_over_deployments() -> None:
    four = tuple(candidate(f"box-{number}") for number in range(4))
    homes = Counter(
        order("cloud-first", four, conversation=number * 0x9E3779B97F4A7C15 % 2**64 or 1, affinity=True)[0]
        for number in range(800)
    )
    assert min(homes.values()) > 120


def test_home_is_left_for_one_that_is_much_faster_and_never_across_sides() -> None:
    two = (candidate("a", Place.DEVICE), candidate("b", Place.DEVICE), FAR)

    def chosen(**known: float) -> str:
        return order("local-first", two, seconds(**known), conversation=5, affinity=True, balance="wait")[0]

    home = chosen(a=1.0, b=1.0, far=0.0)
    other = {"a": "b", "b": "a"}[home]
    assert chosen(**{home: 1.5, other: 1.0}) == home
    assert chosen(**{home: 2.5, other: 1.0}) == other


def test_which_routes_look_at_the_moment_and_which_decide_each_request_anew() -> None:
    def route(strategy: str, **more: Any) -> Route:
        return Route(name="r", strategy=strategy, deployments=("a",), **more)

    assert not strategies.varies(route("local-first"))
    assert not strategies.varies(route("quality"))
    assert not strategies.live(route("weighted"))
    for varying in ("fastest", "cheapest", "weighted", "canary", "shadow"):
        assert strategies.varies(route(varying)), varying
    assert strategies.live(route("local-first", balance="wait"))
    assert strategies.live(route("local-first", spill_after=1.0))
    assert strategies.varies(route("local-first", affinity=True))
    assert strategies.far_first(route("cloud-only"))
    assert not strategies.far_first(route("fastest"))


def test_one_candidate_needs_no_order() -> None:
    assert order("fastest", (FAR,)) == ["far"]
    assert NOTHING.price == strategies.UNKNOWN


FAR_FIRST = Lean(side="far", follows=True, mode="on", gap=0.5, threshold=0.1)
NEAR_FIRST = Lean(side="near", follows=True, mode="on", gap=0.0, threshold=0.1)


def test_a_router_says_which_side_goes_first_and_the_strategy_orders_within() -> None:
    assert order("local-first", lean=FAR_FIRST) == ["far", "near", "lan"]
    assert order("cloud-first", lean=NEAR_FIRST) == ["lan", "near", "far"]
    dear = seconds(far=0.1, lan=0.2, near=0.3)
    assert order("fastest", outlooks=dear, lean=NEAR_FIRST) == ["lan", "near", "far"]


def test_a_router_does_not_keep_anybody_waiting_longer_than_the_route_has_patience_for() -> None:
    busy = seconds(near=9.0, lan=9.0)
    assert order("local-first", outlooks=busy, lean=NEAR_FIRST, spill_after=2.0)[0] == "far"


def test_a_router_that_is_only_observed_changes_no_order() -> None:
    seen = Lean(side="near", follows=False, mode="observe", gap=0.0, threshold=0.1)
    waits = seconds(near=3.5, lan=4.0, far=2.0)
    for strategy in sorted(STRATEGIES):
        for late in (None, 2.0):
            unseen = order(strategy, outlooks=waits, spill_after=late)
            assert order(strategy, outlooks=waits, lean=seen, spill_after=late) == unseen


def test_a_conversation_is_at_home_on_the_side_that_its_router_leans_to() -> None:
    others = (candidate("far-2"), FAR, NEAR, LAN)
    homes = {order("local-first", others, lean=FAR_FIRST, conversation=n, affinity=True)[0] for n in range(1, 40)}
    assert homes == {"far", "far-2"}
