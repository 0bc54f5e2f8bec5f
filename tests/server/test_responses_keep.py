"""Keeping a response while it is given."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from nearfar.core.chat import Chunk, TextDelta
from nearfar.core.errors import StoreUnavailable
from nearfar.core.places import Class
from nearfar.gateway.exchange import Headers, read_lines
from nearfar.server.responses_keep import Keeping, followed
from nearfar.store.responses import Put
from nearfar.wire.openai_responses_parse import parse
from nearfar.wire.openai_responses_render import Told


class Client:
    """What reached the client."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.data = b""
        self.order: list[str] = []
        self.counted: list[str] = []

    async def start(self, status: int, headers: Headers, lines: bytes = b"") -> None:
        self.order.append("start")
        self.status, self.headers = status, dict([*headers, *read_lines(lines)])

    async def write(self, data: bytes) -> None:
        self.order.append("write")
        self.data += data

    async def end(self, data: bytes) -> None:
        self.order.append("end")
        self.data += data

    async def abort(self) -> None:
        self.order.append("abort")


class Store:
    """A store whose database can be away, which a real one cannot be made to be from outside."""

    highest = Class.INTERNAL

    def __init__(self, client: Client, *, away: bool = False, taken: bool = False, removed: int = 0) -> None:
        self._removed = removed
        self.put_with: dict[str, Any] = {}
        self._client = client
        self._away = away
        self._taken = taken

    def put(self, **values: Any) -> Put:
        if self._away:
            raise StoreUnavailable("The database is away.")
        assert "end" not in self._client.order, "kept before the last byte"
        self.put_with = values
        return Put(kept=not self._taken, removed=self._removed)


HEADERS: Headers = [(b"content-type", b"x"), (b"content-length", b"0")]
LINES = b"x-nearfar-class: internal\r\n"


def answered(
    *,
    stream: bool,
    lines: bytes = LINES,
    away: bool = False,
    taken: bool = False,
    removed: int = 0,
    status: int = 200,
) -> tuple[Client, Store]:
    client = Client()
    store: Any = Store(client, away=away, taken=taken, removed=removed)
    request = parse(json.dumps({"model": "m", "input": "hi", "stream": stream}).encode(), "req-1")
    told = Told(store=True)
    keeping = Keeping(client, store, request, told, count=client.counted.append)

    async def scenario() -> None:
        renderer = followed(told, keeping)(request, False)
        if status != 200:
            await keeping.start(status, HEADERS)
            await keeping.end(b"{}")
            return
        chunk = Chunk(events=(TextDelta("Near."),))
        if stream:
            await keeping.start(200, HEADERS[:1], lines)
            await keeping.write(renderer.render(chunk))
            await keeping.end(renderer.finish())
        else:
            data = renderer.render(chunk) + renderer.finish()
            await keeping.start(200, HEADERS, lines)
            await keeping.end(data)

    asyncio.run(scenario())
    return client, store


@pytest.mark.parametrize("stream", [False, True])
def test_kept(stream: bool) -> None:
    client, store = answered(stream=stream)
    assert store.put_with["id"] == "resp_1"
    assert store.put_with["class_"] is Class.INTERNAL
    assert json.loads(store.put_with["input"])[0]["content"] == [{"type": "input_text", "text": "hi"}]
    assert json.loads(store.put_with["response"])["store"] is True
    assert b"x-nearfar-deviations" not in client.headers
    assert client.headers[b"x-nearfar-class"] == b"internal"
    assert b'"store":true' in client.data
    assert client.counted == []


@pytest.mark.parametrize("away", [True, False])
def test_what_could_not_be_kept_is_given_and_told(away: bool) -> None:
    client, _ = answered(stream=False, away=away, taken=not away)
    assert client.headers[b"x-nearfar-deviations"] == b"dropped:store"
    assert json.loads(client.data)["store"] is False
    assert int(client.headers[b"content-length"]) == len(client.data)
    client, _ = answered(stream=True, away=away, taken=not away)
    assert b": x-nearfar-deviations: dropped:store\n" in client.data
    assert client.counted == ["dropped:store"]
    assert b"response.completed" in client.data


def test_what_had_to_go_for_it_is_told() -> None:
    client, _ = answered(stream=False, removed=3)
    assert client.headers[b"x-nearfar-deviations"] == b"removed:responses=3"
    assert json.loads(client.data)["store"] is True
    client, _ = answered(stream=True, removed=1)
    assert b": x-nearfar-deviations: removed:responses=1\n" in client.data
    assert b'"store":true' in client.data
    assert client.counted == ["removed:responses=1"]


@pytest.mark.parametrize("lines", [b"", b"x-nearfar-class: restricted\r\nx-nearfar-deviations: renamed:x\r\n"])
@pytest.mark.parametrize("stream", [False, True])
def test_an_unknown_or_high_class_is_not_kept(lines: bytes, stream: bool) -> None:
    client, store = answered(stream=stream, lines=lines)
    assert store.put_with == {}
    assert client.headers[b"x-nearfar-deviations"].endswith(b"dropped:store")
    assert client.headers[b"x-nearfar-deviations"].startswith(b"renamed:x" if lines else b"dropped")
    assert b'"store":true' not in client.data
    assert client.counted == ["dropped:store"]


def test_errors_pass_and_are_not_kept() -> None:
    client, store = answered(stream=False, status=502)
    assert (client.status, client.data, store.put_with) == (502, b"{}", {})


def test_a_broken_stream_is_not_kept() -> None:
    client = Client()
    store: Any = Store(client)
    request = parse(b'{"model":"m","input":"hi","stream":true}', "req-1")
    keeping = Keeping(client, store, request, Told(store=True), count=client.counted.append)

    async def scenario() -> None:
        await keeping.start(200, HEADERS[:1], LINES)
        await keeping.write(b"x")
        await keeping.abort()

    asyncio.run(scenario())
    assert client.order == ["start", "write", "abort"]
    assert store.put_with == {}
