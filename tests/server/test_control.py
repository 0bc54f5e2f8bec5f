"""The channel between parent and workers, over a real socket pair; the engines behind it are scripted."""

from __future__ import annotations

import asyncio
import select
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import uvloop

from nearfar.core.engines import Endpoint, EngineStatus
from nearfar.core.errors import EngineError
from nearfar.gateway.health import LONGEST, CoolDown
from nearfar.gateway.metrics import Metrics
from nearfar.policy.wait import FAR, Answers, Pace
from nearfar.server import control
from nearfar.server.control import Call, Hub, Link

UNTIL = time.monotonic() + 300


class Engines:
    """What the hub asks of the supervisor."""

    def __init__(self) -> None:
        self.held: dict[str, int] = {}
        self.dropped: list[str] = []
        self.ready = asyncio.Event()
        self.ready.set()

    async def acquire(self, model: str, owner: str = "") -> Endpoint:
        await self.ready.wait()
        if model == "bad":
            raise EngineError("It cannot be loaded.", code="not_gguf", hint="Take another.", retry_after=3.5)
        self.held[owner] = self.held.get(owner, 0) + 1
        return Endpoint(address="unix:/x", key="k", context=512)

    def release(self, model: str, owner: str = "") -> None:
        self.held[owner] -= 1

    def drop_owner(self, owner: str) -> None:
        self.dropped.append(owner)
        self.held.pop(owner, None)

    async def status(self) -> list[EngineStatus]:
        return [EngineStatus(model="tiny", state="ready", in_flight=sum(self.held.values()))]

    async def unload(self, model: str) -> bool:
        return model == "tiny"


class Worker:
    """The worker's end: a link that listens, and what it was told."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, serving: asyncio.Task[None]) -> None:
        self.learned: list[CoolDown] = []
        self.heard: dict[str, Pace] = {}
        self.stopped = asyncio.Event()
        self.news = asyncio.Event()
        self.serving = serving
        self.link = Link(reader, writer, stop=self.stopped.set)
        self.listening = asyncio.create_task(self.link.listen(self.learn, self.hear))

    def learn(self, rest: CoolDown) -> None:
        self.learned.append(rest)
        self.news.set()

    def hear(self, paces: Mapping[str, Pace]) -> None:
        self.heard |= paces
        self.news.set()


async def connect(hub: Hub, name: str) -> Worker:
    """A worker called ``name`` at ``hub``."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    serving = asyncio.create_task(hub.serve(name, *await asyncio.open_connection(sock=ours)))
    reader, writer = await asyncio.open_connection(sock=theirs)
    return Worker(reader, writer, serving)


@asynccontextmanager
async def hub() -> AsyncIterator[tuple[Hub, Engines]]:
    """A hub over scripted engines."""
    engines = Engines()
    supervisor: Any = engines
    yield Hub(supervisor), engines


async def leave(worker: Worker) -> None:
    """The worker's end closes."""
    await worker.link.close()
    await worker.serving
    worker.listening.cancel()
    await asyncio.gather(worker.listening, return_exceptions=True)


def run(scenario: Any) -> None:
    uvloop.run(asyncio.wait_for(scenario, 30))


def rest(name: str = "far", failures: int = 1) -> CoolDown:
    return CoolDown(deployment=name, until=UNTIL, reason="overloaded", failures=failures)


def test_engines_look_the_same_from_a_worker() -> None:
    async def scenario() -> None:
        async with hub() as (center, engines):
            worker = await connect(center, "w-1")
            assert await worker.link.acquire("tiny") == Endpoint(address="unix:/x", key="k", context=512)
            assert engines.held == {"w-1": 1}
            assert (await worker.link.status())[0].in_flight == 1
            worker.link.release("tiny")
            assert (await worker.link.status())[0].in_flight == 0
            assert await worker.link.unload("tiny")
            assert not await worker.link.unload("other")
            await leave(worker)

    run(scenario())


def test_an_error_crosses_whole() -> None:
    async def scenario() -> None:
        async with hub() as (center, _):
            worker = await connect(center, "w-1")
            with pytest.raises(EngineError) as found:
                await worker.link.acquire("bad")
            error = found.value
            assert (error.message, error.code, error.hint) == ("It cannot be loaded.", "not_gguf", "Take another.")
            assert error.retry_after == 3.5
            await leave(worker)

    run(scenario())


def test_a_cold_start_holds_up_nobody_else() -> None:
    async def scenario() -> None:
        async with hub() as (center, engines):
            worker = await connect(center, "w-1")
            engines.ready.clear()
            loading = asyncio.create_task(worker.link.acquire("tiny"))
            assert len(await worker.link.status()) == 1
            engines.ready.set()
            await loading
            await leave(worker)

    run(scenario())


def test_what_a_dead_worker_held_is_given_back() -> None:
    async def scenario() -> None:
        async with hub() as (center, engines):
            worker, other = await connect(center, "w-1"), await connect(center, "w-2")
            await worker.link.acquire("tiny")
            await other.link.acquire("tiny")
            await leave(worker)
            assert engines.dropped == ["w-1"]
            assert engines.held == {"w-2": 1}
            await leave(other)

    run(scenario())


