"""Cascades over whatever models say and however they fail: nothing above its class leaves, charges are the invoices,
and the client sees one whole answer.

The stand-in plays every model; its answers and log-probabilities are scripted.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import msgspec
import pytest
import uvloop
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests import running
from tests.faults.rig import DEADLINES, Rig, rig
from tests.faults.speakers import SPEAKERS
from tests.faults.test_matrix import balance

from nearfar.core.places import Place
from nearfar.core.routing import Branch, Cascade, Route
from nearfar.gateway.fleet import Snapshot
from nearfar.standin.behaviour import Behaviour
from nearfar.standin.server import StandIn

T = TypeVar("T")
PLACES = {"device": Place.DEVICE, "lan": Place.LAN, "private-cloud": Place.PRIVATE_CLOUD, "cloud": Place.CLOUD}
POLICIES = {
    "open": {"public": "cloud", "internal": "cloud", "confidential": "cloud", "restricted": "cloud"},
    "steps": {"public": "cloud", "internal": "cloud", "confidential": "private-cloud", "restricted": "device"},
}
ANSWERS = ("The answer is 42.", "42", "I say 41.", "I'm sorry, I cannot help with that.", "2 + 2 = 5, so 5", "", "{")
MODES = (*("ok",) * 14, "500", "429", "reset", "cut", "empty", "invalid-json")


class Plays(NamedTuple):
    """What a place's model does."""

    says: str
    mode: str
    logprob: float

    @property
    def pieces(self) -> tuple[str, ...]:
        first, *rest = self.says.split(" ")
        return (first or " ", *(f" {word}" for word in rest))


class Asked(NamedTuple):
    """One example."""

    plays: dict[str, Plays]
    routed: tuple[str, ...]
    opinions: tuple[str, ...]
    answers: str
    buffers: bool
    max_cost: int | None
    shadowed: bool
    class_: str
    speaker: str
    stream: bool


class Stage:
    """A gateway in a thread of its own, for tests that hypothesis runs in this one."""

    def __init__(self, folder: Path, policy: dict[str, str]) -> None:
        self.policy = policy
        self.folder = folder
        self.made: Rig
        self.stand_ins: dict[str, StandIn] = {}
        self.numbers = itertools.count()
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._done: asyncio.Event
        self._thread = threading.Thread(target=lambda: uvloop.run(self._main()), name="cascades")

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join(30)
        assert not self._thread.is_alive()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something in the gateway's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _main(self) -> None:
        self._loop, self._done = asyncio.get_running_loop(), asyncio.Event()
        async with AsyncExitStack() as ends:
            for place in PLACES:
                invoices = self.folder / "invoices.jsonl" if place == "cloud" else None
                self.stand_ins[place] = StandIn(invoices=invoices)
                await self.stand_ins[place].start()
                ends.push_async_callback(self.stand_ins[place].stop)
            config = DEADLINES + running.ONCE + self._configuration()
            near, far = self.stand_ins["device"], self.stand_ins["cloud"]
            self.made = await ends.enter_async_context(rig(self.folder, config, near=near, far=far))
            self.made.gateway.fleet._renew = self.made.gateway.fleet._reread = None
            self._ready.set()
            await self._done.wait()

    def _configuration(self) -> str:
        lines = ["[policy]\n", *(f'{name} = "{place}"\n' for name, place in self.policy.items())]
        lines += [
            f"""
[deployments.{place}]
provider = "openai-compatible"
model = "stand-in-large"
base_url = "{stand_in.url}/v1"
place = "{place}"
capabilities = {{ logprobs = true }}
{running.PRICE if place == "cloud" else ""}
"""
            for place, stand_in in self.stand_ins.items()
        ]
        shadow = 'shadow = { deployment = "cloud", share = 1.0 }\n[shadow]\ndaily_usd = 1000.0\n'
        return "".join(lines) + running.route("any", "device", "cloud", strategy="cascade", more=shadow)

    def _totals(self) -> dict[str, int]:
        return {place: stand_in.record.report().totals.requests for place, stand_in in self.stand_ins.items()}

    async def ask(self, asked: Asked) -> None:
        """Ask, and judge all that came of it."""
        made = self.made
        name = f"route-{next(self.numbers)}"
        known = made.gateway.fleet.snapshot
        cascade = Cascade(
            opinions=asked.opinions, answers=asked.answers, buffers=asked.buffers, max_cost=asked.max_cost
        )
        branch = Branch(deployment="cloud", share=1.0) if asked.shadowed else None
        route = Route(name=name, strategy="cascade", deployments=asked.routed, cascade=cascade, branch=branch)
        made.gateway.fleet.adopt(Snapshot(known.targets, {name: route}, known.unusable))
        for place, plays in asked.plays.items():
            made.gateway.health.forget(place)
            behaviour = Behaviour(mode=plays.mode, says=plays.pieces, logprob=plays.logprob, after=1)
            self.stand_ins[place].behave(behaviour)
        before = self._totals()
        speaker = SPEAKERS[asked.speaker]
        got = await made.ask(speaker, name, stream=asked.stream, headers=(("x-nearfar-class", asked.class_),))
        shadows = made.gateway._shadows
        assert shadows is not None
        await asyncio.gather(*shadows._tasks)
        after = self._totals()

        furthest = PLACES[self.policy[asked.class_]]
        for place, reached in PLACES.items():
            if reached > furthest:
                assert after[place] == before[place], f"{asked.class_} reached {place}"
        if got.status != 200:
            return
        assert b"-0.25" not in got.body, "log-probabilities that nobody asked for"
        told = got.headers.get("x-nearfar-deviations", "") + got.body.decode("utf-8", "replace")
        who = got.headers["x-nearfar-deployment"]
        if not asked.stream:
            assert speaker.plain(msgspec.json.decode(got.body)) == "".join(asked.plays[who].pieces)
            assert got.framed
        else:
            read = speaker.stream(got.body)
            assert read.done is not bool(read.error), "one whole answer, or an honest error"
            if read.done:
                assert read.text == "".join(asked.plays[who].pieces)
        near = PLACES[who].near
        escalates = "cascade:escalated" in told
        assert escalates <= (not near)
        if near and who != "lan":
            assert "cascade:kept" in told or "cascade:unjudged" in told


