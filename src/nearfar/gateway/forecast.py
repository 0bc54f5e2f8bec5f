"""Who gets a slot when, as things stand: the arithmetic of ``policy.wait`` over lines and those who wait for them.

It changes nothing and reads no clock.
"""

from __future__ import annotations

from collections.abc import Iterable

from nearfar.gateway.lines import Line, Ticket
from nearfar.policy.wait import Begin, begins, place_all


def forecast(lines: Iterable[Line], now: float, ticket: Ticket) -> Begin:
    """In how many seconds ``ticket`` would get a slot if it came to ``lines`` now."""
    order, found = places(lines, now, ticket)
    return found[order.index(ticket)]


def places(start: Iterable[Line], now: float, more: Ticket | None = None) -> tuple[list[Ticket], list[Begin]]:
    """Everybody who waits for lines that hang together with ``start``, and in how many seconds each begins."""
    lines: dict[Line, int] = {line: number for number, line in enumerate(start)}
    waiting: dict[Ticket, None] = {}
    todo = list(lines)
    for line in todo:  # it grows: whoever waits here may wait elsewhere too
        for ticket in line.waiting:
            if ticket not in waiting:
                waiting[ticket] = None
                for load in ticket.choices:
                    if load.line not in lines:
                        lines[load.line] = len(lines)
                        todo.append(load.line)
    if more is not None:
        waiting[more] = None  # behind those that came at the same moment
    order = sorted(waiting)
    free = [_free(line, now) for line in lines]
    left = [tuple(slots) for slots in free]
    ahead = []
    for ticket in order:
        takes = [
            load.pace(now).whole(ticket.tokens, ticket.limit, (load.line.slots or 1) - 1) for load in ticket.choices
        ]
        ahead.append(([lines[load.line] for load in ticket.choices], takes))
    exact = place_all(free, ahead)
    found = []
    for number, ticket in enumerate(order):
        at, takes = ahead[number]
        mine = set(at)
        before = sum(len(mine.intersection(other)) / len(other) for other, _ in ahead[:number])
        busy = [seconds for line in mine for seconds in left[line]]
        spread = ticket.choices[0].pace(now).answers.spread(ticket.limit)
        found.append(begins(exact[number], before, busy, sum(takes) / len(takes), spread))
    return order, found


def _free(line: Line, now: float) -> list[float]:
    """In how many seconds each slot of ``line`` is free."""
    slots = max(line.slots or 1, line.busy, 1)
    found = [run.load.left(run, now, slots - 1) for run in line.runs][:slots]
    # A slot that was given away a moment ago, whose attempt has not begun, takes about what the others have left.
    given = min(line.busy, slots) - len(found)
    if given > 0:
        found += [sum(found) / len(found) if found else 0.0] * given
    return found + [0.0] * (slots - len(found))