def test_an_answer_that_nobody_waits_for_is_given_back() -> None:
    async def scenario() -> None:
        async with hub() as (center, engines):
            worker = await connect(center, "w-1")
            engines.ready.clear()
            loading = asyncio.create_task(worker.link.acquire("tiny"))
            await worker.link.status()
            loading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await loading
            engines.ready.set()
            while engines.held != {"w-1": 0}:
                await worker.link.status()
            await leave(worker)

    run(scenario())


def test_cool_downs_reach_everybody_else_and_late_comers() -> None:
    async def scenario() -> None:
        async with hub() as (center, _):
            one, two = await connect(center, "w-1"), await connect(center, "w-2")
            one.link.publish(rest())
            await two.news.wait()
            assert two.learned == [rest()]
            late = await connect(center, "w-3")
            await late.news.wait()
            assert late.learned == [rest()]
            two.news.clear()
            one.link.publish(rest(failures=0))
            await two.news.wait()
            later = await connect(center, "w-4")
            await later.link.status()
            assert later.learned == [], "what is over is not told"
            assert one.learned == []
            for worker in (one, two, late, later):
                await leave(worker)

    run(scenario())


def test_speeds_reach_everybody_else_and_late_comers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "REPORT_SECONDS", 0.001)
    measured = msgspec.structs.replace(FAR, first=0.25, samples=3, answers=Answers.of([3, 1]), error=0.5)

    async def scenario() -> None:
        async with hub() as (made, _):
            one, other = await connect(made, "w1"), await connect(made, "w2")
            told = iter([{"far": FAR}, {}, {"far": measured, "near": FAR}])
            reporting = asyncio.create_task(one.link.report(Metrics().snapshot, lambda: next(told, {})))
            while "near" not in other.heard:
                other.news.clear()
                await other.news.wait()
            late = await connect(made, "w3")
            await late.news.wait()
            assert other.heard == late.heard == {"far": measured, "near": FAR}
            assert not one.heard
            reporting.cancel()
            for worker in (one, other, late):
                await leave(worker)

    run(scenario())


def test_counts_of_workers_survive_them() -> None:
    async def scenario() -> None:
        async with hub() as (center, _):
            one, two = await connect(center, "w-1"), await connect(center, "w-2")
            counted = Metrics()
            counted.rejected("overloaded")
            reporting = asyncio.create_task(one.link.report(counted.snapshot))
            mine = Metrics()
            line = 'nearfar_rejected_requests_total{code="overloaded"} 1'
            while line not in mine.text(*await two.link.other_metrics()).decode():
                await asyncio.sleep(0.02)
            reporting.cancel()
            await leave(one)
            assert line in mine.text(*await two.link.other_metrics()).decode()
            await leave(two)

    run(scenario())


def test_the_counts_of_many_dead_workers_are_one_and_the_last_second_is_in_them() -> None:
    async def scenario() -> None:
        async with hub() as (center, _):
            stays = await connect(center, "w-0")
            for number in range(5):
                worker = await connect(center, f"w-{number + 1}")
                counted = Metrics()
                counted.rejected("overloaded")
                reporting = asyncio.create_task(worker.link.report(counted.snapshot))
                await worker.link.status()
                reporting.cancel()  # long before the first second is over
                await leave(worker)
            snapshots = await stays.link.other_metrics()
            assert len(snapshots) == 1
            text = Metrics().text(*snapshots).decode()
            assert 'nearfar_rejected_requests_total{code="overloaded"} 5' in text
            await leave(stays)

    run(scenario())


def test_a_cool_down_that_is_long_over_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with hub() as (center, _):
            one = await connect(center, "w-1")
            one.link.publish(rest("old"))
            await one.link.status()
            monkeypatch.setattr(control, "time", SimpleNamespace(monotonic=lambda: UNTIL + LONGEST + 1))
            one.link.publish(CoolDown(deployment="new", until=UNTIL + LONGEST + 9, reason="x", failures=1))
            await one.link.status()
            late = await connect(center, "w-2")
            await late.link.status()
            assert [learned.deployment for learned in late.learned] == ["new"]
            await leave(one)
            await leave(late)

    run(scenario())


def test_a_dead_workers_cold_start_is_waited_for_by_nobody() -> None:
    async def scenario() -> None:
        async with hub() as (center, engines):
            worker = await connect(center, "w-1")
            await worker.link.acquire("tiny")
            engines.ready.clear()  # and it stays so
            loading = asyncio.create_task(worker.link.acquire("tiny"))
            await worker.link.status()
            await leave(worker)
            assert engines.dropped == ["w-1"]
            assert engines.held == {}
            with pytest.raises(EngineError, match="gone"):
                await loading
            engines.ready.set()
            await asyncio.sleep(0)
            assert engines.held == {}

    run(scenario())


