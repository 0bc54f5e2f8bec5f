"""Health: which deployments are cooling down, why, and for how long. It knows no request and no socket."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from nearfar.core.errors import (
    ModelLoading,
    NearfarError,
    Overloaded,
    QuotaExhausted,
    RateLimitError,
)

LONGEST = 300.0
"""No cool-down is longer than this, in seconds, whatever an upstream asks for."""


class CoolDown(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment rests until ``until`` (system-wide monotonic clock, seconds)."""

    deployment: str
    until: float
    reason: str
    failures: int
    since: float = 0.0
    """When the rest began, on the same clock."""


class Health:
    """Cool-downs by deployment, shared between workers through ``publish`` and ``learn``."""

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, publish: Callable[[CoolDown], None] | None = None
    ) -> None:
        """``publish`` is told of every change that happens here, so that other workers learn of it."""
        self._clock = clock
        self._publish = publish
        self._rest: dict[str, CoolDown] = {}

    @property
    def quiet(self) -> bool:
        """Whether no deployment rests."""
        if not self._rest:
            return True
        now = self._clock()
        return all(rest.until <= now for rest in self._rest.values())

    def now(self) -> float:
        """The clock that cool-downs run on; ``began`` below is a time of it."""
        return self._clock()

    def cooling(self, deployment: str) -> tuple[float, str]:
        """Seconds that ``deployment`` still rests, and why; (0, "") when it does not."""
        rest = self._rest.get(deployment)
        if rest is None:
            return 0.0, ""
        left = rest.until - self._clock()
        return (left, rest.reason) if left > 0 else (0.0, "")

    def failed(self, deployment: str, error: NearfarError, *, began: float | None = None) -> None:
        """An attempt that ``began`` then failed: the deployment rests, longer each time, as the error's kind demands.

        Attempts that were under way together fail together, and that is one failure.
        """
        if not error.cools_down:
            return
        now = self._clock()
        before = self._rest.get(deployment)
        failures = 1
        if before is not None:
            together = began is not None and began < before.since
            failures = before.failures if together else before.failures + 1
        rest = CoolDown(
            deployment=deployment,
            until=now + _seconds(error, failures),
            reason=error.code,
            failures=failures,
            since=now,
        )
        if before is not None and before.until > rest.until:
            rest = msgspec.structs.replace(rest, until=before.until, reason=before.reason)
        self._rest[deployment] = rest
        if self._publish is not None:
            self._publish(rest)

    def succeeded(self, deployment: str, *, began: float | None = None) -> None:
        """An attempt ended well: what was held against the deployment before it ``began`` is forgotten."""
        if not self._rest:
            return
        rest = self._rest.get(deployment)
        if rest is None or (began is not None and began < rest.since):
            return
        del self._rest[deployment]
        if self._publish is not None:
            self._publish(CoolDown(deployment=deployment, until=0.0, reason="", failures=0))

    def learn(self, news: CoolDown) -> None:
        """Another worker saw a change."""
        if news.failures:
            self._rest[news.deployment] = news
        else:
            self._rest.pop(news.deployment, None)

    def snapshot(self) -> list[CoolDown]:
        """All cool-downs that still run."""
        now = self._clock()
        return [rest for rest in self._rest.values() if rest.until > now]


def _seconds(error: NearfarError, failures: int) -> float:
    growth = float(1 << min(failures - 1, 6))
    if error.retry_after is not None:
        return min(LONGEST, max(0.0, error.retry_after))
    if isinstance(error, QuotaExhausted):
        return LONGEST
    if isinstance(error, ModelLoading):
        return 2.0
    if error.upstream_status in {401, 402, 403, 404}:
        # The credential or the configuration is wrong: nothing gets better in seconds.
        return 60.0
    if isinstance(error, (RateLimitError, Overloaded)):
        return min(60.0, 5.0 * growth)
    return min(30.0, growth)
