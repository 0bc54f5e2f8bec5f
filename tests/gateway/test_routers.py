"""A learned router on the path of a request: asked once, only where there is a choice, and never about what is allowed.

The router here is a stand-in with a gap for each word; what a fitted one says is tested in its own room.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.examples import examples
from tests.gateway.house import RULES, House, house, plain, run, snapshot, target
from tests.gateway.scripted import upstream

from nearfar.core.errors import APITimeoutError, RateLimitError, StoreUnavailable
from nearfar.core.learned import Gain, Standing
from nearfar.core.outcome import Outcome
from nearfar.core.places import Class, Place
from nearfar.core.routing import Decision, Route
from nearfar.gateway.decider import Decider, Said
from nearfar.gateway.fleet import Fleet, Snapshot
from nearfar.gateway.health import Health
from nearfar.gateway.metrics import Metrics
from nearfar.gateway.pipeline import Pipeline
from nearfar.gateway.routers import LARGE, Embed, Routers
from nearfar.wire.openai_chat import CLIENT

OUTCOME = Outcome(
    request="req-1",
    route="main",
    privacy="public",
    near=0.0,
    far=1.0,
    propensity=0.1,
    score=0.0,
    served="near",
    trusted=True,
)


class Stub:
    """Expects a gain of "hard" prompts alone."""

    def __init__(self, mode: str = "on", *, share: float = 1.0, embeds: int = 0, gap: float = 0.5) -> None:
        self.mode, self.share, self.embeds = mode, share, embeds
        self.threshold: float | None = 0.1
        self.gap = gap
        self.asked: list[tuple[str, Sequence[float] | None]] = []
        self.heard: list[Outcome] = []
        self.elsewhere: float | None = 0.1
        self.fails: Exception | None = None

    def expect(self, prompt: str, embedding: Sequence[float] | None = None) -> Gain:
        self.asked.append((prompt, embedding))
        if self.fails is not None:
            raise self.fails
        novel = "novel" in prompt
        return Gain(gap=self.gap if "hard" in prompt else -self.gap, novel=novel, trusted=not novel)

    def refresh(self) -> None:
        if self.fails is not None:
            raise self.fails
        self.threshold = self.elsewhere

    def hear(self, outcome: Outcome) -> bool:
        if self.fails is not None:
            raise self.fails
        self.heard.append(outcome)
        self.threshold = -1.0
        return True

    def standing(self) -> Standing:
        return Standing(
            route="main",
            mode=self.mode,
            share=self.share,
            labels=300,
            trusted=True,
            threshold=self.threshold,
            begun=0.1,
            evidence=3.5,
            alarms=1,
        )


def fleet() -> Snapshot:
    near, lan, far = target("near", 1, Place.DEVICE), target("lan", 1, Place.LAN), target("far", 1, Place.CLOUD)
    routes = {
        "main": Route(name="main", strategy="local-first", deployments=("near", "lan", "far")),
        "other": Route(name="other", strategy="local-first", deployments=("near", "far")),
        "sealed": Route(name="sealed", strategy="cloud-first", deployments=("near", "far"), floor=Class.RESTRICTED),
    }
    return snapshot(near, lan, far, routes=routes)


class Rig:
    def __init__(self, stub: Stub, *, embed: Embed | None = None) -> None:
        self.stub = stub
        self.health = Health()
        self.metrics = Metrics()
        self.now = 0.0
        known = Fleet(fleet(), self.health)
        self.snapshot = known.snapshot
        self.decider = Decider(known, self.health, RULES)
        self.routers = Routers(
            self.decider,
            {"main": stub, "sealed": stub},
            self.metrics,
            key=b"k",
            embed={} if embed is None else {"main": embed},
            clock=lambda: self.now,
        )
        self.number = 0

    async def decide(
        self, text: str = "hard", *, route: str = "main", said: Said | None = None, **fields: Any
    ) -> Decision:
        self.number += 1
        body = {"model": route, "messages": [{"role": "user", "content": text}]} | fields
        asked = CLIENT.parse(msgspec.json.encode(body), f"req-{self.number}")
        known, told = self.snapshot.routes[route], said or Said()
        first, snapshot = self.decider.decide(asked, known, told)
        return (await self.routers.decide(asked, known, told, first, snapshot))[0]


def names(decision: Decision) -> list[str]:
    return [item.candidate.deployment.name for item in decision.ranked]


def test_the_expected_gap_says_which_side_goes_first() -> None:
    async def scenario() -> None:
        rig = Rig(Stub())
        hard, easy = await rig.decide("hard"), await rig.decide("easy")
        assert names(hard) == ["far", "near", "lan"]
        assert (hard.learned, hard.ranked[0].reason) == (
            0.5,
            "local-first: cloud goes first (router: far first, gap +0.50 > 0.10)",
        )
        assert names(easy) == ["near", "lan", "far"]
        assert easy.learned == -0.5
        assert [prompt for prompt, _ in rig.stub.asked] == ["hard", "easy"], "once for each request"
        assert 'nearfar_router_leans_total{route="main",lean="far"} 1' in rig.metrics.text().decode()

    run(scenario())


def test_it_is_not_asked_where_there_is_no_choice() -> None:
    async def scenario() -> None:
        rig = Rig(Stub())
        assert (await rig.decide(route="other")).learned is None
        sealed = await rig.decide(route="sealed")
        assert names(sealed) == ["near"], "far is forbidden by class: the router's word would be worth nothing"
        confidential = await rig.decide(said=Said(header=Class.CONFIDENTIAL))
        assert names(confidential) == ["near"]
        assert rig.stub.asked == []
        assert confidential.lean is None
        assert [rig.routers.asks(name) for name in ("main", "other")] == [True, False]

    run(scenario())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("hard but novel", "the prompt is unlike its labels"),
        ("  ", "there are no words of a user"),
        ([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}], "the request is more than words"),
    ],
)
def test_whom_it_cannot_judge_it_leaves_to_the_strategy(text: Any, why: str) -> None:
    async def scenario() -> None:
        rig = Rig(Stub())
        found = await rig.decide(text)
        assert names(found)[0] in {"near", "lan"}
        assert found.ranked[0].reason.endswith(f"(router not followed: {why})")
        assert found.learned is None
        assert 'lean="fallback"} 1' in rig.metrics.text().decode()

    run(scenario())


def test_requests_with_tools_are_left_to_the_strategy() -> None:
    async def scenario() -> None:
        rig = Rig(Stub())
        tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
        found = await rig.decide("hard", tools=[tool])
        assert "router not followed: the request is more than words" in found.ranked[0].reason
        assert rig.stub.asked == []

    run(scenario())


def test_a_router_that_fails_is_a_strategy_without_it(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        rig = Rig(Stub())
        rig.stub.fails = FloatingPointError("overflow")
        found = await rig.decide()
        assert names(found) == ["near", "lan", "far"]
        assert "router not followed: it failed" in found.ranked[0].reason

    run(scenario())
    assert "a router failed" in caplog.text


def test_long_prompts_are_scored_beside_the_event_loop() -> None:
    async def scenario() -> None:
        rig = Rig(Stub())
        assert names(await rig.decide("hard " * LARGE)) == ["far", "near", "lan"]

    run(scenario())


def test_a_conversation_stays_with_what_decided_it() -> None:
    async def scenario() -> None:
        rig = Rig(Stub("canary", share=0.5))
        followed = set()
        for number in range(40):
            turns = [{"role": "user", "content": f"hard {number}"}]
            leans = []
            for answer in ("", "yes", "no"):
                messages = [*turns, {"role": "assistant", "content": answer}, {"role": "user", "content": "go on"}]
                found = await rig.decide(messages=messages)
                assert found.lean is not None
                leans.append(found.lean.follows)
                assert (names(found)[0] == "far") is found.lean.follows
                assert found.lean.share == 0.5
            assert len(set(leans)) == 1
            followed.add(leans[0])
        assert followed == {True, False}

    run(scenario())


def test_what_other_processes_learned_is_read_again_now_and_then() -> None:
    async def scenario() -> None:
        rig = Rig(Stub())
        rig.stub.elsewhere = None
        await rig.decide("easy")
        rig.now = 5.1
        assert names(await rig.decide("easy"))[0] == "near", "nobody waits for the database"
        await rig.routers.close()
        assert names(await rig.decide("easy"))[0] == "far", "nothing stays near any more"

    run(scenario())


def test_outcomes_reach_the_router_of_their_route_and_an_alarm_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        rig = Rig(Stub())
        rig.routers.hear(msgspec.structs.replace(OUTCOME, route="other"))
        rig.routers.hear(OUTCOME)
        await rig.routers.close()
        assert rig.stub.heard == [OUTCOME]
        assert [item.threshold for item in rig.routers.standings()] == [-1.0, -1.0]
        rig.routers.count()
        told = rig.metrics.text().decode()
        assert 'nearfar_router_evidence{route="main"} 3.5' in told
        assert 'nearfar_router_alarms{route="main"} 1' in told

    with caplog.at_level(logging.WARNING):
        run(scenario())
    assert "ALARM" in caplog.text


def test_a_database_that_is_away_costs_an_outcome_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        rig = Rig(Stub())
        rig.stub.fails = StoreUnavailable("The disk is full.")
        rig.routers.hear(OUTCOME)
        rig.now = 10.0
        await rig.decide()
        await rig.routers.close()
        assert rig.stub.threshold == 0.1

    with caplog.at_level(logging.WARNING):
        run(scenario())
    assert "an outcome was not taken into account" in caplog.text
    assert "a promise cannot be read" in caplog.text


def test_an_embedding_is_asked_for_where_the_router_needs_one() -> None:
    async def scenario() -> None:
        asked: list[str] = []

        async def embed(request: Any, route: Route, said: Said, text: str) -> list[float]:
            asked.append(text)
            if "late" in text:
                raise APITimeoutError("too slow")
            return [0.5, 0.5]

        rig = Rig(Stub(embeds=2), embed=embed)
        assert names(await rig.decide("hard"))[0] == "far"
        assert rig.stub.asked == [("hard", [0.5, 0.5])]
        late = await rig.decide("hard, late")
        assert names(late)[0] == "near"
        assert "router not followed: no embedding (upstream_timeout)" in late.ranked[0].reason
        assert asked == ["hard", "hard, late"]

    run(scenario())


def test_without_anybody_to_embed_it_is_left_to_the_strategy() -> None:
    async def scenario() -> None:
        found = await Rig(Stub(embeds=2)).decide()
        assert "router not followed: nobody is asked for its embedding here" in found.ranked[0].reason
        rig = Rig(Stub())
        rig.stub.fails = ValueError("fitted with embeddings of 3 numbers")
        assert "its embedding is of another model" in (await rig.decide()).ranked[0].reason

    run(scenario())


@examples(25)
@given(
    st.sampled_from(["hard", "easy", "hard novel"]),
    st.sampled_from(list(Class)),
    st.sampled_from(["observe", "canary", "on"]),
    st.floats(-1, 1),
    st.none() | st.floats(-1, 1),
    st.lists(st.sampled_from(["near", "lan", "far"]), max_size=2),
    st.booleans(),
)
def test_whatever_a_router_says_nobody_forbidden_is_ever_asked(
    text: str, class_: Class, mode: str, gap: float, threshold: float | None, resting: list[str], guarded: bool
) -> None:
    async def scenario() -> None:
        rig = Rig(Stub(mode, share=0.5, gap=gap))
        rig.stub.threshold = threshold
        for name in resting:
            rig.health.failed(name, RateLimitError("", retry_after=50))
        said = Said(header=class_, guard="a detector failed" if guarded else "")
        for route in ("main", "other", "sealed"):
            found = await rig.decide(text, route=route, said=said)
            floor = max(class_, rig.snapshot.routes[route].floor)
            for item in found.ranked:
                assert item.candidate.deployment.place <= RULES.reach(floor)
                assert not guarded or item.candidate.deployment.place.near

    asyncio.run(scenario())


def test_on_the_whole_path_the_reason_is_told_and_recorded(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with upstream(plain()) as far, upstream(plain()) as near:
            known = snapshot(target("far", far.port), target("near", near.port, Place.DEVICE), strategy="local-first")
            async with house(tmp_path, known) as made:
                _use(made, Stub())
                reply = await made.chat(messages=[{"role": "user", "content": "hard"}])
                assert reply.headers["x-nearfar-deployment"] == "far"
                assert "router: far first, gap +0.50 > 0.10" in reply.headers["x-nearfar-reason"]
                assert made.entries()[0].reason == reply.headers["x-nearfar-reason"]
                kept = await made.chat(
                    messages=[{"role": "user", "content": "hard"}], said=Said(header=Class.RESTRICTED)
                )
                assert kept.headers["x-nearfar-deployment"] == "near"
                assert len(far.requests) == 1

    run(scenario())


def _use(made: House, stub: Stub) -> None:
    decider = Decider(made.fleet, made.health, RULES)
    routers = Routers(decider, {"main": stub}, made.metrics, key=b"k")
    made.pipeline = Pipeline(
        fleet=made.fleet, decider=decider, attempts=made.attempts, metrics=made.metrics, routers=routers
    )
