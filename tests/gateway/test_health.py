"""Cool-downs."""

from nearfar.core.errors import (
    APIConnectionError,
    APITimeoutError,
    BadRequestError,
    ContextTooLong,
    EngineError,
    NearfarError,
    OutputUnparsed,
    QuotaExhausted,
    RateLimitError,
    UpstreamError,
)
from nearfar.gateway.breaker import AHEAD, LEASE
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
    health.failed("d", RateLimitError(""))
    assert health.cooling("d")[0] == 10.0, "the second one of its kind in a row"
    health.failed("e", APIConnectionError(""))
    health.succeeded("d")
    assert health.cooling("d") == (0.0, "")
    health.failed("d", RateLimitError(""))
    assert health.cooling("d")[0] == 5.0


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


def test_each_kind_of_failure_has_a_breaker_of_its_own() -> None:
    clock = Clock()
    health = Health(clock=clock)
    health.failed("d", APIConnectionError(""))
    health.failed("d", UpstreamError("", upstream_status=500))
    health.failed("d", APITimeoutError(""))
    assert health.cooling("d")[0] == 1.0, "three first failures, not a third one in a row"
    health.failed("d", UpstreamError("", upstream_status=500))
    assert health.cooling("d")[0] == 2.0
    assert {item.kind: item.failures for item in health.snapshot()} == {"connect": 1, "fault": 2, "timeout": 1}


def test_half_open_one_request_tries_it_while_others_go_elsewhere() -> None:
    clock = Clock()
    other = Health(clock=clock)
    health = Health(clock=clock, publish=other.learn)
    assert (health.state("d"), health.clear) == ("closed", True)
    health.failed("d", APIConnectionError(""))
    assert health.state("d") == "open"
    health.take("d")
    assert health.state("d") == "open", "the last resort is no trial"
    clock.now += 1.5
    for one in (health, other):
        assert (one.state("d"), one.cooling("d"), one.quiet) == ("half-open", (0.0, ""), True)
    began = health.now()
    health.take("d")
    for one in (health, other):
        assert (one.state("d"), one.cooling("d"), one.quiet) == ("trying", (LEASE, "connection_error"), False)
    health.succeeded("d", began=began)
    for one in (health, other):
        assert (one.state("d"), one.clear) == ("closed", True)


def test_a_trial_that_fails_opens_it_again_and_longer() -> None:
    clock = Clock()
    health = Health(clock=clock)
    health.failed("d", APIConnectionError(""))
    clock.now += 1.5
    health.take("d")
    health.failed("d", APIConnectionError(""), began=clock.now)
    assert (health.state("d"), health.cooling("d")[0]) == ("open", 2.0)


def test_a_trial_that_proves_nothing_leaves_the_next_one_to_try() -> None:
    clock = Clock()
    health = Health(clock=clock)
    for client_left in (True, False):
        health.failed("d", APIConnectionError(""))
        clock.now += 60
        health.take("d")
        assert health.state("d") == "trying"
        if client_left:
            health.leave("d")
        else:
            health.failed("d", BadRequestError(""))
        assert health.state("d") == "half-open"
    health.take("d")
    clock.now += LEASE
    assert health.state("d") == "half-open", "whoever tried it died"


def test_what_the_upstream_asked_for_is_told_apart_from_our_own_guess() -> None:
    clock = Clock()
    health = Health(clock=clock)
    health.failed("d", RateLimitError(""))
    assert health.stated("d") is None
    health.failed("d", RateLimitError("", retry_after=20))
    found = health.stated("d")
    assert found is not None
    assert found.left(clock.now) == 20
    health.failed("e", UpstreamError("", retry_after=20, upstream_status=500))
    assert health.stated("e") is None, "a server that is down may be back at once"
    clock.now += 20
    assert health.stated("d") is None


def test_a_used_up_count_rests_until_its_reset_and_needs_no_trial() -> None:
    clock = Clock()
    health = Health(clock=clock)
    health.spare("d", clock.now + 30)
    health.spare("d", clock.now + 5)
    health.spare("e", clock.now - 1)
    assert health.cooling("d") == (30.0, AHEAD)
    assert health.cooling("e") == (0.0, "")
    health.succeeded("d", began=clock.now)
    assert health.cooling("d")[0] == 30.0, "an answer does not disprove the count"
    clock.now += 30
    assert health.state("d") == "closed"
    health.succeeded("d", began=clock.now)
    assert health.clear


def test_its_owner_may_have_it_forgotten() -> None:
    health = Health(clock=Clock())
    health.failed("d", RateLimitError("", retry_after=20))
    health.failed("d", APIConnectionError(""))
    health.forget("d")
    health.forget("unknown")
    assert health.clear