@pytest.mark.parametrize(
    "line", [b'{"type":"call","id":1,"o', b"\xff\xfe\n", b'{"type":"unheard of"}\n', b"x" * 70_000], ids=range(4)
)
def test_a_broken_line_ends_its_own_channel_alone(line: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with hub() as (center, engines):
            other = await connect(center, "w-2")
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            reader, writer = await asyncio.open_connection(sock=ours)
            serving = asyncio.create_task(center.serve("w-1", reader, writer))
            with theirs:
                theirs.sendall(line)
                theirs.shutdown(socket.SHUT_WR)
                await serving
            assert engines.dropped == ["w-1"]
            assert "channel of a worker broke" in caplog.text
            assert len(await other.link.status()) == 1
            await leave(other)

    run(scenario())


def test_a_broken_line_of_the_parent_stops_the_worker(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        stopped = asyncio.Event()
        link = Link(*await asyncio.open_connection(sock=theirs), stop=stopped.set)
        with ours:
            ours.sendall(b"{\n")
            await link.listen(lambda _: None)
        assert stopped.is_set()
        assert "channel to the parent broke" in caplog.text
        await link.close()

    run(scenario())


def test_a_worker_that_comes_after_stop_is_told_too() -> None:
    async def scenario() -> None:
        async with hub() as (center, _):
            center.stop()
            worker = await connect(center, "w-1")
            await worker.stopped.wait()
            await leave(worker)

    run(scenario())


def test_stop_reaches_every_worker() -> None:
    async def scenario() -> None:
        async with hub() as (center, _):
            workers = [await connect(center, f"w-{number}") for number in range(3)]
            await asyncio.gather(*(worker.link.status() for worker in workers))
            center.stop()
            for worker in workers:
                await worker.stopped.wait()
                await leave(worker)

    run(scenario())


def test_a_worker_without_parent_stops_and_lets_nobody_wait() -> None:
    async def scenario() -> None:
        async with hub() as (center, engines):
            worker = await connect(center, "w-1")
            engines.ready.clear()
            loading = asyncio.create_task(worker.link.acquire("tiny"))
            await worker.link.status()
            worker.serving.cancel()
            with pytest.raises(EngineError, match="gone"):
                await loading
            await worker.stopped.wait()
            await worker.link.close()
            await asyncio.gather(worker.serving, worker.listening, return_exceptions=True)

    run(scenario())


def test_a_call_that_fails_in_a_way_nobody_foresaw_does_not_end_the_channel(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with hub() as (center, engines):

            async def broken() -> list[EngineStatus]:
                raise PermissionError("/models")

            sound, engines.status = engines.status, broken  # type: ignore[method-assign]  # for a while
            worker = await connect(center, "w-1")
            with pytest.raises(EngineError, match="its log has the details") as found:
                await worker.link.status()
            assert "/models" not in found.value.text
            assert "PermissionError: /models" in caplog.text
            engines.status = sound  # type: ignore[method-assign]
            assert len(await worker.link.status()) == 1
            await leave(worker)

    run(scenario())


def test_what_is_asked_after_the_parent_is_gone_waits_for_nobody() -> None:
    async def scenario() -> None:
        async with hub() as (center, _):
            worker = await connect(center, "w-1")
            await worker.link.status()
            worker.serving.cancel()
            await worker.stopped.wait()
            for ask in (worker.link.acquire("tiny"), worker.link.status(), worker.link.other_metrics()):
                with pytest.raises(EngineError, match="gone"):
                    await ask
            worker.link.release("tiny")  # says nothing to nobody
            worker.link.publish(rest())
            await worker.link.close()
            await asyncio.gather(worker.serving, worker.listening, return_exceptions=True)

    run(scenario())


def test_a_worker_that_dies_with_news_unread_is_just_gone() -> None:
    async def scenario() -> None:
        async with hub() as (center, engines):
            one = await connect(center, "w-1")
            one.link.publish(rest())
            await one.link.status()
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            serving = asyncio.create_task(center.serve("w-2", *await asyncio.open_connection(sock=ours)))
            while not select.select([theirs], [], [], 0)[0]:
                await asyncio.sleep(0)
            theirs.close()  # what it had not read makes this a reset
            await serving
            assert engines.dropped == ["w-2"]
            await leave(one)

    run(scenario())


def test_news_for_a_worker_that_just_died_end_nobody_elses_channel() -> None:
    async def scenario() -> None:
        async with hub() as (center, engines):
            one = await connect(center, "w-1")
            one.link.publish(rest())
            await one.link.status()
            engines.ready.clear()  # its call is still under way, so its place is not given back yet
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            reader, writer = await asyncio.open_connection(sock=ours)
            serving = asyncio.create_task(center.serve("w-2", reader, writer))
            theirs.sendall(msgspec.json.encode(Call(id=1, op="acquire", model="tiny")) + b"\n")
            while not select.select([theirs], [], [], 0)[0]:
                await asyncio.sleep(0)
            theirs.close()  # what it had not read makes this a reset
            while not writer.transport.is_closing():
                await asyncio.sleep(0)
            await asyncio.sleep(0)
            one.link.publish(rest(failures=2))
            assert len(await one.link.status()) == 1
            engines.ready.set()
            await serving
            await leave(one)

    run(scenario())
