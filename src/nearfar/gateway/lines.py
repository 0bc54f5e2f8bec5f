"""What is under way and who waits: attempts, the slots they take, requests that want one. Nothing is decided here."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from nearfar.gateway.speed import Load

HEAD_START = {"high": -30.0, "normal": 0.0, "low": 30.0}
"""Priority → seconds by which a request counts as having come later. So nobody waits for ever behind others."""
_BELIEVED = 120.0
"""Seconds after which half of what was learned of forecasts is forgotten, while nothing new is."""


class Answering(Protocol):
    """What tells when a client saw something: the exchange."""

    @property
    def started(self) -> float:
        """When the request came."""
        ...

    @property
    def first(self) -> float | None:
        """Seconds from then to the first content; None before it."""
        ...


class Run:
    """An attempt under way."""

    __slots__ = ("ahead", "began", "exchange", "limit", "load", "others", "tokens")

    def __init__(
        self, load: Load, began: float, tokens: int, limit: int | None, exchange: Answering | None, others: int = 0
    ) -> None:
        """``others``: attempts that were under way there when it began."""
        self.load = load
        self.began = began
        self.tokens = tokens
        self.limit = limit
        self.exchange = exchange
        self.others = others
        self.ahead = 0
        """Tokens of others' prompts that had still to be read there when it began."""

    def loaded(self) -> None:
        """Its model is in memory only now: what that took is no part of its speed."""
        self.began = self.load.clock()

    def first_at(self) -> float | None:
        """When the client saw the first content of this attempt."""
        exchange = self.exchange
        if exchange is None or exchange.first is None:
            return None
        at = exchange.started + exchange.first
        return at if at >= self.began else None


class Left(NamedTuple):
    """In how many seconds each slot of a line is free, and for which state that was worked out."""

    at: float
    busy: int
    newest: Run | None
    seconds: tuple[float, ...]


class Unread(NamedTuple):
    """Tokens of prompts that a line had still to read, and when that was worked out."""

    at: float
    newest: Run
    tokens: int


class Line:
    """What deployments share that answer from the same slots: one model in one runtime."""

    __slots__ = ("busy", "caution", "learned", "left", "name", "runs", "slots", "unread", "waiting")

    def __init__(self, name: str, slots: int | None) -> None:
        self.name = name
        self.slots = slots
        """Requests that it answers at once; None when nobody knows."""
        self.caution = 1.0
        """How many times longer than worked out a wait may be that is seldom exceeded: learned from those that were."""
        self.learned = 0.0
        """When that was learned last."""
        self.left: Left | None = None
        """How long its slots are still taken, as it was worked out last."""
        self.unread: Unread | None = None
        """How much of the prompts there was not read yet, as it was worked out last."""
        self.busy = 0
        """Slots that were given to requests."""
        self.runs: dict[Run, None] = {}
        """Attempts under way, oldest first."""
        self.waiting: list[Ticket] = []
        """Requests that wait for a slot, in the order in which they get one."""

    def cautious(self, now: float) -> float:
        """``caution`` as far as it is still believed: where nobody waits because of it, nothing else would end it."""
        return 1 + (self.caution - 1) * math.exp2(-max(0.0, now - self.learned) / _BELIEVED)


class Ticket:
    """A request that wants one of a few slots."""

    __slots__ = (
        "at",
        "choices",
        "guess",
        "key",
        "limit",
        "lines",
        "outcome",
        "patience",
        "since",
        "sure",
        "tokens",
        "wake",
    )

    def __init__(
        self,
        choices: tuple[Load, ...],
        *,
        tokens: int,
        limit: int | None,
        since: float,
        patience: float = math.inf,
        priority: str = "normal",
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        """``choices``: deployments that it may be answered by, the preferred one first. ``patience``: seconds that it
        may wait before it is better off elsewhere. ``wake`` is called once ``outcome`` is there.
        """
        self.choices = choices
        self.lines = {load.line: load for load in choices}
        """Where it waits, and who would answer there."""
        self.tokens = tokens
        self.limit = limit
        self.since = since
        self.patience = patience
        self.key = since + HEAD_START[priority]
        self.wake = wake
        self.outcome = ""
        """``slot``, ``full`` or ``wait`` (it would take too long); empty while it waits."""
        self.at = -1
        """Which of its choices has a slot for it."""
        self.guess: float | None = None
        """Seconds until a slot is free, as expected when it came."""
        self.sure: float | None = None
        """Seconds that this was expected to exceed seldom."""

    def __lt__(self, other: Ticket) -> bool:
        return self.key < other.key
