"""Two real engines behind the gateway's own path, in this process; the cloud is the labelled stand-in.

Every time that was measured is told to an oracle, so that it can be asked what the same requests allowed.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import json
import math
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench.wait_sim import best_at, p95
from nearfar import build
from nearfar.core.chat import Request, Usage
from nearfar.core.errors import NearfarError
from nearfar.engine.library import DEMO_PATH
from nearfar.gateway.decider import Said
from nearfar.gateway.exchange import Exchange
from nearfar.gateway.lines import Run
from nearfar.settings import load
from nearfar.wire.openai_chat import CLIENT

WORDS = (
    "the",
    "river",
    "stone",
    "light",
    "walks",
    "under",
    "green",
    "slow",
    "house",
    "tells",
    "every",
    "small",
    "word",
)
CONFIG = """
state_dir = "{folder}/state"
models_dir = "{folder}/models"
[discovery]
loopback = false
keys = false
[engine]
threads = 1
slots = {slots}
context = 1024
idle_unload = 0
[retries]
again = 0
[deployments.near-a]
provider = "embedded"
model = "near-a"
[deployments.near-b]
provider = "embedded"
model = "near-b"
[deployments.far]
provider = "openai-compatible"
model = "stand-in-large"
base_url = "{cloud}/v1"
headers = {{ x-stand-in = '{behaviour}' }}
[routes.spill]
deployments = ["near-a", "near-b", "far"]
strategy = "local-first"
balance = "wait"
spill_after = {within}
[routes.fastest]
deployments = ["near-a", "near-b", "far"]
strategy = "fastest"
[routes.later]
deployments = ["near-a", "near-b", "far"]
strategy = "fastest"
spill_after = {later}
[routes.far]
deployments = ["far"]
strategy = "cloud-only"
[routes.near]
deployments = ["near-a", "near-b"]
strategy = "local-only"
balance = "wait"
"""


ROUTES = {
    "fastest": "fastest",
    "later": "fastest, spill_after {later:g}",
    "spill": "local-first, spill_after {within:g}",
}
"""Their names in the configuration, and what stands in the figures."""


class Answered(NamedTuple):
    """One request as it went. Times are seconds."""

    at: float
    """When it came, from the start of the run."""
    tokens: int
    output: int
    """Tokens of its answer."""
    first: float
    """Until its first content, from its arrival."""
    begin: float
    """The same, from its slot."""
    hold: float
    """How long it had the slot."""
    near: bool
    predicted: float
    """The first content of the deployment that answered, as it was expected on arrival."""
    waited: float
    """Until its slot, or until it went to the cloud."""


class Out:
    """Notes when the client would have seen the first content."""

    def __init__(self) -> None:
        self.deployment = ""
        self.first = 0.0
        self.failed = ""
        self.pieces = 0

    async def start(self, status: int, headers: list[tuple[bytes, bytes]], lines: bytes = b"") -> None:  # noqa: ARG002  the shape of an Out
        """The head of the reply."""
        for line in lines.split(b"\r\n"):
            name, _, value = line.partition(b": ")
            if name == b"x-nearfar-deployment":
                self.deployment = value.decode()
        if status != 200:
            self.failed = str(status)

    async def write(self, data: bytes) -> None:
        """A piece of the reply."""
        if not self.first and b'"content":"' in data.replace(b'": "', b'":"'):
            self.first = time.perf_counter()
        self.pieces += data.count(b"data: ")

    async def end(self, data: bytes) -> None:
        """The last piece."""

    async def abort(self) -> None:
        """The reply broke off."""
        self.failed = "cut"


def question(draw: random.Random, number: int, words: int, output: int) -> Request:
    """A streamed question of so many words. Each begins differently, so that no engine has it in its cache."""
    text = f"{number} " + " ".join(draw.choice(WORDS) for _ in range(words))
    body = {
        "model": "spill",
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [{"role": "user", "content": text}],
        "max_tokens": output,
        "ignore_eos": True,
        "temperature": 0.8,
    }
    return CLIENT.parse(json.dumps(body).encode(), f"req-bench{number:06d}")


@contextlib.contextmanager
def stand_in() -> Iterator[str]:
    """The stand-in for a cloud, as a child process; yields its address."""
    command = [sys.executable, "-m", "nearfar.standin", "--until-eof"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            yield child.stdout.readline().strip().rpartition(" ")[2]
        finally:
            child.terminate()


@contextlib.asynccontextmanager
async def gateway(folder: Path, cloud: str, **values: object) -> AsyncIterator[build.Gateway]:
    """The parts of a gateway over two engines and the stand-in."""
    (folder / "models").mkdir(parents=True, exist_ok=True)
    for name in ("near-a", "near-b"):
        path = folder / "models" / f"{name}.gguf"
        if not path.exists():
            path.symlink_to(DEMO_PATH)
    config = folder / "config.toml"
    config.write_text(CONFIG.format(folder=folder, cloud=cloud, **values))
    loaded = load.load(config=config, environ={"HOME": str(folder), "PATH": os.defpath})
    built = build.gateway(loaded)
    built.start()
    try:
        yield built
    finally:
        await built.close()


async def ask(house: build.Gateway, request: Request, out: Out) -> None:
    """Answer one request, whatever becomes of it."""
    with contextlib.suppress(NearfarError):
        await house.pipeline.answer(request, CLIENT, Said(), out)


class Plan(NamedTuple):
    """How much is asked."""

    requests: int = 150
    words: float = 250.0
    answer: float = 150.0
    slots: int = 2
    cloud_ms: float = 400.0
    later: float = 0.2
    """Seconds by which near may be later than the cloud."""
    within: float = 0.5
    """Seconds in which near is to send its first content."""
    loads: tuple[float, ...] = (0.5, 1.0, 1.5)
    """Shares of what the engines can do."""


async def capacity(house: build.Gateway, plan: Plan, draw: random.Random, seconds: float = 8.0) -> float:
    """Requests that both engines answer each second when all slots are busy all the time."""
    ended = 0
    number = 100_000
    began = time.perf_counter()

    async def client() -> None:
        nonlocal ended, number
        while time.perf_counter() - began < seconds:
            number += 1
            request, _ = drawn(draw, plan, number)
            request.model = "near"
            await ask(house, request, Out())
            ended += 1

    await asyncio.gather(*(client() for _ in range(2 * plan.slots)))
    return ended / (time.perf_counter() - began)


async def calm(house: build.Gateway, plan: Plan, draw: random.Random, count: int = 16) -> None:
    """A few requests one after the other, so that the gateway has seen its cloud, and its engines at rest too."""
    for number in range(200_000, 200_000 + count):
        for side in ("near", "far"):
            request, _ = drawn(draw, plan, number)
            request.model = side
            await ask(house, request, Out())


def drawn(draw: random.Random, plan: Plan, number: int) -> tuple[Request, int]:
    """A request of random length, and how long its answer will be: that is between it and the engine alone."""
    words = max(5, min(400, round(draw.lognormvariate(math.log(plan.words) - 0.18, 0.6))))
    output = max(2, min(400, round(draw.lognormvariate(math.log(plan.answer) - 0.18, 0.6))))
    request = question(draw, number, words, output)
    request.max_output = None
    return request, output


class Trace:
    """What every attempt took, by request: (slot taken, first content, end, deployment); perf_counter seconds."""

    def __init__(self, house: build.Gateway) -> None:
        self.taken: dict[str, tuple[float, float, float, str]] = {}
        ended = house.loads.ended

        def noted(run: Run, *, well: bool, usage: Usage | None) -> None:
            exchange = run.exchange
            first = run.first_at()
            if well and first is not None and isinstance(exchange, Exchange):
                end = time.perf_counter()
                self.taken[exchange.request.id] = (run.began, first, end, run.load.name)
            ended(run, well=well, usage=usage)

        house.loads.ended = noted  # type: ignore[method-assign]  # the bench looks on


async def load_run(house: build.Gateway, plan: Plan, route: str, rate: float, seed: int) -> list[Answered]:
    """Poisson arrivals at ``rate`` a second on ``route``; each request as it went, in the order of arrival."""
    draw, gaps = random.Random(seed), random.Random(seed + 1)
    found: list[Answered] = []
    trace = Trace(house)
    began = time.perf_counter()

    async def one(request: Request, output: int) -> None:
        request.model = route
        arrived = time.perf_counter()
        decision, snapshot = house.decider.decide(request, house.fleet.snapshot.routes[route], Said())
        told = house.decider.expected(request, decision, snapshot)
        out = Out()
        await ask(house, request, out)
        if out.failed or not out.first:
            raise RuntimeError(f"{request.id} failed: {out.failed or 'no content'}")
        taken, first, end, deployment = trace.taken[request.id]
        [guess] = [item.expected for item in told.ranked if item.candidate.deployment.name == deployment]
        assert guess is not None
        found.append(
            Answered(
                at=arrived - began,
                tokens=request.input_tokens,
                output=output,
                first=out.first - arrived,
                begin=first - taken,
                hold=end - taken,
                near=deployment != "far",
                predicted=guess.first,
                waited=taken - arrived,
            )
        )

    async with asyncio.TaskGroup() as group:
        at = began
        for number in range(plan.requests):
            at += gaps.expovariate(rate)
            await asyncio.sleep(max(0.0, at - time.perf_counter()))
            group.create_task(one(*drawn(draw, plan, seed * 1000 + number)))
    return sorted(found)


class Times(NamedTuple):
    """What one request takes, wherever it goes. Seconds."""

    at: float
    begin: float
    """Near, until its first content, from its slot."""
    hold: float
    """Near, for which it has the slot."""
    cloud: float
    """Far, until its first content."""


def times(rows: list[Answered], cloud: float) -> list[Times]:
    """What each request took where it was, and would have taken on the other side.

    Near, from its own lengths: a line through what others of the run took, times how far one of them, drawn, was off
    that line. Far: what one that went there, drawn, took; ``cloud`` seconds where none did.
    """
    near = [row for row in rows if row.near]
    reading = _line([(row.tokens, row.begin) for row in near])
    saying = _line([(row.output, row.hold - row.begin) for row in near])
    off = [(row.begin / reading(row.tokens), (row.hold - row.begin) / saying(row.output)) for row in near]
    clouds = [row.first - row.waited for row in rows if not row.near] or [cloud]
    draw = random.Random(1)
    found = []
    for row in rows:
        if row.near:
            found.append(Times(row.at, row.begin, row.hold, draw.choice(clouds)))
            continue
        late, long = draw.choice(off)
        begin = reading(row.tokens) * late
        found.append(Times(row.at, begin, begin + saying(row.output) * long, row.first - row.waited))
    return found


def _line(points: list[tuple[int, float]]) -> Callable[[int], float]:
    """Through what was seen, never below a tenth of its mean."""
    lengths, seconds = [x for x, _ in points], [y for _, y in points]
    mean = statistics.fmean(seconds)
    slope, base = (0.0, mean) if len(set(lengths)) < 2 else statistics.linear_regression(lengths, seconds)
    return lambda x: max(mean / 10, base + slope * x)


def oracle(rows: list[Times], slots: int, by: str, limit: float) -> tuple[list[float], float]:
    """Seconds to the first content, and the cloud share, for who knows every time.

    A request goes to the cloud at once where keeping it would cost more than ``limit`` seconds: ``by`` ``wait`` until
    its slot, or by ``first`` content beyond the cloud's.
    """
    free = [0.0] * slots
    firsts, gone = [], 0
    for row in rows:
        wait = max(0.0, free[0] - row.at)
        if (wait if by == "wait" else wait + row.begin - row.cloud) > limit:
            gone += 1
            firsts.append(row.cloud)
            continue
        firsts.append(wait + row.begin)
        heapq.heapreplace(free, row.at + wait + row.hold)
    return firsts, gone / len(rows)


async def measure(folder: Path, plan: Plan) -> list[dict[str, object]]:
    """All ways to spill at 50, 100 and 150 % of what the engines can do; one row each."""
    found: list[dict[str, object]] = []
    with stand_in() as cloud:
        behaviour = json.dumps({"first_byte_ms": plan.cloud_ms})
        async with gateway(
            folder, cloud, slots=plan.slots, behaviour=behaviour, later=plan.later, within=plan.within
        ) as house:
            full = await capacity(house, plan, random.Random(0))
            await calm(house, plan, random.Random(1))
            for load in plan.loads:
                for route in ROUTES:
                    rows = await load_run(house, plan, route, load * full, round(load * 100))
                    found.append(judged(rows, plan, load, route))
    return found


def judged(rows: list[Answered], plan: Plan, load: float, route: str) -> dict[str, object]:
    """The figures of one run beside the oracle's at the same cloud share."""
    share = sum(not row.near for row in rows) / len(rows)
    known = times(rows, plan.cloud_ms / 1000)
    best = best_at([partial(oracle, known, 2 * plan.slots, by) for by in ("wait", "first")], share)
    ours, theirs = p95([row.first for row in rows]), p95(best[0])
    return {
        "load": load,
        "route": ROUTES[route].format(later=plan.later, within=plan.within),
        "requests": len(rows),
        "cloud_share": round(share, 3),
        "oracle_cloud_share": round(best[1], 3),
        "p95_s": round(ours, 3),
        "oracle_p95_s": round(theirs, 3),
        "ratio": round(ours / theirs, 2),
        "median_error": round(statistics.median(abs(row.predicted - row.first) / row.first for row in rows), 3),
    }
