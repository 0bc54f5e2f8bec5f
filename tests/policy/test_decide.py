"""decide(): order, objections, reasons."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.places import Class, Place, Treatment
from nearfar.core.routing import Branch, Candidate, Capability, Decision, Deployment, Facts, Lean, Reason, Route
from nearfar.policy.decide import decide, summary
from nearfar.policy.rules import Rules
from nearfar.policy.strategies import Outlook

RULES = Rules(name="test", furthest=(Place.CLOUD, Place.CLOUD, Place.DEVICE, Place.DEVICE), default=Class.INTERNAL)


def deployment(name: str, place: Place, **more: Any) -> Deployment:
    known: dict[str, Any] = {"provider": "p", "model": "m", "wire": "openai.chat", "base_url": "http://x"}
    return Deployment(name=name, place=place, **(known | more))


NEAR = deployment("near", Place.DEVICE, context=1000)
LAN = deployment("lan", Place.LAN)
FAR = deployment("far", Place.CLOUD)


def facts(**more: Any) -> Facts:
    values: dict[str, Any] = {
        "operation": "chat",
        "class_": Class.INTERNAL,
        "class_reason": "default",
        "purpose": "serve",
        "input_tokens": 10,
        "max_output": None,
        "needs": frozenset(),
        "stream": False,
    }
    return Facts(**(values | more))


def run(
    strategy: str = "local-first",
    *deployments: Deployment,
    rules: Rules = RULES,
    cooling: dict[str, float] | None = None,
    **more: Any,
) -> Decision:
    known = deployments or (FAR, LAN, NEAR)
    route = Route(name="r", strategy=strategy, deployments=tuple(d.name for d in known))
    rest = cooling or {}
    candidates = [
        Candidate(deployment=d, cooling=rest.get(d.name, 0.0), cooling_reason="x" if d.name in rest else "")
        for d in known
    ]
    return decide(facts(**more), route, candidates, rules, decision_id="d-1")


def decide_cold(waits: dict[str, float], *, cold: str = "warm", strategy: str = "local-first", **more: Any) -> Decision:
    """As ``run``, with the seconds that each deployment's model takes to load."""
    route = Route(name="r", strategy=strategy, deployments=("far", "lan", "near"), cold=cold)
    candidates = [
        Candidate(deployment=d, wait=waits.get(d.name, 0.0), state="cold" if d.name in waits else "ready")
        for d in (FAR, LAN, NEAR)
    ]
    return decide(facts(**more), route, candidates, RULES, decision_id="d-1")


def test_a_cold_model_is_warmed_while_another_one_answers() -> None:
    decision = decide_cold({"near": 30.0})
    assert names(decision) == ["lan", "far", "near"]
    assert decision.ranked[0].reason == ("local-first: lan is the first allowed place (near: cold, about 30 s to load)")
    assert names(decide_cold({"near": 30.0, "lan": 9.0})) == ["far", "near", "lan"]


def test_a_cold_model_is_waited_for_when_there_is_nothing_else() -> None:
    restricted = decide_cold({"near": 30.0}, class_=Class.RESTRICTED, class_reason="caller")
    assert names(restricted) == ["near"]
    assert "cold" not in restricted.ranked[0].reason
    assert names(decide_cold({"near": 30.0, "lan": 30.0, "far": 30.0})) == ["near", "lan", "far"]


def test_a_cold_model_is_waited_for_when_the_route_says_so() -> None:
    assert names(decide_cold({"near": 30.0}, cold="wait")) == ["near", "lan", "far"]


def test_a_model_that_loads_quickly_is_not_worth_leaving_for() -> None:
    assert names(decide_cold({"near": 1.5})) == ["near", "lan", "far"]


def names(decision: Decision) -> list[str]:
    return [ranked.candidate.deployment.name for ranked in decision.ranked]


@pytest.mark.parametrize(
    ("strategy", "order"),
    [
        ("local-first", ["near", "lan", "far"]),
        ("cloud-first", ["far", "lan", "near"]),
        ("local-only", ["near", "lan"]),
        ("cloud-only", ["far"]),
    ],
)
def test_strategies_order_and_exclude(strategy: str, order: list[str]) -> None:
    assert names(run(strategy)) == order


def test_within_a_place_the_configured_order_stands() -> None:
    first, second = deployment("b", Place.CLOUD), deployment("a", Place.CLOUD)
    assert names(run("cloud-first", first, second)) == ["b", "a"]


