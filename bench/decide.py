"""What a decision costs among many candidates: `python -m bench.decide`.

Cases: a strategy whose decision is remembered, those that look at what is expected of everybody at this moment (for
streams and plain replies, idle and with all slots taken and some waiting), and a decision from nothing. Beside them,
what the path of a request pays for knowing its deployment's load, and what a learned router adds (reading the request,
scoring its prompt, deciding again), where its route names one.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
import timeit
from collections.abc import Callable
from typing import Any

from nearfar.core.chat import Request, Usage
from nearfar.core.money import FREE, NANO, Price
from nearfar.core.places import Class, Place
from nearfar.core.routing import Candidate, Capability, Deployment, Facts, Route
from nearfar.gateway.decider import Decider, Said
from nearfar.gateway.fleet import Fleet, Snapshot, Target
from nearfar.gateway.health import Health
from nearfar.gateway.lines import Ticket
from nearfar.gateway.load import Loads
from nearfar.gateway.metrics import Metrics
from nearfar.gateway.routers import Routers
from nearfar.policy.decide import decide
from nearfar.policy.rules import Rules
from nearfar.tuning import router
from nearfar.tuning.online import Online, Use
from nearfar.wire.openai_chat import CLIENT

CANDIDATES = 20
ROUNDS, EACH = 30, 200
WAITING = 4
"""Requests that wait where all slots are taken."""
LABELS = 1_500
"""Prompts that the router was fitted on: RouteLLM's budget."""
PROMPT = 1_800
"""Characters of the prompt that it scores, as in the other figures."""
RULES = Rules(name="bench", furthest=(Place.CLOUD,) * 4, default=Class.PUBLIC)
ROUTES: dict[str, dict[str, Any]] = {
    "remembered": {"strategy": "local-first"},
    "fastest": {"strategy": "fastest"},
    "cheapest": {"strategy": "cheapest"},
    "spilling": {"strategy": "local-first", "spill_after": 1.0, "balance": "wait"},
    "weighted": {"strategy": "weighted"},
}
CAPABILITIES = {"tools": Capability(can=True, source="probed"), "images": Capability(can=False, source="declared")}


def deployments(count: int) -> list[Deployment]:
    """Half of them near, with slots; half far, with prices."""
    return [
        Deployment(
            name=f"deployment-{number}",
            provider="bench",
            model="m",
            wire="openai.chat",
            base_url=f"http://127.0.0.1:{8000 + number}/v1",
            place=Place.DEVICE if number % 2 else Place.CLOUD,
            context=32_768,
            capabilities=CAPABILITIES,
            price=FREE if number % 2 else Price(id=f"p-{number}", input=number * NANO, output=3 * number * NANO),
            slots=4 if number % 2 else None,
        )
        for number in range(count)
    ]


def request(number: int, *, stream: bool = True) -> Request:
    """One of many: prompts differ in length."""
    return Request(
        id=f"req-{number}",
        wire="openai.chat",
        operation="chat",
        model="m",
        body=b"",
        fields={},
        stream=stream,
        input_tokens=200 + number % 100,
        needs=frozenset({"tools"}),
    )


def best(call: Callable[[], object]) -> float:
    """Microseconds of CPU; the best of many rounds, because a busy machine only ever adds."""
    return min(timeit.repeat(call, number=EACH, repeat=ROUNDS, timer=time.thread_time)) / EACH * 1e6


