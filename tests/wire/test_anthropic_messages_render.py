import itertools
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from tests.examples import examples

from nearfar.core.chat import (
    Chunk,
    Event,
    Finish,
    LogprobsDelta,
    ReasoningDelta,
    ReasoningSeal,
    RefusalDelta,
    Request,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from nearfar.core.errors import OutputUnparsed, Overloaded
from nearfar.wire import anthropic_messages, openai_chat, sse
from nearfar.wire.anthropic_messages_render import renderer

GOLDEN = Path(__file__).parents[1] / "golden"
_official: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


def request(*, stream: bool = True) -> Request:
    return Request(
        id="req-1", wire="anthropic.messages", operation="chat", model="asked", body=b"", fields={}, stream=stream
    )


def streamed(*events: Event, usage: Usage | None = None) -> bytes:
    made = renderer(request(), False)
    out = [made.render(Chunk(events=(event,), model="there")) for event in events]
    if usage is not None:
        out.append(made.render(Chunk(usage=usage)))
    return b"".join(out) + made.finish()


def plain(*events: Event, usage: Usage | None = None) -> dict[str, Any]:
    made = renderer(request(stream=False), False)
    assert made.render(Chunk(events=events, model="there", usage=usage)) == b""
    body = made.finish()
    Message.model_validate_json(body, strict=True)
    found: dict[str, Any] = json.loads(body)
    return found


def read(data: bytes) -> list[dict[str, Any]]:
    """The events of a stream, each held to the official client's types; its name must be its type."""
    found = []
    for event in sse.Splitter().feed(data):
        value = json.loads(event.data)
        assert event.name == value["type"]
        if event.name not in {"ping", "error"}:
            _official.validate_json(event.data)
        found.append(value)
    return found


def together(data: bytes) -> dict[str, Any]:
    """The message that a client makes of a stream. One block is open at a time, and indexes rise by one."""
    values = [value for value in read(data) if value["type"] != "ping"]
    assert [value["type"] for value in values[:1] + values[-2:]] == ["message_start", "message_delta", "message_stop"]
    message: dict[str, Any] = values[0]["message"]
    blocks: list[dict[str, Any]] = message["content"]
    opened = False
    for value in values[1:-2]:
        if value["type"] == "content_block_start":
            assert not opened
            assert value["index"] == len(blocks)
            opened = True
            blocks.append({**value["content_block"], "json": ""})
            continue
        assert opened
        assert value["index"] == len(blocks) - 1
        if value["type"] == "content_block_stop":
            opened = False
            continue
        assert value["type"] == "content_block_delta"
        delta = value["delta"]
        if delta["type"] == "input_json_delta":
            blocks[-1]["json"] += delta["partial_json"]
        else:
            name = delta["type"].removesuffix("_delta")
            blocks[-1][name] += delta[name]
    assert not opened
    for block in blocks:
        text = block.pop("json")
        if block["type"] == "tool_use":
            block["input"] = json.loads(text or "{}")
    return {**message, **values[-2]["delta"], "usage": values[-2]["usage"]}


def test_text() -> None:
    usage = Usage(input=10, output=3, cached=4)
    events = (TextDelta("a"), TextDelta("中"), Finish("stop", "stop"))
    found = together(streamed(*events, usage=usage))
    assert found == plain(*events, usage=usage)
    assert found["content"] == [{"type": "text", "text": "a中"}]
    assert (found["id"], found["model"], found["stop_reason"]) == ("msg_1", "there", "end_turn")
    assert found["usage"]["input_tokens"] == 6
    assert found["usage"]["cache_read_input_tokens"] == 4


def test_every_kind_of_block_in_its_order() -> None:
    events = (
        ReasoningDelta("so ", block=0),
        ReasoningDelta("so", block=0),
        ReasoningSeal(signature="s", block=0),
        ReasoningSeal(redacted="r1", block=1),
        ReasoningSeal(redacted="r2", block=1),
        TextDelta("a"),
        RefusalDelta("b"),
        ToolCallDelta(call=0, id="c0", name="f"),
        ToolCallDelta(call=0, arguments='{"x":'),
        ToolCallDelta(call=0, arguments=" 1}"),
        ToolCallDelta(call=1, id="c1", name="g", arguments="{}"),
        LogprobsDelta(msgspec.Raw(b"{}")),
        TextDelta(""),
        TextDelta("z"),
        TextDelta("another choice", index=1),
        Finish("tool_calls", "tool_calls"),
    )
    found = together(streamed(*events))
    assert found["content"] == [
        {"type": "thinking", "thinking": "so so", "signature": "s"},
        {"type": "redacted_thinking", "data": "r1"},
        {"type": "redacted_thinking", "data": "r2"},
        {"type": "text", "text": "ab"},
        {"type": "tool_use", "id": "c0", "name": "f", "input": {"x": 1}},
        {"type": "tool_use", "id": "c1", "name": "g", "input": {}},
        {"type": "text", "text": "z"},
    ]
    assert found["stop_reason"] == "tool_use"
    assert plain(*events)["content"] == found["content"]


def test_calls_written_at_once_come_out_one_after_the_other() -> None:
    pieces: list[Event] = [
        ToolCallDelta(call=0, id="c0", name="f", arguments='{"a'),
        ToolCallDelta(call=1, id="c1", name="g", arguments='{"b'),
        ToolCallDelta(call=2, id="c2", name="h"),
        TextDelta("between"),
        ToolCallDelta(call=1, arguments='": 2}'),
        ToolCallDelta(call=0, arguments='": 1}'),
        Finish("tool_calls", "tool_calls"),
    ]
    found = together(streamed(*pieces))["content"]
    assert [block.get("input", block.get("text")) for block in found] == [{"a": 1}, {"b": 2}, {}, "between"]


@given(st.data())
@examples(60)
def test_any_interleaving_of_calls_keeps_each_whole(data: st.DataObject) -> None:
    texts = [json.dumps({"n": number, "text": "}{" * number}) for number in range(3)]
    queues = [
        [ToolCallDelta(call=n, id=f"c{n}", name="f"), *(ToolCallDelta(call=n, arguments=a) for a in text)]
        for n, text in enumerate(texts)
    ]
    events: list[Event] = []
    while any(queues):
        queue = data.draw(st.sampled_from([queue for queue in queues if queue]))
        take = data.draw(st.integers(1, len(queue)))
        events += queue[:take]
        del queue[:take]
    found = together(streamed(*events, Finish("tool_calls", "tool_calls")))["content"]
    assert {block["id"]: json.dumps(block["input"]) for block in found} == {f"c{n}": t for n, t in enumerate(texts)}


def test_a_call_without_an_id_gets_one() -> None:
    event = ToolCallDelta(call=0, name="f", arguments="{}")
    assert together(streamed(event))["content"][0]["id"] == "toolu_1_0" == plain(event)["content"][0]["id"]


@pytest.mark.parametrize("text", ['{"a":', "[1]"])
def test_arguments_that_are_no_object_end_in_an_error(text: str) -> None:
    events = (ToolCallDelta(call=0, id="c", name="f", arguments=text), Finish("stop", "stop"))
    with pytest.raises(OutputUnparsed):
        streamed(*events)
    with pytest.raises(OutputUnparsed):
        plain(*events)
    made = renderer(request(), False)
    later = ToolCallDelta(call=1, id="d", name="g", arguments="{}")
    if text == "[1]":  # never whole: the next call waits until the end
        made.render(Chunk(events=(events[0], later)))
        with pytest.raises(OutputUnparsed):
            made.finish()


def test_a_reply_cut_by_its_limit_says_so() -> None:
    events = (ToolCallDelta(call=0, id="c", name="f", arguments='{"a":'), Finish("length", "length"))
    assert read(streamed(*events))[-2]["delta"]["stop_reason"] == "max_tokens"
    assert plain(*events)["content"][0]["input"] == {}


def test_nothing_at_all_is_a_message_too() -> None:
    assert together(streamed())["content"] == plain()["content"] == []


def test_pings_notes_and_errors() -> None:
    for like in (True, False):
        made = renderer(request(), like)
        assert read(made.keep_alive()) == [{"type": "ping"}]
        assert made.note("x-nearfar-place: lan\u4e2d") == b": x-nearfar-place: lan?\n"
        [value] = read(made.error(Overloaded("full")))
        assert (value["error"]["type"], value["request_id"]) == ("overloaded_error", "req-1")
        assert b"message_stop" not in made.error(Overloaded("full"))
        quiet = renderer(request(stream=False), like)
        assert quiet.keep_alive() == quiet.note("x") == b""
        assert json.loads(quiet.error(Overloaded("full")))["error"]["type"] == "overloaded_error"
        assert (made.content_type, quiet.content_type) == ("text/event-stream", "application/json")


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("anthropic_messages/stream_*.sse")), ids=lambda path: path.name)
def test_between_like_wires_events_travel_as_they_came(path: Path) -> None:
    decoder = anthropic_messages.PROVIDER.decoder(request(), False)
    chunks = decoder.feed(path.read_bytes()) + decoder.close()
    made = renderer(request(), True)
    out = b"".join(made.render(chunk) for chunk in chunks) + made.finish()
    assert [event.data for event in sse.Splitter().feed(out)] == [
        event.data.replace(b'{"type": "message_stop"}', b'{"type":"message_stop"}')
        for event in sse.Splitter().feed(path.read_bytes())
    ]
    assert {event.name for event in sse.Splitter().feed(out)} >= {"message_start", "message_stop"}
    assert all(not chunk.events for chunk in chunks)
    # … and read as events instead they say the same.
    typed = anthropic_messages.PROVIDER.decoder(request(), True)
    again = renderer(request(), False)
    told = b"".join(again.render(chunk) for chunk in typed.feed(path.read_bytes()) + typed.close()) + again.finish()
    ours, theirs = together(told), together(out)
    assert ours["content"] == [_without_nothing(block) for block in theirs["content"]]
    assert ours["stop_reason"] == theirs["stop_reason"]
    assert ours["usage"]["output_tokens"] == theirs["usage"]["output_tokens"]


