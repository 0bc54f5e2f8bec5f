"""A second deployment is asked after the reply: unseen, few at once, within a budget, only where the class may go."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.gateway.house import (
    COST,
    RULES,
    WHOLE_STREAM,
    House,
    Out,
    error,
    house,
    pauses,
    plain,
    run,
    snapshot,
    target,
)
from tests.gateway.scripted import Upstream, upstream

from nearfar.core.money import NANO
from nearfar.core.places import Class, Place
from nearfar.core.routing import Branch, Route
from nearfar.gateway.decider import Decider, Said
from nearfar.gateway.pipeline import Pipeline
from nearfar.gateway.purse import Purse
from nearfar.gateway.shadow import Shadows
from nearfar.policy.rules import Rules
from nearfar.wire.openai_chat import CLIENT

DAY = 24 * 60 * 60


class Clock:
    def __init__(self) -> None:
        self.now = 20_000.0 * DAY

    def __call__(self) -> float:
        return self.now


class Rig:
    """A house whose route asks ``far`` in the shadow of ``near``."""

    def __init__(self, made: House, near: Upstream, far: Upstream, shadows: Shadows, clock: Clock) -> None:
        self.made, self.near, self.far, self.shadows, self.clock = made, near, far, shadows, clock

    async def done(self) -> None:
        await asyncio.gather(*self.shadows._tasks)


@asynccontextmanager
async def shadowed(
    folder: Path,
    near: Any = None,
    far: Any = None,
    *,
    share: float = 1.0,
    strategy: str = "shadow",
    most: int = 2,
    daily: int = NANO,
    rules: Rules = RULES,
    **more: Any,
) -> AsyncIterator[Rig]:
    def replies(given: Any) -> dict[str, Any]:
        return {"every": plain() if given is None else given} if not isinstance(given, list) else {}

    first = near if isinstance(near, list) else []
    second = far if isinstance(far, list) else []
    async with upstream(*first, **replies(near)) as one, upstream(*second, **replies(far)) as two:
        route = Route(
            name="main",
            strategy=strategy,
            deployments=("near", "far"),
            branch=Branch(deployment="far", share=share),
        )
        known = snapshot(
            target("near", one.port, Place.DEVICE), target("far", two.port, **more), routes={"main": route}
        )
        async with house(folder, known, rules=rules) as made:
            clock = Clock()
            shadows = Shadows(made.attempts, made.metrics, most=most, purse=Purse(daily, clock))
            made.pipeline = Pipeline(
                fleet=made.fleet,
                decider=Decider(made.fleet, made.health, rules),
                attempts=made.attempts,
                metrics=made.metrics,
                shadows=shadows,
            )
            yield Rig(made, one, two, shadows, clock)
            await shadows.close()


def steps(rig: Rig) -> list[tuple[str, str, str]]:
    return [(entry.deployment, entry.purpose, entry.outcome) for entry in rig.made.entries()]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_it_is_asked_after_the_reply_and_accounted(tmp_path: Path, stream: bool) -> None:
    async def scenario() -> None:
        answer = WHOLE_STREAM if stream else plain()
        async with shadowed(tmp_path, answer, answer) as rig:
            out = await rig.made.chat(stream=stream)
            assert (out.status, out.ended, out.headers["x-nearfar-deployment"]) == (200, True, "near")
            assert out.headers["x-nearfar-deviations"] == "shadow:far"
            said = out.body
            await rig.done()
            assert out.body == said, "the client sees nothing of it"
            assert steps(rig) == [("near", "serve", "ok"), ("far", "shadow", "ok")]
            served, asked = rig.made.entries()
            assert (asked.parent, asked.cost, asked.request) == (served.attempt, COST, served.request)
            assert "share of 1" in asked.reason, "the chance with which it was asked"
            sent = [json.loads(each.requests[0].partition(b"\r\n\r\n")[2])["messages"] for each in (rig.near, rig.far)]
            assert sent[0] == sent[1]

    run(scenario())


def test_it_never_delays_the_reply(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with shadowed(tmp_path, far=[pauses(b"", b"", asyncio.Event())]) as rig:
            out = await rig.made.chat()
            assert out.ended
            while not rig.far.requests:
                await asyncio.sleep(0.005)
            await rig.shadows.close()
            assert steps(rig) == [("near", "serve", "ok"), ("far", "shadow", "cancelled")]

    run(scenario())


def test_one_that_fails_is_nobodys_business(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with shadowed(tmp_path, far=error(b"500 No")) as rig:
            assert (await rig.made.chat()).status == 200
            await rig.done()
            assert steps(rig)[1] == ("far", "shadow", "error")

    run(scenario())


def test_only_a_share(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with shadowed(tmp_path, share=0.0) as rig:
            assert "x-nearfar-deviations" not in (await rig.made.chat()).headers
        (tmp_path / "b").mkdir()
        async with shadowed(tmp_path / "b", share=0.3, most=100) as rig:
            told = [(await rig.made.chat()).headers.get("x-nearfar-deviations") for _ in range(100)]
            await rig.done()
            assert len(rig.far.requests) == told.count("shadow:far")
            assert 10 < told.count("shadow:far") < 60

    run(scenario())


@pytest.mark.parametrize("class_", [Class.CONFIDENTIAL, Class.RESTRICTED])
def test_what_a_class_forbids_has_no_shadow(tmp_path: Path, class_: Class) -> None:
    async def scenario() -> None:
        async with shadowed(tmp_path) as rig:
            out = await rig.made.chat(said=Said(header=class_))
            assert (out.status, out.headers.get("x-nearfar-deviations")) == (200, None)
            await rig.done()
            assert not rig.far.requests

    run(scenario())


def test_a_policy_may_forbid_shadows_alone(tmp_path: Path) -> None:
    rules = msgspec.structs.replace(RULES, purposes={"shadow": (Place.DEVICE,) * 4})

    async def scenario() -> None:
        async with shadowed(tmp_path, rules=rules) as rig:
            await rig.made.chat()
            await rig.done()
            assert not rig.far.requests

    run(scenario())


def test_few_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with shadowed(tmp_path, far=[pauses(b"", b"", asyncio.Event())], most=1) as rig:
            assert "x-nearfar-deviations" in (await rig.made.chat()).headers
            assert "x-nearfar-deviations" not in (await rig.made.chat()).headers

    run(scenario())


def test_a_days_money(tmp_path: Path) -> None:
    async def scenario() -> None:
        # At most about 175 000 nano-USD each, and 27 500 in fact.
        async with shadowed(tmp_path, daily=210_000) as rig:
            told = []
            for _ in range(3):
                told.append("x-nearfar-deviations" in (await rig.made.chat(max_tokens=10)).headers)
                await rig.done()
            assert told == [True, True, False], "what was set aside and not spent is there again"
            rig.clock.now += DAY
            assert "x-nearfar-deviations" in (await rig.made.chat(max_tokens=10)).headers

    run(scenario())


def test_what_nobody_knows_the_price_of_fits_no_budget(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with shadowed(tmp_path, price=None) as rig:
            await rig.made.chat()
            await rig.done()
            assert not rig.far.requests

    run(scenario())


def test_a_request_that_failed_has_no_shadow(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with shadowed(tmp_path, error(b"500 No"), error(b"500 No"), most=1) as rig:
            assert (await rig.made.chat()).status == 502
            await rig.done()
            assert [purpose for _, purpose, _ in steps(rig)] == ["serve", "serve"]
            assert rig.shadows._places == 0

    run(scenario())


def test_whoever_answered_instead_is_not_asked_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with shadowed(tmp_path, error(b"500 No")) as rig:
            assert (await rig.made.chat()).headers["x-nearfar-deployment"] == "far"
            await rig.done()
            assert len(rig.far.requests) == 1

    run(scenario())


def test_a_client_that_left_has_no_shadow(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with shadowed(tmp_path, [pauses(b"", b"", asyncio.Event())]) as rig:
            asking = asyncio.create_task(rig.made.pipeline.answer(rig.made.request(), CLIENT, Said(), Out()))
            while not rig.near.requests:
                await asyncio.sleep(0.005)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            assert not rig.far.requests
            assert rig.shadows._places == 0

    run(scenario())


def test_a_cascade_may_have_shadows_too(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with shadowed(tmp_path, strategy="cascade") as rig:
            assert (await rig.made.chat()).headers["x-nearfar-deviations"] == "shadow:far"
            await rig.done()
            assert steps(rig)[1] == ("far", "shadow", "ok")

    run(scenario())
