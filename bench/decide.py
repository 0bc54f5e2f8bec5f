"""What a decision costs among many candidates: `python -m bench.decide`.

Cases: a strategy whose decision is remembered, those that look at what is expected of everybody at this moment, and a
decision from nothing. Beside them, what the path of a request pays for knowing its deployment's load, and what a
learned router adds (reading the request, scoring its prompt, deciding again), where its route names one.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
import timeit
from collections.abc import Callable

from nearfar.core.chat import Request, Usage
from nearfar.core.money import FREE, NANO, Price
from nearfar.core.places import Class, Place
from nearfar.core.routing import Candidate, Capability, Deployment, Facts, Route
from nearfar.gateway.decider import Decider, Said
from nearfar.gateway.fleet import Fleet, Snapshot, Target
from nearfar.gateway.health import Health
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
LABELS = 1_500
"""Prompts that the router was fitted on: RouteLLM's budget."""
PROMPT = 1_800
"""Characters of the prompt that it scores, as in the other figures."""
RULES = Rules(name="bench", furthest=(Place.CLOUD,) * 4, default=Class.PUBLIC)
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


def request(number: int) -> Request:
    """One of many: prompts differ in length."""
    return Request(
        id=f"req-{number}",
        wire="openai.chat",
        operation="chat",
        model="m",
        body=b"",
        fields={},
        stream=True,
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


def measure(count: int = CANDIDATES, *, labels: int = LABELS) -> dict[str, float]:
    """Microseconds for each case."""
    known = deployments(count)
    names = tuple(item.name for item in known)
    routes = {
        strategy: Route(name=strategy, strategy=strategy, deployments=names)
        for strategy in ("local-first", "fastest", "cheapest")
    }
    health, loads = Health(), Loads()
    fleet = Fleet(Snapshot({item.name: Target(item, {}, ()) for item in known}, routes), health)
    decider = Decider(fleet, health, RULES, loads=loads)
    for number, item in enumerate(known):
        for tokens in range(100, 1100, 100):
            loads.ended(
                loads.started(item, tokens, None, None), well=True, usage=Usage(input=tokens, output=50 + number)
            )
    asked = [request(number) for number in range(64)]
    turn = iter(range(1 << 60))
    said = Said()

    def deciding(strategy: str) -> Callable[[], object]:
        route = routes[strategy]
        return lambda: decider.decide(asked[next(turn) & 63], route, said)

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
    candidates = [Candidate(deployment=item) for item in known]
    usage = Usage(input=10, output=20)

    def noting() -> None:
        loads.ended(loads.started(known[0], 100, None, None), well=True, usage=usage)

    return {
        "candidates": count,
        "remembered_us": round(best(deciding("local-first")), 2),
        "fastest_us": round(best(deciding("fastest")), 2),
        "cheapest_us": round(best(deciding("cheapest")), 2),
        "from_nothing_us": round(
            best(lambda: decide(facts, routes["local-first"], candidates, RULES, decision_id="dec-bench")), 2
        ),
        "noting_an_attempt_us": round(best(noting), 2),
        "learned_us": round(learned(labels), 1),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure()) + "\n")
