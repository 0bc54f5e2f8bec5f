from pathlib import Path
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
    Request,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from nearfar.core.errors import NearfarError, OutputUnparsed, Overloaded, StreamCut, UpstreamError
from nearfar.wire.gemini_generate_decode import decoder, usage

GOLDEN = Path(__file__).parents[1] / "golden" / "gemini_generate"


def read(name: str, data: bytes | None = None, *, typed: bool = True, choices: int = 1) -> list[Chunk]:
    request = Request(
        id="r",
        wire="openai.chat",
        operation="chat",
        model="m",
        body=b"",
        fields={},
        stream=name.endswith(".sse"),
        choices=choices,
    )
    found = decoder(request, typed)
    return found.feed((GOLDEN / name).read_bytes() if data is None else data) + found.close()


def events(chunks: list[Chunk]) -> list[Event]:
    return [event for chunk in chunks for event in chunk.events]


def reply(**candidate: Any) -> bytes:
    return msgspec.json.encode({"candidates": [candidate], "modelVersion": "gemini-3-flash"})


def test_text() -> None:
    chunks = read("stream_text.sse")
    assert events(chunks) == [TextDelta("The sky"), TextDelta(" is blue 世界"), TextDelta("."), Finish("stop", "STOP")]
    assert [chunk.end for chunk in chunks] == [False, False, False, True]
    assert [chunk.usage for chunk in chunks] == [
        Usage(input=8),
        Usage(input=8),
        Usage(input=8, output=7, cached=3),
        None,
    ], "what has been written so far is not what will be billed"
    assert (chunks[0].model, chunks[0].id) == ("gemini-3-flash", "mAitaLmkHPPlz7IPvtfUqQ4")


def test_lines_may_end_as_googles_do() -> None:
    data = (GOLDEN / "stream_text.sse").read_bytes().replace(b"\n", b"\r\n")
    assert events(read("x.sse", data)) == events(read("stream_text.sse"))


def test_between_like_wires_the_bytes_stay() -> None:
    chunks = read("stream_tools.sse", typed=False)
    assert b"".join(chunk.raw for chunk in chunks) == (GOLDEN / "stream_tools.sse").read_bytes()
    assert events(chunks) == []
    assert [chunk.finish for chunk in chunks] == ["", "", "tool_calls", ""]
    assert [chunk.content for chunk in chunks] == [True, True, False, False]


def test_parallel_calls_get_ids_signatures_and_their_finish_reason() -> None:
    chunks = read("stream_tools.sse")
    assert events(chunks) == [
        ToolCallDelta(
            call=0,
            id="call_r_0_0",
            name="get_weather",
            arguments='{"city":"Taipei 台北"}',
            signature="RXJZRENyTURBWEx1Zg==",
        ),
        ToolCallDelta(call=1, id="call_r_0_1", name="get_time", arguments="{}"),
        Finish("tool_calls", "STOP"),
    ]
    assert chunks[-2].usage == Usage(input=50, output=48, reasoning=30)
    [chunk] = read("plain_tools.json")
    assert [event.id for event in chunk.events if isinstance(event, ToolCallDelta)] == ["fc_1", "fc_2"]
    assert chunk.usage == Usage(input=29, output=819, reasoning=804)
    assert chunk.finish == "tool_calls"


def test_thoughts_and_the_signature_at_the_end() -> None:
    assert events(read("stream_thinking.sse")) == [
        ReasoningDelta("**Counting**\n"),
        ReasoningDelta("One, two."),
        TextDelta("There are "),
        TextDelta("two."),
        ReasoningSeal(signature="RWdnRUJDMU1UQT09", vendor="google"),
        Finish("length", "MAX_TOKENS"),
    ]


def test_a_stream_is_whole_when_every_candidate_has_ended() -> None:
    chunks = read("stream_choices.sse", choices=2)
    finishes = [event for event in events(chunks) if isinstance(event, Finish)]
    assert finishes == [Finish("stop", "STOP"), Finish("content_filter", "SAFETY", 1)]
    with pytest.raises(StreamCut):
        read("stream_choices.sse", choices=3)


