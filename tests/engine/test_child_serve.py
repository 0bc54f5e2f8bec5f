"""One model's requests in their order, with a model of a few lines in place of an engine."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.engine.talk import CHAT, HELLO, ask, opened, post

from nearfar.core.engines import Endpoint
from nearfar.core.errors import BadRequestError
from nearfar.engine.child_chat import Ask, Logprob
from nearfar.engine.child_http import Server
from nearfar.engine.child_serve import Model, Piece, Service, Step, answer, read_inputs
from nearfar.engine.child_tools import HERMES

END = 0


class Speaker:
    """Speaks one character per token, the same words to everybody; ``free`` lets it go on."""

    context = 500
    ends = frozenset({END})
    marks: Mapping[int, str] = {}
    can: Collection[str] = frozenset({"logprobs", "top_logprobs"})
    tool_format = HERMES
    operations: Collection[str] = ("chat", "embeddings")

    def __init__(self, text: str, *, ends: bool = True) -> None:
        self._tokens = [ord(letter) for letter in text] + ([END] if ends else [])
        self.free = threading.Event()
        self.free.set()
        self.writing = threading.Semaphore(0)
        self.given = 0

    def prompt(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> list[int]:
        if messages[0]["content"] == "refuse":
            raise BadRequestError("The template refuses.")
        return [1] * len(messages[0]["content"])

    def decode(self, tokens: list[int]) -> str:
        return "".join(map(chr, tokens))

    def write(self, prompt: list[int], limit: int, ask: Ask, step: Step) -> None:
        self.writing.release()
        for token in self._tokens[:limit]:
            self.free.wait(30)
            self.given += 1
            if step(token, Logprob(chr(token), -1.0) if ask.logprobs else None):
                return

    def embed(self, text: str) -> tuple[list[float], int]:
        return [float(len(text)), 0.5], len(text)


def it_is_a_model(speaker: Speaker) -> Model:
    """The type checker's own test."""
    return speaker


def pieces(model: Speaker, **members: Any) -> list[Piece]:
    from nearfar.engine.child_chat import read

    told: list[Piece] = []
    body = json.dumps({"messages": HELLO} | members).encode()
    answer(model, read(body, model.can), threading.Event(), told.append)
    return told


def said(told: list[Piece]) -> tuple[str, str, int]:
    return "".join(piece.text for piece in told), told[-1].finish, told[-1].written


def test_how_an_answer_ends() -> None:
    assert said(pieces(Speaker("abc"))) == ("abc", "stop", 4)
    assert said(pieces(Speaker("abc"), max_tokens=2)) == ("ab", "length", 2)
    assert said(pieces(Speaker("abcdef"), stop=["cd"])) == ("ab", "stop", 4)
    assert said(pieces(Speaker("abc"), stop=["cd"])) == ("abc", "stop", 4)
    assert said(pieces(Speaker("ab", ends=False))) == ("ab", "length", 2)
    assert said(pieces(Speaker("x" * 600))) == ("x" * 495, "length", 495)


CALL = '<tool_call>{"name": "f", "arguments": {}}</tool_call>'
TOOLS = [{"type": "function", "function": {"name": "f"}}]


def test_calls_are_read_only_where_tools_were_given() -> None:
    assert said(pieces(Speaker(CALL)))[:2] == (CALL, "stop")
    told = pieces(Speaker(f"so {CALL}{CALL}"), tools=TOOLS)
    assert said(told)[:2] == ("so ", "tool_calls")
    assert [call.name for call in told[-1].calls] == ["f", "f"]
    assert len(pieces(Speaker(CALL + CALL), tools=TOOLS, parallel_tool_calls=False)[-1].calls) == 1
    assert said(pieces(Speaker("<tool_call>{"), tools=TOOLS))[:2] == ("<tool_call>{", "stop")


def run(folder: Path, model: Speaker, scenario: Any, *, waiting: int = 1, wait_seconds: float = 30.0) -> None:
    async def serve() -> None:
        path = str(folder / "s.sock")
        service = Service("m", model, waiting, wait_seconds)
        async with await Server("key", service.handle).listen(path):
            async with asyncio.timeout(60):
                await scenario(Endpoint(address=f"unix:{path}", key="key", context=100))

    asyncio.run(serve())


