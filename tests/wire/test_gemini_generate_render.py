import json
from typing import Any

import msgspec
import pytest

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
from nearfar.core.errors import OutputUnparsed, StreamCut
from nearfar.wire.gemini_generate_members import unseal
from nearfar.wire.gemini_generate_render import array_renderer, renderer

LOGPROBS = msgspec.Raw(
    b'{"content":[{"token":"a","logprob":-0.5,"bytes":null,"top_logprobs":[{"token":"b","logprob":-1}]}]}'
)
STREAMED = [
    Chunk(events=(ReasoningDelta("hm"),), model="answered"),
    Chunk(events=(TextDelta("Hel"),)),
    Chunk(events=(TextDelta("lo"), ToolCallDelta(call=0, id="c", name="f", arguments='{"a"'))),
    Chunk(events=(ToolCallDelta(call=0, arguments=":1}"),)),
    Chunk(events=(Finish("tool_calls"),)),
    Chunk(usage=Usage(input=5, output=9, cached=2, reasoning=3), end=True),
]


def asked(**fields: object) -> Request:
    defaults = {"id": "r1", "wire": "gemini.generate", "operation": "chat", "model": "asked", "body": b"", "fields": {}}
    return msgspec.convert({**defaults, **fields}, Request)


def events(data: bytes) -> list[dict[str, Any]]:
    blocks = data.split(b"\n\n")
    assert blocks.pop() == b""
    assert all(block.startswith(b"data: ") and b"\n" not in block for block in blocks)
    return [json.loads(block.removeprefix(b"data: ")) for block in blocks]


def stream(*chunks: Chunk) -> list[dict[str, Any]]:
    found = renderer(asked(stream=True), False)
    return events(b"".join(found.render(chunk) for chunk in chunks) + found.finish())


def plain(*happened: Event) -> dict[str, Any]:
    found = renderer(asked(), False)
    assert found.render(Chunk(events=happened)) == b""
    value: dict[str, Any] = json.loads(found.finish())
    return value


def parts(*happened: Event) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = plain(*happened)["candidates"][0]["content"]["parts"]
    return found


def test_a_stream() -> None:
    *begun, last = stream(*STREAMED)
    said = [event["candidates"][0] for event in begun]
    assert [item["content"]["parts"] for item in said] == [
        [{"text": "hm", "thought": True}],
        [{"text": "Hel"}],
        [{"text": "lo"}],
    ]
    assert all("finishReason" not in item for item in said), "the end is told at the end"
    assert last == {
        "candidates": [
            {
                "content": {
                    "role": "model",
                    "parts": [{"functionCall": {"name": "f", "args": {"a": 1}, "id": "c"}}],
                },
                "index": 0,
                "finishReason": "STOP",
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 5,
            "candidatesTokenCount": 6,
            "thoughtsTokenCount": 3,
            "cachedContentTokenCount": 2,
            "totalTokenCount": 14,
        },
        "modelVersion": "answered",
        "responseId": "r1",
    }


def test_no_byte_but_events() -> None:
    for like in (False, True):
        for found in (renderer(asked(stream=True), like), renderer(asked(), like)):
            assert (found.keep_alive(), found.note("x")) == (b"", b"")
    assert renderer(asked(stream=True), False).content_type == "text/event-stream"


def test_an_error_has_a_number_and_no_end_follows() -> None:
    found = renderer(asked(stream=True), False)
    data = found.render(STREAMED[1]) + found.error(StreamCut("cut"))
    assert events(data)[-1]["error"]["code"] == 502
    assert b"finishReason" not in data
    assert json.loads(renderer(asked(), False).error(StreamCut("cut")))["error"]["status"] == "UNAVAILABLE"


def test_an_array_where_no_events_were_asked_for() -> None:
    for like in (False, True):
        found = array_renderer(asked(stream=True), like)
        assert found.content_type.startswith("application/json")
        raw = [Chunk(raw=b'data: {"a":1}\n\n'), Chunk(raw=b'data: {"b":\ndata: 2}\n\n'), Chunk(end=True)]
        data = b"".join(found.render(chunk) for chunk in (raw if like else STREAMED)) + found.finish()
        assert isinstance(json.loads(data), list)
        if like:
            assert json.loads(data) == [{"a": 1}, {"b": 2}]
        assert (found.keep_alive(), found.note("x")) == (b"", b"")
    assert json.loads(array_renderer(asked(stream=True), True).finish()) == []
    found = array_renderer(asked(stream=True), False)
    assert json.loads(found.render(STREAMED[1]) + found.error(StreamCut("x")))[1]["error"]["code"] == 502
    assert json.loads(array_renderer(asked(), True).error(StreamCut("x")))["error"]["code"] == 502


def test_like_bytes_travel() -> None:
    for request in (asked(), asked(stream=True)):
        found = renderer(request, True)
        assert found.render(Chunk(raw=b"x", end=True)) == b"x"
        assert found.finish() == b""
        assert b"error" in found.error(StreamCut("x"))


def test_a_plain_reply() -> None:
    found = plain(TextDelta("a"), TextDelta("b"), RefusalDelta("c"), Finish("stop"))
    assert found == {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "abc"}]}, "index": 0, "finishReason": "STOP"}],
        "modelVersion": "asked",
        "responseId": "r1",
    }
    two = plain(TextDelta("a"), TextDelta("b", 1), Finish("stop"), Finish("length", index=1))
    assert [item["finishReason"] for item in two["candidates"]] == ["STOP", "MAX_TOKENS"]
    assert plain()["candidates"][0] == {"content": {"role": "model", "parts": []}, "index": 0, "finishReason": "STOP"}
    assert plain(Finish("content_filter"))["candidates"][0]["finishReason"] == "SAFETY"
    assert plain(Finish("whatever"))["candidates"][0]["finishReason"] == "OTHER"