def test_a_long_prompt_leaves_the_small_context() -> None:
    decision = run(input_tokens=990)
    assert names(decision) == ["lan", "far"]
    assert [(item.deployment, item.code) for item in decision.rejected] == [("near", "context")]
    assert "990" in summary(decision)
    assert names(run(input_tokens=984)) == ["near", "lan", "far"]


def test_the_asked_output_counts_up_to_half_the_context() -> None:
    assert names(run(input_tokens=600, max_output=500))[0] == "lan"
    assert names(run(input_tokens=400, max_output=4000))[0] == "near"


def test_cooling_deployments_are_the_last_resort_soonest_first() -> None:
    decision = run(cooling={"near": 9.0, "lan": 3.0})
    assert names(decision) == ["far", "lan", "near"]
    assert "cooling" in decision.ranked[1].reason


def test_the_first_reason_tells_what_was_passed_over() -> None:
    assert run(input_tokens=990).ranked[0].reason == (
        "local-first: lan is the first allowed place (near: about 990 tokens of prompt do not fit a context of 1000)"
    )
    assert "(near: cooling down after x)" in run(cooling={"near": 9.0}).ranked[0].reason
    assert run("cloud-only").ranked[0].reason == "cloud-only: cloud is the first allowed place"
    smalls = [deployment(f"n{i}", Place.DEVICE, context=20) for i in range(4)]
    assert run("local-first", *smalls, FAR).ranked[0].reason.endswith("; …)")


def test_unknown_capabilities_pass_and_known_refusals_do_not() -> None:
    cannot = deployment("cannot", Place.DEVICE, capabilities={"tools": Capability(can=False, source="probed")})
    unknown = deployment("unknown", Place.DEVICE, capabilities={"tools": Capability()})
    decision = run("local-first", cannot, unknown, needs=frozenset({"tools"}))
    assert names(decision) == ["unknown"]
    assert decision.rejected[0].code == "capability"
    assert "tools" in decision.rejected[0].reason


FETCHES = frozenset({"media_urls"})


def able(name: str, place: Place, can: bool | None, source: str) -> Deployment:
    return deployment(name, place, capabilities={"media_urls": Capability(can=can, source=source)})


def test_what_must_stay_near_is_given_to_nobody_who_may_fetch_from_elsewhere() -> None:
    known = (
        NEAR,  # nothing is known about it
        able("unknown", Place.DEVICE, None, "unknown"),
        able("refuses", Place.DEVICE, False, "probed"),
        able("fetches", Place.DEVICE, True, "probed"),
        able("trusted", Place.DEVICE, True, "declared"),
    )
    decision = run("local-first", *known, class_=Class.CONFIDENTIAL, needs=FETCHES)
    assert names(decision) == ["trusted"]
    assert {item.code for item in decision.rejected} == {"capability"}
    assert "may fetch it from elsewhere" in decision.rejected[0].reason
    assert decision.rejected[2].reason == "cannot do media_urls (probed)"
    old = deployment(
        "old", Place.DEVICE, capabilities={"tools": Capability(can=False, source="probed", date="2026-11-01")}
    )
    made = run("local-first", old, needs=frozenset({"tools"}))
    assert made.rejected[0].reason == "cannot do tools (probed 2026-11-01)"


def test_what_may_go_anywhere_may_also_be_fetched_from_there() -> None:
    assert names(run("local-first", needs=FETCHES)) == ["near", "lan", "far"]
    assert names(run("local-first", class_=Class.CONFIDENTIAL, needs=frozenset({"images"}))) == ["near"]


def test_offline_nobody_fetches_from_elsewhere() -> None:
    rules = Rules(name="o", furthest=RULES.furthest, default=RULES.default, offline=True)
    assert names(run("local-first", rules=rules, needs=FETCHES)) == []


def test_operations_must_match() -> None:
    decision = run("local-first", NEAR, deployment("e", Place.DEVICE, operations=frozenset({"embeddings"})))
    assert names(decision) == ["near"]
    assert decision.rejected[0].code == "operation"


def test_offline_keeps_everything_near() -> None:
    rules = Rules(name="o", furthest=RULES.furthest, default=RULES.default, offline=True)
    decision = run("cloud-first", rules=rules)
    assert names(decision) == ["lan", "near"]
    assert decision.rejected[0].code == "offline"