def test_plain_and_stream_say_the_same(tmp_path: Path) -> None:
    async def scenario(endpoint: Endpoint) -> None:
        body = {"messages": HELLO, "logprobs": True}
        status, plain = await ask(endpoint, CHAT, body)
        assert (status, plain["choices"][0]["message"]["content"]) == (200, "你好")
        assert plain["usage"] == {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
        assert len(plain["choices"][0]["logprobs"]["content"]) == 2
        status, stream = await post(endpoint, CHAT, body | {"stream": True})
        assert status == 200
        events = [json.loads(line[6:]) for line in stream.decode().splitlines() if line.startswith("data: {")]
        assert "".join(event["choices"][0]["delta"].get("content", "") for event in events) == "你好"
        assert events[-1]["choices"][0]["finish_reason"] == "stop"
        assert b"data: [DONE]" in stream

    run(tmp_path, Speaker("你好"), scenario)


def test_refusals_have_a_status_also_in_a_stream(tmp_path: Path) -> None:
    async def scenario(endpoint: Endpoint) -> None:
        for content, code in (("refuse", "bad_request"), ("x" * 500, "context_length_exceeded")):
            body = {"messages": [{"role": "user", "content": content}], "stream": True}
            status, answered = await ask(endpoint, CHAT, body)
            assert (status, answered["error"]["code"]) == (400, code)
        assert (await ask(endpoint, "/v1/nothing", {}))[0] == 404
        model = Speaker("")
        model.operations = ()
        service = Service("m", model, 0)
        for path in (CHAT, "/v1/embeddings"):
            from nearfar.engine.child_http import Reply, Request

            with pytest.raises(BadRequestError):
                await service.handle(Request("POST", path, b"{}"), Reply(None))  # type: ignore[arg-type] # not reached

    run(tmp_path, Speaker("x"), scenario)


def test_one_after_another_and_no_more_than_may_wait(tmp_path: Path) -> None:
    model = Speaker("abc")
    model.free.clear()

    async def scenario(endpoint: Endpoint) -> None:
        first = asyncio.create_task(ask(endpoint, CHAT, {"messages": HELLO}))
        await asyncio.to_thread(model.writing.acquire)
        second = asyncio.create_task(ask(endpoint, CHAT, {"messages": HELLO}))
        third = asyncio.create_task(ask(endpoint, CHAT, {"messages": HELLO}))
        done, _ = await asyncio.wait({second, third}, return_when=asyncio.FIRST_COMPLETED)
        [refused] = done
        assert (refused.result()[0], refused.result()[1]["error"]["code"]) == (503, "overloaded")
        assert (await ask(endpoint, "/health", {}))[0] in {200, 404}  # the loop is free
        model.free.set()
        results = await asyncio.gather(first, *({second, third} - done))
        assert [status for status, _ in results] == [200, 200]

    run(tmp_path, model, scenario)


def test_waiting_has_an_end(tmp_path: Path) -> None:
    model = Speaker("abc")
    model.free.clear()

    async def scenario(endpoint: Endpoint) -> None:
        first = asyncio.create_task(ask(endpoint, CHAT, {"messages": HELLO}))
        await asyncio.to_thread(model.writing.acquire)
        status, answered = await ask(endpoint, CHAT, {"messages": HELLO})
        assert (status, answered["error"]["message"]) == (503, "m was busy for 0.05 s.")
        model.free.set()
        assert (await first)[0] == 200

    run(tmp_path, model, scenario, wait_seconds=0.05)


def test_a_client_that_leaves_ends_its_answer_within_a_token_and_frees_the_place(tmp_path: Path) -> None:
    model = Speaker("x" * 90)
    model.free.clear()

    async def scenario(endpoint: Endpoint) -> None:
        for stream in (True, False):
            before = model.given
            async with opened(endpoint, CHAT, {"messages": HELLO, "stream": stream}) as reader:
                await asyncio.to_thread(model.writing.acquire)
                if stream:
                    await reader.readuntil(b"assistant")
            # The server learns of it before it is asked again: one event loop, in order.
            assert (await ask(endpoint, "/v1/nothing", {}))[0] == 404
            model.free.set()
            assert (await ask(endpoint, CHAT, {"messages": HELLO, "max_tokens": 1}))[0] == 200
            await asyncio.to_thread(model.writing.acquire)
            assert model.given - before <= 2
            model.free.clear()

    run(tmp_path, model, scenario)


def test_an_engine_that_fails_in_the_middle_ends_the_stream_with_an_error(tmp_path: Path) -> None:
    class Failing(Speaker):
        def write(self, prompt: list[int], limit: int, ask: Ask, step: Step) -> None:
            step(ord("a"), None)
            raise RuntimeError("out of memory")

    async def scenario(endpoint: Endpoint) -> None:
        status, stream = await post(endpoint, CHAT, {"messages": HELLO, "stream": True})
        assert status == 200
        assert b"RuntimeError: out of memory" in stream
        assert b"[DONE]" not in stream
        assert (await ask(endpoint, CHAT, {"messages": HELLO}))[0] == 500

    run(tmp_path, Failing(""), scenario)


def test_embeddings(tmp_path: Path) -> None:
    async def scenario(endpoint: Endpoint) -> None:
        status, floats = await ask(endpoint, "/v1/embeddings", {"input": ["ab", "c"]})
        assert status == 200
        assert [item["embedding"] for item in floats["data"]] == [[2.0, 0.5], [1.0, 0.5]]
        assert floats["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
        _, packed = await ask(endpoint, "/v1/embeddings", {"input": "ab", "encoding_format": "base64"})
        assert packed["data"][0]["embedding"] == "AAAAQAAAAD8="

    run(tmp_path, Speaker(""), scenario)


NOT_EMBEDDED = [
    b"",
    b"{}",
    b'{"input": []}',
    b'{"input": [1, 2]}',
    b'{"input": "a", "dimensions": 2}',
    b'{"input": "a", "encoding_format": "x"}',
]


@pytest.mark.parametrize("body", NOT_EMBEDDED)
def test_what_cannot_be_embedded(body: bytes) -> None:
    with pytest.raises(BadRequestError):
        read_inputs(body)
