"""Continuation: the rest of a stream that broke off comes from a deployment that can, and the reply tells it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from tests.gateway.house import (
    DONE,
    STREAM_HEAD,
    USAGE,
    WHOLE_STREAM,
    House,
    chunk,
    closes,
    event,
    house,
    plain,
    run,
    snapshot,
    stream,
    target,
)
from tests.gateway.scripted import Upstream, upstream

from nearfar.core.places import Class, Place
from nearfar.core.routing import Capability, Route
from nearfar.gateway.continuing import PREFILL, Continuing
from nearfar.gateway.decider import Said
from nearfar.gateway.pipeline import Pipeline

ROUTE = Route(name="main", strategy="local-first", deployments=("one", "two"), continues=True)
BROKEN = closes(STREAM_HEAD + chunk(event("One")) + chunk(event(" two ")))
REST = stream(event("three"), event(None, '"stop"'), USAGE, DONE)
CAN = {PREFILL: Capability(can=True, source="declared")}


@asynccontextmanager
async def continuing(
    folder: Path, first: Any, second: Any, *, place: Place = Place.CLOUD, can: Any = CAN, **more: Any
) -> AsyncIterator[tuple[House, Upstream, Upstream]]:
    async with upstream(first) as one, upstream(second) as two:
        route = msgspec.structs.replace(ROUTE, **more)
        targets = (target("one", one.port, place), target("two", two.port, capabilities=can))
        async with house(folder, snapshot(*targets, routes={"main": route})) as made:
            attempts = Continuing(made.attempts, fleet=made.fleet, health=made.health, metrics=made.metrics)
            made.pipeline = Pipeline(
                fleet=made.fleet, decider=made.pipeline._decider, attempts=attempts, metrics=made.metrics
            )
            yield made, one, two


def text(body: bytes) -> str:
    events = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: {")]
    deltas = [choice["delta"] for item in events for choice in json.loads(item).get("choices", ())]
    return "".join(delta.get("content") or "" for delta in deltas)


def test_the_rest_comes_from_another_one_and_is_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with continuing(tmp_path, BROKEN, REST) as (made, _, two):
            out = await made.chat(stream=True, max_tokens=50)
            assert (out.ended, out.body.endswith(DONE)) == (True, True)
            assert text(out.body) == "One two three"
            assert b"continued:one:stream_cut" in out.body
            sent = json.loads(two.requests[0].partition(b"\r\n\r\n")[2])
            assert sent["messages"][-1] == {"role": "assistant", "content": "One two"}
            assert sent["max_tokens"] == 48
            first, second = made.entries()
            assert (first.outcome, second.outcome, second.parent) == ("cut", "ok", first.attempt)
            assert second.deviations == ("continued:one:stream_cut",)

    run(scenario())


def test_who_cannot_do_it_is_not_asked_and_the_end_is_honest(tmp_path: Path) -> None:
    async def scenario() -> None:
        for can in ({}, {PREFILL: Capability(can=False)}, {PREFILL: Capability()}):
            folder = tmp_path / str(len(can)) / str(can.get(PREFILL))[:60].replace("/", "")
            folder.mkdir(parents=True)
            async with continuing(folder, BROKEN, REST, can=can) as (made, _, two):
                out = await made.chat(stream=True)
                assert (out.ended, out.aborted) == (False, True)
                assert not two.requests

    run(scenario())


def test_a_route_that_does_not_ask_for_it_gets_an_error_event(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with continuing(tmp_path, BROKEN, REST, continues=False) as (made, _, two):
            out = await made.chat(stream=True)
            assert (out.ended, b"stream_cut" in out.body) == (False, True)
            assert not two.requests

    run(scenario())


def test_a_class_that_may_not_go_there_is_not_continued_there(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with continuing(tmp_path, BROKEN, REST, place=Place.DEVICE) as (made, _, two):
            out = await made.chat(stream=True, said=Said(header=Class.RESTRICTED))
            assert (out.ended, out.aborted) == (False, True)
            assert not two.requests

    run(scenario())


def test_what_is_more_than_words_is_not_continued(tmp_path: Path) -> None:
    async def scenario() -> None:
        call = (
            b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":'
            b'{"tool_calls":[{"index":0,"id":"x","function":{"name":"f","arguments":""}}]},"finish_reason":null}]}\n\n'
        )
        async with continuing(tmp_path, closes(STREAM_HEAD + chunk(event("a")) + chunk(call)), REST) as (made, _, two):
            out = await made.chat(stream=True)
            assert (out.ended, out.aborted) == (False, True)
            assert not two.requests

    run(scenario())


def test_one_that_breaks_off_too_ends_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with continuing(tmp_path, BROKEN, closes(STREAM_HEAD + chunk(event("three")))) as (made, _, _):
            out = await made.chat(stream=True)
            assert (out.ended, out.aborted, text(out.body)) == (False, True, "One two three")
            assert b"stream_cut" in out.body
            assert [entry.outcome for entry in made.entries()] == ["cut", "cut"]

    run(scenario())


def test_before_the_first_content_it_is_a_failover_as_ever(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with continuing(tmp_path, closes(STREAM_HEAD), WHOLE_STREAM) as (made, _, two):
            out = await made.chat(stream=True)
            assert (out.ended, text(out.body)) == (True, "ab")
            assert out.headers["x-nearfar-deviations"] == "failover:one:stream_cut"
            assert b"assistant" not in two.requests[0]

    run(scenario())


def test_plain_replies_pass_as_they_came(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with continuing(tmp_path, plain(), plain()) as (made, _, _):
            assert (await made.chat()).status == 200

    run(scenario())
