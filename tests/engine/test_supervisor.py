from __future__ import annotations

import asyncio
import collections
import contextlib
import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
import uvloop
from tests.engine import folder_models
from tests.engine.talk import CHAT, ENDLESS, HELLO, ask, ended, opened
from tests.tiny_gguf import write_chat

from nearfar.core import install
from nearfar.core.engines import Engines, EngineStatus
from nearfar.core.errors import EngineError
from nearfar.engine import supervisor as supervisor_module
from nearfar.engine.admission import admit, budget
from nearfar.engine.estimate import Plan, plan
from nearfar.engine.gguf import read_header
from nearfar.engine.library import Library
from nearfar.engine.machine import Memory
from nearfar.engine.supervisor import Supervisor
from nearfar.settings.model import Engine

PLENTY = Memory(64 * 10**9, 64 * 10**9)
SMALL = Engine(context=512, slots=2, threads=1, prompt_cache_mb=4, idle_unload=0)


class House:
    """A supervisor over a library of its own, with one tiny model ``a`` in it."""

    def __init__(self, folder: Path, tiny_gguf: Path) -> None:
        self.folder = folder
        self.library = Library(folder / "models", demo=folder / "absent.gguf")
        self.library.add(tiny_gguf, "a")
        self.run = folder / "run"

    def add(self, *names: str) -> None:
        for number, name in enumerate(names):
            self.library.add(write_chat(self.folder / f"{name}.gguf", seed=number), name)

    @contextlib.asynccontextmanager
    async def open(
        self, settings: Engine = SMALL, environ: Mapping[str, str] | None = None, memory: Memory = PLENTY
    ) -> AsyncIterator[Supervisor]:
        supervisor = Supervisor(self.library, settings, self.run, environ=environ, memory=lambda: memory)
        try:
            yield supervisor
        finally:
            await supervisor.close()
            assert not list(self.run.glob("*.sock"))


@pytest.fixture
def house(tmp_path: Path, tiny_gguf: Path) -> House:
    return House(tmp_path, tiny_gguf)


async def state(supervisor: Supervisor, model: str = "a") -> EngineStatus:
    return next(status for status in await supervisor.status() if status.model == model)


async def states(supervisor: Supervisor) -> dict[str, str]:
    return {status.model: status.state for status in await supervisor.status()}


async def kill(supervisor: Supervisor, model: str = "a") -> None:
    """kill -9 the child, and wait until it is dead; the supervisor is told by nobody but the kernel."""
    pid = (await state(supervisor, model)).pid
    os.kill(pid, signal.SIGKILL)
    await ended(pid)


def it_is_an_engines(supervisor: Supervisor) -> Engines:
    """The type checker's own test."""
    return supervisor


