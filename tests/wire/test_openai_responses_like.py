"""Responses that travel as they came, and the few words about them that are ours."""

import json
from pathlib import Path
from typing import Any

import pytest

from nearfar.core.chat import Chunk
from nearfar.core.errors import StreamCut, UpstreamError
from nearfar.wire.openai_responses_decode import decoder
from nearfar.wire.openai_responses_like import LikePlain, LikeStream
from nearfar.wire.openai_responses_parse import parse
from nearfar.wire.openai_responses_render import Told
from nearfar.wire.stream import MALFORMED

GOLDEN = Path(__file__).parents[1] / "golden" / "openai_responses"
KEPT = Told(store=True, previous="resp_0")


def chunks(name: str) -> tuple[Any, list[Chunk]]:
    body = {"model": "m", "input": "hi", "stream": name.endswith(".sse")}
    request = parse(json.dumps(body).encode(), "req-1")
    made = decoder(request, False)
    return request, [*made.feed((GOLDEN / name).read_bytes()), *made.close()]


def responses(data: bytes) -> list[dict[str, Any]]:
    values = [json.loads(line[6:]) for line in data.decode().splitlines() if line.startswith("data: ")]
    return [value["response"] for value in values if "response" in value]


def test_every_response_object_says_where_it_is_kept() -> None:
    request, found = chunks("stream_text.sse")
    out = LikeStream(request, KEPT)
    data = b"".join(out.render(chunk) for chunk in found) + out.finish()
    assert len(responses(data)) == 3
    assert all((r["store"], r["previous_response_id"]) == (True, "resp_0") for r in responses(data))
    assert json.loads(out.final) == responses(data)[-1]
    untouched = [line for line in data.splitlines() if b'"response":' not in line]
    original = (GOLDEN / "stream_text.sse").read_bytes().splitlines()
    assert untouched == [line for line in original if b'"response":' not in line]


def test_a_plain_one_too() -> None:
    request, [chunk] = chunks("plain_text.json")
    out = LikePlain(request, KEPT)
    value = json.loads(out.render(chunk) + out.finish())
    assert (value["store"], value["previous_response_id"]) == (True, "resp_0")
    assert json.loads(out.final) == value
    plain = LikePlain(request, Told())
    assert plain.render(chunk) == chunk.raw == plain.final


def test_the_end_waits_for_the_clean_ending() -> None:
    request, found = chunks("stream_text.sse")
    out = LikeStream(request, Told())
    data = b"".join(out.render(chunk) for chunk in found)
    assert b"response.completed" not in data
    assert b"response.completed" in out.finish()


def test_a_cut_is_a_failure_numbered_on() -> None:
    request, found = chunks("stream_text.sse")
    out = LikeStream(request, Told())
    for chunk in found[:5]:
        out.render(chunk)
    data = out.error(StreamCut("The upstream closed."))
    failed, error = (json.loads(line[6:]) for line in data.decode().splitlines() if line.startswith("data: "))
    assert (failed["type"], failed["sequence_number"], failed["response"]["status"]) == ("response.failed", 5, "failed")
    assert (error["type"], error["sequence_number"], error["code"]) == ("error", 6, "stream_cut")
    assert failed["response"]["id"] == responses((GOLDEN / "stream_text.sse").read_bytes())[0]["id"]


def test_an_error_before_anything_came() -> None:
    request, _ = chunks("stream_text.sse")
    data = LikeStream(request, Told()).error(StreamCut("The upstream closed."))
    assert data.startswith(b"event: error\n")
    assert b'"sequence_number":0' in data


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.completed"},
        {"type": "response.incomplete", "response": None},
    ],
)
def test_an_end_without_its_response_is_the_upstreams_failure(event: dict[str, Any]) -> None:
    request, _ = chunks("stream_text.sse")
    with pytest.raises(UpstreamError) as caught:
        decoder(request, False).feed(b"data: %b\n\n" % json.dumps(event).encode())
    assert caught.value.code == MALFORMED


@pytest.mark.parametrize("number", [None, "7", 1.5])
def test_numbers_of_another_kind_are_counted_past(number: object) -> None:
    request, _ = chunks("stream_text.sse")
    out = LikeStream(request, KEPT)
    made = decoder(request, False)
    step = {"type": "response.created", "sequence_number": number, "response": {"id": "resp_1", "status": "queued"}}
    for chunk in made.feed(b"data: %b\n\n" % json.dumps(step).encode()):
        assert b'"store":true' in out.render(chunk)
    assert b"event: response.failed" in out.error(StreamCut("The upstream closed."))


def test_a_beginning_without_its_response_travels() -> None:
    request, _ = chunks("stream_text.sse")
    [chunk] = decoder(request, False).feed(b'data: {"type":"response.created","sequence_number":0}\n\n')
    out = LikeStream(request, KEPT)
    assert out.render(chunk) == chunk.raw
    assert out.final == b""
