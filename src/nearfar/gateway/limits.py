"""What upstreams say is left of their limits, so that others are asked before they have to refuse.

Kept for each account and model, as replies tell it. It knows no request's content and refuses nothing itself.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import time
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from nearfar.catalog.limits import Meter
from nearfar.core.chat import Request
from nearfar.core.errors import NearfarError, QuotaExhausted, RateLimitError
from nearfar.gateway.health import Health

TIGHT = 0.25
"""Share of a limit below which every request is compared with what is left."""
REFILLED = 0.05
"""Share of a bucket that has to be there again before it is asked after it was empty."""
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|s|m|h|d)")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST = 86400.0
_EPOCH = 1e9
_EPOCH_MS = 1e12


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """Whose limits a deployment's replies tell of."""

    account: str
    """Stands for account and model: deployments that share both share their limits."""
    meter: Meter


class Head(Protocol):
    """A reply whose head is awaited."""

    @property
    def raw_headers(self) -> Iterable[tuple[bytes, bytes]]:
        """The headers as they came, once ``head`` has returned."""
        ...

    def mentions(self, word: bytes) -> bool:
        """Whether ``word``, in lower case, may stand in them."""
        ...

    async def head(self) -> int:
        """The status."""
        ...


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """What was left of one limit when a reply told of it."""

    counts: str
    left: float
    whole: float | None
    at: float
    """When, and until when it counts; of the monotonic clock."""
    until: float
    refills: bool

    def wait(self, need: float, now: float) -> float:
        """Seconds until ``need`` is there; 0 when it is."""
        if now >= self.until:
            return 0.0
        missing = min(need, self.whole or need) - self.left
        if missing <= 0:
            return 0.0
        if not self.refills or self.whole is None or self.whole <= self.left:
            return self.until - now
        pace = (self.until - self.at) / (self.whole - self.left)
        return max(0.0, self.at + missing * pace - now)


class _Account:
    __slots__ = ("begun", "deployments", "lefts", "promised")

    def __init__(self) -> None:
        self.lefts: dict[int, Left] = {}
        self.deployments: set[str] = set()
        self.begun = 0
        """Requests under way that the last count may not know of."""
        self.promised = 0
        """Their tokens."""