def asked() -> st.SearchStrategy[Asked]:
    plays = st.builds(Plays, st.sampled_from(ANSWERS), st.sampled_from(MODES), st.sampled_from([-0.25, -2.5]))
    names = st.sampled_from(sorted(PLACES))
    return st.builds(
        Asked,
        plays=st.fixed_dictionaries(dict.fromkeys(PLACES, plays)),
        routed=st.sampled_from(
            [
                ("device", "cloud"),
                ("device", "lan", "cloud"),
                ("device", "cloud", "private-cloud"),
                ("cloud", "lan"),
                ("device",),
            ]
        ),
        opinions=st.lists(names, max_size=2, unique=True).map(tuple),
        answers=st.sampled_from(["text", "number", "json", "choice"]),
        buffers=st.sampled_from([True, True, False]),
        max_cost=st.sampled_from([None, 0, 10_000_000, 50_000_000]),
        shadowed=st.booleans(),
        class_=st.sampled_from(["public", "internal", "confidential", "restricted"]),
        speaker=st.sampled_from(sorted(SPEAKERS)),
        stream=st.booleans(),
    )


@pytest.fixture(scope="module", params=POLICIES)
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("cascades")
    with Stage(folder, POLICIES[request.param]) as made:
        yield made
        made.run(made.made.settled())
        entries = made.made.entries()
        balance(entries, folder / "invoices.jsonl")
        above = [entry for entry in entries if PLACES[entry.place] > PLACES[POLICIES[request.param][entry.class_]]]
        assert not above, "an attempt that its class forbids"
        by_name = {entry.attempt: entry for entry in entries}
        further = [entry for entry in entries if entry.purpose in {"opinion", "escalate", "shadow"}]
        assert further, "the examples were of no use"
        assert all(by_name[entry.parent].request == entry.request for entry in further)


FURTHER = Asked(
    plays=dict.fromkeys(PLACES, Plays("The answer is 42.", "ok", -0.25)),
    routed=("device", "private-cloud"),
    opinions=("cloud",),
    answers="number",
    buffers=True,
    max_cost=None,
    shadowed=False,
    class_="confidential",
    speaker="openai.chat",
    stream=False,
)
"""An opinion further away than the class may go, although an escalation may leave."""


@example(example=FURTHER)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(example=asked())
def test_whatever_models_say(stage: Stage, example: Asked) -> None:
    stage.run(stage.ask(example))


@pytest.mark.slow
@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(example=asked())
def test_for_long(stage: Stage, example: Asked) -> None:
    stage.run(stage.ask(example))
