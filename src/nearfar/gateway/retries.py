"""Whose turn it is: each ranked candidate once, then again those for whom waiting a moment is worth it, in one budget.

It knows no request's content and opens nothing; the pipeline asks it after a failure, or while something is held
against a deployment.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sized

from nearfar.core.errors import (
    APIConnectionError,
    APITimeoutError,
    ModelLoading,
    NearfarError,
    Overloaded,
    QuotaExhausted,
    RateLimitError,
    UpstreamError,
)
from nearfar.core.routing import Decision, Ranked
from nearfar.gateway.breaker import AHEAD, CoolDown
from nearfar.gateway.exchange import Exchange
from nearfar.gateway.fleet import Snapshot
from nearfar.gateway.health import Health
from nearfar.gateway.limits import Limits
from nearfar.settings.model import Retries

_NEVER_AGAIN = frozenset({"deployment_unusable", "engine_error", "redirect_refused", "tls_error"})
"""Codes that a second look does not change."""
_PASSING = frozenset({500, 502, 503, 504, 520, 522, 524, 529})
"""Statuses of upstreams that may be gone in a moment."""
_SPREAD = 0.2
"""Share by which a wait that an upstream asked for is prolonged at random, so that not everybody comes back at once."""


class Patience:
    """Makes the turns of requests; holds what they share."""

    def __init__(
        self,
        health: Health | None = None,
        limits: Limits | None = None,
        retries: Retries | None = None,
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.perf_counter,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Without ``retries`` nobody is asked twice. ``chance``: from 0 to 1; ``clock`` as of ``Exchange.started``."""
        self.health = health
        self.limits = limits
        self._held: Sized = () if health is None else health.held
        self._tight: Sized = () if limits is None else limits.tight
        self.retries = retries or Retries(attempts=1_000, again=0, longest=0.0)
        self.pause = pause
        self.clock = clock
        self.chance = chance

    @property
    def clear(self) -> bool:
        """Whether every candidate may simply be asked in its order: the usual case, told at no cost."""
        return not self._held and not self._tight


class _Place:
    """Where one candidate stands."""

    __slots__ = ("asked", "error", "ranked")

    def __init__(self, ranked: Ranked) -> None:
        self.ranked = ranked
        self.asked = 0
        self.error: NearfarError | None = None

    @property
    def name(self) -> str:
        return self.ranked.candidate.deployment.name


