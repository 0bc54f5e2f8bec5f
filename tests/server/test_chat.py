"""The endpoints that models answer: what the edge adds to a request before the pipeline sees it."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

import pytest
from tests import running, stand_in
from tests.gateway.house import plain
from tests.gateway.scripted import read_request
from tests.server.served import loaded, run, served

from nearfar.core.places import Class
from nearfar.ledger import query
from nearfar.store import keys
from nearfar.store.database import connect


def test_both_operations_answer(tmp_path: Path, stand_in: stand_in.Running) -> None:
    async def scenario() -> None:
        async with served(loaded(tmp_path, running.far("far", stand_in.url))) as app:
            chat = await app.chat("far")
            assert chat.json["choices"][0]["message"]["content"]
            vectors = await app.ask("/v1/embeddings", {"model": "far", "input": ["a", "b"]})
            assert [row["index"] for row in vectors.json["data"]] == [0, 1]
            assert chat.headers["x-nearfar-request"] != vectors.headers["x-nearfar-request"]
            hello = {"model": "far", "messages": running.HELLO, "stream": True}
            asked = await app.ask("/v1/responses", {"model": "far", "input": "hello"})
            for reply in (chat, vectors, asked, await app.ask("/v1/chat/completions", hello), await app.chat("nobody")):
                # Where OpenAI's clients look for it: `_request_id` of a reply, `request_id` of an exception.
                assert reply.headers["x-request-id"] == reply.headers["x-nearfar-request"]

    run(scenario())


@pytest.mark.parametrize(
    ("floor", "header", "expected"),
    [
        (None, None, "internal"),
        (None, "public", "public"),
        (None, "  Internal ", "internal"),
        (Class.INTERNAL, "public", "internal"),
        (Class.PUBLIC, None, "public"),
        (Class.RESTRICTED, "public", "restricted"),
        (Class.PUBLIC, "confidential", "confidential"),
    ],
)
def test_the_class_is_the_highest_said(
    tmp_path: Path, stand_in: stand_in.Running, floor: Class | None, header: str | None, expected: str
) -> None:
    settings = loaded(tmp_path, running.far("far", stand_in.url, more='place = "device"'))
    (tmp_path / "state").mkdir()
    with closing(connect(settings.ledger_url)) as connection:
        keys.prepare(connection)
        _, secret = keys.new(connection, "anna", floor=floor)

    async def scenario() -> None:
        async with served(settings) as app:
            headers = {"authorization": f"Bearer {secret}"}
            if header is not None:
                headers["x-nearfar-class"] = header
            reply = await app.chat("far", headers=headers)
            assert (reply.status, reply.headers["x-nearfar-class"]) == (200, expected)

    run(scenario())


def test_a_class_that_cannot_be_read_is_refused(tmp_path: Path, stand_in: stand_in.Running) -> None:
    async def scenario() -> None:
        async with served(loaded(tmp_path, running.far("far", stand_in.url))) as app:
            reply = await app.chat("far", headers={"x-nearfar-class": "top secret"})
            assert (reply.status, reply.error["param"]) == (400, "x-nearfar-class")
            assert "restricted" in reply.error["message"], "it says which there are"
            assert stand_in.report().totals.requests == 0

    run(scenario())


def test_a_stream_tells_what_it_cost_to_whoever_asks(tmp_path: Path, stand_in: stand_in.Running) -> None:
    async def scenario() -> None:
        async with served(loaded(tmp_path, running.far("far", stand_in.url))) as app:
            body = {"model": "far", "messages": running.HELLO, "stream": True}
            plain = await app.ask("/v1/chat/completions", body)
            asked = await app.ask("/v1/chat/completions", body, headers={"x-nearfar-tell": "cost"})
            assert b"x-nearfar-cost-usd" not in plain.body
            assert asked.body.rstrip().rpartition(b"\n")[2].startswith(b": x-nearfar-cost-usd: 0.000")
            assert asked.text == plain.text

    run(scenario())


@pytest.mark.parametrize("count", ["0", "2", "many", "-1", "", "9" * 5000])
def test_a_retry_count_of_any_kind_is_no_obstacle(tmp_path: Path, stand_in: stand_in.Running, count: str) -> None:
    async def scenario() -> None:
        async with served(loaded(tmp_path, running.far("far", stand_in.url))) as app:
            assert (await app.chat("far", headers={"x-stainless-retry-count": count})).status == 200

    run(scenario())


def test_a_few_purposes_can_be_said_and_no_others(tmp_path: Path, stand_in: stand_in.Running) -> None:
    settings = loaded(tmp_path, running.far("far", stand_in.url))

    async def scenario() -> None:
        async with served(settings) as app:
            for purpose in ("probe", "eval", "judge", "opinion", "shadow", "rewrite", ""):
                await app.chat("far", headers={"x-nearfar-purpose": purpose} if purpose else {})

    run(scenario())
    with closing(query.open_ledger(settings.ledger_url)) as connection:
        purposes = sorted(entry.purpose for entry in query.entries(connection))
        assert purposes == ["eval", "judge", "opinion", "probe", "serve", "serve", "serve"]


def test_of_a_burst_of_requests_each_is_on_record_before_it_arrives(tmp_path: Path) -> None:
    """Records are written in groups; the file holds an attempt's before the upstream reads its first byte."""
    early: list[bytes] = []
    arrived = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal arrived
        while head := await read_request(reader):
            arrived += 1
            attempt = head.partition(b"x-request-id: ")[2].partition(b"\r\n")[0]
            if not any(attempt in path.read_bytes() for path in tmp_path.rglob("*.jsonl")):
                early.append(attempt)
            writer.write(plain())
            await writer.drain()
        writer.close()

    async def scenario() -> None:
        upstream = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = upstream.sockets[0].getsockname()[1]
        async with upstream, served(loaded(tmp_path, running.far("far", f"http://127.0.0.1:{port}"))) as app:
            replies = await asyncio.gather(*(app.chat("far") for _ in range(40)))
            assert {reply.status for reply in replies} == {200}
        assert (arrived, early) == (40, [])

    run(scenario())
