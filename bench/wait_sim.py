"""A simulation of local engines, a cloud and the gateway's own queue: no clock, no socket, the same figures every time.

The engines' physics and every service time are known here, so that an oracle can be asked what was possible.
"""

from __future__ import annotations

import heapq
import math
import random
import statistics
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple, TypedDict

import msgspec

from nearfar.core.chat import Usage
from nearfar.core.money import FREE, Price
from nearfar.core.places import Class, Place
from nearfar.core.routing import Candidate, Deployment, Facts, Route
from nearfar.gateway.lines import Run, Ticket
from nearfar.gateway.load import Loads
from nearfar.gateway.queue import Queue
from nearfar.gateway.speed import Load
from nearfar.policy import strategies
from nearfar.policy.decide import decide
from nearfar.policy.rules import Rules


class Engine(NamedTuple):
    """How fast an engine is. Speeds are tokens per second of one request that has the engine to itself."""

    slots: int = 2
    overhead: float = 0.02
    prefill: float = 1000.0
    decode: float = 40.0
    crowd: float = 0.5
    """How much longer a token takes for each other request in flight."""


class Asked(NamedTuple):
    """A request: when it comes, how long it is, how long its answer will be, and what the cloud would take."""

    at: float
    tokens: int
    output: int
    cloud: float


class Job:
    """A request in an engine."""

    __slots__ = ("asked", "done", "first", "prefill")

    def __init__(self, asked: Asked, engine: Engine) -> None:
        self.asked = asked
        self.prefill = engine.overhead + asked.tokens / engine.prefill
        self.done = float(asked.output)
        self.first: float | None = None


class Machine:
    """An engine at work: all its jobs advance together, each more slowly the more there are."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.jobs: list[Job] = []
        self.now = 0.0

    def copy(self) -> Machine:
        """Another one in the same state."""
        made = Machine(self.engine)
        made.now = self.now
        for job in self.jobs:
            twin = Job(job.asked, self.engine)
            twin.prefill, twin.done, twin.first = job.prefill, job.done, job.first
            made.jobs.append(twin)
        return made

    def _slower(self) -> float:
        return 1 + self.engine.crowd * (len(self.jobs) - 1)

    def next(self) -> float:
        """When the next job reaches its first content or its end, if nothing comes between."""
        if not self.jobs:
            return math.inf
        slower = self._slower()
        soonest = min(job.prefill if job.prefill > 0 else job.done / self.engine.decode for job in self.jobs)
        return self.now + soonest * slower

    def advance(self, now: float) -> list[Job]:
        """Go on to ``now``, not beyond ``next``; the jobs that have ended."""
        share = (now - self.now) / self._slower() if self.jobs else 0.0
        self.now = now
        ended = []
        for job in self.jobs:
            if job.prefill > 0:
                job.prefill -= share
                if job.prefill < 1e-9:
                    job.prefill = 0.0
                    job.first = now
            else:
                job.done -= share * self.engine.decode
                if job.done < 1e-6:
                    ended.append(job)
        for job in ended:
            self.jobs.remove(job)
        return ended


def traffic(
    seed: int,
    count: int,
    load: float,
    engines: list[Engine],
    *,
    prompt: float = 300,
    answer: float = 60,
    cloud: float = 0.6,
) -> list[Asked]:
    """Poisson arrivals at ``load`` times what the engines can do together."""
    draw = random.Random(seed)
    each = 0.0
    for engine in engines:
        slower = 1 + engine.crowd * (engine.slots - 1)
        each += engine.slots / (slower * (engine.overhead + prompt / engine.prefill + answer / engine.decode))
    rate = load * each
    at, found = 0.0, []
    for _ in range(count):
        at += draw.expovariate(rate)
        tokens = max(10, round(draw.lognormvariate(math.log(prompt) - 0.32, 0.8)))
        output = min(1000, max(1, round(draw.lognormvariate(math.log(answer) - 0.32, 0.8))))
        found.append(Asked(at, tokens, output, cloud * draw.lognormvariate(-0.02, 0.2)))
    return found


class Result(NamedTuple):
    """What came of one run."""

    firsts: list[float]
    share: float
    guesses: list[tuple[float, float]] = []

    @property
    def error(self) -> float:
        """The median error of the predicted first content, as a share of what came."""
        return statistics.median(abs(guess - came) / came for guess, came in self.guesses)


def p95(seconds: Sequence[float]) -> float:
    """What 95 % did not exceed."""
    return statistics.quantiles(seconds, n=100)[94]


class _Base(TypedDict):
    provider: str
    model: str
    wire: str
    price: Price


_BASE: _Base = {"provider": "bench", "model": "m", "wire": "w", "price": FREE}
_FACTS = Facts(
    operation="chat",
    class_=Class.PUBLIC,
    class_reason="default",
    purpose="serve",
    input_tokens=0,
    max_output=None,
    needs=frozenset(),
    stream=True,
)
OPEN = Rules(name="bench", furthest=(Place.CLOUD,) * 4, default=Class.PUBLIC)


class _Seen(NamedTuple):
    """What a client saw of a job."""

    job: Job
    started: float

    @property
    def first(self) -> float | None:
        """Seconds from the request's arrival to its first content; None before it."""
        return None if self.job.first is None else self.job.first - self.started


