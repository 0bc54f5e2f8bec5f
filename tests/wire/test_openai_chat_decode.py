from pathlib import Path

import msgspec
import pytest

from nearfar.core.chat import (
    Chunk,
    Event,
    Finish,
    LogprobsDelta,
    ReasoningDelta,
    Request,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from nearfar.core.errors import ContextTooLong, NearfarError, StreamCut, UpstreamError
from nearfar.wire.base import Decoder
from nearfar.wire.openai_chat_decode import DONE, decoder, usage

GOLDEN = Path(__file__).parents[1] / "golden" / "openai_chat"


def asked(**fields: object) -> Request:
    defaults = {"id": "r", "wire": "openai.chat", "operation": "chat", "model": "m", "body": b"", "fields": {}}
    return msgspec.convert({**defaults, "stream": True, **fields}, Request)


def read(name: str, *, typed: bool = True, request: Request | None = None, data: bytes | None = None) -> list[Chunk]:
    found = decoder(request or asked(stream=name.endswith(".sse")), typed)
    chunks = found.feed((GOLDEN / name).read_bytes() if data is None else data)
    return chunks + found.close()


def events(chunks: list[Chunk]) -> list[Event]:
    return [event for chunk in chunks for event in chunk.events]


def last_usage(chunks: list[Chunk]) -> Usage | None:
    return [chunk.usage for chunk in chunks if chunk.usage is not None][-1]


def test_a_stream_between_like_wires_keeps_its_bytes() -> None:
    data = (GOLDEN / "stream_text.sse").read_bytes()
    chunks = read("stream_text.sse", typed=False, request=asked(include_usage=True))
    assert data.endswith(b"".join(chunk.raw for chunk in chunks))
    assert b"".join(chunk.raw for chunk in chunks).startswith(b"data: {")
    assert [chunk.content for chunk in chunks] == [False, True, True, False, False, False]
    assert [chunk.finish for chunk in chunks] == ["", "", "", "stop", "", ""]
    assert [chunk.end for chunk in chunks] == [False] * 5 + [True]
    assert chunks[-1].raw == DONE
    assert (chunks[0].id, chunks[0].model) == ("chatcmpl-123", "gpt-4o-mini")
    assert last_usage(chunks) == Usage(input=19, output=10, cached=8, reasoning=4)


def test_usage_that_the_client_did_not_ask_for_is_read_but_hidden() -> None:
    shown = read("stream_text.sse", typed=False, request=asked(include_usage=True))
    hidden = read("stream_text.sse", typed=False)
    assert hidden[4].raw == b""
    assert hidden[4].usage == shown[4].usage
    assert [chunk.raw for chunk in hidden if chunk.raw] == [chunk.raw for chunk in shown if chunk is not shown[4]]


def test_nothing_else_is_hidden() -> None:
    for name in ("stream_azure.sse", "stream_tools.sse", "stream_choices.sse", "stream_without_done.sse"):
        chunks = read(name, typed=False, request=asked(choices=2 if "choices" in name else 1))
        assert all(chunk.raw for chunk in chunks if chunk != Chunk(end=True))


def test_text_events() -> None:
    assert events(read("stream_text.sse")) == [
        TextDelta("Hello"),
        TextDelta('! "error" 世界'),
        Finish("stop", "stop"),
    ]


def test_tool_call_events() -> None:
    assert events(read("stream_tools.sse")) == [
        ToolCallDelta(call=0, id="call_a", name="get_weather"),
        ToolCallDelta(call=0, arguments='{"city":'),
        ToolCallDelta(call=0, arguments='"Taipei"}'),
        ToolCallDelta(call=1, id="call_b", name="get_time", arguments="{}"),
        Finish("tool_calls", "tool_calls"),
    ]


def test_choices_and_log_probabilities() -> None:
    found = events(read("stream_choices.sse", request=asked(choices=2)))
    assert [event.index for event in found if isinstance(event, Finish)] == [0, 1]
    assert [event.text for event in found if isinstance(event, TextDelta) and event.index == 1] == ["B", "b"]
    [logprobs] = [event for event in found if isinstance(event, LogprobsDelta)]
    assert b'"logprob":-0.1' in bytes(logprobs.raw)


@pytest.mark.parametrize(
    ("name", "thoughts"),
    [
        ("stream_reasoning_vllm.sse", ["Let me ", "think."]),
        ("stream_reasoning_llama_cpp.sse", ["Hm."]),
        ("plain_reasoning_vllm.json", ["Let me think."]),
    ],
)
def test_both_names_of_reasoning_are_read(name: str, thoughts: list[str]) -> None:
    assert [event.text for event in events(read(name)) if isinstance(event, ReasoningDelta)] == thoughts


def test_a_finish_reason_ends_a_stream_that_sends_no_done() -> None:
    chunks = read("stream_without_done.sse")
    assert chunks[-1] == Chunk(end=True)
    assert last_usage(chunks) == Usage(input=9, output=2)


def test_one_of_two_choices_is_not_the_whole() -> None:
    with pytest.raises(StreamCut):
        read("stream_without_done.sse", request=asked(choices=2))


def test_plain_text() -> None:
    [chunk] = read("plain_text.json")
    assert chunk.raw == (GOLDEN / "plain_text.json").read_bytes()
    assert chunk.end
    assert chunk.content
    assert (chunk.finish, chunk.model, chunk.id) == ("stop", "gpt-5.4-mini", "chatcmpl-B9")
    assert chunk.usage == Usage(input=19, output=10, cached=8, reasoning=4)
    assert chunk.events == (TextDelta("Hello! How can I assist you today?"), Finish("stop", "stop"))
    assert not read("plain_text.json", typed=False)[0].events


def test_plain_tools() -> None:
    found = events(read("plain_tools.json"))
    assert [(event.call, event.id, event.arguments) for event in found if isinstance(event, ToolCallDelta)] == [
        (0, "call_a", '{"city":"Taipei"}'),
        (1, "call_b", "{}"),
    ]


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("broken_error_object.sse", UpstreamError, "EngineCore"),
        ("broken_error_string.sse", UpstreamError, "CUDA"),
        ("broken_error_event.sse", ContextTooLong, "context length"),
        ("broken_empty.sse", UpstreamError, "without an answer"),
    ],
)
def test_errors_inside_a_stream_end_it(name: str, kind: type[NearfarError], says: str, typed: bool) -> None:
    with pytest.raises(kind, match=says):
        read(name, typed=typed)


