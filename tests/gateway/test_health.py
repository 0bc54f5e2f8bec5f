"""Cool-downs."""

from nearfar.core.errors import (
    APIConnectionError,
    BadRequestError,
    ContextTooLong,
    EngineError,
    NearfarError,
    OutputUnparsed,
    QuotaExhausted,
    RateLimitError,
    UpstreamError,
)
from nearfar.gateway.health import LONGEST, CoolDown, Health


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def after(error: NearfarError, times: int = 1) -> float:
    health = Health(clock=Clock())
    for _ in range(times):
        health.failed("d", error)
    return health.cooling("d")[0]


def test_retry_after_is_honoured_up_to_a_bound() -> None:
    assert after(RateLimitError("", retry_after=7.5)) == 7.5
    assert after(RateLimitError("", retry_after=86400)) == LONGEST
    assert after(QuotaExhausted("")) == LONGEST


def test_failures_in_a_row_rest_longer_up_to_a_bound() -> None:
    assert [after(APIConnectionError(""), n) for n in (1, 2, 3)] == [1.0, 2.0, 4.0]
    assert after(APIConnectionError(""), 50) == 30.0
    assert after(RateLimitError(""), 50) == 60.0


def test_a_wrong_credential_rests_a_minute() -> None:
    assert after(UpstreamError("", upstream_status=401)) == 60.0


def test_the_clients_mistakes_are_not_held_against_a_deployment() -> None:
    assert after(BadRequestError("")) == 0.0


def test_a_cool_down_ends_and_success_forgets() -> None:
    clock = Clock()
    health = Health(clock=clock)
    health.failed("d", RateLimitError("", retry_after=5))
    assert health.cooling("d") == (5.0, "rate_limit_exceeded")
    assert [rest.deployment for rest in health.snapshot()] == ["d"]
    clock.now += 5.1
    assert health.cooling("d") == (0.0, "")
    assert health.snapshot() == []
    health.failed("d", APIConnectionError(""))
    assert health.cooling("d")[0] == 2.0
    health.succeeded("d")
    health.failed("d", APIConnectionError(""))
    assert health.cooling("d")[0] == 1.0


def test_workers_learn_from_each_other() -> None:
    clock = Clock()
    other = Health(clock=clock)
    news: list[CoolDown] = []
    one = Health(clock=clock, publish=news.append)
    one.failed("d", RateLimitError("", retry_after=5))
    other.learn(news[-1])
    assert other.cooling("d")[0] == 5.0
    one.succeeded("d")
    one.succeeded("d")
    assert len(news) == 2
    other.learn(news[-1])
    assert other.cooling("d") == (0.0, "")


def test_what_the_request_or_the_models_words_caused_does_not_rest_a_deployment() -> None:
    assert after(OutputUnparsed("")) == 0.0
    assert after(ContextTooLong("")) == 0.0
    assert after(EngineError("")) == 1.0
