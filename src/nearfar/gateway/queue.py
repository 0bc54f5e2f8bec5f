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
            ticket.guess = begin.mean
            if begin.sure > ticket.patience:
                ticket.outcome = "wait"
                return True
        for line in lines:
            insort(line.waiting, ticket)
        return False

    def leave(self, line: Line, now: float) -> None:
        """A slot of ``line`` is free again."""
        line.busy -= 1
        self._fill(line)
        self.reconsider(line, now)

    def withdraw(self, ticket: Ticket) -> None:
        """``ticket`` waits no longer: its client has gone, or its time is up."""
        for load in ticket.choices:
            waiting = load.line.waiting
            if ticket in waiting:
                waiting.remove(ticket)

    def expire(self, ticket: Ticket) -> None:
        """``ticket`` has waited as long as it may."""
        if not ticket.outcome:
            self._out(ticket, "wait")

    def reconsider(self, line: Line, now: float) -> None:
        """Send away who, as things have gone, would wait too long."""
        if not any(ticket.patience < math.inf for ticket in line.waiting):
            return
        order, begins = places((line,), now)
        for ticket, begin in zip(order, begins, strict=True):
            if now - ticket.since + begin.sure > ticket.patience * SLACK:
                self._out(ticket, "wait")

    def _fill(self, line: Line) -> None:
        while line.waiting and line.slots is not None and line.busy < line.slots:
            ticket = line.waiting[0]
            line.busy += 1
            ticket.at = next(at for at, load in enumerate(ticket.choices) if load.line is line)
            self._out(ticket, "slot")

    def _out(self, ticket: Ticket, outcome: str) -> None:
        self.withdraw(ticket)
        ticket.outcome = outcome
        ticket.wake()
