from pathlib import Path

import msgspec
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from nearfar.core.chat import (
    Chunk,
    Event,
    Finish,
    ReasoningDelta,
    ReasoningSeal,
    Request,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from nearfar.core.errors import NearfarError, Overloaded, StreamCut, UpstreamError
from nearfar.wire import sse
from nearfar.wire.anthropic_messages_decode import FINISH, decoder, usage

GOLDEN = Path(__file__).parents[1] / "golden" / "anthropic_messages"
SIGNATURE = "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds+/="


def read(name: str, data: bytes | None = None) -> list[Chunk]:
    request = Request(
        id="r", wire="openai.chat", operation="chat", model="m", body=b"", fields={}, stream=name.endswith("sse")
    )
    found = decoder(request, True)
    return found.feed((GOLDEN / name).read_bytes() if data is None else data) + found.close()


def events(chunks: list[Chunk]) -> list[Event]:
    return [event for chunk in chunks for event in chunk.events]


def usages(chunks: list[Chunk]) -> list[Usage]:
    return [chunk.usage for chunk in chunks if chunk.usage is not None]


def test_the_golden_bytes_are_what_the_official_client_accepts() -> None:
    adapter: TypeAdapter[object] = TypeAdapter(RawMessageStreamEvent)
    for path in GOLDEN.glob("stream_*.sse"):
        for event in sse.Splitter().feed(path.read_bytes()):
            if event.name != "ping":
                adapter.validate_json(event.data)
    for path in GOLDEN.glob("plain_*.json"):
        Message.model_validate_json(path.read_bytes())


def test_text() -> None:
    chunks = read("stream_text.sse")
    assert events(chunks) == [TextDelta("Hello"), TextDelta("! 世界"), Finish("stop", "end_turn")]
    assert (chunks[0].model, chunks[0].id) == ("claude-sonnet-5-5", "msg_014p7gG3wDgGV9EUtLvnow3U")
    assert usages(chunks) == [Usage(input=472), Usage(input=472, output=15)]
    assert [chunk.end for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert [chunk.content for chunk in chunks].index(True) == 2
    assert [chunk.finish for chunk in chunks if chunk.finish] == ["stop"]


def test_tools_and_the_cache() -> None:
    chunks = read("stream_tools.sse")
    assert events(chunks)[1:] == [
        ToolCallDelta(call=0, id="toolu_01T1x1fJ34qAmk2tNTrN7Up6", name="get_weather"),
        ToolCallDelta(call=0, arguments='{"location":'),
        ToolCallDelta(call=0, arguments=' "San Francisco, CA"}'),
        ToolCallDelta(call=1, id="toolu_02", name="get_time"),
        ToolCallDelta(call=1, arguments="{}"),
        Finish("tool_calls", "tool_use"),
    ]
    assert usages(chunks)[-1] == Usage(input=602, output=89, cached=30, cache_write=100)


def test_thinking_keeps_its_signature() -> None:
    chunks = read("stream_thinking.sse")
    assert events(chunks)[:4] == [
        ReasoningDelta("I need to find ", block=0),
        ReasoningDelta("the GCD.", block=0),
        ReasoningSeal(signature=SIGNATURE, block=0),
        ReasoningSeal(redacted="EmwKAhgBEgy3va3pzix/LafPsn4a", block=1),
    ]
    assert usages(chunks)[-1].reasoning == 41
    omitted = events(read("stream_thinking_omitted.sse"))
    assert omitted[0] == ReasoningSeal(signature=SIGNATURE, block=0)
    assert omitted[-1] == Finish("length", "max_tokens")


def test_plain() -> None:
    [chunk] = read("plain_thinking.json")
    assert chunk.end
    assert chunk.content
    assert (chunk.finish, chunk.model) == ("tool_calls", "claude-sonnet-5-5")
    assert chunk.usage == Usage(input=17, output=6, cached=5, cache_write=0)
    assert chunk.events == (
        ReasoningDelta("I need to find the GCD.", block=0),
        ReasoningSeal(signature=SIGNATURE, block=0),
        ReasoningSeal(redacted="EmwKAhgBEgy3va3pzix/LafPsn4a", block=1),
        TextDelta("The GCD is 21."),
        ToolCallDelta(call=0, id="toolu_03", name="note", arguments='{\n        "gcd": 21\n      }'),
        Finish("tool_calls", "tool_use"),
    )


def test_an_error_event_ends_the_stream() -> None:
    with pytest.raises(Overloaded, match="Overloaded"):
        read("broken_overloaded.sse")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", StreamCut),
        (b"event: message_start\ndata: {", StreamCut),
        (b'event: message_start\ndata: {"type":"message_start"}\n\n', StreamCut),
        (b"event: message_start\ndata: {oops}\n\n", UpstreamError),
        (b'data: {"type":"ping"}\n\n', StreamCut),
    ],
)
def test_no_end_without_message_stop(data: bytes, kind: type[NearfarError]) -> None:
    with pytest.raises(kind):
        read("x.sse", data)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"{", StreamCut),
        (b'{"type":"error","error":{"type":"overloaded_error","message":"x"}}', Overloaded),
        (b"{}", UpstreamError),
    ],
)
def test_bad_plain_replies(data: bytes, kind: type[NearfarError]) -> None:
    with pytest.raises(kind):
        read("x.json", data)


