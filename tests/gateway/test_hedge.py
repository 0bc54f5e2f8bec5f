"""Hedging: the slow one is helped, whoever has content first answers, the other one is cancelled and accounted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.gateway.house import (
    ANSWER,
    COST,
    STREAM_HEAD,
    WHOLE_STREAM,
    House,
    Out,
    chunk,
    closes,
    error,
    event,
    house,
    pauses,
    plain,
    run,
    snapshot,
    target,
)
from tests.gateway.scripted import Upstream, upstream

from nearfar.core.errors import APIConnectionError
from nearfar.core.places import Class, Place
from nearfar.core.routing import Route
from nearfar.gateway.decider import Said
from nearfar.gateway.hedge import Hedge
from nearfar.gateway.pipeline import Pipeline
from nearfar.wire.openai_chat import CLIENT

ROUTE = Route(name="main", strategy="cloud-first", deployments=("one", "two"), hedge_after=0.02)
DOWN = error(b"500 No", b"connection: close")
BEGUN = STREAM_HEAD + chunk(event("a"))


@asynccontextmanager
async def hedged(
    folder: Path, first: Any, second: Any, *, place: Place = Place.CLOUD, **more: Any
) -> AsyncIterator[tuple[House, Upstream, Upstream]]:
    async with upstream(first) as one, upstream(second) as two:
        route = msgspec.structs.replace(ROUTE, **more)
        known = snapshot(target("one", one.port, place), target("two", two.port), routes={"main": route})
        async with house(folder, known) as made:
            hedge = Hedge(made.attempts, fleet=made.fleet, health=made.health, metrics=made.metrics)
            made.pipeline = Pipeline(
                fleet=made.fleet, decider=made.pipeline._decider, attempts=hedge, metrics=made.metrics
            )
            yield made, one, two


def never(proceed: asyncio.Event) -> Any:
    return pauses(b"", b"", proceed)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a_slow_one_is_helped_and_let_go(tmp_path: Path, stream: bool) -> None:
    async def scenario() -> None:
        answer = WHOLE_STREAM if stream else plain()
        async with hedged(tmp_path, never(asyncio.Event()), answer) as (made, one, _):
            out = await made.chat(stream=stream)
            assert (out.status, out.ended, out.headers["x-nearfar-deployment"]) == (200, True, "two")
            assert out.headers["x-nearfar-deviations"] == "hedge:one"
            assert out.headers["x-nearfar-attempts"] == "2"
            await one.gone.wait()
            slow, fast = made.entries()
            assert (slow.outcome, slow.error, slow.deployment) == ("cancelled", "hedged", "one")
            assert (fast.outcome, fast.cost, fast.parent) == ("ok", COST, slow.attempt)
            assert slow.attempt != fast.attempt
            assert made.health.clear, "being slower is no failure"

    run(scenario())


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_the_first_one_may_still_win(tmp_path: Path, stream: bool) -> None:
    async def scenario() -> None:
        proceed = asyncio.Event()
        answer = WHOLE_STREAM if stream else plain()
        async with hedged(tmp_path, pauses(b"", answer, proceed), never(asyncio.Event())) as (made, _, two):
            asking = asyncio.create_task(made.chat(stream=stream))
            while not two.requests:
                await asyncio.sleep(0.005)
            proceed.set()
            out = await asking
            assert (out.status, out.ended, out.headers["x-nearfar-deployment"]) == (200, True, "one")
            assert sorted(entry.outcome for entry in made.entries()) == ["cancelled", "ok"]

    run(scenario())


def test_one_that_is_fast_enough_is_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with hedged(tmp_path, plain(), plain(), hedge_after=5.0) as (made, _, two):
            out = await made.chat()
            assert out.headers["x-nearfar-deployment"] == "one"
            assert not two.requests

    run(scenario())


def test_a_stream_that_has_begun_is_not_helped_however_slowly_it_goes_on(tmp_path: Path) -> None:
    async def scenario() -> None:
        proceed = asyncio.Event()
        rest = WHOLE_STREAM.removeprefix(STREAM_HEAD)
        async with hedged(tmp_path, pauses(BEGUN, rest, proceed), plain(), hedge_after=1.0) as (made, _, two):
            out = Out()
            request = made.request(stream=True)
            asking = asyncio.create_task(made.pipeline.answer(request, CLIENT, Said(), out))
            await out.wrote.wait()
            await asyncio.sleep(1.2)  # nothing may happen, and nothing tells when it would have
            assert not two.requests
            proceed.set()
            await asking
            assert (out.ended, out.headers["x-nearfar-attempts"]) == (True, "1")

    run(scenario())


def test_a_winner_that_breaks_off_ends_honestly(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with hedged(tmp_path, never(asyncio.Event()), closes(BEGUN)) as (made, _, _):
            out = await made.chat(stream=True)
            assert (out.status, out.ended, out.aborted) == (200, False, True)
            assert b"stream_cut" in out.body
            assert {entry.outcome for entry in made.entries()} == {"cancelled", "cut"}

    run(scenario())


def test_when_both_fail_the_next_in_turn_are_asked_as_ever(tmp_path: Path) -> None:
    async def scenario() -> None:
        proceed = asyncio.Event()
        async with hedged(tmp_path, pauses(b"", error(b"500 No"), proceed), closes(DOWN)) as (made, _, two):
            asking = asyncio.create_task(made.chat())
            while not two.requests:
                await asyncio.sleep(0.005)
            proceed.set()
            out = await asking
            assert out.status == 502
            attempts = [entry.attempt for entry in made.entries()]
            assert len(attempts) == len(set(attempts)) == 3

    run(scenario())


def test_a_client_that_leaves_ends_both(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with hedged(tmp_path, never(asyncio.Event()), never(asyncio.Event())) as (made, one, two):
            asking = asyncio.create_task(made.chat(stream=True))
            while not two.requests:
                await asyncio.sleep(0.005)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            await one.gone.wait()
            await two.gone.wait()
            assert {(entry.outcome, entry.error) for entry in made.entries()} == {("cancelled", "client_gone")}

    run(scenario())


def test_nobody_is_asked_besides_whom_the_class_forbids(tmp_path: Path) -> None:
    async def scenario() -> None:
        proceed = asyncio.Event()
        async with hedged(tmp_path, pauses(b"", plain(), proceed), plain(ANSWER), place=Place.DEVICE) as (
            made,
            one,
            two,
        ):
            asking = asyncio.create_task(made.chat(said=Said(header=Class.RESTRICTED)))
            while not one.requests:
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.1)
            proceed.set()
            out = await asking
            assert (out.status, out.headers["x-nearfar-place"]) == (200, "device")
            assert not two.requests

    run(scenario())


def test_one_that_rests_helps_nobody(tmp_path: Path) -> None:
    async def scenario() -> None:
        proceed = asyncio.Event()
        async with hedged(tmp_path, pauses(b"", plain(), proceed), plain()) as (made, one, two):
            made.health.failed("two", APIConnectionError(""))
            asking = asyncio.create_task(made.chat())
            while not one.requests:
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.1)
            proceed.set()
            assert (await asking).headers["x-nearfar-attempts"] == "1"
            assert not two.requests

    run(scenario())
