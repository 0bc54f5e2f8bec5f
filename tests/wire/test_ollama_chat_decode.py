import json
from pathlib import Path

import msgspec
import pytest
from ollama import ChatResponse, GenerateResponse

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
from nearfar.core.errors import NearfarError, StreamCut, UpstreamError
from nearfar.wire.ollama_chat_decode import decoder

GOLDEN = Path(__file__).parents[1] / "golden" / "ollama_chat"


def read(name: str, data: bytes | None = None) -> list[Chunk]:
    request = Request(
        id="r", wire="openai.chat", operation="chat", model="m", body=b"", fields={}, stream=name.endswith("ndjson")
    )
    found = decoder(request, True)
    return found.feed((GOLDEN / name).read_bytes() if data is None else data) + found.close()


def events(chunks: list[Chunk]) -> list[Event]:
    return [event for chunk in chunks for event in chunk.events]


def test_the_golden_bytes_are_what_the_official_client_accepts() -> None:
    for path in GOLDEN.glob("stream_*.ndjson"):
        for line in path.read_bytes().splitlines():
            ChatResponse.model_validate_json(line)
    for path in GOLDEN.glob("plain_*.json"):
        ChatResponse.model_validate_json(path.read_bytes())


def test_text() -> None:
    chunks = read("stream_text.ndjson")
    assert events(chunks) == [TextDelta("The"), TextDelta(" sky 世界"), Finish("stop", "stop")]
    assert [chunk.content for chunk in chunks] == [True, True, False]
    assert [chunk.end for chunk in chunks] == [False, False, True]
    assert chunks[-1].usage == Usage(input=26, output=282)
    assert chunks[0].model == "llama3.2"


def test_tool_calls_get_ids_and_their_finish_reason() -> None:
    chunks = read("stream_tools.ndjson")
    assert events(chunks) == [
        ToolCallDelta(call=0, id="call_r_0", name="get_weather", arguments='{"city":"Tokyo"}'),
        ToolCallDelta(call=1, id="call_x1", name="get_time", arguments="{}"),
        Finish("tool_calls", "stop"),
    ]
    assert chunks[-1].finish == "tool_calls"


def test_thinking_and_log_probabilities() -> None:
    found = events(read("stream_thinking.ndjson"))
    assert [event.text for event in found if isinstance(event, ReasoningDelta)] == ["Let me ", "count."]
    [logprobs] = [event for event in found if isinstance(event, LogprobsDelta)]
    [token] = json.loads(bytes(logprobs.raw))["content"]
    assert (token["token"], token["logprob"], token["bytes"]) == ("3", -0.25, [51])
    assert token["top_logprobs"][1] == {"token": "4", "logprob": -2.5, "bytes": None}
    assert found[-1] == Finish("length", "length")


def test_an_answer_from_elsewhere_says_so() -> None:
    assert read("stream_remote.ndjson")[0].model == "gpt-oss:120b@https://ollama.com:443"


def test_plain() -> None:
    [chunk] = read("plain_text.json")
    assert chunk.events == (TextDelta("Hello! How are you?"), Finish("stop", "stop"))
    assert chunk.end
    assert chunk.content
    assert chunk.usage == Usage(input=26, output=282)
    [chunk] = read("plain_tools.json")
    assert chunk.finish == "tool_calls"


def test_counts_not_reported_are_not_zero() -> None:
    [chunk] = read("x.json", b'{"model":"m","message":{"role":"assistant","content":"x"},"done":true}')
    assert chunk.usage is None


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("x.ndjson", b"", StreamCut),
        ("x.ndjson", b'{"message":{"content":"x"},"done":false}\n', StreamCut),
        ("x.ndjson", b'{"message":{"content":"x"},"do', StreamCut),
        ("x.ndjson", b"rubbish\n", UpstreamError),
        ("x.ndjson", b'{"error":"boom"}', UpstreamError),
        ("x.json", b'{"message":{"content":"x"},"done":false}', StreamCut),
        ("x.json", b'{"message":', StreamCut),
        ("x.json", b'{"error":"boom"}', UpstreamError),
        ("broken_error.ndjson", None, UpstreamError),
    ],
)
def test_no_end_without_done(name: str, data: bytes | None, kind: type[NearfarError]) -> None:
    with pytest.raises(kind) as caught:
        read(name, data)
    assert type(caught.value) is kind


def test_the_older_endpoint_answers_alike() -> None:
    folder = GOLDEN.parent / "ollama_generate"
    chunks = read("stream_text.ndjson", (folder / "stream_text.ndjson").read_bytes())
    assert events(chunks) == [TextDelta("The"), TextDelta(" sky 世界"), Finish("stop", "stop")]
    assert chunks[-1].usage == Usage(input=26, output=259)
    found = events(read("stream_thinking.ndjson", (folder / "stream_thinking.ndjson").read_bytes()))
    assert [event.text for event in found if isinstance(event, ReasoningDelta)] == ["Let me ", "see."]
    for path in folder.glob("stream_*.ndjson"):
        for line in path.read_bytes().splitlines():
            GenerateResponse.model_validate_json(line)


@pytest.mark.parametrize("tops", [True, "x", ["x"], {"a": 1}, None])
def test_log_probabilities_of_odd_shapes_break_nothing(tops: object) -> None:
    line = {"model": "m", "message": {"content": "x"}, "logprobs": [{"token": "x", "top_logprobs": tops}], "done": True}
    request = Request(id="req-1", wire="openai.chat", operation="chat", model="m", body=b"", fields={})
    made = decoder(request, True)
    made.feed(msgspec.json.encode(line))
    assert made.close()[0].end