def test_what_cannot_be_called_at_all_is_said_and_never_tried() -> None:
    route = Route(name="r", strategy="local-first", deployments=("near", "far"))
    candidates = [Candidate(deployment=NEAR, state="unusable", trouble="its key is gone"), Candidate(deployment=FAR)]
    decision = decide(facts(), route, candidates, RULES, decision_id="d-1")
    assert names(decision) == ["far"]
    assert (decision.rejected[0].code, decision.rejected[0].reason) == ("unusable", "its key is gone")
    assert "near: its key is gone" in decision.ranked[0].reason


@given(
    st.sampled_from(["local-only", "local-first", "cloud-first", "cloud-only"]),
    st.sampled_from(Class),
    st.lists(st.sampled_from(Place), min_size=1, max_size=6),
    st.integers(0, 5000),
)
def test_nothing_ranked_is_further_than_its_class_may_reach(
    strategy: str, class_: Class, places: list[Place], tokens: int
) -> None:
    known = [deployment(f"d{i}", place) for i, place in enumerate(places)]
    decision = run(strategy, *known, class_=class_, input_tokens=tokens)
    assert all(r.candidate.deployment.place <= RULES.reach(class_) for r in decision.ranked)
    assert len(decision.ranked) + len(decision.rejected) == len(known)
    assert decision == run(strategy, *known, class_=class_, input_tokens=tokens)


def test_a_probe_is_not_kept_from_what_is_believed_to_be_impossible() -> None:
    cannot = Capability(can=False, source="catalogue", date="2026-01-01")
    there = deployment("d", Place.LAN, capabilities={"tools": cannot, "media_urls": cannot})
    assert not run("local-first", there, needs=frozenset({"tools"})).ranked
    assert run("local-first", there, needs=frozenset({"tools"}), purpose="probe").ranked
    assert not run("local-first", there, needs=frozenset({"media_urls"}), purpose="probe").ranked, "a further place"


# ---------------------------------------------------------------- forms, guard, media, elsewhere

MASKING = Rules(
    name="masking",
    furthest=(Place.CLOUD, Place.LAN, Place.DEVICE, Place.DEVICE),
    masked=(Place.CLOUD, Place.CLOUD, Place.LAN, Place.DEVICE),
    media=(Place.CLOUD, Place.DEVICE, Place.DEVICE, Place.DEVICE),
    default=Class.INTERNAL,
    purposes={"judge": (Place.CLOUD, Place.DEVICE, Place.DEVICE, Place.DEVICE)},
    audit=Class.INTERNAL,
    wait=2.5,
    version="v1",
)


def treated(decision: Decision) -> dict[str, Treatment]:
    return {item.candidate.deployment.name: item.treatment for item in decision.ranked}


def test_who_cannot_mask_sends_nothing_that_must_be_masked() -> None:
    plain = run(rules=MASKING)
    assert treated(plain) == {"near": Treatment.CLEAR, "lan": Treatment.CLEAR}
    assert plain.furthest == Place.LAN
    assert "only masked" in plain.rejected[0].reason


def test_each_candidate_has_its_treatment() -> None:
    masked = run(rules=MASKING, able=Treatment.MASKED)
    assert treated(masked) == {"near": Treatment.CLEAR, "lan": Treatment.CLEAR, "far": Treatment.MASKED}
    assert masked.furthest == Place.CLOUD
    assert masked.ranked[-1].reason.endswith("; masked")


def test_a_purpose_narrows() -> None:
    assert treated(run(rules=MASKING, able=Treatment.MASKED, purpose="judge")) == {"near": Treatment.CLEAR}


def test_what_nobody_could_look_at_stays_near() -> None:
    blind = run(guard="the detector hung", class_=Class.PUBLIC)
    assert set(treated(blind)) == {"near", "lan"}
    assert (blind.furthest, blind.guard) == (Place.LAN, "the detector hung")
    assert [(item.deployment, item.code) for item in blind.rejected] == [("far", "guard")]


