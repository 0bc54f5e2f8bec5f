"""Cascades over whatever models say and however they fail: nothing above its class leaves, charges are the invoices,
and the client sees one whole answer.

The stand-in plays every model; its answers and log-probabilities are scripted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests import running
from tests.examples import examples
from tests.faults.speakers import SPEAKERS
from tests.faults.stage import Stage, deployment, spent_at_most

from nearfar.core.money import NANO
from nearfar.core.places import Class, Place
from nearfar.core.routing import Branch, Cascade, Route
from nearfar.ledger.query import Entry
from nearfar.standin.behaviour import Behaviour
from nearfar.standin.server import StandIn

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


def configuration(stand_ins: Mapping[str, StandIn]) -> str:
    """A deployment for each place, named after it."""
    known = [
        deployment(place, "stand-in-large", place, stand_in.url, "capabilities = { logprobs = true }")
        for place, stand_in in stand_ins.items()
    ]
    shadow = 'shadow = { deployment = "cloud", share = 1.0 }\n[shadow]\ndaily_usd = 1000.0\n'
    return running.ONCE + "".join(known) + running.route("any", "device", "cloud", strategy="cascade", more=shadow)


async def ask(stage: Stage, asked: Asked) -> None:
    """Ask, and judge all that came of it."""
    made = stage.made
    cascade = Cascade(opinions=asked.opinions, answers=asked.answers, buffers=asked.buffers, max_cost=asked.max_cost)
    branch = Branch(deployment="cloud", share=1.0) if asked.shadowed else None
    route = stage.adopt(
        lambda name: Route(name=name, strategy="cascade", deployments=asked.routed, cascade=cascade, branch=branch)
    )
    for place, plays in asked.plays.items():
        stage.stand_ins[place].behave(Behaviour(mode=plays.mode, says=plays.pieces, logprob=plays.logprob, after=1))
    before = stage.totals()
    speaker = SPEAKERS[asked.speaker]
    got = await made.ask(speaker, route.name, stream=asked.stream, headers=(("x-nearfar-class", asked.class_),))
    shadows = made.gateway._shadows
    assert shadows is not None
    await asyncio.gather(*shadows._tasks)
    stage.stayed(Class.parse(asked.class_), before)
    if asked.max_cost is not None:
        stage.ceilings[got.headers["x-nearfar-request"]] = asked.max_cost
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
    found: list[Entry] = []
    with Stage(folder, POLICIES[request.param], PLACES, configuration) as made:
        with made.reckoned(found):
            yield made
        made.within_ceilings(found)
        by_name = {entry.attempt: entry for entry in found}
        further = [entry for entry in found if entry.purpose in {"opinion", "escalate", "shadow"}]
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
@examples(100, suppress=[HealthCheck.function_scoped_fixture])
@given(example=asked())
def test_whatever_models_say(stage: Stage, example: Asked) -> None:
    stage.run(ask(stage, example))


@pytest.mark.slow
@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(example=asked())
def test_for_long(stage: Stage, example: Asked) -> None:
    stage.run(ask(stage, example))


DAILY = 4_000_000
"""Nano-USD: a handful of shadows at their bounds."""


def frugal(stand_ins: Mapping[str, StandIn]) -> str:
    """Shadows of everything, and little money for them."""
    known = [
        deployment(place, "stand-in-large", place, stand_in.url, "max_output = 50")
        for place, stand_in in stand_ins.items()
    ]
    shadow = f'shadow = {{ deployment = "cloud", share = 1.0 }}\n[shadow]\nmost = 8\ndaily_usd = {DAILY / NANO}\n'
    return running.ONCE + "".join(known) + running.route("any", "device", "cloud", strategy="shadow", more=shadow)


async def shadowed(stage: Stage, modes: list[str]) -> None:
    """One request after the other, some of them together, with clouds that end in different ways."""
    made = stage.made
    shadows = made.gateway._shadows
    assert shadows is not None
    for number, mode in enumerate(modes):
        stage.stand_ins["cloud"].behave(Behaviour(mode=mode, after=1))
        speaker = SPEAKERS["openai.chat"]
        together = [made.ask(speaker, "any", stream=bool(number % 2)) for _ in range(1 + number % 3)]
        assert {got.status for got in await asyncio.gather(*together)} == {200}
        await asyncio.gather(*shadows._tasks)
        made.gateway.health.forget("cloud")


def test_shadows_cost_no_more_than_the_day_allows(tmp_path: Path) -> None:
    found: list[Entry] = []
    places = ("device", "cloud")
    with Stage(tmp_path, POLICIES["open"], places, frugal) as stage, stage.reckoned(found):
        stage.run(shadowed(stage, ["ok", "cut", "500", "ok", "reset", "429", "empty", "ok"] * 5))
    unseen = [entry for entry in found if entry.purpose == "shadow"]
    assert {"ok", "cut"} <= {entry.outcome for entry in unseen}
    assert DAILY / 2 < sum(spent_at_most(entry) for entry in unseen) <= DAILY
    assert len(unseen) < len(found) / 2, "the day's money came to an end"
