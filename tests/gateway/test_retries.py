"""Turns: each candidate once, then again what may have passed; one budget; waits that upstreams asked for."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.house import ANSWER, error, house, plain, run, snapshot, target
from tests.gateway.scripted import upstream

from nearfar.catalog.limits import meters
from nearfar.core.chat import Request
from nearfar.core.errors import (
    APIConnectionError,
    APITimeoutError,
    BadRequestError,
    ContextTooLong,
    EngineError,
    MaskingFailed,
    NearfarError,
    Overloaded,
    PlaceMismatch,
    QuotaExhausted,
    RateLimitError,
    UpstreamError,
)
from nearfar.core.places import Class, Place
from nearfar.core.routing import Candidate, Decision, Ranked
from nearfar.gateway.exchange import Exchange
from nearfar.gateway.fleet import Snapshot
from nearfar.gateway.health import Health
from nearfar.gateway.limits import Limits, Quota
from nearfar.gateway.pipeline import Pipeline
from nearfar.gateway.retries import Patience, Turns
from nearfar.settings.model import Retries
from nearfar.wire.openai_chat import CLIENT

STATUS_503 = UpstreamError("", upstream_status=503)


class Nobody:
    """An Out that is never written to."""

    async def start(self, status: int, headers: Any, lines: bytes = b"") -> None: ...

    async def write(self, data: bytes) -> None: ...

    async def end(self, data: bytes) -> None: ...

    async def abort(self) -> None: ...


class Stage:
    """Turns over deployments ``a``, ``b``, …, with a clock that pauses move on."""

    def __init__(
        self, count: int = 2, *, client_retry: int = 0, chance: float = 1.0, wait: float = 0.0, **retries: Any
    ) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []
        self.health = Health(clock=lambda: self.now)
        names = "abcdefgh"[:count]
        self.snapshot: Snapshot = snapshot(*(target(name, 1) for name in names))
        self.ranked = {
            name: Ranked(candidate=Candidate(deployment=self.snapshot.targets[name].deployment), reason="")
            for name in names
        }
        patience = Patience(
            self.health,
            Limits(self.health, clock=lambda: self.now),
            Retries(**retries),
            pause=self._pause,
            clock=lambda: self.now,
            chance=lambda: chance,
        )
        asked = Request(
            id="req-1", wire="openai.chat", operation="chat", model="m", body=b"", fields={}, client_retry=client_retry
        )
        decision = Decision(
            id="dec",
            route="r",
            strategy="cloud-first",
            policy="p",
            class_=Class.PUBLIC,
            class_reason="",
            furthest=Place.CLOUD,
            ranked=tuple(self.ranked.values()),
            rejected=(),
            wait=wait,
        )
        self.turns = Turns(patience, Exchange(asked, CLIENT, Nobody(), self.now), decision, self.snapshot)

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def play(self, *errors: NearfarError | None) -> str:
        """Who is asked when the n-th try ends with the n-th error; None ends it well."""

        async def scenario() -> str:
            asked = ""
            ends = itertools.chain(errors, itertools.repeat(errors[-1]) if errors else ())
            while (ranked := await self.turns.next()) is not None:
                asked += ranked.candidate.deployment.name
                end = next(ends)
                if end is None:
                    break
                self.turns.failed(ranked, end)
                assert len(asked) < 100
            return asked

        return asyncio.run(scenario())


def test_a_policy_may_rather_wait_than_refuse() -> None:
    hurried = Stage(1)
    assert hurried.play(Overloaded("", retry_after=20.0)) == "a"
    waiting = Stage(1, wait=30.0)
    assert waiting.play(Overloaded("", retry_after=20.0)) == "aa"
    assert waiting.pauses == [pytest.approx(24.0)], "a second one would be over after the wait"
    waiting = Stage(1, wait=6.0)
    assert waiting.play(STATUS_503) == "aaaaa"
    assert waiting.now <= 1006.0
    assert Stage(1, wait=6.0, client_retry=2).play(STATUS_503, None) == "aa", "it is the policy's word, not a retry's"
    assert Stage(1, wait=600.0).play(STATUS_503) == "a" * 8, "attempts stay bounded"
    assert Stage(1, wait=60.0).play(EngineError("")) == "a", "what a second look does not change is not waited for"


def test_each_once_and_then_again_what_may_have_passed() -> None:
    stage = Stage(3)
    assert stage.play(STATUS_503, ContextTooLong(""), STATUS_503, STATUS_503) == "abcac"
    assert stage.pauses == [0.5, 0.5], "the drawn share of the doubled bound"


@pytest.mark.parametrize(
    ("failure", "asked"),
    [
        (APIConnectionError(""), 2),
        (Overloaded(""), 2),
        (UpstreamError("", upstream_status=500), 2),
        (UpstreamError("", code="stream_cut"), 2),
        (RateLimitError("", retry_after=1), 2),
        (RateLimitError("", retry_after=30), 1),
        (RateLimitError(""), 1),
        (QuotaExhausted("", retry_after=1), 1),
        (UpstreamError("", upstream_status=401), 1),
        (UpstreamError("", code="redirect_refused"), 1),
        (APITimeoutError(""), 1),
        (EngineError(""), 1),
        (BadRequestError("", code="unsupported"), 1),
        (MaskingFailed(""), 1),
        (PlaceMismatch(""), 1),
    ],
)
def test_what_is_worth_another_try(failure: NearfarError, asked: int) -> None:
    assert Stage(1).play(failure) == "a" * asked


def test_a_client_that_retries_by_itself_is_not_helped_to_multiply() -> None:
    assert Stage(2, client_retry=1).play(STATUS_503) == "ab"


def test_a_wait_that_was_asked_for_is_kept_and_spread() -> None:
    stage = Stage(1, chance=0.5)
    assert stage.play(RateLimitError("", retry_after=1.0), None) == "aa"
    assert stage.pauses == [pytest.approx(1.1)]


def test_the_soonest_goes_first() -> None:
    stage = Stage(2, longest=3.0)
    assert stage.play(RateLimitError("", retry_after=2.0), RateLimitError("", retry_after=1.0), None) == "abb"


@given(st.integers(1, 12), st.integers(0, 9), st.integers(1, 6))
def test_never_more_attempts_than_the_budget(attempts: int, again: int, count: int) -> None:
    asked = Stage(count, attempts=attempts, again=again).play(STATUS_503)
    assert len(asked) == min(attempts, count * (1 + again))


def test_nothing_begins_after_the_budgets_time() -> None:
    stage = Stage(1, again=50, attempts=100, seconds=5.0, chance=1.0)
    asked = stage.play(STATUS_503)
    assert 1 < len(asked) < 8
    assert stage.now <= 1005.0


def test_an_upstream_that_wants_to_be_left_alone_is_not_asked_even_as_the_last_one() -> None:
    stage = Stage(2)
    stage.health.failed("a", RateLimitError("", retry_after=50))
    stage.health.failed("b", RateLimitError("", retry_after=40))
    assert stage.play(None) == ""
    assert [(name, round(item.retry_after or 0)) for name, item in stage.turns.errors] == [("a", 50), ("b", 40)]


def test_a_short_wait_that_was_asked_for_is_waited_out() -> None:
    stage = Stage(1, chance=0.0)
    stage.health.failed("a", RateLimitError("", retry_after=1.5))
    assert stage.play(None) == "a"
    assert stage.pauses == [pytest.approx(1.5)]


def test_one_that_is_down_is_the_last_resort_and_one_that_is_being_tried_comes_after_others() -> None:
    stage = Stage(2)
    stage.health.failed("a", APIConnectionError(""))
    assert stage.play(None) == "a", "nobody said that it has to be left alone"
    stage = Stage(2)
    stage.health.failed("a", APIConnectionError(""))
    stage.now += 5
    stage.health.take("a")
    assert stage.play(STATUS_503, None) == "ba"


def patient(made: Any, **retries: Any) -> Pipeline:
    """The house's pipeline with retries that wait for nothing."""

    async def pause(_: float) -> None:
        return

    return Pipeline(
        fleet=made.fleet,
        decider=made.pipeline._decider,
        attempts=made.attempts,
        metrics=made.metrics,
        patience=Patience(made.health, None, Retries(**retries), pause=pause),
    )