class Limits:
    """The limits of all accounts, as far as replies have told."""

    def __init__(self, health: Health, *, clock: Callable[[], float] = time.monotonic) -> None:
        """``health`` is told of accounts that have nothing left, and tells other workers."""
        self._health = health
        self._clock = clock
        self._accounts: dict[str, _Account] = {}
        self.tight: set[str] = set()
        """Accounts that are near a limit; empty is the usual state."""

    @property
    def clear(self) -> bool:
        """Whether no account is near a limit."""
        return not self.tight

    def knows(self, quota: Quota) -> bool:
        """Whether a reply has told of this account's limits: only then need a request under way be counted."""
        return quota.account in self._accounts

    def note(self, quota: Quota, deployment: str, reply: Head) -> None:
        """Read what a head that has come says about limits. Most upstreams tell nothing."""
        if reply.mentions(quota.meter.word):
            self._read(quota, deployment, reply.raw_headers)

    async def watch(self, quota: Quota, deployment: str, request: Request, reply: Head) -> int:
        """Count the request as under way, wait for the head of ``reply``, note it, and return its status.

        For accounts that it ``knows``.
        """
        account = self._accounts[quota.account]
        tokens = _tokens(request)
        account.begun += 1
        account.promised += tokens
        try:
            status = await reply.head()
        finally:
            account.begun -= 1
            account.promised -= tokens
        self.note(quota, deployment, reply)
        return status

    def short(self, quota: Quota, request: Request) -> float:
        """Seconds until the account has room for ``request``; 0 when it has, or nobody knows."""
        if quota.account not in self.tight:
            return 0.0
        account = self._accounts[quota.account]
        now = self._clock()
        if all(left.until <= now for left in account.lefts.values()):
            self.tight.discard(quota.account)
            return 0.0
        return max(left.wait(_need(left.counts, request, account), now) for left in account.lefts.values())

    def explain(self, quota: Quota, error: NearfarError) -> None:
        """Say in a refusal that does not how long it lasts, where the count beside it tells."""
        if error.retry_after is not None or not isinstance(error, RateLimitError) or isinstance(error, QuotaExhausted):
            return
        account = self._accounts.get(quota.account)
        now = self._clock()
        waits = [left.wait(1.0, now) for left in account.lefts.values()] if account is not None else []
        if any(waits):
            error.retry_after = max(waits)

    def left(self, quota: Quota) -> tuple[Left, ...]:
        """What is known to be left now."""
        account = self._accounts.get(quota.account)
        now = self._clock()
        return () if account is None else tuple(left for left in account.lefts.values() if left.until > now)

    def _read(self, quota: Quota, deployment: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
        meter = quota.meter
        said: dict[int, dict[str, bytes]] = {}
        for name, value in headers:
            place = meter.headers.get(name.lower())
            if place is not None:
                said.setdefault(place[0], {})[place[1]] = value
        if not said:
            return
        account = self._accounts.get(quota.account)
        if account is None:
            account = self._accounts[quota.account] = _Account()
        account.deployments.add(deployment)
        now = self._clock()
        for number, parts in said.items():
            window = quota.meter.windows[number]
            left = _number(parts.get("remaining"))
            if left is None:
                continue
            reset = seconds(parts["reset"].decode("latin-1")) if "reset" in parts else None
            account.lefts[number] = Left(
                counts=window.counts,
                left=left,
                whole=_number(parts.get("limit")),
                at=now,
                until=now + (window.span if reset is None else reset),
                refills=window.refills,
            )
        self._judge(quota, account, now)

    def _judge(self, quota: Quota, account: _Account, now: float) -> None:
        tight = False
        until = 0.0
        for left in account.lefts.values():
            if left.until <= now:
                continue
            under_way = account.begun if left.counts == "requests" else account.promised
            tight = tight or left.left - under_way < max(2.0, TIGHT * (left.whole or 0.0))
            if left.left - account.begun < 1.0:
                need = max(1.0, REFILLED * left.whole) if left.refills and left.whole else 1.0
                until = max(until, now + left.wait(left.left + need, now))
        if tight:
            self.tight.add(quota.account)
        else:
            self.tight.discard(quota.account)
        if until:
            for deployment in account.deployments:
                self._health.spare(deployment, until)


def seconds(text: str, *, epoch: Callable[[], float] = time.time) -> float | None:
    """Seconds until the moment that a reset header names, at most a day; None for what cannot be read.

    >>> seconds("6m0s"), seconds("120ms"), seconds("34")
    (360.0, 0.12, 34.0)
    """
    text = text.strip()
    number = _number(text.encode("latin-1", "replace"))
    if number is not None:
        if number >= _EPOCH_MS:
            number = number / 1000 - epoch()
        elif number >= _EPOCH:
            number -= epoch()
        return min(_LONGEST, max(0.0, number))
    pieces = _DURATION.findall(text)
    if pieces and "".join(amount + unit for amount, unit in pieces) == text:
        return min(_LONGEST, sum(float(amount) * _UNITS[unit] for amount, unit in pieces))
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return min(_LONGEST, max(0.0, moment.timestamp() - epoch()))


def _number(text: bytes | None) -> float | None:
    """A count; None for none, one below zero (Azure has been seen to send -1), and what is no number."""
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _tokens(request: Request) -> int:
    return request.input_tokens + (request.max_output or 0) * request.choices


def _need(counts: str, request: Request, account: _Account) -> float:
    """What ``request`` takes of a limit, beside what is under way."""
    if counts == "requests":
        return 1.0 + account.begun
    if counts == "input":
        return float(request.input_tokens)
    if counts == "output":
        return float((request.max_output or 0) * request.choices)
    return float(_tokens(request) + account.promised)
