import json
from typing import Any

import msgspec
from openai.types.chat import ChatCompletion, ChatCompletionChunk

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
from nearfar.core.errors import StreamCut
from nearfar.wire.openai_chat_render import renderer

LOGPROBS = msgspec.Raw(b'{"content":[{"token":"a","logprob":-0.5,"bytes":null,"top_logprobs":[]}],"refusal":null}')


def asked(**fields: object) -> Request:
    defaults = {"id": "r1", "wire": "openai.chat", "operation": "chat", "model": "asked", "body": b"", "fields": {}}
    return msgspec.convert({**defaults, "received": 1_700_000_000, **fields}, Request)


def stream(*chunks: Chunk, **fields: object) -> tuple[list[dict[str, Any]], bytes]:
    """The events as JSON, each valid for the official client, and the ending."""
    found = renderer(asked(stream=True, **fields), False)
    assert found.content_type == "text/event-stream"
    text = b"".join(found.render(chunk) for chunk in chunks)
    blocks = (text + found.finish()).split(b"\n\n")
    assert blocks.pop() == b""
    values = [json.loads(block.removeprefix(b"data: ")) for block in blocks[:-1]]
    for value in values:
        ChatCompletionChunk.model_validate(value, strict=True)
    return values, blocks[-1]


def plain(*chunks: Chunk, **fields: object) -> dict[str, Any]:
    found = renderer(asked(**fields), False)
    assert found.content_type == "application/json"
    assert b"".join(found.render(chunk) for chunk in chunks) == b""
    value: dict[str, Any] = json.loads(found.finish())
    ChatCompletion.model_validate(value, strict=True)
    return value


def of(*events: Event) -> Chunk:
    return Chunk(events=events)


def test_a_stream_of_text() -> None:
    values, ending = stream(
        Chunk(events=(TextDelta("Hel"),), model="answered"), of(TextDelta("lo")), of(Finish("stop")), Chunk(end=True)
    )
    assert ending == b"data: [DONE]"
    assert [value["choices"][0]["delta"] for value in values] == [
        {"role": "assistant", "content": "Hel"},
        {"content": "lo"},
        {},
    ]
    assert [value["choices"][0]["finish_reason"] for value in values] == [None, None, "stop"]
    assert {value["id"] for value in values} == {"chatcmpl-r1"}
    assert {value["model"] for value in values} == {"answered"}
    assert {value["created"] for value in values} == {1_700_000_000}
    assert all("usage" not in value for value in values)


