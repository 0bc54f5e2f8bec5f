"""A decision that is used again must be the one that would have been made."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gateway.house import RULES, snapshot, target

from nearfar.catalog.limits import meters
from nearfar.core.chat import Request, Usage
from nearfar.core.errors import RateLimitError
from nearfar.core.places import Class, Place
from nearfar.core.routing import Capability, Decision, Route
from nearfar.gateway import decider as decider_module
from nearfar.gateway.decider import Decider, Said
from nearfar.gateway.fleet import Fleet, Snapshot
from nearfar.gateway.health import Health
from nearfar.gateway.limits import Quota
from nearfar.gateway.load import Loads
from nearfar.policy.rules import Rules

NO_TOOLS = {"tools": Capability(can=False, source="declared")}
ROUTES = {
    name: Route(name=name, strategy=strategy, deployments=("far", "lan", "near", "vectors"), floor=floor)
    for name, strategy, floor in (
        ("near-first", "local-first", Class.PUBLIC),
        ("far-first", "cloud-first", Class.PUBLIC),
        ("near-only", "local-only", Class.PUBLIC),
        ("sealed", "cloud-first", Class.RESTRICTED),
        ("soonest", "fastest", Class.PUBLIC),
        ("dearest-last", "cheapest", Class.PUBLIC),
        ("drawn", "weighted", Class.PUBLIC),
    )
}
ROUTES["patient"] = Route(
    name="patient", strategy="local-first", deployments=("far", "lan", "near"), spill_after=0.5, balance="wait"
)


def known(context: int = 200) -> Snapshot:
    return snapshot(
        target("far", 1, Place.CLOUD, operations=frozenset({"chat", "embeddings"})),
        target("lan", 1, Place.LAN, context=500, capabilities=NO_TOOLS),
        target("near", 1, Place.DEVICE, context=context),
        target("vectors", 1, Place.DEVICE, operations=frozenset({"embeddings"})),
        routes=ROUTES,
    )


def request(number: int = 1, **more: Any) -> Request:
    values: dict[str, Any] = {"operation": "chat", "model": "m", "body": b"", "fields": {}, "input_tokens": 10}
    return Request(id=f"req-{number}", wire="openai.chat", **(values | more))


class Deciding:
    def __init__(self) -> None:
        self.health = Health(clock=lambda: 100.0)
        self.fleet = Fleet(known(), self.health)
        self.clock: list[float] = [0.0]
        self.loads = Loads(clock=lambda: sum(self.clock))
        self.decider = Decider(self.fleet, self.health, RULES, loads=self.loads)

    def decide(self, asked: Request, route: str = "near-first", said: Said | None = None) -> Decision:
        decision, seen = self.decider.decide(asked, ROUTES[route], said or Said())
        assert seen is self.fleet.snapshot
        return decision

    def fresh(self, asked: Request, route: str, said: Said) -> Decision:
        """As if nobody had ever decided before."""
        return Decider(self.fleet, self.health, RULES, loads=self.loads).decide(asked, ROUTES[route], said)[0]


def names(decision: Decision) -> list[str]:
    return [ranked.candidate.deployment.name for ranked in decision.ranked]


# Few values, so that the same question comes up again and meets what is remembered.
ASKED = st.fixed_dictionaries(
    {
        "operation": st.sampled_from(["chat", "embeddings"]),
        "input_tokens": st.sampled_from([10, 120, 190, 480]),
        "max_output": st.sampled_from([None, 100]),
        "needs": st.sampled_from([frozenset(), frozenset({"tools"})]),
    }
)
SAID = st.sampled_from([Said(), Said(header=Class.PUBLIC), Said(caller=Class.RESTRICTED, header=Class.PUBLIC)])
ASKING = st.tuples(st.just("ask"), ASKED, st.sampled_from(sorted(ROUTES)), SAID)
STEPS = st.one_of(
    ASKING,
    ASKING,
    ASKING,
    st.tuples(st.just("fail"), st.sampled_from(["far", "near"])),
    st.just(("mend",)),
    st.tuples(st.just("renew"), st.sampled_from([200, 450])),
    st.tuples(st.just("load"), st.sampled_from(["far", "lan", "near"]), st.sampled_from([0.1, 5.0])),
)


@settings(deadline=None)
@given(st.lists(STEPS, min_size=20, max_size=40))
def test_whatever_went_before_the_decision_is_the_one_made_from_nothing(steps: list[tuple[Any, ...]]) -> None:
    made = Deciding()
    for number, step in enumerate(steps):
        match step:
            case "ask", fields, route, said:
                asked = request(number, **fields)
                assert made.decide(asked, route, said) == made.fresh(asked, route, said)
            case "fail", name:
                made.health.failed(name, RateLimitError("", retry_after=50))
            case ("mend",):
                made.health.succeeded("far")
                made.health.succeeded("near")
            case "load", name, seconds:
                run = made.loads.started(made.fleet.snapshot.targets[name].deployment, 10, None, None)
                made.clock.append(seconds)
                made.loads.ended(run, well=True, usage=Usage(input=10, output=5))
            case _, context:
                made.fleet._snapshot = known(context)


def test_while_nothing_changes_nothing_is_decided_again() -> None:
    made = Deciding()
    first, second = made.decide(request(1)), made.decide(request(2, input_tokens=50))
    assert second.ranked is first.ranked
    assert (first.id, second.id) == ("dec-1", "dec-2"), "each request's decision has a name of its own"


def test_a_cool_down_counts_at_once_and_its_end_too() -> None:
    made = Deciding()
    assert names(made.decide(request()))[0] == "near"
    made.health.failed("near", RateLimitError("", retry_after=50))
    assert names(made.decide(request())) == ["lan", "far", "near"]
    made.health.succeeded("near")
    assert names(made.decide(request()))[0] == "near"


def test_what_was_decided_during_a_cool_down_is_forgotten() -> None:
    made = Deciding()
    made.health.failed("near", RateLimitError("", retry_after=50))
    made.decide(request())
    made.health.succeeded("near")
    assert names(made.decide(request()))[0] == "near"


def test_a_new_snapshot_counts_at_once() -> None:
    made = Deciding()
    made.decide(request())
    made.fleet._snapshot = Snapshot({"far": target("far", 2)}, ROUTES)
    decision = made.decide(request())
    assert names(decision) == ["far"]
    assert decision.ranked[0].candidate.deployment.base_url == "http://127.0.0.1:2/v1"


def test_a_bigger_prompt_or_answer_is_measured_against_every_context() -> None:
    made = Deciding()
    assert names(made.decide(request(input_tokens=10))) == ["near", "lan", "far"]
    assert names(made.decide(request(input_tokens=190))) == ["lan", "far"]
    assert names(made.decide(request(input_tokens=120, max_output=100))) == ["lan", "far"]
    assert names(made.decide(request(input_tokens=10))) == ["near", "lan", "far"]


def test_a_class_that_somebody_names_decides_for_that_request_alone() -> None:
    made = Deciding()
    assert names(made.decide(request(), "far-first")) == ["far", "lan", "near"]
    restricted = made.decide(request(), "far-first", Said(header=Class.RESTRICTED))
    assert (names(restricted), restricted.class_reason) == (["near"], "header")
    assert names(made.decide(request(), "far-first")) == ["far", "lan", "near"]


def test_a_stored_conversation_raises_the_class() -> None:
    deciding = Deciding()
    assert deciding.decide(request(), said=Said(stored=Class.PUBLIC)).class_ is Class.INTERNAL
    found = deciding.decide(request(), said=Said(header=Class.PUBLIC, stored=Class.RESTRICTED))
    assert (found.class_, found.class_reason) == (Class.RESTRICTED, "conversation")


def test_memory_is_bounded() -> None:
    made = Deciding()
    for number in range(decider_module.REMEMBERED * 3):
        made.decide(msgspec.structs.replace(request(), purpose=f"p{number}"))
        assert len(made.decider._memos) <= decider_module.REMEMBERED


def test_requests_that_ask_for_different_things_share_no_decision() -> None:
    made = Deciding()
    assert names(made.decide(request())) == ["near", "lan", "far"]
    assert names(made.decide(request(needs=frozenset({"tools"})))) == ["near", "far"]
    assert names(made.decide(request(operation="embeddings"))) == ["vectors", "far"]
    assert names(made.decide(request(), "near-only")) == ["near", "lan"]
    assert names(made.decide(request())) == ["near", "lan", "far"]


def test_what_lies_elsewhere_counts_as_unread_and_is_never_masked() -> None:
    rules = Rules(
        name="masking",
        furthest=(Place.CLOUD, Place.CLOUD, Place.LAN, Place.DEVICE),
        masked=(Place.CLOUD, Place.CLOUD, Place.CLOUD, Place.DEVICE),
        default=Class.INTERNAL,
        unknown=Class.CONFIDENTIAL,
        elsewhere=frozenset({"file_id"}),
    )
    asking = Deciding()
    deciding = Decider(asking.fleet, asking.health, rules, masks=True)
    file = (("file_id", "messages[0]"),)
    plain, _ = deciding.decide(request(), ROUTES["far-first"], Said(caller=Class.CONFIDENTIAL))
    assert "far" in [item.candidate.deployment.name for item in plain.ranked], "masked"
    made, _ = deciding.decide(request(elsewhere=file), ROUTES["far-first"], Said())
    assert made.class_ is Class.CONFIDENTIAL
    assert made.reasons[0].source == "unknown"
    assert "far" not in [item.candidate.deployment.name for item in made.ranked]
    public, _ = deciding.decide(request(), ROUTES["far-first"], Said())
    assert public.class_ is Class.INTERNAL, "what one request draws on is not another's"


def test_how_far_a_request_may_reach_is_known_before_it_is_decided() -> None:
    asking = Deciding()
    for class_ in Class:
        for name, route in ROUTES.items():
            said = Said(caller=class_)
            made, _ = asking.decider.decide(request(), route, said)
            assert asking.decider.reach(request(), route, said) == made.furthest, (class_, name)
    broken = Said(caller=Class.PUBLIC, guard="hung")
    assert asking.decider.reach(request(), ROUTES["near-first"], broken) <= Place.LAN


def live(strategy: str = "fastest", **more: Any) -> Route:
    return Route(name="live", strategy=strategy, deployments=("far", "lan", "near"), **more)


def test_what_depends_on_the_moment_is_decided_anew_over_the_same_candidates() -> None:
    made = Deciding()
    route = live()
    first, _ = made.decider.decide(request(1, stream=True), route, Said())
    assert names(first)[0] == "near"
    runs = [made.loads.started(made.fleet.snapshot.targets["near"].deployment, 10, None, None) for _ in range(3)]
    for run in runs:
        made.clock.append(9.0)
        made.loads.ended(run, well=True, usage=Usage(input=10, output=0))
    second, _ = made.decider.decide(request(2, stream=True), route, Said())
    assert names(second)[-1] == "near", "it was slow"
    assert second.id == "dec-2"
    assert second.rejected is first.rejected, "who may be tried is remembered"


def test_a_cool_down_counts_for_live_strategies_too() -> None:
    made = Deciding()
    made.decider.decide(request(), live(), Said())
    made.health.failed("near", RateLimitError("", retry_after=50))
    assert names(made.decider.decide(request(), live(), Said())[0])[-1] == "near"


def test_limits_that_have_to_refill_are_waited_for_elsewhere() -> None:
    class Limits:
        clear = False

        def short(self, quota: object, asked: Request) -> float:
            return 30.0

    known = [target(name, 1, Place.CLOUD) for name in ("a", "b")]
    known[0].quota = Quota(account="x", meter=next(iter(meters().values())))
    fleet = Fleet(snapshot(*known), Health(clock=lambda: 100.0))
    decider = Decider(fleet, Health(), RULES, limits=Limits())  # type: ignore[arg-type]  # it says what it is asked
    route = Route(name="live", strategy="fastest", deployments=("a", "b"))
    assert names(decider.decide(request(), route, Said())[0]) == ["b", "a"]


def test_turns_of_one_conversation_meet_the_same_deployment() -> None:
    made = Deciding()
    route = Route(name="live", strategy="cloud-first", deployments=("one", "two", "three"), affinity=True)
    made.fleet._snapshot = snapshot(*(target(name, 1, Place.CLOUD) for name in route.deployments))
    homes = set()
    for number in range(12):
        first = turn(number, {"role": "user", "content": f"question {number}"})
        more = turn(
            99,
            {"role": "user", "content": f"question {number}"},
            {"role": "assistant", "content": "a"},
            {"role": "user", "content": "and?"},
        )
        home = names(made.decider.decide(first, route, Said())[0])[0]
        assert names(made.decider.decide(more, route, Said())[0])[0] == home
        homes.add(home)
    assert len(homes) > 1


def turn(number: int, *messages: dict[str, str]) -> Request:
    return msgspec.structs.replace(request(number), fields={"messages": msgspec.Raw(msgspec.json.encode(messages))})


def test_a_draw_follows_from_the_requests_name() -> None:
    made = Deciding()
    route = live("weighted", weights={"far": 1.0, "lan": 1.0, "near": 1.0})
    drawn = [names(made.decider.decide(request(number), route, Said())[0])[0] for number in range(60)]
    assert set(drawn) == {"far", "lan", "near"}
    assert drawn == [names(made.decider.decide(request(number), route, Said())[0])[0] for number in range(60)]


def test_prices_are_looked_at_where_they_decide() -> None:
    made = Deciding()
    assert names(made.decider.decide(request(), live("cheapest"), Said())[0])[-1] == "far"


def test_everything_that_is_expected_is_told_when_somebody_asks() -> None:
    made = Deciding()
    asked = request()
    decision, known = made.decider.decide(asked, ROUTES["near-first"], Said())
    assert all(item.expected is None for item in decision.ranked)
    told = made.decider.expected(asked, decision, known)
    assert all(item.expected is not None and item.expected.samples == 0 for item in told.ranked)
    assert [item.expected.price for item in told.ranked if item.expected] == [0, 0, 2_025_000]
