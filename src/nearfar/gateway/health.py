"""Health: which deployments rest, why and for how long, and who may try them again. It knows no request and no socket.

Breakers are shared between workers through ``publish`` and ``learn``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sized

import msgspec

from nearfar.core.errors import NearfarError
from nearfar.gateway.breaker import AHEAD, LEASE, LONGEST, CoolDown, kind_of, rest

__all__ = ["LONGEST", "CoolDown", "Health"]


class Health:
    """The breakers of all deployments. One that nothing is held against has none."""

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, publish: Callable[[CoolDown], None] | None = None
    ) -> None:
        """``publish`` is told of every change that happens here, so that other workers learn of it."""
        self._clock = clock
        self._publish = publish
        self._rests: dict[str, dict[str, CoolDown]] = {}
        """Deployment → kind → its breaker."""
        self.held: Sized = self._rests
        """Empty while nothing is held against any deployment."""

    @property
    def clear(self) -> bool:
        """Whether nothing is held against any deployment: the usual state, and the cheapest question."""
        return not self._rests

    @property
    def quiet(self) -> bool:
        """Whether no deployment rests, and none is being tried."""
        if not self._rests:
            return True
        now = self._clock()
        return all(item.left(now) <= 0 for item in self._all())

    def now(self) -> float:
        """The clock that cool-downs run on; ``began`` below is a time of it."""
        return self._clock()

    def cooling(self, deployment: str) -> tuple[float, str]:
        """Seconds for which others go before ``deployment``, and why; (0, "") when none need to."""
        rests = self._rests.get(deployment)
        if rests is None:
            return 0.0, ""
        now = self._clock()
        longest = max(rests.values(), key=lambda item: item.left(now))
        left = longest.left(now)
        return (left, longest.reason) if left > 0 else (0.0, "")

    def state(self, deployment: str) -> str:
        """``closed``, ``half-open``, ``trying`` or ``open``: the worst of its breakers."""
        now = self._clock()
        states = {item.state(now) for item in self._rests.get(deployment, {}).values()}
        return next((state for state in ("open", "trying", "half-open") if state in states), "closed")

    def stated(self, deployment: str) -> CoolDown | None:
        """The rest that the upstream itself asked for, while it lasts."""
        now = self._clock()
        asked = [item for item in self._rests.get(deployment, {}).values() if item.stated and item.until > now]
        return max(asked, key=lambda item: item.until, default=None)

    def take(self, deployment: str) -> None:
        """An attempt begins: at a half-open deployment it is the trial, and others wait for its end."""
        rests = self._rests.get(deployment)
        if rests is None:
            return
        now = self._clock()
        for kind, item in rests.items():
            if item.state(now) == "half-open":
                rests[kind] = msgspec.structs.replace(item, trying=now + LEASE)
                self._tell(rests[kind])

    def leave(self, deployment: str) -> None:
        """A trial ended and proved nothing, because the client left or asked for what nobody can do."""
        rests = self._rests.get(deployment)
        if rests is None:
            return
        for kind, item in rests.items():
            if item.trying:
                rests[kind] = msgspec.structs.replace(item, trying=0.0)
                self._tell(rests[kind])

    def failed(self, deployment: str, error: NearfarError, *, began: float | None = None) -> None:
        """An attempt that ``began`` then failed: its breaker opens, longer each time, as the error's kind demands.

        Attempts that were under way together fail together, and that is one failure.
        """
        if not error.cools_down:
            self.leave(deployment)
            return
        now = self._clock()
        kind = kind_of(error)
        before = self._rests.get(deployment, {}).get(kind)
        failures = 1
        if before is not None:
            together = began is not None and began < before.since
            failures = before.failures if together else before.failures + 1
        made = CoolDown(
            deployment=deployment,
            until=now + rest(error, failures),
            reason=error.code,
            failures=failures,
            since=now,
            kind=kind,
            stated=error.retry_after is not None and kind in {"limit", "quota", "overload"},
        )
        if before is not None and before.until > made.until:
            made = msgspec.structs.replace(made, until=before.until, reason=before.reason, stated=before.stated)
        # It has answered that much: what other breakers were trying is no longer tried by this attempt.
        self.leave(deployment)
        self._keep(made)

    def spare(self, deployment: str, until: float) -> None:
        """The upstream's own count says that nothing is left until then: others go first before it has to refuse."""
        now = self._clock()
        until = min(until, now + LONGEST)
        before = self._rests.get(deployment, {}).get("ahead")
        if until <= now or (before is not None and before.until >= until):
            return
        self._keep(
            CoolDown(deployment=deployment, until=until, reason=AHEAD, failures=1, since=now, kind="ahead", stated=True)
        )

    def succeeded(self, deployment: str, *, began: float | None = None) -> None:
        """An attempt ended well: what was held against the deployment before it ``began`` is forgotten."""
        if not self._rests:
            return
        rests = self._rests.get(deployment)
        if rests is None:
            return
        now = self._clock()
        for item in list(rests.values()):
            # A count that is used up is no failure: an answer does not disprove it.
            if (item.kind != "ahead" or item.until <= now) and (began is None or began >= item.since):
                self._forget(item)

    def forget(self, deployment: str) -> None:
        """Hold nothing against ``deployment`` any more: its owner knows better."""
        for item in list(self._rests.get(deployment, {}).values()):
            self._forget(item)

    def learn(self, news: CoolDown) -> None:
        """Another worker saw a change."""
        rests = self._rests.setdefault(news.deployment, {})
        if news.failures:
            rests[news.kind] = news
        else:
            rests.pop(news.kind, None)
        if not rests:
            del self._rests[news.deployment]

    def snapshot(self) -> list[CoolDown]:
        """All cool-downs that still run."""
        now = self._clock()
        return [item for item in self._all() if item.until > now]

    def _all(self) -> Iterator[CoolDown]:
        for rests in self._rests.values():
            yield from rests.values()

    def _keep(self, made: CoolDown) -> None:
        self._rests.setdefault(made.deployment, {})[made.kind] = made
        self._tell(made)

    def _forget(self, item: CoolDown) -> None:
        rests = self._rests[item.deployment]
        del rests[item.kind]
        if not rests:
            del self._rests[item.deployment]
        self._tell(CoolDown(deployment=item.deployment, until=0.0, reason="", failures=0, kind=item.kind))

    def _tell(self, news: CoolDown) -> None:
        if self._publish is not None:
            self._publish(news)