class Turns:
    """The turns of one request."""

    def __init__(self, patience: Patience, exchange: Exchange, decision: Decision, snapshot: Snapshot) -> None:
        self._patience = patience
        self._targets = snapshot.targets
        self._exchange = exchange
        self._places = [_Place(ranked) for ranked in decision.ranked]
        self._asked = 0
        # A client whose SDK retries by itself would multiply its retries with ours.
        self._again = 0 if exchange.request.client_retry else patience.retries.again
        self._wait = decision.wait
        """Seconds from the request's arrival in which the policy would rather wait than refuse, beyond all of that."""

    @property
    def errors(self) -> list[tuple[str, NearfarError]]:
        """Deployments that did not answer, each with its last error, in their order."""
        return [(place.name, place.error) for place in self._places if place.error is not None]

    def asked(self, ranked: Ranked) -> None:
        """``ranked`` was asked without asking here whose turn it is."""
        self._asked += 1
        self._place(ranked).asked += 1

    def instead(self, ranked: Ranked, chosen: Ranked) -> None:
        """``chosen`` is asked in the place of ``ranked``, whose turn it was."""
        self._place(ranked).asked -= 1
        self._place(chosen).asked += 1

    def failed(self, ranked: Ranked, error: NearfarError) -> None:
        """It did not answer."""
        self._place(ranked).error = error

    async def next(self) -> Ranked | None:
        """The next one to ask, after a pause where it takes one; None when nobody is left."""
        retries = self._patience.retries
        if self._asked >= retries.attempts or self._spent() > max(retries.seconds, self._wait):
            return None
        place = self._first_time() or await self._second_time()
        if place is None:
            return None
        self.asked(place.ranked)
        return place.ranked

    def _place(self, ranked: Ranked) -> _Place:
        # By name: whoever had a free slot stands here with other words than the decision's.
        name = ranked.candidate.deployment.name
        return next(place for place in self._places if place.name == name)

    def _spent(self) -> float:
        return self._patience.clock() - self._exchange.started

    def _first_time(self) -> _Place | None:
        fresh = [place for place in self._places if not place.asked and place.error is None]
        later: _Place | None = None
        for place in fresh:
            asked_for = self._asked_for(place)
            if asked_for is not None:
                place.error = _held_back(place.name, *asked_for)
                if asked_for[1] == AHEAD:
                    # It was ranked as well as ever: only this tells why somebody else answers.
                    self._exchange.deviations.append(f"failover:{place.name}:{AHEAD}")
            elif self._busy(place):
                later = later or place
            else:
                return place
        # Somebody else is trying it: better two at once than a request without an answer.
        return later

    def _asked_for(self, place: _Place) -> tuple[float, str] | None:
        """Seconds that the upstream itself wants to be left alone, or has no room for this request, and why."""
        health, limits = self._patience.health, self._patience.limits
        rest: CoolDown | None = None if health is None else health.stated(place.name)
        if health is not None and rest is not None:
            return rest.until - health.now(), rest.reason
        if limits is not None and not limits.clear:
            quota = self._targets[place.name].quota
            short = 0.0 if quota is None else limits.short(quota, self._exchange.request)
            if short:
                return short, AHEAD
        return None

    def _busy(self, place: _Place) -> bool:
        health = self._patience.health
        return health is not None and health.state(place.name) == "trying"

    async def _second_time(self) -> _Place | None:
        """Somebody who failed in a way that may be over in a moment, after that moment."""
        best: tuple[float, _Place] | None = None
        for place in self._places:
            wait = self._pause_before(place)
            if wait is not None and (best is None or wait < best[0]):
                best = (wait, place)
        if best is None:
            return None
        wait, place = best
        if self._spent() + wait > max(self._patience.retries.seconds, self._wait):
            return None
        await self._patience.pause(wait)
        return place

    def _pause_before(self, place: _Place) -> float | None:
        """Seconds to wait before asking it again; None when that is not worth it."""
        retries, error = self._patience.retries, place.error
        usual = place.asked <= self._again
        left = self._wait - self._spent()
        if error is None or not (usual or left > 0):
            return None
        chance = self._patience.chance()
        if error.retry_after is not None:
            wait = error.retry_after * (1.0 + _SPREAD * chance)
            longest = max(retries.longest if usual else 0.0, left)
            return wait if wait <= longest and _waits(error) else None
        if not _passes(error):
            return None
        wait = min(retries.longest, retries.pause * float(1 << min(place.asked, 6))) * chance
        return wait if usual or wait <= left else None


def _held_back(name: str, seconds: float, reason: str) -> NearfarError:
    return RateLimitError(
        f"{name} asked to be left alone for {seconds:.0f} s more.",
        code=reason if reason in {"overloaded", "server_is_overloaded"} else "rate_limit_exceeded",
        retry_after=seconds,
    )


def _waits(error: NearfarError) -> bool:
    return isinstance(error, RateLimitError | UpstreamError) and not isinstance(error, QuotaExhausted)


def _passes(error: NearfarError) -> bool:
    """Whether ``error`` may be gone in a moment. What took long to fail is not asked again."""
    if error.code in _NEVER_AGAIN or isinstance(error, APITimeoutError):
        return False
    if isinstance(error, APIConnectionError | Overloaded | ModelLoading):
        return True
    if not isinstance(error, UpstreamError):
        return False
    return error.upstream_status is None or error.upstream_status in _PASSING
