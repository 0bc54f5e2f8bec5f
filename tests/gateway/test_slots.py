"""Slots on the path of a request: taken, waited for, given back; and what is told when none is free in time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.house import DONE as THE_END
from tests.gateway.house import RULES, House, Out, chunk, error, event, house, plain, run, snapshot, stream, target
from tests.gateway.house import STREAM_HEAD as HEAD
from tests.gateway.scripted import SEALER, Upstream, read_request, upstream

from nearfar.core.errors import RateLimitError
from nearfar.core.places import Place
from nearfar.core.routing import Route
from nearfar.gateway.attempt import Attempts
from nearfar.gateway.decider import Decider, Said
from nearfar.gateway.fleet import Snapshot
from nearfar.gateway.load import Loads
from nearfar.gateway.pipeline import Pipeline
from nearfar.gateway.slots import Slots, lower
from nearfar.policy.wait import Answers, Pace
from nearfar.wire.openai_chat import CLIENT

PACE = Pace(first=1.0, prefill=0.0, decode=0.1, answers=Answers.of([10] * 5), samples=50)


class Doors:
    """An upstream whose replies are let out one by one."""

    def __init__(self) -> None:
        self.asked = 0
        self.came = asyncio.Semaphore(0)
        self.let = asyncio.Semaphore(0)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked += 1
        self.came.release()
        await self.let.acquire()
        writer.write(plain())


class Desk:
    """A house with slots, and what its clients wait for."""

    def __init__(self, made: House, known: Snapshot, *, longest: int = 10, seconds: float = 20.0) -> None:
        self.made = made
        self.loads = Loads()
        self.slots = Slots(self.loads, made.metrics, longest=longest, seconds=seconds)
        attempts = Attempts(
            sealer=SEALER,
            transport=made.transport,
            ledger=made.ledger,
            health=made.health,
            metrics=made.metrics,
            engines=None,
            loads=self.loads,
        )
        made.pipeline = Pipeline(
            fleet=made.fleet,
            decider=Decider(made.fleet, made.health, RULES, loads=self.loads),
            attempts=attempts,
            metrics=made.metrics,
            slots=self.slots,
        )
        for item in known.targets.values():
            if item.deployment.slots is not None:
                self.loads.of(item.deployment).adopt(PACE)

    def line(self, name: str) -> Any:
        found = self.loads.find(name)
        assert found is not None
        return found.line

    async def waits(self, name: str, count: int = 1) -> None:
        """Until so many requests wait for a slot of ``name``."""
        while len(self.line(name).waiting) < count:
            await asyncio.sleep(0)

    def idle(self) -> bool:
        return all(
            not load.line.busy and not load.line.runs and not load.line.waiting for load in self.loads._loads.values()
        )


@asynccontextmanager
async def desk(
    folder: Path, *doors: Doors, far: bool = False, strategy: str = "local-first", **more: Any
) -> AsyncIterator[tuple[Desk, Upstream | None]]:
    """Near deployments with one slot each behind ``doors``, and perhaps a far one that always answers."""
    async with upstream(every=plain()) as cloud:
        near = [await _near(door) for door in doors]
        targets = [
            target(f"near-{number}", server.sockets[0].getsockname()[1], Place.DEVICE, slots=1)
            for number, server in enumerate(near)
        ]
        if far:
            targets.append(target("far", cloud.port))
        names = tuple(item.deployment.name for item in targets)
        route_more = {name: more.pop(name) for name in ("spill_after", "balance", "priority") if name in more}
        main = Route(name="main", strategy=strategy, deployments=names, **route_more)
        low = Route(name="low", strategy=strategy, deployments=names, priority="low")
        known = snapshot(*targets, routes={"main": main, "low": low})
        async with house(folder, known) as made:
            try:
                yield Desk(made, known, **more), cloud
            finally:
                for door, server in zip(doors, near, strict=True):
                    server.close()
                    for _ in range(9):  # whoever still stands before a door is let in
                        door.let.release()


async def _near(door: Doors) -> asyncio.Server:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while await read_request(reader):
                await door(reader, writer)
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0)


def test_requests_beyond_the_slots_wait_their_turn(tmp_path: Path) -> None:
    async def scenario() -> None:
        door = Doors()
        async with desk(tmp_path, door) as (made, _):
            first = asyncio.create_task(made.made.chat())
            await door.came.acquire()
            second = asyncio.create_task(made.made.chat())
            await made.waits("near-0")
            assert door.asked == 1, "the runtime is not asked for more than it has slots"
            door.let.release()
            await door.came.acquire()
            door.let.release()
            assert [(await task).status for task in (first, second)] == [200, 200]
            assert made.idle()
            assert made.made.counted('nearfar_queue_wait_seconds_count{deployment="near-0",outcome="slot"} 1')

    run(scenario())


def test_whichever_near_one_is_free_first_answers_and_says_so(tmp_path: Path) -> None:
    async def scenario() -> None:
        one, two = Doors(), Doors()
        async with desk(tmp_path, one, two) as (made, _):
            held = [asyncio.create_task(made.made.chat())]
            await one.came.acquire()
            held.append(asyncio.create_task(made.made.chat()))
            await two.came.acquire()
            waiting = asyncio.create_task(made.made.chat())
            await made.waits("near-1")
            two.let.release()
            await two.came.acquire()
            two.let.release()
            out = await waiting
            assert out.headers["x-nearfar-deployment"] == "near-1"
            assert "first free slot" in out.headers["x-nearfar-reason"]
            one.let.release()
            await asyncio.gather(*held)
            assert made.idle()

    run(scenario())


def test_who_would_wait_longer_than_the_route_has_patience_goes_on_and_it_is_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        door = Doors()
        async with desk(tmp_path, door, far=True, spill_after=1.5) as (made, cloud):
            held = asyncio.create_task(made.made.chat())
            await door.came.acquire()
            out = await made.made.chat()
            assert out.headers["x-nearfar-deployment"] == "far"
            assert "later than 1.5 s" in out.headers["x-nearfar-reason"]
            assert cloud is not None
            assert len(cloud.requests) == 1
            door.let.release()
            assert (await held).headers["x-nearfar-deployment"] == "near-0"
            assert made.idle()

    run(scenario())


def test_who_has_waited_long_enough_goes_on_and_it_is_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        door = Doors()
        async with desk(tmp_path, door, far=True, spill_after=0.05) as (made, _):
            for item in made.made.fleet.snapshot.targets.values():
                made.loads.of(item.deployment).adopt(Pace(first=0.0, prefill=0.0, decode=0.0))
            held = asyncio.create_task(made.made.chat())
            await door.came.acquire()
            out = await made.made.chat()
            assert out.headers["x-nearfar-deployment"] == "far"
            assert out.headers["x-nearfar-deviations"] == "failover:near-0:queue_wait"
            door.let.release()
            await held
            assert made.idle()

    run(scenario())


@pytest.mark.parametrize("far", [True, False])
def test_a_full_queue_is_no_outage_where_somebody_else_may_answer(tmp_path: Path, far: bool) -> None:
    async def scenario() -> None:
        door = Doors()
        async with desk(tmp_path, door, far=far, longest=0) as (made, _):
            held = asyncio.create_task(made.made.chat())
            await door.came.acquire()
            out = await made.made.chat()
            if far:
                assert (out.status, out.headers["x-nearfar-deviations"]) == (200, "failover:near-0:queue_full")
            else:
                assert out.status == 503
                assert out.headers["x-nearfar-error"] == "queue_full"
            door.let.release()
            assert (await held).status == 200

    run(scenario())


def test_who_has_nowhere_to_go_is_turned_away_at_last(tmp_path: Path) -> None:
    async def scenario() -> None:
        door = Doors()
        async with desk(tmp_path, door, seconds=0.05) as (made, _):
            held = asyncio.create_task(made.made.chat())
            await door.came.acquire()
            out = await made.made.chat()
            assert (out.status, out.headers["x-nearfar-error"]) == (503, "queue_wait")
            door.let.release()
            await held
            assert made.idle()

    run(scenario())


def test_a_client_that_hangs_up_leaves_the_queue_and_its_slot(tmp_path: Path) -> None:
    async def scenario() -> None:
        door = Doors()
        async with desk(tmp_path, door) as (made, _):
            held = asyncio.create_task(made.made.chat())
            await door.came.acquire()
            gone = asyncio.create_task(made.made.chat())
            await made.waits("near-0")
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)
            assert made.line("near-0").waiting == []
            held.cancel()
            await asyncio.gather(held, return_exceptions=True)
            assert made.idle()

    run(scenario())


def test_a_slot_that_comes_as_the_client_goes_is_the_next_ones(tmp_path: Path) -> None:
    async def scenario() -> None:
        door = Doors()
        async with desk(tmp_path, door) as (made, _):
            held = asyncio.create_task(made.made.chat())
            await door.came.acquire()
            gone = asyncio.create_task(made.made.chat())
            await made.waits("near-0")
            made.slots.give(made.line("near-0"))  # the slot is given in this very turn of the loop …
            gone.cancel()  # … in which its client leaves
            await asyncio.gather(gone, return_exceptions=True)
            assert made.line("near-0").busy == 0
            made.line("near-0").busy += 1  # what was given away above was still held
            door.let.release()
            await held
            assert made.idle()

    run(scenario())


def test_a_low_priority_stands_behind(tmp_path: Path) -> None:
    async def scenario() -> None:
        door = Doors()
        async with desk(tmp_path, door) as (made, _):
            held = asyncio.create_task(made.made.chat())
            await door.came.acquire()
            low = asyncio.create_task(made.made.chat("low"))
            await made.waits("near-0")
            usual = asyncio.create_task(made.made.chat())
            await made.waits("near-0", 2)
            door.let.release()
            await held
            door.let.release()
            done, _ = await asyncio.wait({low, usual}, return_when=asyncio.FIRST_COMPLETED)
            assert done == {usual}
            door.let.release()
            await low

    run(scenario())


def test_a_failed_attempt_gives_its_slot_back_before_anybody_else_is_asked(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with upstream(error(b"500 X")) as near, upstream(plain()) as far:
            known = snapshot(
                target("near", near.port, Place.DEVICE, slots=1), target("far", far.port), strategy="local-first"
            )
            async with house(tmp_path, known) as made:
                own = Desk(made, known)
                out = await made.chat()
                assert out.headers["x-nearfar-deployment"] == "far"
                assert own.idle()

    run(scenario())


@pytest.mark.parametrize("troubled", [False, True])
def test_who_fails_in_anothers_place_is_followed_by_the_next_one(tmp_path: Path, troubled: bool) -> None:
    async def scenario() -> None:
        door = Doors()
        async with upstream(error(b"500 X")) as broken, upstream(every=plain()) as far:
            waits = await _near(door)
            known = snapshot(
                target("near-0", waits.sockets[0].getsockname()[1], Place.DEVICE, slots=1),
                target("near-1", broken.port, Place.DEVICE, slots=1),
                target("far", far.port),
                strategy="local-first",
            )
            async with house(tmp_path, known) as made:
                own = Desk(made, known)
                if troubled:
                    made.health.failed("elsewhere", RateLimitError("", retry_after=50))
                held = asyncio.create_task(made.chat())
                await door.came.acquire()
                asking = asyncio.create_task(made.chat())
                await own.waits("near-0")  # its turn again: it was passed over, and has not failed
                door.let.release()
                door.let.release()
                out = await asking
                assert out.headers["x-nearfar-deployment"] == "near-0"
                assert out.headers["x-nearfar-deviations"].startswith("failover:near-1:")
                assert (await held).status == 200
                assert own.idle()
            waits.close()

    run(scenario())


def test_a_stream_keeps_its_slot_until_its_end(tmp_path: Path) -> None:
    async def scenario() -> None:
        go_on = asyncio.Event()

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(HEAD + chunk(event("a")))
            await go_on.wait()
            writer.write(chunk(event(None, '"stop"')) + chunk(THE_END) + b"0\r\n\r\n")

        async with upstream(script, stream(event("b"), event(None, '"stop"'), THE_END)) as near:
            known = snapshot(target("near", near.port, Place.DEVICE, slots=1), strategy="local-first")
            async with house(tmp_path, known) as made:
                own = Desk(made, known)
                out = Out()
                request = made.request(stream=True)
                answering = asyncio.create_task(made.pipeline.answer(request, CLIENT, Said(), out))
                await out.wrote.wait()
                assert own.line("near").busy == 1
                assert next(iter(own.line("near").runs)).first_at() is not None
                go_on.set()
                await answering
                assert own.idle()
                load = own.loads.find("near")
                assert load is not None
                assert len(load.noted) == 1

    run(scenario())


@pytest.mark.parametrize(
    ("asked", "route", "expected"),
    [("", "high", "high"), ("low", "high", "low"), ("high", "normal", "normal"), ("", "normal", "normal")],
)
def test_a_request_can_only_lower_its_priority(asked: str, route: str, expected: str) -> None:
    assert lower(asked, route) == expected