def test_content_before_an_error_in_the_same_bytes_is_not_lost() -> None:
    found = decoder(asked(), True)
    chunks = found.feed((GOLDEN / "broken_error_object.sse").read_bytes())
    assert TextDelta("par") in events(chunks)
    with pytest.raises(UpstreamError, match="EngineCore"):
        found.feed(b"")
    with pytest.raises(UpstreamError, match="EngineCore"):
        found.close()


def test_an_error_body_where_a_stream_was_asked() -> None:
    found = decoder(asked(), False)
    for byte in b' \n{"error":"model is busy"}':
        assert found.feed(bytes([byte])) == []
    with pytest.raises(UpstreamError, match="model is busy"):
        found.close()


def test_a_plain_reply_where_a_stream_was_asked() -> None:
    with pytest.raises(UpstreamError, match="stream was asked for") as caught:
        read("plain_text.json", request=asked())
    assert caught.value.code == "not_a_stream"


def test_a_web_page_instead_of_a_stream() -> None:
    found = decoder(asked(), False)
    with pytest.raises(UpstreamError, match="web page"):
        found.feed(b"\n<html>log in</html>")


def test_an_error_in_a_plain_reply_with_status_200() -> None:
    with pytest.raises(UpstreamError, match="nope"):
        read("x.json", data=b'{"error":{"message":"nope"}}')
    with pytest.raises(UpstreamError, match="old style"):
        read("x.json", data=b'{"object":"error","message":"old style","code":500}')


@pytest.mark.parametrize("data", [b"", b"{", b'{"choices":[{"message":{"content":"cut', b"[]", b"[" * 9999])
def test_half_a_plain_reply_is_cut(data: bytes) -> None:
    with pytest.raises(StreamCut):
        read("x.json", data=data)


def test_a_plain_reply_without_choices_is_an_error() -> None:
    with pytest.raises(UpstreamError) as caught:
        read("x.json", data=b'{"choices":[]}')
    assert caught.value.code == "empty_reply"


def test_an_event_that_is_no_chunk_is_an_error_and_no_gap() -> None:
    with pytest.raises(UpstreamError) as caught:
        read("x.sse", data=b'data: {"choices":[{"delta":{"content":"lost}}]}\n\n')
    assert caught.value.code == "malformed_event"


