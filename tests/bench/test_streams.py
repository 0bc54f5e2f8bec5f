"""The upstream and the client of the streams agree on what a chunk is; the client notices what is missing."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.stand_in import Running

from bench import streams, upstream


def test_every_chunk_is_counted_and_every_stream_ends() -> None:
    async def scenario() -> streams.Counts:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: upstream.Upstream(chunks=7, gap=0.001), "127.0.0.1", 0)
        counts = await streams.load(server.sockets[0].getsockname()[1], "key", "model", 3, 0.1)
        server.close()
        return counts

    counts = asyncio.run(scenario())
    assert counts.failed == 0
    assert counts.streams >= 3
    assert counts.chunks == 7 * counts.streams
    assert 0 < counts.reads <= counts.chunks


def test_the_events_are_openai_chunks() -> None:
    line = upstream.event({"content": " word"}).splitlines()[1]
    assert json.loads(line.removeprefix(b"data: "))["choices"][0]["delta"] == {"content": " word"}
    assert streams.MARK in line


@pytest.mark.parametrize("mode", ["close", "cut", "503", "garbage"])
def test_a_bad_ending_is_a_failure(stand_in: Running, mode: str) -> None:
    stand_in.behave(mode)
    port = int(stand_in.url.rpartition(":")[2])
    counts = asyncio.run(streams.load(port, "key", "model", 2, 0.01))
    assert counts.failed >= 2
    assert counts.streams == 0
