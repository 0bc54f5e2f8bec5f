"""Breakers: which one an error belongs to, how long it opens, and in which state it is."""

import pytest

from nearfar.core import errors
from nearfar.core.errors import NearfarError, RateLimitError, UpstreamError
from nearfar.gateway.breaker import LONGEST, CoolDown, kind_of, rest


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.QuotaExhausted(""), "quota"),
        (RateLimitError(""), "limit"),
        (errors.ModelLoading(""), "loading"),
        (errors.Overloaded(""), "overload"),
        (UpstreamError("", upstream_status=403), "credentials"),
        (errors.APITimeoutError(""), "timeout"),
        (errors.APIConnectionError(""), "connect"),
        (errors.PlaceMismatch(""), "connect"),
        (errors.StreamCut(""), "fault"),
        (UpstreamError("", upstream_status=500), "fault"),
        (errors.EngineError(""), "fault"),
    ],
)
def test_each_error_has_its_breaker(error: NearfarError, kind: str) -> None:
    assert kind_of(error) == kind
    assert 0 < rest(error, 1) <= rest(error, 2) <= rest(error, 99) <= LONGEST
    error.retry_after = 3.5
    assert rest(error, 9) == 3.5


def test_states_by_the_clock() -> None:
    made = CoolDown(deployment="d", until=10.0, reason="r", failures=2)
    assert [made.state(now) for now in (9.9, 10.0)] == ["open", "half-open"]
    tried = CoolDown(deployment="d", until=10.0, reason="r", failures=2, trying=12.0)
    assert [tried.state(now) for now in (9.0, 11.0, 12.0)] == ["open", "trying", "half-open"]
    assert tried.left(11.0) == 1.0
    ended = CoolDown(deployment="d", until=10.0, reason="r", failures=1, kind="loading")
    assert ended.state(11.0) == "closed"