class House:
    """The gateway's own decision, queue and estimates over simulated engines and a cloud without limits."""

    def __init__(self, engines: list[Engine], route: Route) -> None:
        self.now = 0.0
        self.route = route
        self.engines = [Machine(engine) for engine in engines]
        self.loads = Loads(clock=lambda: self.now)
        self.queue = Queue(longest=256)
        near = [
            Deployment(**_BASE, name=f"near-{at}", base_url=str(at), place=Place.DEVICE, slots=engine.slots)
            for at, engine in enumerate(engines)
        ]
        far = Deployment(**_BASE, name="far", base_url="far", place=Place.CLOUD)
        self.candidates = [Candidate(deployment=deployment) for deployment in (*near, far)]
        self.firsts: dict[int, float] = {}
        self.guesses: list[tuple[float, float]] = []
        self.spilled = 0
        self._jobs: dict[Job, tuple[Run, int, float]] = {}
        self._timers: list[tuple[float, int, Ticket]] = []
        self._clouds: list[tuple[float, int, Run]] = []
        self._number = 0

    def next(self) -> float:
        """When something happens here again."""
        soonest = min(machine.next() for machine in self.engines)
        return min([soonest, *[item[0] for item in (*self._timers[:1], *self._clouds[:1])]])

    def advance(self, now: float) -> None:
        """Let everything happen that happens at ``now``."""
        self.now = now
        ended = [job for machine in self.engines for job in machine.advance(now)]
        for job in ended:
            run, number, guess = self._jobs.pop(job)
            self.loads.ended(run, well=True, usage=Usage(input=job.asked.tokens, output=job.asked.output))
            assert job.first is not None
            self._came(number, job.first - job.asked.at, guess)
            self.queue.leave(run.load.line, now)
        while self._clouds and self._clouds[0][0] <= now:
            run = heapq.heappop(self._clouds)[2]
            self.loads.ended(run, well=True, usage=Usage(input=run.tokens, output=1))
        while self._timers and self._timers[0][0] <= now:
            self.queue.expire(heapq.heappop(self._timers)[2], now)

    def ask(self, number: int, asked: Asked) -> None:
        """A request comes."""
        self.now = asked.at
        shared = strategies.of(self.route).shared
        outlooks = self.loads.outlooks(self.candidates, tokens=asked.tokens, limit=None, stream=True, shared=shared)
        facts = msgspec.structs.replace(_FACTS, input_tokens=asked.tokens)
        decision = decide(facts, self.route, self.candidates, OPEN, decision_id="", outlooks=outlooks)
        ranked = [item.candidate.deployment for item in decision.ranked]
        guess = {
            item.deployment.name: self.loads.expected(item, asked.tokens, None, among=self.candidates).first
            for item in self.candidates
        }
        near = [deployment for deployment in ranked if deployment.slots is not None]
        if ranked[0] not in near:
            self._far(number, asked, guess["far"])
            return
        patience = math.inf if decision.patience is None else decision.patience
        ticket = Ticket(
            tuple(map(self.loads.of, near)), tokens=asked.tokens, limit=None, since=self.now, patience=patience
        )

        def wake() -> None:
            if ticket.outcome == "slot":
                self._near(number, asked, ticket.choices[ticket.at], guess[near[ticket.at].name])
            else:
                self._far(number, asked, guess["far"])

        if self.queue.enter(ticket, self.now):
            wake()
        else:
            ticket.wake = wake
            self._number += 1
            heapq.heappush(self._timers, (self.now + patience, self._number, ticket))

    def _near(self, number: int, asked: Asked, load: Load, guess: float) -> None:
        at = int(load.name.removeprefix("near-"))
        machine = self.engines[at]
        job = Job(asked, machine.engine)
        run = self.loads.started(self.candidates[at].deployment, asked.tokens, None, _Seen(job, asked.at))
        machine.jobs.append(job)
        self._jobs[job] = (run, number, guess)

    def _far(self, number: int, asked: Asked, guess: float) -> None:
        self.spilled += 1
        job = Job(asked, Engine())
        job.first = self.now + asked.cloud
        run = self.loads.started(self.candidates[-1].deployment, asked.tokens, None, _Seen(job, asked.at))
        self._number += 1
        heapq.heappush(self._clouds, (job.first, self._number, run))
        self._came(number, job.first - asked.at, guess)

    def _came(self, number: int, first: float, guess: float) -> None:
        self.firsts[number] = first
        self.guesses.append((guess, first))


