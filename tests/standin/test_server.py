"""Paths, the key, the standing behaviour and the record of a running stand-in."""

from __future__ import annotations

import asyncio
import json
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.stand_in import Running, read_invoices, running

from nearfar.standin.server import StandIn

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


def call(url: str, body: dict[str, Any] | None = None, **headers: str) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_the_mode_is_set_from_outside_and_lasts_as_often_as_asked(stand_in: Running) -> None:
    status, mode = call(f"{stand_in.url}/stand-in/mode", {"mode": "503", "times": 2})
    assert (status, mode) == (200, {"mode": "503", "times": 2})
    assert [call(f"{stand_in.url}/v1/chat/completions", CHAT)[0] for _ in range(3)] == [503, 503, 200]
    assert call(f"{stand_in.url}/stand-in/mode", {"mode": "nonsense"})[0] == 400
    assert call(f"{stand_in.url}/stand-in/mode")[1] == {"mode": "503", "times": 2}


def test_one_request_may_ask_for_its_own_behaviour(stand_in: Running) -> None:
    url = f"{stand_in.url}/v1/chat/completions"
    assert call(url, CHAT, x_stand_in='{"mode": "429"}')[0] == 429
    assert call(url, CHAT | {"stand_in": {"mode": "500"}})[0] == 500
    assert call(url, CHAT | {"stand_in": {"mode": "none such"}})[0] == 400
    assert call(url, CHAT)[0] == 200


def test_the_record(stand_in: Running, tmp_path: Path) -> None:
    call(f"{stand_in.url}/v1/chat/completions", CHAT | {"seed": 7}, x_request_id="r1")
    call(f"{stand_in.url}/v1/embeddings", {"model": "e", "input": "abcd"}, x_request_id="r2")
    call(f"{stand_in.url}/v1/models")
    status, record = call(f"{stand_in.url}/stand-in/record")
    assert status == 200
    assert record["totals"]["requests"] == record["totals"]["complete"] == 3
    assert record["connections"] == 1
    chat, embeddings, models = record["requests"]
    assert json.loads(chat["body"])["seed"] == 7
    assert (chat["request"], embeddings["operation"], models["path"]) == ("r1", "embeddings", "/v1/models")
    invoices = read_invoices(tmp_path / "invoices.jsonl")
    assert [(row.request, row.input) for row in invoices] == [("r1", 6), ("r2", 1)]
    assert sum(row.nano_usd for row in invoices) == record["totals"]["nano_usd"]
    call(f"{stand_in.url}/stand-in/reset", {})
    assert stand_in.report().requests == []


def test_a_hang_up_is_seen_with_the_chunks_that_left(
    stand_in: Running, connect_to: Callable[[], socket.socket], raw: Callable[..., bytes], tmp_path: Path
) -> None:
    body = CHAT | {"stream": True, "stand_in": {"chunks": 100_000, "chunk_ms": 1}}
    with connect_to() as sock:
        sock.sendall(raw(body, x_request_id="gone"))
        received = b""
        while received.count(b'"delta":{"content"') < 5:
            received += sock.recv(65536)
    seen = stand_in.ended()
    assert (seen.outcome, seen.request) == ("cancelled", "gone")
    assert 5 <= seen.chunks < 100_000
    [invoice] = read_invoices(tmp_path / "invoices.jsonl")
    assert (invoice.outcome, invoice.output, invoice.invoice) == ("cancelled", seen.chunks, seen.invoice)


def test_a_key_is_asked_for_when_one_is_set() -> None:
    with running(key="right") as stand_in:
        url = f"{stand_in.url}/v1/chat/completions"
        assert call(url, CHAT)[0] == 401
        assert call(url, CHAT, authorization="Bearer wrong")[0] == 401
        assert call(url, CHAT, authorization="Bearer right")[0] == 200
        assert call(f"{stand_in.url}/v1/messages", CHAT, x_api_key="right")[0] == 200
        assert stand_in.report().totals.refused == 2


@pytest.mark.parametrize(
    "body", [{"messages": 3}, {"messages": [{"content": 5}]}, CHAT | {"n": 2}, CHAT | {"max_tokens": "many"}]
)
def test_what_it_cannot_read_is_a_400(stand_in: Running, body: dict[str, Any]) -> None:
    assert call(f"{stand_in.url}/v1/chat/completions", body)[0] == 400
    assert stand_in.ended().outcome == "refused"


def test_unknown_paths_are_a_404_in_their_dialect(stand_in: Running) -> None:
    assert call(f"{stand_in.url}/v1/nothing")[1]["error"]["type"] == "not_found_error"
    assert isinstance(call(f"{stand_in.url}/api/nothing")[1]["error"], str)
    assert call(f"{stand_in.url}/stand-in/nothing", {})[0] == 404
    assert call(f"{stand_in.url}/v1/embeddings", {"model": "m"})[0] == 400


def test_parts_and_system_are_counted(stand_in: Running) -> None:
    parts = [{"type": "text", "text": "abcd"}, {"type": "text", "text": "efgh"}]
    body = {"model": "m", "system": "abcd", "messages": [{"role": "user", "content": parts}]}
    usage = call(f"{stand_in.url}/v1/messages", body)[1]["usage"]
    assert usage["input_tokens"] == (4 + 1) + (4 + 2)


def test_it_listens_on_loopback_only() -> None:
    async def scenario() -> None:
        stand_in = StandIn()
        with pytest.raises(ValueError, match="loopback only"):
            await stand_in.start("0.0.0.0")
        await stand_in.stop()

    asyncio.run(scenario())


def test_stopping_ends_what_is_running(tmp_path: Path) -> None:
    path = tmp_path / "invoices.jsonl"
    with running(invoices=path) as stand_in:
        host, _, port = stand_in.url.removeprefix("http://").rpartition(":")
        with socket.create_connection((host, int(port)), 20) as sock:
            body = json.dumps(CHAT | {"stream": True, "stand_in": {"mode": "stall", "after": 1}}).encode()
            sock.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
            )
            received = b""
            while b'"delta":{"content"' not in received:
                received += sock.recv(65536)
    [invoice] = read_invoices(path)
    assert (invoice.outcome, invoice.output) == ("cancelled", 1)
