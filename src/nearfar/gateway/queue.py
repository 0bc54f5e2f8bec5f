"""The bounded queue in front of busy deployments: who gets the next free slot, and who should go elsewhere instead.

It holds no request and reads no clock: it is told the time, so that a simulation runs the same code.
"""

from __future__ import annotations

import math
from bisect import insort

from nearfar.gateway.forecast import forecast, places
from nearfar.gateway.lines import Line, Ticket

SLACK = 1.25
"""How much longer than its patience a waiting request must be expected to wait before it leaves."""
_SELDOM = 7
_STEP = 1.12
"""By how much a forecast that was too short makes the next ones longer."""
_MOST = 2.5


class Queue:
    """The slots of all lines, and who waits for them."""

    def __init__(self, *, longest: int) -> None:
        """``longest``: requests that may wait for one line."""
        self._longest = longest

    def enter(self, ticket: Ticket, now: float) -> bool:
        """Whether ``ticket`` has its outcome at once; else it waits for a slot."""
        for at, load in enumerate(ticket.choices):
            line = load.line
            if line.slots is None or (line.busy < line.slots and not line.waiting):
                line.busy += 1
                ticket.at, ticket.outcome = at, "slot"
                return True
        lines = ticket.lines
        if all(len(line.waiting) >= self._longest for line in lines):
            ticket.outcome = "full"
            return True
        if ticket.patience < math.inf:
            begin = forecast(lines, now, ticket)
            ticket.guess, ticket.sure = begin.mean, begin.sure
            if begin.sure > ticket.patience:
                ticket.outcome = "wait"
                return True
        for line in lines:
            insort(line.waiting, ticket)
        return False

    def leave(self, line: Line, now: float) -> None:
        """A slot of ``line`` is free again."""
        line.busy -= 1
        self._fill(line, now)
        self.reconsider(line, now)

    def withdraw(self, ticket: Ticket) -> None:
        """``ticket`` waits no longer: its client has gone, or its time is up."""
        for load in ticket.choices:
            waiting = load.line.waiting
            if ticket in waiting:
                waiting.remove(ticket)

    def expire(self, ticket: Ticket, now: float) -> None:
        """``ticket`` has waited as long as it may."""
        if not ticket.outcome:
            _learn(ticket, now)
            self._out(ticket, "wait")

    def reconsider(self, line: Line, now: float) -> None:
        """Send away who, as things have gone, would wait too long."""
        if not any(ticket.patience < math.inf for ticket in line.waiting):
            return
        order, begins = places((line,), now)
        for ticket, begin in zip(order, begins, strict=True):
            if now - ticket.since + begin.sure > ticket.patience * SLACK:
                _learn(ticket, now, begin.mean)
                self._out(ticket, "wait")

    def _fill(self, line: Line, now: float) -> None:
        while line.waiting and line.slots is not None and line.busy < line.slots:
            ticket = line.waiting[0]
            line.busy += 1
            ticket.at = next(at for at, load in enumerate(ticket.choices) if load.line is line)
            _learn(ticket, now)
            self._out(ticket, "slot")

    def _out(self, ticket: Ticket, outcome: str) -> None:
        self.withdraw(ticket)
        ticket.outcome = outcome
        ticket.wake()


def _learn(ticket: Ticket, now: float, more: float = 0.0) -> None:
    """Forecasts are made so cautious that one in ``_SELDOM`` waits is longer than it was sure to be.

    ``more``: seconds that it would still have waited.
    """
    if ticket.sure is None:
        return
    longer = now + more - ticket.since > ticket.sure
    step = _STEP if longer else _STEP ** (-1 / (_SELDOM - 1))
    for line in ticket.lines:
        line.caution = min(max(line.cautious(now) * step, 1 / _MOST), _MOST)
        line.learned = now