def test_signatures_of_google_stay_and_those_of_others_are_sealed() -> None:
    assert parts(TextDelta("x"), ReasoningSeal(signature="c2ln", vendor="google")) == [
        {"text": "x", "thoughtSignature": "c2ln"}
    ]
    assert parts(ReasoningSeal(signature="c2ln", vendor="google")) == [{"text": "", "thoughtSignature": "c2ln"}]
    call = ToolCallDelta(call=0, name="f", arguments="", signature="c2ln")
    assert parts(call) == [{"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "c2ln"}]
    first, second, third = parts(
        ReasoningDelta("a"),
        ReasoningSeal(signature="s"),
        ReasoningDelta("b", block=1),
        ReasoningSeal(redacted="zz", block=2),
    )
    assert (first["text"], unseal(first["thoughtSignature"])) == ("a", ("anthropic", "signature", "s"))
    assert second == {"text": "b", "thought": True}
    assert unseal(third["thoughtSignature"]) == ("anthropic", "redacted", "zz")
    [alone] = parts(ReasoningSeal(signature="s", vendor="openai"))
    assert (alone["thought"], unseal(alone["thoughtSignature"])) == (True, ("openai", "signature", "s"))


def test_parallel_calls_in_pieces() -> None:
    found = parts(
        ToolCallDelta(call=0, id="a", name="f", arguments="{"),
        ToolCallDelta(call=1, id="b", name="g", arguments='{"x":'),
        ToolCallDelta(call=0, arguments="}"),
        ToolCallDelta(call=1, arguments="[1]}"),
    )
    assert [part["functionCall"] for part in found] == [
        {"name": "f", "args": {}, "id": "a"},
        {"name": "g", "args": {"x": [1]}, "id": "b"},
    ]


@pytest.mark.parametrize("arguments", ["[1]", '{"a":', "no", "[" * 9999])
def test_arguments_that_are_no_object_are_an_error_and_no_guess(arguments: str) -> None:
    for request in (asked(), asked(stream=True)):
        found = renderer(request, False)
        found.render(Chunk(events=(ToolCallDelta(call=0, name="f", arguments=arguments),)))
        with pytest.raises(OutputUnparsed):
            found.finish()


def test_log_probabilities() -> None:
    found = plain(LogprobsDelta(LOGPROBS), TextDelta("a"))["candidates"][0]["logprobsResult"]
    assert found == {
        "chosenCandidates": [{"token": "a", "logProbability": -0.5}],
        "topCandidates": [{"candidates": [{"token": "b", "logProbability": -1}]}],
    }
    for odd in (b"[]", b'{"content":null}', b'{"content":[1]}'):
        assert plain(LogprobsDelta(msgspec.Raw(odd)))["candidates"][0]["logprobsResult"]["chosenCandidates"] == []


def test_unknown_counts_are_left_out() -> None:
    found = renderer(asked(), False)
    found.render(Chunk(usage=Usage(output=3)))
    assert json.loads(found.finish())["usageMetadata"] == {"candidatesTokenCount": 3}
    found = renderer(asked(), False)
    found.render(Chunk(usage=Usage()))
    assert "usageMetadata" not in json.loads(found.finish())
