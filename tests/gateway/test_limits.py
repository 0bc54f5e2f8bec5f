"""Limits that replies tell of: read in every form, compared with requests, told to health before anybody refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.catalog.limits import meters
from nearfar.core.chat import Request
from nearfar.core.errors import APIConnectionError, QuotaExhausted, RateLimitError
from nearfar.gateway.breaker import AHEAD
from nearfar.gateway.health import Health
from nearfar.gateway.limits import Left, Limits, Quota, seconds

EPOCH = 1_800_000_000.0
OPENAI = Quota(account="one", meter=meters()["openai"])
ANTHROPIC = Quota(account="two", meter=meters()["anthropic"])


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Head:
    """A reply with headers."""

    def __init__(self, headers: Mapping[str, str], wait: asyncio.Event | None = None) -> None:
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]
        self._wait = wait

    @property
    def raw_headers(self) -> Iterable[tuple[bytes, bytes]]:
        return self._headers

    def mentions(self, word: bytes) -> bool:
        return any(word in name.lower() for name, _ in self._headers)

    async def head(self) -> int:
        if self._wait is not None:
            await self._wait.wait()
        return 200


class Stage:
    def __init__(self) -> None:
        self.clock = Clock()
        self.health = Health(clock=self.clock)
        self.limits = Limits(self.health, clock=self.clock)

    def reply(self, quota: Quota = OPENAI, deployment: str = "d", **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.limits.knows(quota):
            assert asyncio.run(self.limits.watch(quota, deployment, request(), Head(named))) == 200
        else:
            self.limits.note(quota, deployment, Head(named))


def request(tokens: int = 10, out: int | None = 5) -> Request:
    return Request(
        id="req-1",
        wire="openai.chat",
        operation="chat",
        model="m",
        body=b"{}",
        fields={},
        input_tokens=tokens,
        max_output=out,
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("6m0s", 360.0),
        ("1h2m3.5s", 3723.5),
        ("120ms", 0.12),
        ("59.44s", 59.44),
        ("34", 34.0),
        ("1d", 86400.0),
        (f"{EPOCH + 9:.0f}", 9.0),
        (f"{(EPOCH + 9) * 1000:.0f}", 9.0),
        ("2027-01-15T08:00:30Z", 30.0),
        ("2027-01-15T08:00:30+00:00", 30.0),
        ("2027-01-15T07:00:30", 0.0),
        ("99h", 86400.0),
        ("soon", None),
        ("5 apples", None),
        ("", None),
        ("-1", None),
        ("nan", None),
    ],
)
def test_every_form_of_a_reset(text: str, expected: float | None) -> None:
    found = seconds(text, epoch=lambda: EPOCH)
    assert found == (None if expected is None else pytest.approx(expected, abs=0.001))


@given(st.text())
def test_no_text_of_a_header_breaks_it(text: str) -> None:
    found = seconds(text)
    assert found is None or 0 <= found <= 86400


def test_while_there_is_plenty_nobody_is_held_back() -> None:
    stage = Stage()
    stage.reply(
        x_ratelimit_remaining_requests="400", x_ratelimit_limit_requests="500", x_ratelimit_reset_requests="12s"
    )
    assert stage.limits.clear
    assert stage.limits.short(OPENAI, request()) == 0.0
    assert stage.health.clear
    assert [left.left for left in stage.limits.left(OPENAI)] == [400.0]


def test_the_last_request_of_a_limit_sends_the_next_ones_elsewhere() -> None:
    stage = Stage()
    stage.reply(x_ratelimit_remaining_requests="0", x_ratelimit_limit_requests="100", x_ratelimit_reset_requests="60s")
    # A bucket of 100 that is full in 60 s has 5 again in 3 s.
    left, reason = stage.health.cooling("d")
    assert reason == AHEAD
    assert left == pytest.approx(3.0)
    assert not stage.limits.clear
    assert stage.limits.short(OPENAI, request()) == pytest.approx(0.6)
    stage.clock.now += 61
    assert stage.limits.short(OPENAI, request()) == 0.0
    assert stage.limits.clear
    assert stage.limits.left(OPENAI) == ()


def test_all_deployments_of_the_account_rest_and_no_other() -> None:
    stage = Stage()
    other = Quota(account="other", meter=meters()["openai"])
    stage.reply(deployment="twin", x_ratelimit_remaining_requests="5")
    stage.reply(other, deployment="stranger", x_ratelimit_remaining_requests="5")
    stage.reply(deployment="d", x_ratelimit_remaining_requests="0", x_ratelimit_reset_requests="20")
    assert {name: stage.health.cooling(name)[0] for name in ("d", "twin", "stranger")} == {
        "d": 20.0,
        "twin": 20.0,
        "stranger": 0.0,
    }


def test_a_request_that_needs_more_tokens_than_are_left_goes_elsewhere() -> None:
    stage = Stage()
    stage.reply(
        ANTHROPIC,
        anthropic_ratelimit_input_tokens_remaining="1000",
        anthropic_ratelimit_input_tokens_limit="10000",
        anthropic_ratelimit_output_tokens_remaining="9000",
        anthropic_ratelimit_output_tokens_limit="10000",
    )
    assert stage.health.clear, "others still fit"
    assert stage.limits.short(ANTHROPIC, request(900)) == 0.0
    assert stage.limits.short(ANTHROPIC, request(1900)) == pytest.approx(6.0), "900 of the missing 9,000 in 60 s"
    assert stage.limits.short(ANTHROPIC, request(10, 9500)) == pytest.approx(30.0)
    assert stage.limits.short(ANTHROPIC, request(99_999)) < 61, "more than the whole is never there: it may be tried"


def test_requests_under_way_count_before_the_upstream_has_counted_them() -> None:
    stage = Stage()
    stage.reply(x_ratelimit_remaining_requests="2", x_ratelimit_limit_requests="100", x_ratelimit_reset_requests="60s")
    assert stage.limits.short(OPENAI, request()) == 0.0

    async def scenario() -> None:
        proceed = asyncio.Event()
        waiting = [asyncio.create_task(stage.limits.watch(OPENAI, "d", request(), Head({}, proceed))) for _ in range(2)]
        await asyncio.sleep(0)
        assert stage.limits.short(OPENAI, request()) > 0
        waiting[0].cancel()
        proceed.set()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert stage.limits.short(OPENAI, request()) == 0.0

    asyncio.run(scenario())


def test_what_nobody_can_mean_is_not_believed() -> None:
    stage = Stage()
    stage.reply(x_ratelimit_remaining_requests="-1", x_ratelimit_remaining_tokens="many", x_ratelimit_limit_tokens="9")
    assert stage.limits.left(OPENAI) == ()
    assert stage.limits.clear


def test_a_refusal_without_words_is_explained_by_the_count_beside_it() -> None:
    stage = Stage()
    stage.reply(x_ratelimit_remaining_requests="0", x_ratelimit_reset_requests="20")
    mute, worded = RateLimitError(""), RateLimitError("", retry_after=3)
    for error in (mute, worded):
        stage.limits.explain(OPENAI, error)
    assert (mute.retry_after, worded.retry_after) == (20.0, 3)
    for other in (QuotaExhausted(""), APIConnectionError("")):
        stage.limits.explain(OPENAI, other)
        assert other.retry_after is None
    unknown = RateLimitError("")
    stage.limits.explain(ANTHROPIC, unknown)
    assert unknown.retry_after is None


def test_a_fixed_window_comes_back_all_at_once() -> None:
    left = Left(counts="requests", left=0.0, whole=10.0, at=0.0, until=30.0, refills=False)
    assert [left.wait(1.0, now) for now in (0.0, 29.0, 30.0)] == [30.0, 1.0, 0.0]