# ---------------------------------------------------------------- starting


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_model_is_started_on_demand_and_answers(
    house: House, loop_factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def scenario() -> None:
        async with house.open() as supervisor:
            assert await states(supervisor) == {"a": "cold"}
            endpoint = await supervisor.acquire("a")
            assert endpoint.address.startswith(f"unix:{house.run}/")
            assert endpoint.context == 512
            status, answer = await ask(endpoint, CHAT, {"messages": HELLO, "max_tokens": 4})
            assert (status, answer["model"]) == (200, "a")
            assert await supervisor.acquire("a") == endpoint
            seen = await state(supervisor)
            assert (seen.state, seen.in_flight, seen.restarts, seen.context) == ("ready", 2, 0, 512)
            assert seen.network in {"none", "shared"}
            assert 0 < seen.rss_bytes <= seen.estimate_bytes
            supervisor.release("a")
            supervisor.release("a")
            supervisor.release("a")  # once too often
            assert (await state(supervisor)).in_flight == 0

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(scenario())


def test_callers_that_come_together_meet_one_child(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as supervisor:
            endpoints = await asyncio.gather(*(supervisor.acquire("a", f"w{n % 2}") for n in range(20)))
            assert len({endpoint.key for endpoint in endpoints}) == 1
            assert (await state(supervisor)).in_flight == 20

    asyncio.run(scenario())


def test_loading_is_a_state_and_a_caller_that_leaves_stops_nobody(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as supervisor:
            leaver, stayer = (asyncio.create_task(supervisor.acquire("a")) for _ in range(2))
            while (await state(supervisor)).state == "cold":
                await asyncio.sleep(0)
            assert (await state(supervisor)).state == "loading"
            leaver.cancel()
            await stayer
            assert leaver.cancelled()
            assert (await state(supervisor)).in_flight == 1

    asyncio.run(scenario())


def test_the_child_has_no_keys_and_a_private_socket(house: House) -> None:
    async def scenario() -> None:
        environ = {"PATH": "/usr/bin", "OPENAI_API_KEY": "sk-secret", "ANTHROPIC_API_KEY": "sk-secret", "HF_TOKEN": "x"}
        async with house.open(environ=environ) as supervisor:
            endpoint = await supervisor.acquire("a")
            pid = (await state(supervisor)).pid
            its = Path(f"/proc/{pid}/environ").read_bytes()
            assert b"PATH=/usr/bin" in its
            assert b"API_KEY" not in its
            assert b"sk-secret" not in its
            assert b"HF_TOKEN" not in its
            assert endpoint.key.encode() not in its
            assert endpoint.key.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
            assert house.run.stat().st_mode & 0o777 == 0o700

    asyncio.run(scenario())


def test_what_cannot_be_started(house: House) -> None:
    def errors_of(model: str) -> Callable[[Supervisor], Awaitable[EngineError]]:
        async def find(supervisor: Supervisor) -> EngineError:
            with pytest.raises(EngineError) as caught:
                await supervisor.acquire(model)
            return caught.value

        return find

    async def scenario() -> None:
        async with house.open() as supervisor:
            house.add("b", "c")
            damaged, strange = (house.library.get(name).path for name in ("b", "c"))
            with damaged.open("r+b") as file:
                file.truncate(9000)
            strange.write_bytes(strange.read_bytes().replace(b"qwen2", b"qwenX"))

            missing = await errors_of("nobody")(supervisor)
            assert (missing.code, missing.status, missing.moves_on) == ("engine_model_missing", 503, True)
            truncated = await errors_of("b")(supervisor)
            assert truncated.code == "gguf_truncated"
            assert "header says" in truncated.message
            unknown = await errors_of("c")(supervisor)
            assert unknown.message == "c could not be loaded: unknown model architecture: 'qwenX'."
            assert await states(supervisor) == {"a": "cold", "b": "failed", "c": "failed"}

            # Started once in vain, it is not started for every request that comes by.
            paused = await errors_of("c")(supervisor)
            assert paused.code == "engine_paused"
            assert paused.retry_after is not None
            assert 0 < paused.retry_after <= 1
            assert "qwenX" in paused.message
            await supervisor.acquire("a")  # others are not concerned

    asyncio.run(scenario())


def test_a_models_folder_that_cannot_be_read(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as supervisor:
            house.library.rm("a")
            house.library.folder.joinpath(".headers.json").unlink(missing_ok=True)
            house.library.folder.rmdir()
            house.library.folder.write_bytes(b"a file where the folder should be")
            assert await supervisor.status() == []
            with pytest.raises(EngineError, match="cannot be read") as refused:
                await supervisor.acquire("a")
            assert refused.value.code == "models_folder_unreadable"

    asyncio.run(scenario())


def test_a_folder_that_cannot_hold_sockets(house: House, tmp_path: Path) -> None:
    async def scenario(folder: Path) -> EngineError:
        supervisor = Supervisor(house.library, SMALL, folder, memory=lambda: PLENTY)
        with pytest.raises(EngineError) as caught:
            await supervisor.acquire("a")
        await supervisor.close()
        return caught.value

    long = asyncio.run(scenario(tmp_path / ("x" * 120)))
    (tmp_path / "file").write_text("")
    blocked = asyncio.run(scenario(tmp_path / "file"))
    assert (long.code, blocked.code) == ("engine_runtime_dir", "engine_runtime_dir")
    assert "state_dir" in long.hint


# ---------------------------------------------------------------- crashes


def test_a_crash_in_the_middle_of_a_stream_is_seen_and_survived(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as supervisor:
            first = await supervisor.acquire("a")
            async with opened(first, CHAT, ENDLESS) as stream:
                await stream.readuntil(b'"content"')
                await kill(supervisor)
                rest = await stream.read(-1)  # the connection ends at once
            assert b"[DONE]" not in rest
            supervisor.release("a")

            second = await supervisor.acquire("a")
            assert second.address != first.address
            assert second.key != first.key
            status, _ = await ask(second, CHAT, {"messages": HELLO, "max_tokens": 2})
            seen = await state(supervisor)
            assert (status, seen.restarts, seen.in_flight, seen.error) == (200, 1, 1, "")

    asyncio.run(scenario())


def test_a_model_that_keeps_crashing_is_given_a_rest(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as supervisor:
            for _ in range(3):
                await supervisor.acquire("a")
                await kill(supervisor)
            with pytest.raises(EngineError) as caught:
                await supervisor.acquire("a")
            assert caught.value.code == "engine_paused"
            assert "SIGKILL" in caught.value.message
            assert caught.value.retry_after is not None
            seen = await state(supervisor)
            assert (seen.state, seen.restarts, seen.pid) == ("failed", 2, 0)

    asyncio.run(scenario())


def test_a_crash_while_nobody_asks_is_noticed(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as supervisor:
            await supervisor.acquire("a")
            supervisor.release("a")
            await kill(supervisor)
            seen = await state(supervisor)
            assert (seen.state, seen.pid, seen.rss_bytes) == ("cold", 0, 0)

    asyncio.run(scenario())


def test_a_child_that_hangs_is_found_out_by_check(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nearfar.engine.supervisor._HEALTH_SECONDS", 0.05)

    async def scenario() -> None:
        async with house.open() as supervisor:
            assert not await supervisor.check("a")
            await supervisor.acquire("a")
            pid = (await state(supervisor)).pid
            os.kill(pid, signal.SIGSTOP)
            os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
            assert not await supervisor.check("a")
            await ended(pid)
            await supervisor.acquire("a")
            assert (await state(supervisor)).restarts == 1

    asyncio.run(scenario())


def test_a_healthy_child_passes_the_check(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as supervisor:
            await supervisor.acquire("a")
            assert await supervisor.check("a")

    asyncio.run(scenario())


PARENT = """
import asyncio, json, sys
from pathlib import Path
from nearfar.engine.library import Library
from nearfar.engine.supervisor import Supervisor
from nearfar.settings.model import Engine

async def main():
    folder = Path(sys.argv[1])
    settings = Engine(context=512, slots=1, threads=1, prompt_cache_mb=1)
    supervisor = Supervisor(Library(folder / "models"), settings, folder / "run")
    for model in ("a", "b"):
        await supervisor.acquire(model)
    print(json.dumps([status.pid for status in await supervisor.status() if status.pid]), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_when_the_parent_is_killed_its_children_end(house: House) -> None:
    house.add("b")

    async def scenario(pids: list[int]) -> None:
        await asyncio.gather(*(ended(pid) for pid in pids))

    command = [sys.executable, "-c", PARENT, str(house.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pids: list[int] = json.loads(parent.stdout.readline())
        assert len(pids) == 2
        parent.kill()
    asyncio.run(scenario(pids))


# ---------------------------------------------------------------- memory


def budget_for(house: House, count: float) -> Engine:
    """A budget for ``count`` models like ``a``."""
    header = house.library.get("a").header
    assert header is not None
    need = plan(header, SMALL).estimate.total
    return Engine(
        context=512, slots=2, threads=1, prompt_cache_mb=4, idle_unload=0, memory_mb=int(need * count / 1e6) + 1
    )


def test_two_models_at_once_and_the_least_recently_used_leaves_for_a_third(house: House) -> None:
    house.add("b", "c")

    async def scenario() -> None:
        async with house.open(budget_for(house, 2.5)) as supervisor:
            endpoints = await asyncio.gather(*(supervisor.acquire(model) for model in ("a", "b")))
            answers = await asyncio.gather(
                *(ask(endpoint, CHAT, {"messages": HELLO, "max_tokens": 8}) for endpoint in endpoints)
            )
            assert [status for status, _ in answers] == [200, 200]
            supervisor.release("b")
            supervisor.release("a")  # a was used last
            await supervisor.acquire("c")
            assert await states(supervisor) == {"a": "ready", "b": "cold", "c": "ready"}

    asyncio.run(scenario())


def test_whoever_asks_for_a_model_that_has_to_leave_gets_a_new_child(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.add("b", "c")
    coming: list[asyncio.Task[bool]] = []

    async def scenario() -> None:
        async with house.open(budget_for(house, 2.5)) as supervisor:

            def chosen(name: str, *given: Any) -> tuple[Plan, list[str]]:
                planned, leaving = admit(name, *given)
                if leaving == ["a"] and not coming:  # somebody is quicker than the tasks that end it
                    coming.append(asyncio.create_task(answers(supervisor, "a")))
                return planned, leaving

            monkeypatch.setattr(supervisor_module, "admit", chosen)
            for model in ("a", "b"):
                assert await answers(supervisor, model)
            await supervisor.acquire("c")
            assert await coming[0]

    asyncio.run(scenario())


def test_a_model_in_use_never_leaves(house: House) -> None:
    house.add("b")

    async def scenario() -> None:
        async with house.open(budget_for(house, 1.5)) as supervisor:
            endpoint = await supervisor.acquire("a")
            with pytest.raises(EngineError) as caught:
                await supervisor.acquire("b")
            assert caught.value.code == "engine_memory"
            assert "b needs about" in caught.value.message
            assert "in use by a (" in caught.value.message
            status, _ = await ask(endpoint, CHAT, {"messages": HELLO, "max_tokens": 2})
            assert status == 200
            supervisor.release("a")
            await supervisor.acquire("b")
            assert await states(supervisor) == {"a": "cold", "b": "ready"}

    asyncio.run(scenario())


def test_models_that_start_together_do_not_share_the_last_room(house: House) -> None:
    house.add("b")

    async def scenario() -> None:
        async with house.open(budget_for(house, 1.5)) as supervisor:
            results = await asyncio.gather(*(supervisor.acquire(model) for model in ("a", "b")), return_exceptions=True)
            errors = [result for result in results if isinstance(result, BaseException)]
            assert len(errors) == 1
            assert isinstance(errors[0], EngineError)
            assert errors[0].code == "engine_memory"

    asyncio.run(scenario())


def test_a_failed_start_gives_its_room_back(house: House) -> None:
    house.add("b")
    strange = house.library.get("b").path
    strange.write_bytes(strange.read_bytes().replace(b"qwen2", b"qwenX"))

    async def scenario() -> None:
        async with house.open(budget_for(house, 1.5)) as supervisor:
            with pytest.raises(EngineError, match="qwenX"):
                await supervisor.acquire("b")
            await supervisor.acquire("a")

    asyncio.run(scenario())


# ---------------------------------------------------------------- idling and ending


async def cold(supervisor: Supervisor, model: str = "a") -> None:
    """Wait until ``model`` is unloaded."""
    pid = (await state(supervisor, model)).pid
    if pid:
        await ended(pid)


def test_an_idle_model_is_unloaded_and_comes_back(house: House) -> None:
    async def scenario() -> None:
        async with house.open(Engine(context=512, slots=1, threads=1, idle_unload=0.05)) as supervisor:
            await supervisor.acquire("a")
            supervisor.release("a")
            await cold(supervisor)
            await supervisor.acquire("a")
            seen = await state(supervisor)
            assert (seen.state, seen.restarts) == ("ready", 0)

    asyncio.run(scenario())


async def answers(supervisor: Supervisor, model: str = "a") -> bool:
    """Whether the child that is handed out now lives long enough to answer."""
    status, _ = await ask(await supervisor.acquire(model), CHAT, {"messages": HELLO, "max_tokens": 2})
    supervisor.release(model)
    return status == 200


def test_whoever_comes_just_after_an_unloading_was_decided_gets_a_living_child(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as supervisor:
            assert await answers(supervisor)
            before = (await state(supervisor)).pid
            supervisor._unload_idle(supervisor._entries["a"])
            assert await answers(supervisor)
            assert (await state(supervisor)).pid != before
            asked = asyncio.create_task(supervisor.unload("a"))
            coming = asyncio.create_task(answers(supervisor))
            assert await asked
            assert await coming

    asyncio.run(scenario())


@pytest.mark.parametrize("steps", range(4))
def test_a_start_that_is_cancelled_at_any_step_does_not_stand_in_the_way(house: House, steps: int) -> None:
    """At step 0 it has not run at all."""

    async def scenario() -> None:
        async with house.open() as supervisor:
            before = asyncio.create_task(supervisor.acquire("a"))
            while "a" not in supervisor._entries:
                await asyncio.sleep(0)
            for _ in range(steps):
                await asyncio.sleep(0)
            unloading = [asyncio.create_task(supervisor.unload("a")) for _ in range(2)]
            await asyncio.sleep(0)
            after = asyncio.create_task(answers(supervisor))  # while the first one is still being ended
            unloading[0].cancel()
            with pytest.raises(EngineError) as caught:
                await before
            assert caught.value.code == "engine_unloaded"
            assert await after
            assert await unloading[1]
            assert await answers(supervisor)

    asyncio.run(scenario())


def test_unload_ends_the_child_even_if_its_caller_is_gone(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as supervisor:
            await supervisor.acquire("a")
            pid = (await state(supervisor)).pid
            asked = asyncio.create_task(supervisor.unload("a"))
            await asyncio.sleep(0)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
            await ended(pid)

    asyncio.run(scenario())


def test_a_closing_supervisor_hands_no_child_out(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as supervisor:
            assert await answers(supervisor)
            closing = asyncio.create_task(supervisor.close())
            coming = asyncio.create_task(supervisor.acquire("a"))
            with pytest.raises(EngineError) as refused:
                await coming
            assert refused.value.code == "engine_closed"
            await closing

    asyncio.run(scenario())


def test_a_model_in_use_is_not_idle(house: House) -> None:
    house.add("b")

    async def scenario() -> None:
        async with house.open(Engine(context=512, slots=1, threads=1, idle_unload=0.02)) as supervisor:
            endpoint = await supervisor.acquire("a")
            await supervisor.acquire("b")
            supervisor.release("b")
            await cold(supervisor, "b")  # so much time has passed for a, too
            status, _ = await ask(endpoint, CHAT, {"messages": HELLO, "max_tokens": 2})
            assert (status, (await state(supervisor)).state) == (200, "ready")
            supervisor.release("a")
            await cold(supervisor)

    asyncio.run(scenario())


def test_a_model_that_nobody_waits_for_any_more_is_unloaded_too(house: House) -> None:
    async def scenario() -> None:
        async with house.open(Engine(context=512, slots=1, threads=1, idle_unload=0.05)) as supervisor:
            caller = asyncio.create_task(supervisor.acquire("a"))
            while (await state(supervisor)).state == "cold":
                await asyncio.sleep(0)
            caller.cancel()
            while (await state(supervisor)).state == "loading":
                await asyncio.sleep(0.005)
            await cold(supervisor)

    asyncio.run(scenario())


def test_the_requests_of_a_dead_worker_are_given_back(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as supervisor:
            for owner in ("w1", "w1", "w2"):
                await supervisor.acquire("a", owner)
            supervisor.drop_owner("w1")
            supervisor.release("a", "w1")  # too late: already given back
            assert (await state(supervisor)).in_flight == 1
            supervisor.drop_owner("nobody")
            supervisor.release("a", "w2")
            assert (await state(supervisor)).in_flight == 0

    asyncio.run(scenario())


def test_unload_ends_streams_and_starting_children(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as supervisor:
            assert not await supervisor.unload("a")
            endpoint = await supervisor.acquire("a")
            async with opened(endpoint, CHAT, ENDLESS) as stream:
                await stream.readuntil(b'"content"')
                assert await supervisor.unload("a")
                assert b"[DONE]" not in await stream.read(-1)
            supervisor.release("a")
            seen = await state(supervisor)
            assert (seen.state, seen.restarts, seen.error) == ("cold", 0, "")

            caller = asyncio.create_task(supervisor.acquire("a"))
            while (await state(supervisor)).state == "cold":
                await asyncio.sleep(0)
            assert await supervisor.unload("a")
            with pytest.raises(EngineError) as caught:
                await caller
            assert caught.value.code == "engine_unloaded"

    asyncio.run(scenario())


def test_close_leaves_nothing_and_refuses_what_comes_after(house: House) -> None:
    house.add("b")

    async def scenario() -> None:
        before = threading.active_count()
        async with house.open() as supervisor:
            await supervisor.acquire("a")
            pid = (await state(supervisor)).pid
            caller = asyncio.create_task(supervisor.acquire("b"))
            while (await state(supervisor, "b")).state == "cold":
                await asyncio.sleep(0)
            await supervisor.close()
            await ended(pid)
            with pytest.raises(EngineError):
                await caller
            with pytest.raises(EngineError, match="shutting down"):
                await supervisor.acquire("a")
            await supervisor.close()
            assert len(asyncio.all_tasks()) == 1
        assert threading.active_count() <= before + 8

    asyncio.run(scenario())


def test_a_removed_model_is_shown_while_it_is_loaded(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as supervisor:
            await supervisor.acquire("a")
            house.library.rm("a")
            assert await states(supervisor) == {"a": "ready"}
            await supervisor.acquire("a")
            await supervisor.unload("a")
            assert await states(supervisor) == {}
            with pytest.raises(EngineError, match="no local model"):
                await supervisor.acquire("a")

    asyncio.run(scenario())


def test_status_of_an_unloaded_library_tells_what_would_be_needed(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as supervisor:
            seen = await state(supervisor)
            need = plan(read_header(house.library.get("a").path), SMALL).estimate.total
            assert (seen.estimate_bytes, seen.context, seen.pid) == (need, 512, 0)

    asyncio.run(scenario())


# ---------------------------------------------------------------- everything at once


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_chaos_leaves_no_process_no_descriptor_and_no_count(
    house: House, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Callers ask, stream, hang up and are cancelled while children are killed, unloaded and squeezed by the budget."""
    monkeypatch.setattr("nearfar.engine.entry._LONGEST_PAUSE", 0.0)
    house.add("b", "c")
    chance = random.Random(seed)
    outcomes: collections.Counter[str] = collections.Counter()
    # Fixtures of other tests in this process may have servers of their own.
    others = {child.pid for child in psutil.Process().children()}

    async def caller(supervisor: Supervisor, owner: str) -> None:
        for _ in range(12):
            model = chance.choice("abc")
            try:
                async with asyncio.timeout(chance.choice([0.02, 5, 5, 5])):
                    endpoint = await supervisor.acquire(model, owner)
            except EngineError as error:
                outcomes[error.code] += 1
                await asyncio.sleep(chance.random() / 20)
                continue
            except TimeoutError:
                outcomes["cancelled"] += 1
                continue
            try:
                async with opened(endpoint, CHAT, ENDLESS | {"max_tokens": chance.randrange(1, 300)}) as stream:
                    body = await stream.read(-1 if chance.random() < 0.7 else 200)
                outcomes["done" if b"[DONE]" in body else "cut"] += 1
            except OSError:
                outcomes["refused"] += 1
            finally:
                supervisor.release(model, owner)

    async def trouble(supervisor: Supervisor) -> None:
        while True:
            await asyncio.sleep(chance.random() / 5)
            model = chance.choice("abc")
            if chance.random() < 0.5:
                await supervisor.unload(model)
            elif pid := (await state(supervisor, model)).pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    async def scenario() -> None:
        async with house.open(budget_for(house, 2.5)) as supervisor:
            await supervisor.acquire("a")  # what stays open once it was used, is open now
            supervisor.release("a")
            await supervisor.unload("a")
            descriptors = len(os.listdir("/proc/self/fd"))
            troublemaker = asyncio.create_task(trouble(supervisor))
            await asyncio.gather(*(caller(supervisor, f"w{n}") for n in range(6)))
            troublemaker.cancel()
            await asyncio.wait({troublemaker})
            seen = await supervisor.status()
            assert [status.in_flight for status in seen] == [0, 0, 0]
            assert sum(status.estimate_bytes for status in seen if status.pid) <= budget(budget_for(house, 2.5), PLENTY)
            for model in "abc":  # and it still works
                status, _ = await ask(await supervisor.acquire(model), CHAT, {"messages": HELLO, "max_tokens": 2})
                assert status == 200
                supervisor.release(model)
            for model in "abc":
                await supervisor.unload(model)
            assert len(os.listdir("/proc/self/fd")) == descriptors
        assert not {child.pid for child in psutil.Process().children()} - others

    asyncio.run(scenario())
    assert set(outcomes) <= {"done", "cut", "refused", "cancelled", *EXPECTED_ERRORS}


EXPECTED_ERRORS = {"engine_memory", "engine_unloaded", "engine_start_failed"}


# ---------------------------------------------------------------- other engines


@pytest.mark.parametrize(("write", "extra"), [(folder_models.hf, "transformers"), (folder_models.genai, "onnx")])
def test_a_model_whose_engine_is_not_installed_says_which_extra(
    house: House, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], Path], extra: str
) -> None:
    house.library.add(write(house.folder / "folder"), "other")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    async def scenario() -> None:
        async with house.open() as supervisor:
            with pytest.raises(EngineError) as caught:
                await supervisor.acquire("other")
            assert caught.value.code == "engine_missing"
            assert caught.value.hint == f"Install it with: {install.command(extra)}"
            assert (await states(supervisor))["other"] == "cold"

    asyncio.run(scenario())
