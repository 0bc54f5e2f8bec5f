"""What waits is judged by a judge that passes the anchors; one that fails is not used, and that is told."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import msgspec
import pytest
from tests.gateway.classroom import ANCHORS, Room, Says, parts, prefers, room
from tests.gateway.house import RULES, run

from nearfar.core.places import Place
from nearfar.gateway.judge_anchors import shipped
from nearfar.gateway.learning_judging import DAY, Judging
from nearfar.store.labels import CLAIM_SECONDS, TRIES
from nearfar.store.labels_schema import Selection

HONEST = prefers("far", "good")


def contrary(messages: list[dict[str, str]]) -> str:
    """A judge that likes the worse answer better."""
    return prefers("near", "bad")(messages)


async def one(it: Room) -> None:
    await it.made.chat(max_tokens=50)
    await it.done()


def gauges(it: Room) -> dict[str, str]:
    return {line.split("{")[0]: line.split()[-1] for line in it.made.counted("nearfar_judge_") if "{" in line}


def test_a_judge_is_tried_before_its_first_pair_and_every_day(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with room(tmp_path, judge=HONEST) as it:
            await one(it)
            assert len(it.judge.heard) == 2 * len(ANCHORS) + 2
            assert gauges(it) == {"nearfar_judge_agreement": "1", "nearfar_judge_trusted": "1"}
            await one(it)
            assert len(it.judge.heard) == 2 * len(ANCHORS) + 4, "once a day is enough"
            it.clock.now += DAY
            await one(it)
            assert len(it.judge.heard) == 4 * len(ANCHORS) + 6
            assert len(it.outcomes) == 3

    run(scenario())


def test_one_that_disagrees_is_not_used_and_that_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with room(tmp_path, judge=contrary) as it:
            await one(it)
            assert it.outcomes == []
            assert [kept.scores for kept in it.kept()] == [None]
            assert gauges(it) == {"nearfar_judge_agreement": "0", "nearfar_judge_trusted": "0"}
            assert len(it.judge.heard) == 2 * len(ANCHORS), "nothing of a client's is shown to it"
            await one(it)
            assert len(it.judge.heard) == 2 * len(ANCHORS)
            it.clock.now += DAY
            it.judge.says = HONEST
            await one(it)
            assert len(it.outcomes) == 3, "what waited is judged once it agrees"

    with caplog.at_level(logging.WARNING, "nearfar.learning"):
        run(scenario())
    assert "NOT USED" in caplog.text


def test_one_that_goes_astray_loses_what_it_said_since_it_passed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with room(tmp_path, judge=HONEST) as it:
            await one(it)
            it.judge.says = contrary
            it.clock.now += DAY
            await one(it)
            trusted = [kept.scores.trusted for kept in it.kept() if kept.scores]
            assert trusted == [False]

    run(scenario())


def biased(messages: list[dict[str, str]]) -> str:
    return json.dumps({"a": 9, "b": 3})


def longest(messages: list[dict[str, str]]) -> str:
    _, first, second = parts(messages)
    return json.dumps({"a": min(10, len(first)), "b": min(10, len(second))})


@pytest.mark.parametrize(
    "says", [biased, lambda _: "none", lambda _: '{"a": 5, "b": 5}'], ids=["first", "mute", "ties"]
)
def test_judges_that_tell_nothing_apart_fail(tmp_path: Path, says: Says) -> None:
    async def scenario() -> None:
        async with room(tmp_path, judge=says) as it:
            await one(it)
            assert gauges(it)["nearfar_judge_trusted"] == "0"

    run(scenario())


def test_a_judge_that_goes_by_length_fails_the_shipped_anchors(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with room(tmp_path, judge=longest, anchors=shipped()) as it:
            await one(it)
            assert gauges(it)["nearfar_judge_trusted"] == "0"

    run(scenario())


def test_other_anchors_are_another_trial(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with room(tmp_path, judge=HONEST) as it:
            await one(it)
            told = len(it.judge.heard)
            assert it.judging is not None
            it.judging._digest = "another"
            await one(it)
            assert len(it.judge.heard) == told + 2 * len(ANCHORS) + 2

    run(scenario())


def test_one_that_is_down_is_asked_another_time(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with room(tmp_path, judge=HONEST) as it:
            it.judge.says = lambda _: 1 / 0  # type: ignore[return-value, assignment]  # its connection breaks
            await one(it)
            assert it.outcomes == []
            it.judge.says = HONEST
            it.made.health.succeeded("third", began=it.made.health.now())
            await it.done()
            assert len(it.outcomes) == 1
            (kept,) = it.kept()
            assert kept.tries == 1

    run(scenario())


def test_what_cannot_be_read_three_times_goes(tmp_path: Path) -> None:
    def mute(messages: list[dict[str, str]]) -> str:
        return HONEST(messages) if parts(messages)[0].startswith("question") else "hm"

    async def scenario() -> None:
        async with room(tmp_path, judge=mute) as it:
            await one(it)
            for _ in range(TRIES - 1):
                assert len(it.kept()) == 1
                it.clock.now += CLAIM_SECONDS
                await it.done()
            assert it.kept() == []
            assert it.counted()["unreadable"] == TRIES
            numbers = [e.attempt for e in it.made.entries() if e.purpose == "judge" and e.route]
            assert len(set(numbers)) == TRIES, "every attempt has a number of its own"

    run(scenario())


def test_what_the_judge_may_not_hear_any_more_goes(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with room(tmp_path, judge=HONEST) as it:
            await it.made.chat(max_tokens=50)
            await asyncio.gather(*it.shadows._tasks)
            await asyncio.gather(*it.learner._tasks)
            assert it.judging is not None
            await it.judging._try()
            it.judging._judge._decider._rules = msgspec.structs.replace(RULES, purposes={"judge": (Place.DEVICE,) * 4})
            told = len(it.judge.heard)
            await it.done()
            assert it.kept() == []
            assert len(it.judge.heard) == told

    run(scenario())


def test_one_that_was_forgotten_meanwhile_is_told_to_nobody(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with room(tmp_path, judge=HONEST) as it:

            def says(messages: list[dict[str, str]]) -> str:
                if not parts(messages)[0].startswith("question"):
                    it.labels.forget(Selection())
                return HONEST(messages)

            it.judge.says = says
            await one(it)
            assert it.kept() == []
            assert it.outcomes == []

    run(scenario())


def test_its_own_task_judges_and_stops(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with room(tmp_path, judge=HONEST) as it:
            assert it.judging is not None
            Judging.wake(it.judging)
            await it.made.chat(max_tokens=50)
            await asyncio.gather(*it.shadows._tasks)
            await asyncio.gather(*it.learner._tasks)
            Judging.wake(it.judging)
            while not it.outcomes:
                await asyncio.sleep(0.01)
            assert it.outcomes[0].far == 0.9

    run(scenario())
