"""What is held against a deployment, one circuit breaker for each kind of failure. It knows no request and no socket.

A breaker is *closed* while nothing is held against its deployment. A failure *opens* it: the deployment rests. When the
rest is over it is *half-open*: one request at a time may try it, and how that one ends closes or opens it again.
"""

from __future__ import annotations

import msgspec

from nearfar.core.errors import (
    APIConnectionError,
    APITimeoutError,
    ModelLoading,
    NearfarError,
    Overloaded,
    PlaceMismatch,
    QuotaExhausted,
    RateLimitError,
)

LONGEST = 300.0
"""No cool-down is longer than this, in seconds, whatever an upstream asks for."""
LEASE = 15.0
"""Seconds for which one request keeps others from trying a half-open deployment; it may have died with its worker."""
AHEAD = "limit_reached"
"""The reason of a rest that an upstream's own count demands, before it has refused anything."""
_CREDENTIALS = frozenset({401, 402, 403, 404})

_STEP = {"connect": 1.0, "fault": 1.0, "timeout": 1.0, "limit": 5.0, "overload": 5.0}
"""Kind → seconds of the first rest; each failure in a row doubles it."""
_MOST = {"connect": 30.0, "fault": 30.0, "timeout": 30.0, "limit": 60.0, "overload": 60.0}
"""Kind → seconds that a rest grows to."""
_FIXED = {"loading": 2.0, "credentials": 60.0, "quota": LONGEST}
"""Kind → seconds of every rest: nothing gets better sooner, or it does so by itself."""
_NO_TRIAL = frozenset({"ahead", "loading"})
"""Kinds after whose rest nothing has to be tried: they end by themselves."""


class CoolDown(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment rests until ``until`` (system-wide monotonic clock, seconds) after failures of one kind."""

    deployment: str
    until: float
    reason: str
    failures: int
    """Failures of this kind in a row; 0: the breaker is closed again."""
    since: float = 0.0
    """When the rest began, on the same clock."""
    kind: str = "fault"
    """``limit`` (429), ``quota``, ``overload`` (503, 529), ``fault`` (other 5xx, a reply that breaks), ``timeout``,
    ``connect``, ``credentials`` (401 to 404), ``loading``, or ``ahead``: its own count says that nothing is left."""
    stated: bool = False
    """Whether the upstream itself said how long: then it is not asked before, not even as the last resort."""
    trying: float = 0.0
    """Until when a request is trying it, half-open; 0 when none is."""

    def state(self, now: float) -> str:
        """``open``, ``half-open``, ``trying`` (half-open, and a request is at it) or ``closed``."""
        if self.until > now:
            return "open"
        if self.kind in _NO_TRIAL or not self.failures:
            return "closed"
        return "trying" if self.trying > now else "half-open"

    def left(self, now: float) -> float:
        """Seconds for which others go first: of the rest, or of the trial; 0 when it may be asked."""
        return max(self.until, self.trying) - now


def kind_of(error: NearfarError) -> str:
    """The breaker that ``error`` belongs to."""
    if isinstance(error, QuotaExhausted):
        return "quota"
    if isinstance(error, RateLimitError):
        return "limit"
    if isinstance(error, ModelLoading):
        return "loading"
    if isinstance(error, Overloaded):
        return "overload"
    if error.upstream_status in _CREDENTIALS:
        return "credentials"
    if isinstance(error, APITimeoutError):
        return "timeout"
    if isinstance(error, APIConnectionError | PlaceMismatch):
        return "connect"
    return "fault"


def rest(error: NearfarError, failures: int) -> float:
    """Seconds to rest after the ``failures``-th ``error`` of its kind in a row."""
    if error.retry_after is not None:
        return min(LONGEST, max(0.0, error.retry_after))
    kind = kind_of(error)
    if kind in _FIXED:
        return _FIXED[kind]
    return min(_MOST[kind], _STEP[kind] * float(1 << min(failures - 1, 6)))
