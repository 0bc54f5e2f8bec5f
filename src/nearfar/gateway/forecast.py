"""Who gets a slot when, as things stand: the arithmetic of ``policy.wait`` over lines and those who wait for them.

It changes nothing but what a line remembers of it, and reads no clock.
"""

from __future__ import annotations

import heapq
from bisect import insort
from collections.abc import Iterable, Sequence

from nearfar.gateway.lines import Left, Line, Ticket
from nearfar.policy.wait import Begin, Turn, begins, place_all

_FRESH = 0.01
"""Seconds for which it is not worked out again how long slots are taken, while the same requests have them."""


def forecast(start: Iterable[Line], now: float, ticket: Ticket) -> Begin:
    """In how many seconds ``ticket`` would get a slot if it came to ``start``, its lines, now."""
    lines = tuple(start)
    order = _one_queue(lines, ticket)
    if order is None:
        order, found = places(lines, now, ticket)
        return found[order.index(ticket)]
    left = [_left(line, now) for line in lines]
    flat = [seconds for slots in left for seconds in slots]
    ahead = order.index(ticket)
    if not ahead:  # then nobody's turn counts
        spread = ticket.choices[0].turn(now).answers.spread(ticket.limit)
        return _cautious(begins(min(flat), 0, flat, 1.0, spread), ticket, now)
    turns = [ticket.lines[line].turn(now) for line in lines]
    return _begin(ticket, turns, _after(order[:ahead], left, turns), ahead, flat, now)


def places(start: Iterable[Line], now: float, more: Ticket | None = None) -> tuple[list[Ticket], list[Begin]]:
    """Everybody who waits for lines that hang together with ``start``, and in how many seconds each begins."""
    lines: dict[Line, int] = {line: number for number, line in enumerate(start)}
    waiting: dict[Ticket, None] = {}
    todo = list(lines)
    for line in todo:  # it grows: whoever waits here may wait elsewhere too
        for ticket in line.waiting:
            if ticket not in waiting:
                waiting[ticket] = None
                for other in ticket.lines:
                    if other not in lines:
                        lines[other] = len(lines)
                        todo.append(other)
    if more is not None:
        waiting[more] = None  # behind those that came at the same moment
    order = sorted(waiting)
    left = [_left(line, now) for line in lines]
    ahead = []
    for ticket in order:
        turns = [load.turn(now) for load in ticket.lines.values()]
        takes = [turn.whole(ticket.tokens, ticket.limit) for turn in turns]
        ahead.append(([lines[line] for line in ticket.lines], takes))
    exact = place_all([list(slots) for slots in left], ahead)
    found = []
    for number, ticket in enumerate(order):
        at, _ = ahead[number]
        mine = set(at)
        before = sum(len(mine.intersection(other)) / len(other) for other, _ in ahead[:number])
        busy = [seconds for line in mine for seconds in left[line]]
        turns = [load.turn(now) for load in ticket.lines.values()]
        found.append(_begin(ticket, turns, exact[number], before, busy, now))
    return order, found


def _one_queue(lines: Sequence[Line], more: Ticket) -> list[Ticket] | None:
    """Who waits, ``more`` among them, where everybody waits for all of ``lines`` and for no other; else None."""
    waiting = lines[0].waiting
    for line in lines:
        if line.waiting != waiting:
            return None
    count = len(lines)
    for ticket in waiting:
        if len(ticket.lines) != count:
            return None
    order = list(waiting)
    insort(order, more)
    return order


def _after(order: Iterable[Ticket], left: Sequence[Sequence[float]], turns: Sequence[Turn]) -> float:
    """When a slot is free after those of ``order`` if each of them takes the one that is free first.

    ``left``: for each line, in how many seconds its slots are free.
    """
    slots = [(seconds, number) for number, found in enumerate(left) for seconds in found]
    heapq.heapify(slots)
    for ticket in order:
        at, number = slots[0]
        heapq.heapreplace(slots, (at + turns[number].whole(ticket.tokens, ticket.limit), number))
    return slots[0][0]


def _begin(
    ticket: Ticket, turns: Sequence[Turn], exact: float, ahead: float, left: Sequence[float], now: float
) -> Begin:
    tokens, limit = ticket.tokens, ticket.limit
    if limit is None:
        turn = (sum([turn.least for turn in turns]) + tokens * sum([turn.prefill for turn in turns])) / len(turns)
    else:
        turn = sum([turn.whole(tokens, limit) for turn in turns]) / len(turns)
    return _cautious(begins(exact, ahead, left, turn, turns[0].answers.spread(limit)), ticket, now)


def _cautious(begin: Begin, ticket: Ticket, now: float) -> Begin:
    """``begin`` as sure as those forecasts were lately that somebody went by."""
    return Begin(begin.mean, begin.sure * ticket.choices[0].line.cautious(now))


def _left(line: Line, now: float) -> tuple[float, ...]:
    """In how many seconds each slot of ``line`` is free."""
    newest = next(reversed(line.runs), None)
    known = line.left
    if known is not None and known.busy == line.busy and known.newest is newest and 0 <= now - known.at < _FRESH:
        return known.seconds
    slots = max(line.slots or 1, line.busy, 1)
    found = []
    for run in line.runs:
        first = run.first_at()
        since = None if first is None else now - first
        found.append(run.load.turn(now).left(run.tokens, run.limit, now - run.began, since))
    found = found[:slots]
    # A slot that was given away a moment ago, whose attempt has not begun, takes about what the others have left.
    given = min(line.busy, slots) - len(found)
    if given > 0:
        found += [sum(found) / len(found) if found else 0.0] * given
    line.left = Left(now, line.busy, newest, (*found, *[0.0] * (slots - len(found))))
    return line.left.seconds
