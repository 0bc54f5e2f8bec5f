"""Transformers and ONNX Runtime GenAI under the supervisor: real engines, tiny models whose answers are known."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.engine.talk import CHAT, ask, ended, opened, post
from tests.stages.make_models import CJK, NOISE

from nearfar.core.engines import Endpoint, EngineStatus
from nearfar.core.errors import EngineError
from nearfar.engine.library import Library
from nearfar.engine.supervisor import Supervisor
from nearfar.settings.model import Engine

SETTINGS = Engine(context=2048, slots=2, threads=1, idle_unload=0)
ENGINES = ["chat", "onnx"]
both = pytest.mark.parametrize("engine", ENGINES)


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


class House:
    """A supervisor over the made models."""

    def __init__(self, folder: Path, models: Path) -> None:
        self.folder = folder
        self.library = Library(folder / "models", demo=folder / "none")
        for name in (*ENGINES, "embed"):
            self.library.add(models / name)

    @contextlib.asynccontextmanager
    async def open(self, settings: Engine = SETTINGS) -> AsyncIterator[Supervisor]:
        supervisor = Supervisor(self.library, settings, self.folder / "run", environ=os.environ)
        try:
            yield supervisor
        finally:
            await supervisor.close()


@pytest.fixture
def house(tmp_path: Path, models: Path) -> House:
    return House(tmp_path, models)


def run(house: House, scenario: Callable[[Supervisor], Awaitable[None]], settings: Engine = SETTINGS) -> None:
    async def opened_house() -> None:
        async with house.open(settings) as supervisor:
            await scenario(supervisor)

    asyncio.run(opened_house())


async def status_of(supervisor: Supervisor, model: str) -> EngineStatus:
    return next(status for status in await supervisor.status() if status.model == model)


async def say(endpoint: Endpoint, text: str, **more: Any) -> tuple[str, str]:
    """(what it said, why it ended)."""
    status, answer = await ask(endpoint, CHAT, {"messages": user(text)} | more)
    assert status == 200, answer
    choice = answer["choices"][0]
    return choice["message"]["content"], choice["finish_reason"]


async def streamed(endpoint: Endpoint, text: str, **more: Any) -> list[dict[str, Any]]:
    status, body = await post(endpoint, CHAT, {"messages": user(text), "stream": True} | more)
    assert status == 200
    assert b"data: [DONE]" in body
    return [json.loads(line[6:]) for line in body.decode().splitlines() if line.startswith("data: {")]


@both
def test_what_a_chat_needs(house: House, engine: str) -> None:
    async def scenario(supervisor: Supervisor) -> None:
        assert (await status_of(supervisor, engine)).state == "cold"
        endpoint = await supervisor.acquire(engine)
        state = await status_of(supervisor, engine)
        assert (state.state, state.network, state.context) == ("ready", "none", 2048)

        assert await say(endpoint, "1") == (CJK, "stop")
        events = await streamed(endpoint, "1", stream_options={"include_usage": True})
        pieces = [event["choices"][0]["delta"].get("content") for event in events if event["choices"]]
        assert "".join(piece or "" for piece in pieces) == CJK
        assert len([piece for piece in pieces if piece]) > 3, "it comes token by token"
        assert not any("\ufffd" in (piece or "") for piece in pieces), "no half characters"
        assert events[-1]["usage"]["completion_tokens"] == 8

        assert await say(endpoint, "1", stop=["界"]) == ("你好，世", "stop")
        assert await say(endpoint, "4") == (NOISE, "stop")
        assert len((await say(endpoint, "2", max_tokens=30))[0]) == 30
        assert (await say(endpoint, "2", max_tokens=30))[1] == "length"

        by_seed = [await say(endpoint, "2", max_tokens=40, seed=seed) for seed in (5, 5, 6)]
        assert by_seed[0] == by_seed[1] != by_seed[2]
        greedy = [await say(endpoint, "2", max_tokens=40, temperature=0, seed=seed) for seed in (1, 2)]
        assert greedy[0] == greedy[1]

        more = {"max_tokens": 3, "logprobs": True, "top_logprobs": 2}
        _, answer = await ask(endpoint, CHAT, {"messages": user("2"), **more})
        found = answer["choices"][0]["logprobs"]["content"]
        assert "".join(entry["token"] for entry in found) == answer["choices"][0]["message"]["content"]
        assert all(abs(entry["logprob"] + 3.258) < 0.05 for entry in found), "one of 26 letters"
        assert all(len(entry["top_logprobs"]) == 2 for entry in found)
        assert (await status_of(supervisor, engine)).rss_bytes < state.estimate_bytes

    run(house, scenario)


TOOLS = [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}]


@both
def test_tools_reach_the_template_and_calls_come_back(house: House, engine: str) -> None:
    async def scenario(supervisor: Supervisor) -> None:
        endpoint = await supervisor.acquire(engine)
        _, without = await ask(endpoint, CHAT, {"messages": user("3")})
        _, given = await ask(endpoint, CHAT, {"messages": user("3"), "tools": TOOLS})
        assert "<tool_call>" in without["choices"][0]["message"]["content"], "nobody offered a tool"
        assert given["usage"]["prompt_tokens"] > without["usage"]["prompt_tokens"]
        [call] = given["choices"][0]["message"]["tool_calls"]
        assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == ("look_up", {"word": "貓"})
        events = await streamed(endpoint, "3", tools=TOOLS)
        assert events[-1]["choices"][0]["finish_reason"] == "tool_calls"
        told = [call for event in events for call in event["choices"][0]["delta"].get("tool_calls", ())]
        assert [call["function"]["name"] for call in told] == ["look_up"]

    run(house, scenario)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"messages": [{"role": "nobody", "content": "1"}]}, "bad_request"),
    ({"messages": user("x" * 3000)}, "context_length_exceeded"),
    ({"messages": user("1"), "n": 2}, "unsupported"),
    ({"messages": user("1"), "tools": TOOLS, "tool_choice": "required"}, "unsupported"),
    ({"messages": user("1"), "no_such_member": 1}, "unsupported"),
]


@both
def test_what_cannot_be_is_refused(house: House, engine: str) -> None:
    async def scenario(supervisor: Supervisor) -> None:
        endpoint = await supervisor.acquire(engine)
        for body, code in REFUSED:
            for stream in (False, True):
                status, answer = await ask(endpoint, CHAT, body | {"stream": stream})
                assert (status, answer["error"]["code"]) == (400, code)
        assert (await ask(endpoint, "/v1/embeddings", {"input": "x"}))[0] == 400
        assert (await post(endpoint, CHAT, {"messages": user("1")}, key="wrong"))[0] == 401

    run(house, scenario)


SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"enum": ["yes", "no"]}}}


def test_json_by_a_schema_is_certain_or_refused(house: House) -> None:
    async def scenario(supervisor: Supervisor) -> None:
        onnx, transformers = await supervisor.acquire("onnx"), await supervisor.acquire("chat")
        for seed in range(5):
            said, _ = await say(onnx, "2", response_format=SCHEMA, seed=seed)
            assert json.loads(said) in {"yes", "no"}
        bad = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "no such type"}}}
        status, answer = await ask(onnx, CHAT, {"messages": user("2"), "response_format": bad})
        assert (status, answer["error"]["param"]) == (400, "response_format")
        status, answer = await ask(transformers, CHAT, {"messages": user("2"), "response_format": SCHEMA})
        assert (status, answer["error"]["code"]) == (400, "unsupported")

    run(house, scenario)


def test_transformers_bends_scores_as_asked(house: House) -> None:
    async def scenario(supervisor: Supervisor) -> None:
        endpoint = await supervisor.acquire("chat")
        assert await say(endpoint, "1", logit_bias={"2": 100}) == ("", "stop"), "the end, at once"
        said, _ = await say(endpoint, "2", max_tokens=26, temperature=0, presence_penalty=2, frequency_penalty=2)
        assert len(set(said)) == 26, "no letter twice"
        status, _ = await ask(endpoint, CHAT, {"messages": user("2"), "logit_bias": {"100000": 1}})
        assert status == 400

    run(house, scenario)


def test_an_encoder_embeds(house: House) -> None:
    async def scenario(supervisor: Supervisor) -> None:
        endpoint = await supervisor.acquire("embed")
        _, answer = await ask(endpoint, "/v1/embeddings", {"input": ["貓", "狗", "貓"]})
        cat, dog, again = (item["embedding"] for item in answer["data"])
        assert len(cat) == 32
        assert sum(x * x for x in cat) == pytest.approx(1.0, abs=1e-4)
        assert cat == pytest.approx(again, abs=1e-5)
        assert cat != pytest.approx(dog, abs=1e-2)
        status, answer = await ask(endpoint, "/v1/embeddings", {"input": "x" * 200})
        assert (status, answer["error"]["code"]) == (400, "context_length_exceeded")
        assert (await ask(endpoint, CHAT, {"messages": user("1")}))[0] == 400

    run(house, scenario)


@both
def test_a_client_that_leaves_frees_the_model(house: House, engine: str) -> None:
    """Each of these answers would take thousands of tokens; with two slots, the third would be refused."""

    async def scenario(supervisor: Supervisor) -> None:
        endpoint = await supervisor.acquire(engine)
        for _ in range(6):
            async with opened(endpoint, CHAT, {"messages": user("2"), "stream": True}) as reader:
                await reader.readuntil(b'"content":"')
                await reader.readuntil(b'"content":"')
        assert (await say(endpoint, "1"))[0] == CJK

    run(house, scenario)


@both
def test_a_crash_in_the_middle_of_a_stream_is_a_cut_and_the_next_request_starts_anew(house: House, engine: str) -> None:
    async def scenario(supervisor: Supervisor) -> None:
        endpoint = await supervisor.acquire(engine)
        pid = (await status_of(supervisor, engine)).pid
        async with opened(endpoint, CHAT, {"messages": user("2"), "stream": True}) as reader:
            await reader.readuntil(b'"content":"')
            os.kill(pid, signal.SIGKILL)
            rest = await reader.read(-1)
            assert b"[DONE]" not in rest
            assert not rest.endswith(b"0\r\n\r\n")
        await ended(pid)
        supervisor.release(engine)
        anew = await supervisor.acquire(engine)
        assert (await status_of(supervisor, engine)).restarts == 1
        assert (await say(anew, "1"))[0] == CJK

    run(house, scenario)


@both
def test_an_idle_model_leaves_and_a_busy_house_is_told(house: House, engine: str) -> None:
    async def scenario(supervisor: Supervisor) -> None:
        await supervisor.acquire(engine)
        pid = (await status_of(supervisor, engine)).pid
        supervisor.release(engine)
        await ended(pid)

    run(house, scenario, Engine(context=256, threads=1, idle_unload=0.05))

    async def too_small(supervisor: Supervisor) -> None:
        with pytest.raises(EngineError) as caught:
            await supervisor.acquire(engine)
        assert caught.value.code == "engine_memory"

    run(house, too_small, Engine(context=256, threads=1, memory_mb=50))


@both
def test_a_damaged_folder_is_refused_before_its_engine_sees_it_or_by_it(house: House, engine: str) -> None:
    folder = house.library.get(engine).path
    tokenizer = folder / "tokenizer.json"
    whole = tokenizer.read_bytes()
    tokenizer.unlink()  # it is a link: what it was made from stays whole
    tokenizer.write_bytes(b'{"model": {"type": "no such type"}}')

    async def scenario(supervisor: Supervisor) -> None:
        with pytest.raises(EngineError) as caught:
            await supervisor.acquire(engine)
        assert caught.value.code == "model_not_loaded"
        assert (await status_of(supervisor, engine)).state == "failed"
        weights = folder / ("model.safetensors" if engine == "chat" else "model.onnx")
        data = weights.read_bytes()
        weights.unlink()
        weights.write_bytes(data[:-1])
        with pytest.raises(EngineError):
            await supervisor.acquire(engine)
        assert (
            "truncated" in (await status_of(supervisor, engine)).error
            or "damaged" in (await status_of(supervisor, engine)).error
        )

    run(house, scenario)
    assert whole


@both
def test_the_child_has_no_keys_no_network_and_its_threads(house: House, engine: str) -> None:
    async def scenario(supervisor: Supervisor) -> None:
        os.environ["OPENAI_API_KEY"] = "secret"
        try:
            other = Supervisor(house.library, SETTINGS, house.folder / "run2", environ=os.environ)
            await other.acquire(engine)
            pid = (await status_of(other, engine)).pid
            environment = Path(f"/proc/{pid}/environ").read_bytes()
            sockets = [link for link in _links(pid) if link.startswith("socket:")]
            unix = Path(f"/proc/{pid}/net/unix").read_text()
            await other.close()
        finally:
            del os.environ["OPENAI_API_KEY"]
        assert b"secret" not in environment
        assert b"DO_NOT_TRACK=1" in environment
        assert all(link.removeprefix("socket:[").removesuffix("]") in unix for link in sockets), "Unix sockets only"

    run(house, scenario)


def _links(pid: int) -> list[str]:
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(str(link.readlink()))
    return found