def test_usage_only_for_clients_that_asked() -> None:
    chunks = [
        of(TextDelta("x"), Finish("stop")),
        Chunk(usage=Usage(input=5, output=3, cached=2, reasoning=1), end=True),
    ]
    assert all("usage" not in value and value["choices"] for value in stream(*chunks)[0])
    values, _ = stream(*chunks, include_usage=True)
    assert [value["usage"] for value in values[:-1]] == [None, None]
    assert values[-1]["choices"] == []
    assert values[-1]["usage"] == {
        "prompt_tokens": 5,
        "completion_tokens": 3,
        "total_tokens": 8,
        "prompt_tokens_details": {"cached_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }


def test_unknown_usage_is_not_rendered_as_zero() -> None:
    values, _ = stream(of(TextDelta("x"), Finish("stop")), Chunk(usage=Usage(input=5)), include_usage=True)
    assert all(value["choices"] for value in values)
    assert "usage" not in plain(Chunk(events=(TextDelta("x"),), usage=Usage(output=5)))


def test_streamed_tool_calls() -> None:
    values, _ = stream(
        of(ToolCallDelta(call=0, id="a", name="f")),
        of(ToolCallDelta(call=0, arguments='{"x":'), ToolCallDelta(call=0, arguments="1}")),
        of(ToolCallDelta(call=1, id="b", name="g", arguments="{}")),
        of(Finish("tool_calls", "tool_use")),
    )
    assert values[0]["choices"][0]["delta"]["tool_calls"] == [
        {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}
    ]
    assert values[1]["choices"][0]["delta"]["tool_calls"] == [
        {"index": 0, "function": {"arguments": '{"x":'}},
        {"index": 0, "function": {"arguments": "1}"}},
    ]
    assert values[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_two_choices_each_get_their_role() -> None:
    values, _ = stream(of(TextDelta("a", 0), TextDelta("b", 1)), of(Finish("stop", "", 0)), of(Finish("length", "", 1)))
    deltas = [(value["choices"][0]["index"], value["choices"][0]["delta"]) for value in values]
    assert deltas[:2] == [(0, {"role": "assistant", "content": "a"}), (1, {"role": "assistant", "content": "b"})]


def test_a_reply_without_content_still_has_its_role() -> None:
    values, _ = stream(of(Finish("stop")))
    assert values[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}


def test_log_probabilities_go_with_their_text() -> None:
    values, _ = stream(of(TextDelta("a"), LogprobsDelta(LOGPROBS)), of(Finish("stop")))
    assert values[0]["choices"][0]["logprobs"]["content"][0]["logprob"] == -0.5
    assert plain(of(TextDelta("a"), LogprobsDelta(LOGPROBS)))["choices"][0]["logprobs"]["content"][0]["token"] == "a"


def test_signed_reasoning_goes_out_whole_when_it_ends() -> None:
    events: list[Event] = [
        ReasoningDelta("let ", block=0),
        ReasoningDelta("me", block=0),
        ReasoningSeal(signature="sig", block=0),
        ReasoningSeal(redacted="opaque", block=1),
        TextDelta("so"),
    ]
    values, _ = stream(*[of(event) for event in events], of(Finish("stop")))
    deltas = [value["choices"][0]["delta"] for value in values]
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "let me"
    blocks = [block for delta in deltas for block in delta.get("thinking_blocks", [])]
    assert blocks == [
        {"type": "thinking", "thinking": "let me", "signature": "sig"},
        {"type": "redacted_thinking", "data": "opaque"},
    ]
    message = plain(of(*events))["choices"][0]["message"]
    assert message["thinking_blocks"] == blocks
    assert (message["reasoning_content"], message["content"]) == ("let me", "so")


def test_a_plain_reply() -> None:
    value = plain(
        Chunk(
            events=(TextDelta("Hi"), TextDelta("!"), Finish("length")),
            usage=Usage(input=1, output=2),
            model="answered",
            end=True,
        )
    )
    assert value["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hi!", "refusal": None},
            "logprobs": None,
            "finish_reason": "length",
        }
    ]
    assert value["usage"] == {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    assert (value["id"], value["model"], value["created"]) == ("chatcmpl-r1", "answered", 1_700_000_000)


def test_plain_tool_calls_are_put_together() -> None:
    pieces: list[Event] = [
        ToolCallDelta(call=1, id="b", name="g", arguments="{}"),
        ToolCallDelta(call=0, id="a", name="f"),
    ]
    value = plain(of(*pieces, ToolCallDelta(call=0, arguments='{"x"'), ToolCallDelta(call=0, arguments=":1}")))
    message = value["choices"][0]["message"]
    assert message["content"] is None
    assert message["tool_calls"] == [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]


def test_refusals_and_empty_replies() -> None:
    assert plain(of(RefusalDelta("no")))["choices"][0]["message"]["refusal"] == "no"
    assert plain(Chunk(end=True))["choices"][0]["message"]["content"] == ""
    values, _ = stream(of(RefusalDelta("no")), of(Finish("stop")))
    assert values[0]["choices"][0]["delta"]["refusal"] == "no"


def test_an_error_event_is_not_followed_by_done() -> None:
    for like in (True, False):
        found = renderer(asked(stream=True), like)
        data = found.error(StreamCut("The upstream closed."))
        assert data.startswith(b"data: {")
        assert data.endswith(b"\n\n")
        assert json.loads(data[6:])["error"]["code"] == "stream_cut"
        assert b"[DONE]" not in data
        assert json.loads(renderer(asked(), like).error(StreamCut("x")))["error"]["type"] == "upstream_error"


def test_keep_alive_is_one_comment_line_in_streams_only() -> None:
    for like in (True, False):
        assert renderer(asked(stream=True), like).keep_alive() == b": keep-alive\n"
        assert renderer(asked(), like).keep_alive() == b""


def test_like_streams_pass_and_end_once() -> None:
    found = renderer(asked(stream=True), True)
    assert found.render(Chunk(raw=b"data: {}\n\n")) == b"data: {}\n\n"
    assert found.render(Chunk(raw=b"data: [DONE]\n\n", end=True)) == b""
    assert found.finish() == b"data: [DONE]\n\n"


def test_like_bodies_pass() -> None:
    found = renderer(asked(), True)
    assert found.render(Chunk(raw=b'{"a":1}', end=True)) == b'{"a":1}'
    assert found.finish() == b""


def test_googles_signatures_go_where_its_own_openai_door_puts_them() -> None:
    """Source: Gemini API documentation, "Thought signatures", section on OpenAI compatibility."""
    extra = {"google": {"thought_signature": "c2ln"}}
    call = of(ToolCallDelta(call=0, id="c1", name="f", arguments="{}", signature="c2ln"), Finish("tool_calls"))
    values, _ = stream(call)
    assert values[0]["choices"][0]["delta"]["tool_calls"][0]["extra_content"] == extra
    assert plain(call)["choices"][0]["message"]["tool_calls"][0]["extra_content"] == extra
    said = of(TextDelta("x"), ReasoningSeal(signature="c2ln", vendor="google"), Finish("stop"))
    message = plain(said)["choices"][0]["message"]
    assert message["extra_content"] == extra
    assert "thinking_blocks" not in message