def test_a_blocked_prompt_is_an_end_without_words() -> None:
    [chunk] = read("plain_blocked.json")
    assert chunk.events == (Finish("content_filter", "PROHIBITED_CONTENT"),)
    assert (chunk.finish, chunk.usage) == ("content_filter", Usage(input=7, output=0))
    data = b'data: {"promptFeedback":{"blockReason":"SAFETY"},"modelVersion":"m"}\n\n'
    chunks = read("x.sse", data, choices=2)
    assert chunks[-1].end
    assert [event.index for event in events(chunks) if isinstance(event, Finish)] == [0, 1]


def test_log_probabilities() -> None:
    [chunk] = read("plain_logprobs.json")
    [found] = [event for event in chunk.events if isinstance(event, LogprobsDelta)]
    assert msgspec.json.decode(found.raw) == {
        "content": [
            {
                "token": "3",
                "logprob": -0.25,
                "bytes": [51],
                "top_logprobs": [
                    {"token": "3", "logprob": -0.25, "bytes": [51]},
                    {"token": "4", "logprob": -2.5, "bytes": [52]},
                ],
            }
        ],
        "refusal": None,
    }
    odd = reply(logprobsResult={"chosenCandidates": [1], "topCandidates": "x"}, finishReason="STOP")
    assert isinstance(read("x.json", odd)[0].events[0], LogprobsDelta)


@pytest.mark.parametrize(
    ("native", "reason"),
    [("STOP", "stop"), ("MAX_TOKENS", "length"), ("RECITATION", "content_filter"), ("SOMETHING_NEW", "content_filter")],
)
def test_finish_reasons(native: str, reason: str) -> None:
    [chunk] = read("x.json", reply(content={"parts": [{"text": "x"}]}, finishReason=native))
    assert chunk.events[-1] == Finish(reason, native)


def test_what_the_models_own_server_could_not_read_is_no_answer() -> None:
    body = reply(content={"parts": [{"text": "x"}]}, finishReason="MALFORMED_FUNCTION_CALL")
    with pytest.raises(OutputUnparsed):
        read("x.json", body)
    [chunk] = read("x.json", body, typed=False)  # a client of Gemini knows the word
    assert (chunk.finish, chunk.raw) == ("error", body)


def test_media_that_the_client_cannot_take_is_an_error_and_no_gap() -> None:
    body = reply(content={"parts": [{"inlineData": {"mimeType": "image/png", "data": "AA"}}]}, finishReason="STOP")
    with pytest.raises(UpstreamError) as caught:
        read("x.json", body)
    assert caught.value.code == "unsupported_output"
    assert read("x.json", body, typed=False)[0].raw == body


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("x.sse", b"", StreamCut),
        ("x.sse", b'data: {"candidates":[{"content":{"parts":[{"text":"x"}]}}]}\n\n', StreamCut),
        ("x.sse", b'data: {"candidates":[{"finishReason":"FINISH_REASON_UNSPECIFIED"}]}\n\n', StreamCut),
        ("x.sse", b"data: rubbish\n\n", UpstreamError),
        ("x.sse", b"[]", StreamCut),
        ("x.json", b"{}", UpstreamError),
        ("x.json", b'{"candidates":', StreamCut),
        ("x.json", b"[]", UpstreamError),
        ("broken_error.sse", None, Overloaded),
        ("broken_error_list.json", None, UpstreamError),
        ("broken_empty.sse", None, StreamCut),
        ("broken_empty.json", None, UpstreamError),
    ],
)
@pytest.mark.parametrize("typed", [False, True])
def test_no_end_without_a_finish_reason(name: str, data: bytes | None, kind: type[NearfarError], typed: bool) -> None:
    with pytest.raises(kind) as caught:
        read(name, data, typed=typed)
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("counts", "found"),
    [
        ({}, None),
        ({"totalTokenCount": 3}, None),
        ({"promptTokenCount": -1}, None),
        ({"promptTokenCount": True, "candidatesTokenCount": 1.5}, None),
        ({"promptTokenCount": 5}, Usage(input=5)),
        ({"promptTokenCount": 5, "totalTokenCount": 5}, Usage(input=5, output=0)),
        (
            {"promptTokenCount": 5, "toolUsePromptTokenCount": 2, "candidatesTokenCount": 1},
            Usage(input=7, output=1),
        ),
        ({"promptTokenCount": 5, "thoughtsTokenCount": 4}, Usage(input=5, output=4, reasoning=4)),
    ],
)
def test_counts_not_reported_are_not_zero(counts: dict[str, Any], found: Usage | None) -> None:
    assert usage(counts) == found
