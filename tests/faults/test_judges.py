"""Shadows and judges over random classes, policies and failures: who judges hears nothing above its class.

What they cost is what was charged, and no more than the day allows. The stand-in plays everybody.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests import running
from tests.faults import speakers
from tests.faults.stage import Stage, deployment, spent_at_most

from nearfar.core.money import NANO
from nearfar.core.places import Class, Place
from nearfar.core.routing import Branch, Route
from nearfar.ledger.query import Entry
from nearfar.standin.behaviour import Behaviour
from nearfar.standin.server import StandIn

POLICIES = {
    "open": {"public": "cloud", "internal": "cloud", "confidential": "cloud", "restricted": "cloud"},
    "steps": {"public": "cloud", "internal": "lan", "confidential": "lan", "restricted": "device"},
}
PLACES = ("device", "lan", "cloud")
DAILY = 30_000_000
"""Nano-USD: the examples come near its end."""
JUDGES = {"open": ("judge-cut", "judge-cloud"), "steps": ("judge-cut", "judge-cloud", "judge-lan")}
VERDICT = """headers = { x-stand-in = '{"says": ["{\\"a\\": 4, ", "\\"b\\": 2}"]}' }\nmax_output = 50"""
FAILS = """headers = { x-stand-in = '{"mode": "cut", "after": 1}' }\nmax_output = 50"""


class Asked(NamedTuple):
    """One example."""

    near: str
    far: str
    """Modes."""
    class_: str
    stream: bool
    same: bool
    """Both say the same: nobody needs to judge."""


def configuration(policy: str, stand_ins: Mapping[str, StandIn]) -> str:
    """A near and a far one, and judges at two places, the first of which always fails."""
    cloud, lan = stand_ins["cloud"].url, stand_ins["lan"].url
    parts = [
        running.ONCE,
        deployment("near", "near", "device", stand_ins["device"].url),
        deployment("far", "far", "cloud", cloud, "max_output = 50"),
        deployment("judge-cut", "judge", "cloud", cloud, FAILS),
        deployment("judge-cloud", "judge", "cloud", cloud, VERDICT),
        deployment("judge-lan", "judge", "lan", lan, VERDICT),
        running.route("judges", *JUDGES[policy]),
        running.route("any", "near", "far", strategy="shadow", more='shadow = { deployment = "far", share = 1.0 }'),
        f"[shadow]\ndaily_usd = {DAILY / NANO}\nmost = 8\n",
        # The stand-in agrees with no anchor; here it is asked all the same.
        '[learning]\nkeep = ["public", "internal"]\njudge = "judges"\nagreement = 0.0\n',
    ]
    return "".join(parts)


async def ask(stage: Stage, asked: Asked, canary: str) -> None:
    """Ask, wait for what follows, and look who has heard of it."""
    made = stage.made
    branch = Branch(deployment="far", share=1.0)
    route = stage.adopt(lambda name: Route(name=name, strategy="shadow", deployments=("near", "far"), branch=branch))
    for place, mode, said in (("device", asked.near, "red"), ("cloud", asked.far, "red" if asked.same else "blue")):
        says = (f"I say {said}", f" to {canary}")
        stage.stand_ins[place].behave(Behaviour(mode=mode, says=says, after=1))
    body = {
        "model": route.name,
        "messages": [{"role": "user", "content": f"Which colour for {canary}?"}],
        "stream": asked.stream,
    }
    headers = (("x-nearfar-class", asked.class_),)
    await speakers.ask(made.url, "/v1/chat/completions", body, headers)
    shadows, learner = made.gateway._shadows, made.gateway._learner
    assert shadows is not None
    assert learner is not None
    assert learner.judging is not None
    while shadows._tasks or learner._tasks:
        await asyncio.gather(*shadows._tasks, *learner._tasks, return_exceptions=True)
    class_ = Class.parse(asked.class_)
    furthest = Place.parse(stage.policy[asked.class_])
    await idle(stage)
    for place, stand_in in stage.stand_ins.items():
        heard = [seen.model for seen in stand_in.record.report().requests if canary in seen.body]
        assert not heard or Place.parse(place) <= furthest, f"{asked.class_} reached {place}"
        assert "judge" not in heard or (class_ <= Class.INTERNAL and not asked.same)


async def idle(stage: Stage) -> None:
    """Wait until nobody judges: what is claimed stands in the store, so nothing is asked between two looks."""
    learner = stage.made.gateway._learner
    assert learner is not None
    assert learner.judging is not None
    judging = learner.judging
    while judging._woken.is_set() or judging._claimed:
        await asyncio.sleep(0.001)


def asked() -> st.SearchStrategy[Asked]:
    modes = st.sampled_from(["ok", "ok", "ok", "ok", "500", "cut", "empty"])
    return st.builds(
        Asked,
        near=modes,
        far=modes,
        class_=st.sampled_from(["public", "internal", "confidential", "restricted"]),
        stream=st.booleans(),
        same=st.booleans(),
    )


@pytest.fixture(scope="module", params=POLICIES)
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("judges")
    found: list[Entry] = []
    config = functools.partial(configuration, request.param)
    with Stage(folder, POLICIES[request.param], PLACES, config, keep_bodies=True, keeps={"judges"}) as made:
        with made.reckoned(found):
            yield made
        by_name = {entry.attempt: entry for entry in found}
        unseen = [entry for entry in found if entry.purpose in {"shadow", "judge"}]
        assert {"shadow", "judge"} == {entry.purpose for entry in unseen}, "the examples were of no use"
        assert sum(spent_at_most(entry) for entry in unseen) <= DAILY
        followed = [entry for entry in unseen if entry.parent]
        assert followed
        assert all(by_name[entry.parent].request == entry.request for entry in followed)


NUMBERS = itertools.count()


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(example=asked())
def test_whatever_is_asked_unseen(stage: Stage, example: Asked) -> None:
    stage.run(ask(stage, example, f"canary{next(NUMBERS):05}x"))
