"""Events of the Responses API as chunks."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nearfar.core.chat import Chunk, Finish, LogprobsDelta, ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta
from nearfar.core.errors import NearfarError, RateLimitError, StreamCut, UpstreamError
from nearfar.wire.openai_responses_decode import decoder, usage
from nearfar.wire.openai_responses_parse import parse

GOLDEN = Path(__file__).parents[1] / "golden" / "openai_responses"


def read(data: bytes, *, stream: bool = True, typed: bool = True) -> list[Chunk]:
    body = {"model": "m", "input": "hi", "stream": stream}
    made = decoder(parse(json.dumps(body).encode(), "req-1"), typed)
    return [*made.feed(data), *made.close()]


def events(chunks: list[Chunk]) -> list[Any]:
    return [event for chunk in chunks for event in chunk.events]


def event(kind: str, **members: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, 'sequence_number': 0, **members})}\n\n".encode()


def test_text() -> None:
    chunks = read((GOLDEN / "stream_text.sse").read_bytes())
    assert "".join(e.text for e in events(chunks) if isinstance(e, TextDelta)) == "Near when it can, far – 遠。"
    assert events(chunks)[-1] == Finish("stop", "completed")
    last = chunks[-1]
    assert last.usage is not None
    assert (last.usage.input, last.usage.cached, last.usage.output, last.usage.reasoning) == (13, 4, 9, 0)
    assert last.model == "gpt-6-luna-2026-08-12"
    assert not chunks[0].content, "a response that has merely begun may still be tried elsewhere"
    assert not chunks[1].content


def test_parallel_calls() -> None:
    found = [e for e in events(read((GOLDEN / "stream_tools.sse").read_bytes())) if isinstance(e, ToolCallDelta)]
    assert [(e.call, e.id, e.name) for e in found if e.id] == [
        (0, "call_1", "get_weather"),
        (1, "call_2", "get_weather"),
    ]
    for number, city in enumerate(("Taipei", "Tainan")):
        assert json.loads("".join(e.arguments for e in found if e.call == number)) == {"city": city}


def test_calls_that_come_whole() -> None:
    item = {"type": "custom_tool_call", "call_id": "c", "name": "patch", "input": "x"}
    done = event("response.output_item.done", output_index=0, item=item)
    end = event("response.completed", response={"id": "r", "status": "completed", "output": [item]})
    found = [e for e in events(read(done + end)) if isinstance(e, ToolCallDelta)]
    assert [(e.id, e.name, e.arguments) for e in found] == [("c", "patch", ""), ("", "", '{"input":"x"}')]


def test_reasoning_and_log_probabilities() -> None:
    found = events(read((GOLDEN / "stream_reasoning.sse").read_bytes()))
    assert "".join(e.text for e in found if isinstance(e, ReasoningDelta)) == "**Weighing** it."
    entry = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}
    delta = event("response.output_text.delta", output_index=0, delta="a", logprobs=[entry])
    end = event("response.completed", response={"id": "r", "status": "completed", "output": []})
    [_, logprobs, _] = events(read(delta + end))
    assert isinstance(logprobs, LogprobsDelta)
    assert json.loads(bytes(logprobs.raw))["content"] == [entry]


def test_plain() -> None:
    [chunk] = read((GOLDEN / "plain_tools.json").read_bytes(), stream=False)
    assert chunk.finish == "tool_calls"
    assert [type(e) for e in chunk.events] == [ReasoningDelta, ToolCallDelta, ToolCallDelta, Finish]
    [chunk] = read((GOLDEN / "plain_refusal.json").read_bytes(), stream=False)
    assert chunk.events[0] == RefusalDelta("I can't help with that.")
    [chunk] = read((GOLDEN / "plain_incomplete.json").read_bytes(), stream=False)
    assert chunk.finish == "content_filter"


@pytest.mark.parametrize("status", ["in_progress", "queued", "cancelled", ""])
def test_a_plain_reply_that_is_not_finished_is_none(status: str) -> None:
    with pytest.raises(UpstreamError):
        read(json.dumps({"object": "response", "status": status, "output": []}).encode(), stream=False)


def test_failures() -> None:
    with pytest.raises(RateLimitError):
        read((GOLDEN / "broken_failed.sse").read_bytes())
    with pytest.raises(UpstreamError, match="server had an error"):
        read((GOLDEN / "broken_error.sse").read_bytes())
    with pytest.raises(NearfarError):
        read(b"event: error\ndata: overloaded\n\n")
    with pytest.raises(StreamCut):
        read(b"data: [DONE]\n\n")


def test_the_raw_event_keeps_its_name_and_loses_what_surrounds_it() -> None:
    data = (
        b": ping\nid: 7\nevent: response.output_text.delta\ndata: %b\n\n"
        % json.dumps({"type": "response.output_text.delta", "delta": "a"}).encode()
    )
    end = event("response.completed", response={"id": "r", "status": "completed", "output": []})
    first, _ = read(data + end, typed=False)
    assert first.raw.startswith(b'event: response.output_text.delta\ndata: {"type"')
    assert first.events == ()


@pytest.mark.parametrize("value", [None, 7, {}, {"input_tokens": -1}, {"input_tokens": True}])
def test_counts_that_are_none(value: object) -> None:
    assert usage(value) is None


@pytest.mark.parametrize("kind", [None, ["function_call"], {"a": 1}, 5])
def test_items_of_no_type_break_nothing(kind: object) -> None:
    item = {"type": kind, "name": "f", "call_id": "c"}
    whole = {"id": "resp_1", "status": "completed", "output": [item]}
    plain = decoder(parse(b'{"model":"m","input":"x"}', "req-1"), True)
    plain.feed(msgspec.json.encode(whole))
    assert plain.close()[0].finish == "stop"
    stream = decoder(parse(b'{"model":"m","input":"x","stream":true}', "req-1"), True)
    for event in (
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.completed", "response": whole},
    ):
        chunks = stream.feed(b"data: %b\n\n" % msgspec.json.encode(event))
    assert (chunks[-1].finish, stream.close()) == ("stop", [])