def test_a_retry_is_told_and_stands_in_the_ledger(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            upstream(error(b"500 No"), plain()) as one,
            house(tmp_path, snapshot(target("one", one.port))) as made,
        ):
            made.pipeline = patient(made)
            out = await made.chat()
            assert (out.status, out.headers["x-nearfar-attempts"]) == (200, "2")
            assert out.headers["x-nearfar-deviations"] == "retry:one:upstream_error"
            first, second = made.entries()
            assert (first.outcome, second.outcome, second.parent) == ("error", "ok", first.attempt)
            assert made.health.clear

    run(scenario())


def test_a_client_that_retries_gets_one_try_each(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            upstream(every=error(b"500 No")) as one,
            house(tmp_path, snapshot(target("one", one.port))) as made,
        ):
            made.pipeline = patient(made)
            asked = made.request()
            asked.client_retry = 2
            assert (await made.answer(asked)).status == 502
            assert len(one.requests) == 1
            assert (await made.chat()).status == 502
            assert len(one.requests) == 3

    run(scenario())


def test_nobody_is_asked_while_the_upstream_wants_to_be_left_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            upstream(every=error(b"429 Slow", b"retry-after: 60")) as one,
            house(tmp_path, snapshot(target("one", one.port))) as made,
        ):
            made.pipeline = patient(made)
            for _ in range(3):
                out = await made.chat()
                assert (out.status, out.headers["x-should-retry"]) == (429, "true")
                assert 0 < int(out.headers["retry-after"]) <= 60
            assert len(one.requests) == 1
            assert len(made.entries()) == 1

    run(scenario())


def test_one_without_room_for_the_request_is_passed_over_and_that_is_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        counted = (b"x-ratelimit-remaining-tokens: 30", b"x-ratelimit-limit-tokens: 1000")
        async with (
            upstream(every=plain(ANSWER, b"200 OK", *counted)) as one,
            upstream(every=plain()) as two,
        ):
            quota = Quota(account="a", meter=meters()["openai"])
            first, second = target("one", one.port), target("two", two.port)
            first.quota = quota
            async with house(tmp_path, snapshot(first, second)) as made:
                limits = Limits(made.health)
                made.attempts._limits = limits
                made.pipeline = Pipeline(
                    fleet=made.fleet,
                    decider=made.pipeline._decider,
                    attempts=made.attempts,
                    metrics=made.metrics,
                    patience=Patience(made.health, limits, Retries()),
                )
                assert (await made.chat(max_tokens=5)).headers["x-nearfar-deployment"] == "one"
                out = await made.chat(max_tokens=500)
                assert (out.status, out.headers["x-nearfar-deployment"]) == (200, "two")
                assert out.headers["x-nearfar-deviations"] == "failover:one:limit_reached"
                assert len(one.requests) == 1

    run(scenario())