def test_nothing_counts_after_done() -> None:
    data = (GOLDEN / "stream_text.sse").read_bytes()
    assert read("x.sse", data=data + b"data: {bro\n\n") == read("x.sse", data=data)


def test_odd_deltas_of_some_servers() -> None:
    chunks = read(
        "x.sse",
        data=b'data: {"choices":[{"index":0,"delta":{"content":[{"type":"text","text":"part"},{"type":"thinking"}],'
        b'"tool_calls":[{"id":"c","function":{"name":"f","arguments":{"a":1}}},{"bad":1},7]}}],"usage":"none","id":7}\n\n'
        b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"eos_token"}]}\n\n',
    )
    assert events(chunks) == [
        TextDelta("part"),
        ToolCallDelta(call=0, id="c", name="f", arguments='{"a":1}'),
        Finish("tool_calls", "eos_token"),
    ]
    assert last_usage([*chunks, Chunk(usage=Usage())]) == Usage()


def test_calls_without_a_list_and_with_counted_ids_are_not_lost() -> None:
    call = b'{"index":0,"id":0,"function":{"name":"f","arguments":"{}"}}'
    end = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    for calls in (call, b"[%b]" % call):
        data = b'data: {"choices":[{"index":0,"delta":{"tool_calls":%b}}]}\n\n' % calls
        assert events(read("x.sse", data=data + end)) == [
            ToolCallDelta(call=0, id="0", name="f", arguments="{}"),
            Finish("tool_calls", "stop"),
        ]


def test_a_finish_stays_what_it_is_where_no_tool_was_called() -> None:
    call = b'{"index":0,"id":"c","function":{"name":"f","arguments":"{}"}}'
    data = (
        b'data: {"choices":[{"index":1,"delta":{"tool_calls":[%b]}},{"index":0,"delta":{"content":"a"}}]}\n\n'
        b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"},'
        b'{"index":1,"delta":{},"finish_reason":"length"}]}\n\n' % call
    )
    found = events(read("x.sse", data=data, request=asked(choices=2)))
    assert [event for event in found if isinstance(event, Finish)] == [
        Finish("stop", "stop"),
        Finish("length", "length", 1),
    ]


@pytest.mark.parametrize("size", [1, 40, 10_000])
def test_an_error_stays_an_error_when_done_follows_it(size: int) -> None:
    data = (GOLDEN / "broken_error_then_done.sse").read_bytes()
    found = decoder(asked(), False)
    with pytest.raises(UpstreamError, match="EngineCore"):
        read_in_pieces(found, data, size)


def read_in_pieces(found: Decoder, data: bytes, size: int) -> None:
    for start in range(0, len(data), size):
        chunks = found.feed(data[start : start + size])
        assert not any(chunk.end for chunk in chunks)
    found.close()


def test_an_error_after_a_status_of_200_says_what_was_wrong() -> None:
    with pytest.raises(ContextTooLong, match="context length"):
        read("broken_error_text.sse")
    with pytest.raises(UpstreamError, match="Executor is shut down"):
        read("broken_flat_error.sse")


@pytest.mark.parametrize(
    ("value", "counts"),
    [
        (None, None),
        ([], None),
        ({}, None),
        ({"prompt_tokens": -1, "completion_tokens": None}, None),
        ({"prompt_tokens": 3}, Usage(input=3)),
        ({"prompt_tokens": 3, "completion_tokens": 0}, Usage(input=3, output=0)),
        ({"prompt_tokens": True, "completion_tokens": 1.5}, None),
        ({"prompt_tokens": 3, "prompt_tokens_details": None}, Usage(input=3)),
        ({"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2}}, Usage(input=3, cached=2)),
    ],
)
def test_usage_not_reported_is_not_zero(value: object, counts: Usage | None) -> None:
    assert usage(value) == counts


def test_googles_thought_signature_is_read_from_its_openai_door() -> None:
    call = (
        b'{"id":"c","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"c2ln"}}}'
    )
    data = b'{"choices":[{"message":{"tool_calls":[%b]},"finish_reason":"tool_calls"}]}' % call
    [event] = [event for event in events(read("x.json", data=data)) if isinstance(event, ToolCallDelta)]
    assert event.signature == "c2ln"
    for odd in (b'"x"', b'{"google":1}', b'{"google":{"thought_signature":1}}'):
        found = events(read("x.json", data=data.replace(b'{"google":{"thought_signature":"c2ln"}}', odd)))
        assert [event.signature for event in found if isinstance(event, ToolCallDelta)] == [""]