@pytest.mark.parametrize("needs", [{"images"}, {"audio", "tools"}, {"documents"}, {"video"}])
def test_media_stay_where_the_policy_keeps_them(needs: set[str]) -> None:
    kept = run(rules=MASKING, able=Treatment.MASKED, needs=frozenset(needs))
    assert set(treated(kept)) == {"near"}
    assert {item.code for item in kept.rejected} == {"media"}
    assert set(treated(run(rules=MASKING, needs=frozenset(needs), class_=Class.PUBLIC))) == {"near", "lan", "far"}


def test_a_transcription_is_media_and_so_is_what_calls_itself_a_probe() -> None:
    hears = [deployment(item.name, item.place, operations=frozenset({"transcription"})) for item in (NEAR, FAR)]
    assert set(treated(run("local-first", *hears, rules=MASKING, operation="transcription"))) == {"near"}
    assert set(treated(run(rules=MASKING, needs=frozenset({"images"}), purpose="probe"))) == {"near"}


def test_content_held_elsewhere_is_refused_unless_it_is_named() -> None:
    held = run(rules=MASKING, elsewhere=frozenset({"file_id", "mcp"}), class_=Class.PUBLIC)
    assert not held.ranked
    assert {item.code for item in held.rejected} == {"elsewhere"}
    assert "file_id, mcp" in held.rejected[0].reason
    named = Rules(name="n", furthest=RULES.furthest, default=RULES.default, elsewhere=frozenset({"file_id", "mcp"}))
    assert run(rules=named, elsewhere=frozenset({"file_id"})).ranked


FILES = frozenset({"file_id"})
SEARCH = frozenset({"web_search"})


def naming(*allow: str, offline: bool = False) -> Rules:
    return Rules(name="n", furthest=RULES.furthest, default=RULES.default, elsewhere=frozenset(allow), offline=offline)


def test_what_is_named_for_one_provider_goes_to_that_one() -> None:
    other = deployment("other", Place.CLOUD, provider="other")
    made = run("cloud-first", FAR, other, rules=naming(f"file_id@{FAR.provider}"), elsewhere=FILES)
    assert names(made) == ["far"]
    assert names(run("cloud-first", FAR, other, rules=naming("*@other"), elsewhere=FILES | SEARCH)) == ["other"]


def test_what_lies_at_one_provider_is_looked_for_at_no_other() -> None:
    other = deployment("other", Place.CLOUD, provider="other")
    twin = deployment("twin", Place.CLOUD, provider=FAR.provider)
    made = run("cloud-first", FAR, other, twin, rules=naming("*"), elsewhere=FILES)
    assert names(made) == ["far", "twin"]
    assert [(item.deployment, item.code) for item in made.rejected] == [("other", "elsewhere")]


def test_a_dialect_in_which_it_means_nothing_is_not_tried() -> None:
    route = Route(name="r", strategy="cloud-first", deployments=("far",))
    made = decide(
        facts(elsewhere=FILES), route, [Candidate(deployment=FAR, foreign=True)], naming("*"), decision_id="d-1"
    )
    assert not made.ranked
    assert "another dialect" in made.rejected[0].reason


def test_a_tool_of_the_provider_is_a_further_place_and_a_file_there_is_none() -> None:
    kept: dict[str, Any] = {"class_": Class.CONFIDENTIAL, "rules": naming("*")}
    assert names(run("local-first", NEAR, elsewhere=FILES, **kept)) == ["near"]
    made = run("local-first", NEAR, elsewhere=SEARCH, **kept)
    assert (names(made), made.rejected[0].code) == ([], "elsewhere")
    assert not run("local-first", NEAR, rules=naming("*", offline=True), elsewhere=SEARCH).ranked


def test_the_decision_carries_what_the_path_needs() -> None:
    why = (Reason(class_=Class.INTERNAL, source="found", detail="email"),)
    made = run(rules=MASKING, reasons=why)
    assert (made.audit, made.wait, made.policy_version, made.reasons) == (True, 2.5, "v1", why)
    assert run(rules=MASKING, class_=Class.PUBLIC).audit is False


@given(
    st.sampled_from(Class),
    st.sampled_from(Treatment),
    st.sets(st.sampled_from(["images", "tools"])),
    st.sampled_from(["", "hung"]),
)
def test_nothing_ranked_lies_beyond_what_its_form_may_reach(
    class_: Class, able: Treatment, needs: set[str], guard: str
) -> None:
    made = run(rules=MASKING, class_=class_, able=able, needs=frozenset(needs), guard=guard)
    limits = MASKING.limits(class_)
    for item in made.ranked:
        place = item.candidate.deployment.place
        assert place <= (limits.clear, limits.masked, limits.rewritten)[item.treatment]
        assert place <= made.furthest
        assert item.treatment <= able
        assert place.near or not guard
        assert place <= limits.media or "images" not in needs


