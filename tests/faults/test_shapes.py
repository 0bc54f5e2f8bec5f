"""Faults that need more than a question: tool calls in pieces, a megabyte in a line, a runtime with room for one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop
from tests.faults.rig import Rig, configuration, rig, stand_ins
from tests.faults.speakers import SPEAKERS, ask, sse
from tests.faults.test_matrix import balance

TOOLS = [
    {
        "type": "function",
        "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
    }
]
FAULTS = ("tool-in-pieces", "parallel-tools", "long-line", "one-at-a-time")


def play(folder: Path, scenario: Callable[[Rig], Awaitable[None]]) -> None:
    async def main() -> None:
        invoices = folder / "invoices.jsonl"
        async with (
            stand_ins(invoices) as (near, far),
            rig(folder, configuration(FAULTS, near.url, far.url), near=near, far=far) as made,
        ):
            await scenario(made)
            await made.settled()
            balance(made.entries(), invoices)

    uvloop.run(main())


@pytest.mark.parametrize(("fault", "count"), [("tool-in-pieces", 1), ("parallel-tools", 2)])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_tool_calls_arrive_whole_in_openais_and_in_anthropics_dialect(
    tmp_path: Path, fault: str, count: int, stream: bool
) -> None:
    async def scenario(made: Rig) -> None:
        route = f"alone-{fault}-openai"
        body: dict[str, Any] = {"model": route, "messages": [{"role": "user", "content": "x"}], "stream": stream}
        got = await ask(made.url, "/v1/chat/completions", {**body, "tools": TOOLS})
        assert [call["city"] for call in openai_calls(got.body, stream=stream)] == ["Taipei"] * count
        tools = [{"name": "weather", "input_schema": {"type": "object"}}]
        got = await ask(made.url, "/v1/messages", {**body, "tools": tools, "max_tokens": 99})
        assert [call["city"] for call in anthropic_calls(got.body, stream=stream)] == ["Taipei"] * count

    play(tmp_path, scenario)


def openai_calls(body: bytes, *, stream: bool) -> list[Any]:
    if not stream:
        calls = json.loads(body)["choices"][0]["message"]["tool_calls"]
        return [json.loads(call["function"]["arguments"]) for call in calls]
    found: dict[int, str] = {}
    for _, event in sse(body):
        for choice in event["choices"] if event != "[DONE]" else ():
            for call in choice["delta"].get("tool_calls") or ():
                found[call["index"]] = found.get(call["index"], "") + (call["function"].get("arguments") or "")
    return [json.loads(text) for text in found.values()]


def anthropic_calls(body: bytes, *, stream: bool) -> list[Any]:
    if not stream:
        return [block["input"] for block in json.loads(body)["content"] if block["type"] == "tool_use"]
    found: dict[int, str] = {}
    for name, event in sse(body):
        if name == "content_block_delta" and event["delta"]["type"] == "input_json_delta":
            found[event["index"]] = found.get(event["index"], "") + event["delta"]["partial_json"]
    return [json.loads(text) for text in found.values()]


@pytest.mark.parametrize("dialect", ["openai.chat", "anthropic.messages", "ollama.chat"])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a_line_of_a_megabyte_goes_through_whole(tmp_path: Path, dialect: str, stream: bool) -> None:
    async def scenario(made: Rig) -> None:
        speaker = SPEAKERS[dialect]
        got = await made.ask(speaker, "alone-long-line-openai", stream=stream)
        assert (got.status, got.framed) == (200, True)
        text = speaker.stream(got.body).text if stream else speaker.plain(json.loads(got.body))
        assert len(text) == 1_000_000

    play(tmp_path, scenario)


def test_a_runtime_that_drops_one_stream_for_the_next_ends_the_first_one_honestly(tmp_path: Path) -> None:
    async def scenario(made: Rig) -> None:
        speaker = SPEAKERS["openai.chat"]
        first = asyncio.create_task(made.ask(speaker, "alone-one-at-a-time-openai", stream=True))
        while not any(seen.chunks > 3 for seen in made.far.record.report().requests):
            await asyncio.sleep(0.005)
        second = await made.ask(speaker, "alone-one-at-a-time-openai", stream=True)
        assert speaker.stream(second.body).done
        read = speaker.stream((await first).body)
        assert read.error
        assert not read.done

    play(tmp_path, scenario)