def ours(asked: list[Asked], engines: list[Engine], route: Route) -> Result:
    """What the gateway makes of ``asked``."""
    house = House(engines, route)
    for number, item in enumerate(asked):
        while (at := house.next()) <= item.at:
            house.advance(at)
        for machine in house.engines:
            machine.advance(item.at)
        house.ask(number, item)
    while (at := house.next()) < math.inf:
        house.advance(at)
    return Result([house.firsts[number] for number in range(len(asked))], house.spilled / len(asked), house.guesses)


class Oracle:
    """Who knows every service time: sends a request away on arrival where keeping it would cost more than ``limit``.

    ``by``: ``wait``, seconds until its slot, or ``first``, seconds until its first content beyond the cloud's. Nobody
    knows who comes later.
    """

    def __init__(self, engines: list[Engine], *, limit: float, by: str) -> None:
        self.machines = [Machine(engine) for engine in engines]
        self.limit = limit
        self.by = by
        self.waiting: list[tuple[int, Asked]] = []
        self.jobs: list[tuple[int, Job]] = []
        self.gone: dict[int, float] = {}

    def run(self, asked: list[Asked]) -> tuple[list[float], float]:
        """Seconds to the first content, in the order of arrival, and the cloud share."""
        for number, item in enumerate(asked):
            while (at := min(machine.next() for machine in self.machines)) <= item.at:
                self._advance(at)
            self._advance(item.at)
            self.waiting.append((number, item))
            self._send_away(item.at)
            self._start(self.machines, self.waiting, self.jobs)
        while (at := min(machine.next() for machine in self.machines)) < math.inf:
            self._advance(at)
        firsts = dict(self.gone)
        for number, job in self.jobs:
            assert job.first is not None
            firsts[number] = job.first - job.asked.at
        return [firsts[number] for number in range(len(asked))], len(self.gone) / len(asked)

    def _advance(self, at: float) -> None:
        for machine in self.machines:
            machine.advance(at)
        self._start(self.machines, self.waiting, self.jobs)

    def _send_away(self, now: float) -> None:
        while self.waiting:
            costs = [self._cost(item, begin) for (_, item), begin in zip(self.waiting, self._begins(now), strict=True)]
            worst = max(range(len(costs)), key=costs.__getitem__)
            if costs[worst] <= self.limit:
                return
            number, item = self.waiting.pop(worst)
            self.gone[number] = now - item.at + item.cloud

    def _cost(self, item: Asked, begin: float) -> float:
        if self.by == "wait":
            return begin - item.at
        engine = self.machines[0].engine
        return begin - item.at + engine.overhead + item.tokens / engine.prefill - item.cloud

    def _begins(self, now: float) -> list[float]:
        """When each of those who wait gets a slot, with nobody after them."""
        twins = [machine.copy() for machine in self.machines]
        left = list(self.waiting)
        found: list[float] = []
        at = now
        while True:
            before = len(left)
            self._start(twins, left, [])
            found += [at] * (before - len(left))
            if not left:
                return found
            at = min(machine.next() for machine in twins)
            for machine in twins:
                machine.advance(at)

    @staticmethod
    def _start(machines: list[Machine], waiting: list[tuple[int, Asked]], jobs: list[tuple[int, Job]]) -> None:
        while waiting:
            free = [machine for machine in machines if len(machine.jobs) < machine.engine.slots]
            if not free:
                return
            machine = min(free, key=lambda one: len(one.jobs))
            number, item = waiting.pop(0)
            job = Job(item, machine.engine)
            machine.jobs.append(job)
            jobs.append((number, job))