def test_patience_is_only_said_where_somebody_else_may_answer() -> None:
    slow = msgspec.structs.replace(NEAR, slots=1)

    def patience(strategy: str, *members: Deployment, outlooks: dict[str, Outlook] | None = None, **more: Any) -> Any:
        route = Route(name="r", strategy=strategy, deployments=tuple(d.name for d in members), **more)
        candidates = [Candidate(deployment=d) for d in members]
        return decide(facts(), route, candidates, RULES, decision_id="d", outlooks=outlooks or {}).patience

    assert patience("local-first", slow, FAR) is None, "nobody said that it may go on"
    assert patience("local-first", slow, FAR, spill_after=2.0) == 2.0
    assert patience("local-first", slow, spill_after=2.0) is None
    assert patience("local-first", NEAR, FAR, spill_after=2.0) is None, "it has no slots to wait for"
    known = {"near": Outlook(wait=0.5, first=0.8), "far": Outlook(first=1.2)}
    told = patience("local-first", slow, FAR, outlooks=known, spill_after=2.0)
    assert told == pytest.approx(1.7), "reading its prompt takes what is left"
    told = patience("local-first", slow, FAR, outlooks={**known, "far": Outlook(first=3.0)}, spill_after=2.0)
    assert told == pytest.approx(2.7), "elsewhere it would begin no sooner"
    known = {"near": Outlook(wait=0.5, seconds=1.0), "far": Outlook(seconds=1.2)}
    assert patience("fastest", slow, FAR, outlooks=known) == pytest.approx(0.7)
    assert patience("fastest", slow, FAR, outlooks=known, spill_after=2.0) == pytest.approx(2.7)


def test_a_shadow_is_asked_for_its_share_and_only_where_its_words_may_go() -> None:
    branch = Branch(deployment="far", share=0.5)
    route = Route(name="r", strategy="shadow", deployments=("near", "far"), branch=branch)
    candidates = [Candidate(deployment=NEAR), Candidate(deployment=FAR)]

    def shadow(rules: Rules = RULES, **more: Any) -> Any:
        return decide(facts(**more), route, candidates, rules, decision_id="d").shadow

    found = shadow(draw=0.4)
    assert found.candidate.deployment is FAR
    assert found.reason.startswith("shadow: cloud")
    assert shadow(draw=0.6) is None
    assert shadow(draw=0.4, purpose="probe") is None
    assert shadow(draw=0.4, class_=Class.CONFIDENTIAL) is None
    narrow = msgspec.structs.replace(RULES, purposes={"shadow": (Place.LAN,) * 4})
    assert shadow(narrow, draw=0.4) is None


def test_reasons_tell_what_a_strategy_went_by() -> None:
    route = Route(name="r", strategy="fastest", deployments=("near", "far"))
    known = {"near": Outlook(wait=0.5, seconds=3.0, first=0.5), "far": Outlook(seconds=1.25, first=0.2)}
    candidates = [Candidate(deployment=NEAR), Candidate(deployment=FAR)]
    decision = decide(facts(), route, candidates, RULES, decision_id="d", outlooks=known)
    assert [item.reason for item in decision.ranked] == [
        "fastest: cloud is expected to answer first, in about 1.2 s",
        "fastest: device stands behind",
    ]
    later = Route(name="r", strategy="fastest", deployments=("near", "far"), spill_after=2.0)
    assert decide(facts(), later, candidates, RULES, decision_id="d", outlooks=known).ranked[0].reason == (
        "fastest: device is expected to answer first, in about 3.0 s (near may be 2 s later)"
    )
    spill = Route(name="r", strategy="local-first", deployments=("near", "far"), spill_after=0.2)
    decision = decide(facts(), spill, candidates, RULES, decision_id="d", outlooks=known)
    assert decision.ranked[0].reason == (
        "local-first: cloud is the first allowed place (near: first content in about 0.5 s, later than 0.2 s)"
    )