def _without_nothing(block: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in block.items() if value is not None}


def test_a_plain_body_travels_as_it_came() -> None:
    body = (GOLDEN / "anthropic_messages" / "plain_thinking.json").read_bytes()
    decoder = anthropic_messages.PROVIDER.decoder(request(stream=False), False)
    made = renderer(request(stream=False), True)
    chunks = decoder.feed(body) + decoder.close()
    assert b"".join(made.render(chunk) for chunk in chunks) + made.finish() == body


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("openai_chat/*_*")), ids=lambda path: path.name)
def test_answers_of_openais_shape(path: Path) -> None:
    """Every golden answer in OpenAI's shape comes out as a message that the official client accepts."""
    kind = path.name.partition("_")[0]
    if kind not in {"stream", "plain"} or "choices" in path.name:
        return
    stream = kind == "stream"
    asked = request(stream=stream)
    decoder = openai_chat.PROVIDER.decoder(asked, True)
    chunks = decoder.feed(path.read_bytes()) + decoder.close()
    made = renderer(asked, False)
    out = b"".join(made.render(chunk) for chunk in chunks) + made.finish()
    message = together(out) if stream else json.loads(out)
    Message.model_validate(message)
    events = [event for chunk in chunks for event in chunk.events]
    text = "".join(event.text for event in events if isinstance(event, TextDelta | RefusalDelta))
    assert "".join(block["text"] for block in message["content"] if block["type"] == "text") == text
    calls = itertools.groupby((e for e in events if isinstance(e, ToolCallDelta)), key=lambda event: event.call)
    assert sum(block["type"] == "tool_use" for block in message["content"]) == len({call for call, _ in calls})
