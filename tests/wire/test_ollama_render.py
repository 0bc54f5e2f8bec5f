import json
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from ollama import ChatResponse, GenerateResponse

from nearfar.core.chat import (
    Chunk,
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
from nearfar.wire import ollama_chat, ollama_generate
from nearfar.wire.ollama_render import LikeStream, Plain, Stream, renderer

GOLDEN = Path(__file__).parents[1] / "golden"
SECOND = 1_000_000_000


def ticking() -> Callable[[], int]:
    """A clock that goes on by a second whenever it is read."""
    times: Iterator[int] = count(1_700_000_000 * SECOND, SECOND)
    return lambda: next(times)


def chat(*, stream: bool = True) -> Request:
    body = {"model": "near", "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    return ollama_chat.parse(json.dumps(body).encode(), "req-1")


def generate(*, stream: bool = True) -> Request:
    return ollama_generate.parse(json.dumps({"model": "near", "prompt": "hi", "stream": stream}).encode(), "req-1")


def lines(data: bytes) -> list[dict[str, Any]]:
    assert b"\n\n" not in data, "official clients break on blank lines"
    assert data.endswith(b"\n")
    return [json.loads(line) for line in data.splitlines()]


LOGPROBS = msgspec.Raw(b'{"content":[{"token":"a","logprob":-0.5,"bytes":[97],"top_logprobs":[]}],"refusal":null}')
CHUNKS = [
    Chunk(events=(ReasoningDelta("hm"), ReasoningSeal(signature="s")), model="gpt", content=True),
    Chunk(events=(TextDelta("a"), TextDelta("世"), LogprobsDelta(LOGPROBS)), content=True),
    Chunk(events=(ToolCallDelta(call=0, id="c1", name="f", arguments='{"x":'),), content=True),
    Chunk(events=(ToolCallDelta(call=0, arguments="1}"), ToolCallDelta(call=1, id="c2", name="g")), content=True),
    Chunk(events=(Finish("tool_calls", "tool_calls"),), finish="tool_calls"),
    Chunk(usage=Usage(input=9, output=4)),
    Chunk(end=True),
]


def test_a_stream_of_another_wire() -> None:
    made = Stream(chat(), ticking())
    assert made.content_type == "application/x-ndjson"
    data = b"".join(made.render(chunk) for chunk in CHUNKS)
    found = lines(data)
    assert [line["done"] for line in found] == [False, False, False], "the last line waits for a clean ending"
    assert found[0]["message"] == {"role": "assistant", "content": "", "thinking": "hm"}
    assert found[1]["message"] == {"role": "assistant", "content": "a世"}
    assert found[1]["logprobs"][0]["logprob"] == -0.5
    assert found[2]["message"]["tool_calls"] == [
        {"id": "c1", "function": {"index": 0, "name": "f", "arguments": {"x": 1}}},
        {"id": "c2", "function": {"index": 1, "name": "g", "arguments": {}}},
    ]
    assert {line["model"] for line in found} == {"gpt"}
    [last] = lines(made.finish())
    assert last["done"] is True
    assert last["done_reason"] == "stop"
    assert (last["prompt_eval_count"], last["eval_count"]) == (9, 4)
    assert last["message"] == {"role": "assistant", "content": ""}
    assert last["total_duration"] == last["prompt_eval_duration"] + last["eval_duration"]
    assert last["prompt_eval_duration"] == SECOND
    assert len(last["created_at"]) == len("2023-11-14T22:13:20.000000000Z")
    for line in [*found, last]:
        ChatResponse.model_validate(line)


def test_a_plain_reply_of_another_wire() -> None:
    made = Plain(chat(stream=False), ticking())
    assert b"".join(made.render(chunk) for chunk in CHUNKS) == b""
    value = json.loads(made.finish())
    assert value["message"]["content"] == "a世"
    assert value["message"]["thinking"] == "hm"
    assert [call["function"]["name"] for call in value["message"]["tool_calls"]] == ["f", "g"]
    assert len(value["logprobs"]) == 1
    assert value["total_duration"] > 0
    assert "eval_duration" not in value, "nobody saw when the answer began, and clients divide by it"
    assert value["done"] is True
    ChatResponse.model_validate(value)


def test_the_older_endpoint() -> None:
    texts = [Chunk(events=(ReasoningDelta("hm"), TextDelta("a")), content=True), Chunk(events=(Finish("length"),))]
    made = Stream(generate(), ticking())
    found = [*lines(b"".join(made.render(chunk) for chunk in texts)), *lines(made.finish())]
    assert (found[0]["response"], found[0]["thinking"], "message" in found[0]) == ("a", "hm", False)
    assert (found[1]["response"], found[1]["done"], found[1]["done_reason"]) == ("", True, "length")
    assert "prompt_eval_count" not in found[1], "what was not reported is not zero"
    for line in found:
        GenerateResponse.model_validate(line)
    plain = Plain(generate(stream=False), ticking())
    for chunk in texts:
        plain.render(chunk)
    assert json.loads(plain.finish())["response"] == "a"


@pytest.mark.parametrize("path", sorted((GOLDEN / "ollama_chat").glob("stream_*")), ids=lambda path: path.name)
def test_between_like_wires_lines_travel_as_they_came(path: Path) -> None:
    request = chat()
    decoder = ollama_chat.PROVIDER.decoder(request, False)
    made = renderer(request, True)
    chunks = decoder.feed(path.read_bytes()) + decoder.close()
    before = b"".join(made.render(chunk) for chunk in chunks)
    assert b'"done":true' not in before
    assert before + made.finish() == path.read_bytes()


def test_a_plain_reply_travels_as_it_came() -> None:
    data = (GOLDEN / "ollama_chat" / "plain_tools.json").read_bytes()
    request = chat(stream=False)
    decoder = ollama_chat.PROVIDER.decoder(request, False)
    decoder.feed(data)
    made = renderer(request, True)
    assert b"".join(made.render(chunk) for chunk in decoder.close()) + made.finish() == data


@pytest.mark.parametrize("like", [True, False])
@pytest.mark.parametrize("stream", [True, False])
def test_an_error_is_a_line_of_text_and_nothing_keeps_alive(like: bool, stream: bool) -> None:
    made = renderer(chat(stream=stream), like)
    assert json.loads(made.error(StreamCut("It broke."))) == {"error": "It broke."}
    assert made.keep_alive() == b""


@pytest.mark.parametrize("made", [LikeStream(chat()), Stream(chat())], ids=["like", "unlike"])
def test_a_remark_is_an_empty_piece(made: LikeStream | Stream) -> None:
    [line] = lines(made.note("x-nearfar-deviations: truncated"))
    assert (line["done"], line["message"]["content"]) == (False, "")
    assert line["nearfar"] == "x-nearfar-deviations: truncated"
    ChatResponse.model_validate(line)
    assert renderer(chat(stream=False), True).note("x") == b""
    assert renderer(chat(stream=False), False).note("x") == b""


@pytest.mark.parametrize("arguments", ['{"x":', "[1]", "3", '"text"'])
def test_arguments_that_are_no_object_are_an_error(arguments: str) -> None:
    broken = [
        Chunk(events=(ToolCallDelta(call=0, id="c", name="f", arguments=arguments),)),
        Chunk(events=(Finish("tool_calls"),)),
    ]
    made = Stream(chat())
    made.render(broken[0])
    with pytest.raises(OutputUnparsed, match="'f'"):
        made.render(broken[1])
    plain = Plain(chat(stream=False))
    for chunk in broken:
        plain.render(chunk)
    with pytest.raises(OutputUnparsed):
        plain.finish()


def test_a_refusal_is_visible_and_an_unknown_reason_is_kept() -> None:
    made = Plain(chat(stream=False))
    made.render(Chunk(events=(RefusalDelta("No."), Finish("content_filter"))))
    value = json.loads(made.finish())
    assert (value["message"]["content"], value["done_reason"]) == ("No.", "content_filter")