LEANS = st.builds(
    Lean,
    side=st.sampled_from(["near", "far", ""]),
    follows=st.booleans(),
    mode=st.sampled_from(["observe", "canary", "on"]),
    gap=st.none() | st.floats(-1, 1),
    threshold=st.none() | st.floats(-1, 1),
)


@given(
    LEANS,
    st.sampled_from(list(Class)),
    st.sampled_from(["local-first", "cloud-first", "cheapest", "fastest", "quality", "shadow", "cascade"]),
    st.dictionaries(st.sampled_from(["near", "lan", "far"]), st.just(3.0)),
    st.booleans(),
)
def test_whatever_a_router_says_it_only_orders_who_is_allowed_anyway(
    lean: Lean, class_: Class, strategy: str, cooling: dict[str, float], guarded: bool
) -> None:
    more: dict[str, Any] = {"class_": class_, "guard": "a detector failed" if guarded else ""}
    with_it = run(strategy, cooling=cooling, lean=lean, **more)
    without = run(strategy, cooling=cooling, **more)
    assert sorted(names(with_it)) == sorted(names(without))
    assert (with_it.rejected, with_it.furthest) == (without.rejected, without.furthest)
    for item in with_it.ranked:
        assert item.candidate.deployment.place <= RULES.reach(class_)
        assert not guarded or item.candidate.deployment.place.near
    assert with_it.learned == lean.gap
    if not lean.follows:
        assert names(with_it) == names(without)
    elif with_it.ranked and not with_it.ranked[0].candidate.cooling and lean.side:
        well = [item.candidate.deployment.place.near for item in with_it.ranked if not item.candidate.cooling]
        assert well == sorted(well, reverse=lean.side == "near")


def test_a_router_that_is_followed_says_so() -> None:
    lean = Lean(side="far", follows=True, mode="on", gap=0.31, threshold=0.2)
    found = run(lean=lean)
    assert names(found) == ["far", "near", "lan"]
    assert found.ranked[0].reason == "local-first: cloud goes first (router: far first, gap +0.31 > 0.20)"
    assert (found.learned, found.lean) == (0.31, lean)


def test_a_router_that_is_observed_changes_nothing_and_is_told() -> None:
    lean = Lean(side="far", follows=False, mode="observe", gap=0.31, threshold=0.2, why="observed only")
    found = run(lean=lean)
    assert names(found) == names(run())
    told = "local-first: device is the first allowed place (router: far first, gap +0.31 > 0.20; observed only)"
    assert found.ranked[0].reason == told


def test_who_rests_goes_last_whatever_a_router_says() -> None:
    lean = Lean(side="far", follows=True, mode="on", gap=0.31, threshold=0.2)
    found = run(lean=lean, cooling={"far": 5.0})
    assert names(found)[-1] == "far"
    assert "router: far first" in found.ranked[0].reason
    assert "far: cooling down" in found.ranked[0].reason


@pytest.mark.parametrize(("side", "first", "besides"), [("far", "far", "near"), ("near", "near", "far")])
def test_a_shadow_asks_the_other_side_wherever_a_router_leads(side: str, first: str, besides: str) -> None:
    route = Route(name="r", strategy="shadow", deployments=("near", "far"), branch=Branch(deployment="far", share=0.5))
    lean = Lean(side=side, follows=True, mode="on", gap=0.3, threshold=0.2)
    candidates = [Candidate(deployment=NEAR), Candidate(deployment=FAR)]
    found = decide(facts(lean=lean, draw=0.4), route, candidates, RULES, decision_id="d-1")
    assert found.shadow is not None
    assert (names(found)[0], found.shadow.candidate.deployment.name) == (first, besides)
    assert decide(facts(lean=lean, draw=0.6), route, candidates, RULES, decision_id="d-1").shadow is None


def test_a_router_that_is_only_observed_has_nobody_else_asked_besides() -> None:
    route = Route(name="r", strategy="shadow", deployments=("near", "far"), branch=Branch(deployment="near", share=0.5))
    seen = Lean(side="far", follows=False, mode="observe", gap=0.3, threshold=0.2)
    # The one that is to be asked besides goes first for another reason than a router's.
    candidates = [Candidate(deployment=NEAR), Candidate(deployment=FAR, state="cold", wait=600.0)]
    for lean in (None, seen):
        found = decide(facts(lean=lean, draw=0.4), route, candidates, RULES, decision_id="d-1")
        assert (names(found), found.shadow) == (["near", "far"], None)