def test_kinds_to_come_are_passed_over() -> None:
    data = (GOLDEN / "stream_text.sse").read_bytes()
    more = b'event: new\ndata: {"type":"new_thing","delta":{"type":"x"}}\n\n'
    assert events(read("x.sse", more + data)) == events(read("x.sse", data))
    odd = b'data: {"type":"content_block_delta","index":9,"delta":{"type":"citations_delta","citation":{}}}\n\n'
    assert events(read("x.sse", odd + data)) == events(read("x.sse", data))


def test_every_stop_reason_of_the_official_client_has_a_word() -> None:
    from typing import get_args

    from anthropic.types import StopReason

    assert set(get_args(StopReason)) <= FINISH.keys()


def test_usage_not_reported_is_not_zero() -> None:
    assert usage({}) is None
    assert usage({"input_tokens": None, "output_tokens": 3}) == Usage(output=3)
    assert usage({"input_tokens": 3, "cache_read_input_tokens": None}) == Usage(input=3)


def test_between_like_wires_nothing_is_put_into_events() -> None:
    request = Request(id="r", wire="anthropic.messages", operation="chat", model="m", body=b"", fields={}, stream=True)
    found = decoder(request, False)
    more = b'event: new\ndata: {"type":"new_thing"}\n\nevent: X\ndata: {"type":"Y\\n"}\n\n'
    chunks = found.feed(more + (GOLDEN / "stream_tools.sse").read_bytes()) + found.close()
    assert events(chunks) == []
    assert chunks[0].raw == b'event: new_thing\ndata: {"type":"new_thing"}\n\n'
    assert all(chunk.raw.startswith(b"event: ") for chunk in chunks), "no event without a name, no name of two lines"
    assert [chunk.content for chunk in chunks if chunk.content]
    assert usages(chunks)[-1] == usages(read("stream_tools.sse"))[-1]
    assert [chunk.finish for chunk in chunks if chunk.finish] == ["tool_calls"]
    plain = decoder(msgspec.structs.replace(request, stream=False), False)
    [chunk] = plain.feed((GOLDEN / "plain_thinking.json").read_bytes()) + plain.close()
    assert (chunk.events, chunk.finish) == ((), "tool_calls")


def test_the_stop_sequence_is_kept() -> None:
    data = (GOLDEN / "stream_text.sse").read_bytes()
    data = data.replace(b'"end_turn"', b'"stop_sequence"').replace(b'"stop_sequence": null', b'"stop_sequence": "END"')
    assert events(read("x.sse", data))[-1] == Finish("stop", "stop_sequence", stop="END")
    body = b'{"type":"message","content":[],"stop_reason":"stop_sequence","stop_sequence":"END"}'
    assert events(read("x.json", body)) == [Finish("stop", "stop_sequence", stop="END")]