def words(chance: random.Random, length: int) -> str:
    """Invented words, a few of them common, as in any language."""
    known = [f"word{number}" for number in range(5_000)]
    weights = [1 / (number + 1) for number in range(5_000)]
    text = " ".join(chance.choices(known, weights, k=length // 5))
    return f"Question: {text[:length]}?"


def learned(labels: int = LABELS) -> float:
    """Microseconds that a router adds to a decision between a near and a far deployment."""
    chance = random.Random(1)
    prompts = [words(chance, chance.randrange(100, 1_500)) for _ in range(labels)]
    fitted = router.fit(prompts, [float(chance.choice((-1, 0, 1))) for _ in prompts])
    use = Use(route="r", mode="on", share=1.0, threshold=0.1, digest="")
    near, far = deployments(2)
    names = (near.name, far.name)
    route = Route(name="r", strategy="local-first", deployments=names)
    health = Health()
    snapshot = Snapshot({item.name: Target(item, {}, ()) for item in (near, far)}, {"r": route})
    decider = Decider(Fleet(snapshot, health), health, RULES, loads=Loads())
    routers = Routers(decider, {"r": Online(fitted, use, lambda: None)}, Metrics(), key=b"k")
    asked = []
    for number in range(16):
        body = {"model": "r", "messages": [{"role": "user", "content": words(chance, PROMPT)}]}
        asked.append(CLIENT.parse(json.dumps(body).encode(), f"req-{number}"))
    said, turn = Said(), iter(range(1 << 60))
    plain = decider.decide(asked[0], route, said)[0]

    async def scenario() -> float:
        best = float("inf")
        for _ in range(20):
            begun = time.thread_time()
            for _ in range(len(asked)):
                await routers.decide(asked[next(turn) & 15], route, said, plain, snapshot)
            best = min(best, time.thread_time() - begun)
        return best / len(asked) * 1e6

    return asyncio.run(scenario())


class Stage:
    """A decider over so many deployments that have all answered before, and requests that differ a little."""

    def __init__(self, count: int, *, busy: bool = False) -> None:
        """``busy``: every slot is taken, and a few requests wait for all of them."""
        self.known = deployments(count)
        names = tuple(item.name for item in self.known)
        self.routes = {name: Route(name=name, deployments=names, **how) for name, how in ROUTES.items()}
        health, self.loads = Health(), Loads()
        fleet = Fleet(Snapshot({item.name: Target(item, {}, ()) for item in self.known}, self.routes), health)
        self.decider = Decider(fleet, health, RULES, loads=self.loads)
        for number, item in enumerate(self.known):
            for tokens in range(100, 1100, 100):
                run = self.loads.started(item, tokens, None, None)
                self.loads.ended(run, well=True, usage=Usage(input=tokens, output=50 + number))
        if busy:
            self._fill()
        self._turn = iter(range(1 << 60))

    def _fill(self) -> None:
        near = [self.loads.of(item) for item in self.known if item.slots is not None]
        for item in self.known:
            for _ in range(item.slots or 0):
                self.loads.started(item, 300, None, None)
                self.loads.of(item).line.busy += 1
        for _ in range(WAITING):
            ticket = Ticket(tuple(near), tokens=300, limit=None, since=self.loads.now())
            for load in near:
                load.line.waiting.append(ticket)

    def deciding(self, name: str, *, stream: bool = True) -> float:
        """Microseconds of one decision on the route ``name``."""
        route, asked, said = self.routes[name], [request(number, stream=stream) for number in range(64)], Said()
        return best(lambda: self.decider.decide(asked[next(self._turn) & 63], route, said))


def measure(count: int = CANDIDATES, *, labels: int = LABELS) -> dict[str, float]:
    """Microseconds for each case."""
    stage, crowd = Stage(count), Stage(count, busy=True)
    facts = Facts(
        operation="chat",
        class_=Class.PUBLIC,
        class_reason="default",
        purpose="serve",
        input_tokens=300,
        max_output=None,
        needs=frozenset({"tools"}),
        stream=True,
    )
    candidates = [Candidate(deployment=item) for item in stage.known]
    usage = Usage(input=10, output=20)
    loads, known, first = stage.loads, stage.known, stage.routes["remembered"]

    def noting() -> None:
        loads.ended(loads.started(known[0], 100, None, None), well=True, usage=usage)

    found = {f"{name}_us": stage.deciding(name) for name in ROUTES}
    found |= {f"{name}_plain_us": stage.deciding(name, stream=False) for name in ("fastest", "cheapest")}
    found["fastest_busy_us"] = crowd.deciding("fastest")
    found["from_nothing_us"] = best(lambda: decide(facts, first, candidates, RULES, decision_id="dec-bench"))
    found["noting_an_attempt_us"] = best(noting)
    return {
        "candidates": count,
        **{name: round(us, 2) for name, us in found.items()},
        "learned_us": round(learned(labels), 1),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure()) + "\n")