def at_share(run: Callable[[float], tuple[list[float], float]], share: float) -> tuple[list[float], float]:
    """The run whose limit leads to the given cloud share, or as near as it comes.

    ``run``: from a limit in seconds to (seconds to the first content, cloud share); a higher limit, a smaller share.
    """
    low, high = -20.0, 60.0
    best = run(high)
    for _ in range(18):
        middle = (low + high) / 2
        found = run(middle)
        if abs(found[1] - share) < abs(best[1] - share):
            best = found
        if found[1] > share:
            low = middle
        else:
            high = middle
    return best


def best_at(runs: Iterable[Callable[[float], tuple[list[float], float]]], share: float) -> tuple[list[float], float]:
    """The better one of several oracles, each at the given cloud share or as near as it comes."""
    found = [at_share(run, share) for run in runs]
    nearest = min(abs(result[1] - share) for result in found)
    return min((r for r in found if abs(r[1] - share) <= nearest + 0.01), key=lambda result: p95(result[0]))


def spilling(strategy: str, spill_after: float | None) -> Route:
    """Near and far by ``strategy``, with so much patience in seconds."""
    names = ("near-0", "near-1", "far")
    balance = "wait" if strategy == "local-first" else "listed"
    return Route(name="r", strategy=strategy, deployments=names, balance=balance, spill_after=spill_after)


def _asked_at(asked: list[Asked], engines: list[Engine], by: str, limit: float) -> tuple[list[float], float]:
    return Oracle(engines, limit=limit, by=by).run(asked)


def judged(
    load: float, strategy: str, spill_after: float | None, *, seed: int = 7, count: int = 1000
) -> dict[str, object]:
    """The gateway's figures beside the oracle's at the same cloud share."""
    engines = [Engine(), Engine()]
    asked = traffic(seed, count, load, engines)
    mine = ours(asked, engines, spilling(strategy, spill_after))
    best = best_at([partial(_asked_at, asked, engines, by) for by in ("wait", "first")], mine.share)
    return {
        "load": load,
        "route": strategy if spill_after is None else f"{strategy}, spill_after {spill_after:g}",
        "requests": count,
        "cloud_share": round(mine.share, 3),
        "oracle_cloud_share": round(best[1], 3),
        "p95_s": round(p95(mine.firsts), 3),
        "oracle_p95_s": round(p95(best[0]), 3),
        "ratio": round(p95(mine.firsts) / p95(best[0]), 2),
        "median_error": round(mine.error, 3),
    }
