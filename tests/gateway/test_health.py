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


def test_an_older_success_does_not_end_a_newer_rest() -> None:
    clock = Clock()
    health = Health(clock=clock)
    began = health.now()
    clock.now += 1
    health.failed("d", RateLimitError("", retry_after=60), began=began)
    health.succeeded("d", began=began)
    assert health.cooling("d")[0] == 60
    clock.now += 1
    health.succeeded("d", began=health.now())
    assert health.cooling("d") == (0.0, "")


def test_what_fails_together_is_one_failure_and_never_shortens_a_rest() -> None:
    clock = Clock()
    health = Health(clock=clock)
    began = health.now()
    clock.now += 1
    for _ in range(32):
        health.failed("d", APIConnectionError(""), began=began)
    assert health.cooling("d")[0] == 1.0
    health.failed("e", RateLimitError("", retry_after=60), began=began)
    health.failed("e", APIConnectionError(""), began=began)
    assert health.cooling("e") == (60.0, "rate_limit_exceeded")


def test_quiet_again_when_every_rest_is_over() -> None:
    clock = Clock()
    health = Health(clock=clock)
    health.failed("d", APIConnectionError(""))
    assert not health.quiet
    clock.now += 2
    assert health.quiet
    health.failed("d", APIConnectionError(""), began=health.now())
    assert health.cooling("d")[0] == 2.0, "the count outlives the rest"
