"""Odd shapes: the same words in other bytes, or nearly."""

import json
from typing import Any

import pytest

from nearfar.standin.answers import Answer
from nearfar.standin.bedrock import BEDROCK
from nearfar.standin.dialects import ANTHROPIC, OLLAMA, OPENAI, Dialect
from nearfar.standin.gemini import GEMINI
from nearfar.standin.shapes import STREAMS, corrupted, half, plain, stream

ANSWER = Answer(id="c", model="m", created=1, pieces=("one", " two"), input=3, output=2, include_usage=True)
DIALECTS = [OPENAI, ANTHROPIC, OLLAMA, GEMINI]
ALL = [*DIALECTS, BEDROCK]
ANY = ["comments", "crlf", "in-pieces", "no-marker", "together"]


def usual(dialect: Dialect) -> bytes:
    return b"".join((dialect.head(ANSWER), *(dialect.piece(ANSWER, p) for p in ANSWER.pieces), dialect.tail(ANSWER, 2)))


def events(parts: list[bytes]) -> list[Any]:
    found = [block.removeprefix(b"data: ") for block in b"".join(parts).split(b"\n\n") if block]
    return [json.loads(item) for item in found if item != b"[DONE]"]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_the_same_bytes_in_other_packets_and_lines(dialect: Dialect) -> None:
    whole = usual(dialect)
    assert stream(dialect, ANSWER, "together") == [whole]
    assert b"".join(stream(dialect, ANSWER, "in-pieces")) == whole
    assert len(stream(dialect, ANSWER, "in-pieces")) > 10
    assert b"".join(stream(dialect, ANSWER, "crlf")).replace(b"\r\n", b"\n") == whole
    assert len(b"".join(stream(dialect, ANSWER, "comments"))) > len(whole)
    unmarked = b"".join(stream(dialect, ANSWER, "no-marker"))
    assert whole.startswith(unmarked)
    assert len(unmarked) < len(whole)


def test_frames_are_the_same_in_other_packets() -> None:
    whole = usual(BEDROCK)
    assert b"".join(stream(BEDROCK, ANSWER, "together")) == b"".join(stream(BEDROCK, ANSWER, "in-pieces")) == whole
    assert whole.startswith(b"".join(stream(BEDROCK, ANSWER, "no-marker")))


@pytest.mark.parametrize("dialect", ALL, ids=lambda dialect: dialect.name)
def test_a_corrupted_event_differs_in_one_bit(dialect: Dialect) -> None:
    event, other = dialect.piece(ANSWER, " broken"), corrupted(dialect, ANSWER)
    assert len(event) == len(other)
    assert sum((a ^ b).bit_count() for a, b in zip(event, other, strict=True)) == 1


@pytest.mark.parametrize("mode", sorted(STREAMS - set(ANY)))
def test_openais_shapes_are_json_in_every_event(mode: str) -> None:
    found = events(stream(OPENAI, ANSWER, mode))
    words = "".join((c["delta"].get("content") or "") for e in found for c in e["choices"])
    assert words == ("" if "tool" in mode else "one two")
    assert any(c["finish_reason"] for e in found for c in e["choices"]) is (mode != "no-finish")
    assert json.loads(plain(OPENAI, ANSWER, mode))["choices"]


@pytest.mark.parametrize(("mode", "count"), [("tool-in-pieces", 1), ("parallel-tools", 2)])
def test_tool_calls_come_together_again(mode: str, count: int) -> None:
    arguments = dict.fromkeys(range(count), "")
    pieces = 0
    for event in events(stream(OPENAI, ANSWER, mode)):
        for choice in event["choices"]:
            for call in choice["delta"].get("tool_calls", ()):
                arguments[call["index"]] += call["function"]["arguments"]
                pieces += 1
    assert [json.loads(text)["city"] for text in arguments.values()] == ["Taipei"] * count
    assert pieces > 20 * count
    calls = json.loads(plain(OPENAI, ANSWER, mode))["choices"][0]["message"]["tool_calls"]
    assert [json.loads(call["function"]["arguments"])["days"] for call in calls] == [3] * count


@pytest.mark.parametrize("dialect", ALL, ids=lambda dialect: dialect.name)
def test_half_an_event_is_cut_where_it_hurts(dialect: Dialect) -> None:
    with pytest.raises(UnicodeDecodeError):
        half(dialect, ANSWER, "cut-character").decode()
    assert not half(dialect, ANSWER, "cut-event").endswith(b"}\n\n")
