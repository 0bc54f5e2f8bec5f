"""What is known of all deployments from their traffic: what is under way, what to expect of each. Decides nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from nearfar.core.chat import Usage
from nearfar.core.money import likely
from nearfar.core.routing import Candidate, Deployment, Expected
from nearfar.gateway.forecast import forecast
from nearfar.gateway.lines import Answering, Line, Run, Ticket
from nearfar.gateway.speed import Load
from nearfar.policy.strategies import UNKNOWN, Outlook
from nearfar.policy.wait import CROWDS, FAR, NEAR, Begin, Pace


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a deployment at one moment, for people and for who works out what would happen."""

    deployment: str
    slots: int | None = None
    in_flight: int = 0
    queued: int = 0
    pace: Pace


class Loads:
    """The loads of all deployments of one process."""

    def __init__(self, *, clock: Callable[[], float] = time.perf_counter, share: int = 1) -> None:
        """``share``: processes that share each runtime's slots evenly."""
        self.now = clock
        self._share = share
        self._loads: dict[str, Load] = {}
        self._lines: dict[str, Line] = {}
        self._heard: dict[str, Pace] = {}
        """What other processes said last, by deployment."""
        self._told: dict[str, int] = {}
        """Attempts that the pace rested on which they were told last, by deployment."""

    def of(self, deployment: Deployment) -> Load:
        """The load of ``deployment``, which begins with what is assumed of its place."""
        load = self._loads.get(deployment.name)
        return load if load is not None and load.slots == deployment.slots else self._new(deployment)

    def find(self, name: str) -> Load | None:
        """The load of the deployment ``name``; None where nothing is known of it."""
        return self._loads.get(name)

    def _new(self, deployment: Deployment) -> Load:
        key = f"{deployment.base_url} {deployment.model}"
        slots = None if deployment.slots is None else max(1, deployment.slots // self._share)
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = Line(key, slots)
        line.slots = slots
        load = self._loads.get(deployment.name)
        if load is None or load.line is not line:
            near = deployment.place.near
            load = Load(deployment.name, line, NEAR if near else FAR, self.now, near=near)
            if deployment.name in self._heard:
                load.assume(self._heard[deployment.name])
            self._loads[deployment.name] = load
        load.slots = deployment.slots
        load.renew()
        return load

    def outlooks(
        self,
        candidates: Sequence[Candidate],
        *,
        tokens: int,
        limit: int | None,
        stream: bool,
        priced: bool = False,
        shared: bool = False,
        short: Callable[[Deployment], float] | None = None,
    ) -> dict[str, Outlook]:
        """What is expected of each of ``candidates`` for a request of ``tokens`` with an answer of at most ``limit``.

        ``priced``: whether prices are asked for. ``shared``: whether whoever has the first free slot may answer.
        ``short``: seconds until the limits that an upstream told of have room for it.
        """
        # Done for each candidate of each request: what can be worked out beforehand was (``Pace.quick``).
        now = self.now()
        loads = self._loads
        whole = priced or not stream
        found: dict[str, Outlook] = {}
        queues: dict[bool, Begin] = {}
        for candidate in candidates:
            deployment = candidate.deployment
            name = deployment.name
            load = loads.get(name) or self.of(deployment)
            paces = load.paces
            if paces is None or load.noted or now > load.stale:
                paces = load.quick(now, self._attempts)
            line = load.line
            others = len(line.runs)
            wait = candidate.wait
            if short is not None:
                wait += short(deployment)
            slots = line.slots
            if slots is not None and others >= slots:
                others = slots - 1
            first, prefill, saved, token, answer, longest = paces[others] if others < CROWDS else paces[-1]
            begun = first + prefill * tokens
            if others and slots is not None and line.busy < slots:
                begun += prefill * load.unread(now)
            seconds = wait + begun
            if slots is not None and (line.busy >= slots or line.waiting):
                wait += self._queued(candidate, candidates if shared else (), queues, now, tokens, limit).sure
                seconds = wait + begun
            price = UNKNOWN
            if not whole:
                found[name] = Outlook(wait, seconds, saved * tokens, price, wait + begun)
                continue
            if limit is not None and limit < longest:
                answer = load.pace(now).answers.mean(limit)
            if not stream:
                seconds += (token if others < CROWDS else load.pace(now).token(others)) * answer
            if priced and deployment.price is not None:
                price = likely(deployment.price, tokens, answer)
            found[name] = Outlook(wait, seconds, saved * tokens, price, wait + begun)
        return found

    def _attempts(self) -> int:
        return sum([load.attempts() for load in self._loads.values()])

    def _queued(
        self,
        candidate: Candidate,
        candidates: Sequence[Candidate],
        queues: dict[bool, Begin],
        now: float,
        tokens: int,
        limit: int | None,
    ) -> Begin:
        """When a slot is free for ``candidate``; where all of its side among ``candidates`` are busy, the first one's.

        ``queues``: what was found for a whole side already.
        """
        near = candidate.deployment.place.near
        if near in queues:
            return queues[near]
        own = self.of(candidate.deployment)
        get = self._loads.get
        loads: list[Load] = []
        for other in candidates:
            deployment = other.deployment
            if deployment.place.near is near and not other.cooling:
                load = get(deployment.name) or self.of(deployment)
                line = load.line
                if line.slots is None:
                    continue
                if line.busy < line.slots and not line.waiting:
                    loads = []
                    break
                loads.append(load)
        shared = own in loads
        ticket = Ticket(tuple(loads) if shared else (own,), tokens=tokens, limit=limit, since=now)
        begin = forecast(ticket.lines, now, ticket)
        if shared:
            queues[near] = begin
        return begin

    def expected(
        self,
        candidate: Candidate,
        tokens: int,
        limit: int | None,
        *,
        among: Sequence[Candidate] = (),
        short: Callable[[Deployment], float] | None = None,
    ) -> Expected:
        """All that is expected of ``candidate``, for people to read. ``among``: who may answer in its place."""
        now = self.now()
        deployment = candidate.deployment
        load = self.of(deployment)
        pace, line = load.pace(now), load.line
        others = len(line.runs) if line.slots is None else min(len(line.runs), line.slots - 1)
        wait = candidate.wait + (0.0 if short is None else short(deployment))
        if line.slots is not None and (line.busy >= line.slots or line.waiting):
            wait += self._queued(candidate, among, {}, now, tokens, limit).mean
        ahead = load.unread(now) if others and line.slots is not None and line.busy < line.slots else 0
        first = wait + pace.begin(tokens + ahead, others)
        answer = pace.answers.mean(limit)
        price = None if deployment.price is None else round(likely(deployment.price, tokens, answer))
        return Expected(
            wait=wait,
            first=first,
            total=first + pace.token(others) * answer,
            price=price,
            samples=pace.samples,
            error=pace.error,
            in_flight=len(line.runs),
            queued=len(line.waiting),
        )

    def known(self) -> list[Known]:
        """What is known of every deployment that was asked for anything yet."""
        now = self.now()
        return [
            Known(
                deployment=load.name,
                slots=load.line.slots,
                in_flight=len(load.line.runs),
                queued=len(load.line.waiting),
                pace=load.pace(now),
            )
            for load in self._loads.values()
        ]

    def news(self) -> dict[str, Pace]:
        """What was measured here since this was last asked, by deployment: for other processes."""
        now = self.now()
        paces = {load.name: load.pace(now) for load in self._loads.values()}
        found = {name: pace for name, pace in paces.items() if pace.samples != self._told.get(name, 0)}
        self._told |= {name: pace.samples for name, pace in found.items()}
        return found

    def hear(self, paces: Mapping[str, Pace]) -> None:
        """What another process has measured is assumed here, rather than what its place says."""
        self._heard |= paces
        for name, pace in paces.items():
            if name in self._loads:
                self._loads[name].assume(pace)

    def adopt(self, deployment: Deployment, known: Known) -> None:
        """Believe what another process knows of ``deployment``. What it has under way is taken to have just begun."""
        load = self.of(deployment)
        load.adopt(known.pace)
        line = load.line
        asked = round(1 / known.pace.prefill) if known.pace.prefill else 0
        for _ in range(len(line.runs), known.in_flight):
            line.runs[Run(load, self.now(), min(asked, 100), None, None)] = None
        line.busy = len(line.runs)

    def started(self, deployment: Deployment, tokens: int, limit: int | None, exchange: Answering | None) -> Run:
        """An attempt begins."""
        load = self._loads.get(deployment.name) or self.of(deployment)
        runs = load.line.runs
        run = Run(load, self.now(), tokens, limit, exchange, len(runs))
        if runs and load.slots is not None:
            run.ahead = load.unread(run.began)
        runs[run] = None
        return run

    def ended(self, run: Run, *, well: bool, usage: Usage | None) -> None:
        """It is over; only from what ended ``well`` is anything learned."""
        load = run.load
        runs = load.line.runs
        runs.pop(run, None)
        began, exchange = run.began, run.exchange
        run.exchange = None  # what its line remembers of it is not to keep what was asked
        if not well:
            return
        first = None
        if exchange is not None and (seen := exchange.first) is not None:
            first = exchange.started + seen - began
        others = (run.others + len(runs)) >> 1
        load.noted.append((run.tokens, run.ahead, others, first, self.now() - began, usage))
