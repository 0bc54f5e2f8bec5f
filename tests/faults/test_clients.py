"""Clients that leave, read slowly or retry in a storm: the upstream is let go, memory bounded, nothing is doubled."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop
from tests import running
from tests.faults.rig import Rig, configuration, pairs, rig, stand_ins
from tests.faults.speakers import SPEAKERS
from tests.faults.test_matrix import balance

from nearfar.standin.faults import DIALECTS

LONG = '{ "chunks": 4000, "chunk_ms": 5 }'
SLOW = '{ "mode": "slow-head", "first_byte_ms": 1200 }'
LATE = '{ "first_byte_ms": 5000 }'
BIG = '{ "chunks": 200000 }'


def play(folder: Path, scenario: Callable[[Rig], Awaitable[None]]) -> None:
    async def main() -> None:
        invoices = folder / "invoices.jsonl"
        async with stand_ins(invoices) as (near, far):
            config = configuration(("status-500",), near.url, far.url)
            for name, behaviour in (("long", LONG), ("slow", SLOW), ("late", LATE), ("big", BIG)):
                config += running.far(name, far.url, behaviour=json.loads(behaviour))
            async with rig(folder, config, near=near, far=far) as made:
                await scenario(made)
                await made.settled()
                balance(made.entries(), invoices)

    uvloop.run(main())


async def begin(made: Rig, model: str, *, stream: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(made.url.rpartition(":")[2]))
    body = json.dumps({**SPEAKERS["openai.chat"].body(model, stream), "max_tokens": 300_000}).encode()
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n%b" % (len(body), body)
    )
    return reader, writer


async def running_at(made: Rig) -> None:
    """Wait until the upstream is at work."""
    async with asyncio.timeout(10):
        while not made.far.record.running:
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("model", "stream", "mark"),
    [("slow", True, b""), ("slow", False, b""), ("late", False, b""), ("long", True, b"data: ")],
    ids=["before-head", "plain-before-head", "plain", "in-stream"],
)
def test_a_client_that_leaves_lets_the_upstream_go(tmp_path: Path, model: str, stream: bool, mark: bytes) -> None:
    async def scenario(made: Rig) -> None:
        reader, writer = await begin(made, model, stream=stream)
        await running_at(made)
        if mark:
            await reader.readuntil(mark)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        # Within the second in which the upstream would have gone on for twenty.
        async with asyncio.timeout(10):
            while made.far.record.running:
                await asyncio.sleep(0.005)
        (entry,) = made.entries()
        assert (entry.outcome, entry.error) == ("cancelled", "client_gone")
        assert made.gateway.health.clear, "nothing is held against an upstream whose client left"

    play(tmp_path, scenario)


@pytest.mark.parametrize(
    "dialect", ["gemini", *(pytest.param(name, marks=pytest.mark.slow) for name in DIALECTS if name != "gemini")]
)
def test_what_was_said_when_a_client_left_is_not_taken_for_the_bill(tmp_path: Path, dialect: str) -> None:
    async def main() -> None:
        invoices = tmp_path / "invoices.jsonl"
        async with stand_ins(invoices) as (near, far):
            config = pairs([("stall", dialect)], near.url, far.url)
            async with rig(tmp_path, config, near=near, far=far) as made:
                reader, writer = await begin(made, f"alone-stall-{dialect}", stream=True)
                await reader.readuntil(b'"content":"This')
                writer.close()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()
                await made.settled()
                (entry,) = made.entries()
                assert (entry.outcome, entry.cost) == ("cancelled", None), "nobody knows what else was written"
                balance(made.entries(), invoices)

    uvloop.run(main())


def test_a_slow_reader_slows_the_upstream_and_fills_no_memory(tmp_path: Path) -> None:
    async def scenario(made: Rig) -> None:
        reader, writer = await begin(made, "big", stream=True)
        await running_at(made)
        pieces = -1
        async with asyncio.timeout(10):
            # Nobody reads: the stand-in stops writing at some point, far before its 200,000 words (some 40 MB).
            while pieces != (now := made.far.record.report().requests[-1].chunks):
                pieces = now
                await asyncio.sleep(0.3)
        assert 0 < pieces < 150_000
        del reader
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    play(tmp_path, scenario)


def test_a_storm_of_sdk_retries_is_not_multiplied(tmp_path: Path) -> None:
    async def scenario(made: Rig) -> None:
        speaker = SPEAKERS["openai.chat"]
        for retry in range(3):
            await made.ask(
                speaker,
                "alone-status-500-openai",
                stream=False,
                headers=(("x-stainless-retry-count", str(retry)),),
            )
        by_request: dict[str, int] = {}
        for entry in made.entries():
            by_request[entry.request] = by_request.get(entry.request, 0) + 1
        assert sorted(by_request.values()) == [1, 1, 2], "one retry of ours for the first, none for the SDK's own"

    play(tmp_path, scenario)
