"""What we write for Converse's clients: botocore reads it, the service model knows it, and it says what was said."""

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EventStreamError
from tests import aws
from tests.aws import BEDROCK, GOLDEN

from nearfar.core.chat import (
    Chunk,
    Finish,
    ReasoningDelta,
    ReasoningSeal,
    Request,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from nearfar.core.errors import (
    BadRequestError,
    InternalServerError,
    NearfarError,
    Overloaded,
    RateLimitError,
    StreamCut,
)
from nearfar.wire import bedrock_converse
from nearfar.wire.bedrock_converse_parse import read
from nearfar.wire.bedrock_converse_render import error_body, renderer

FOLDER = GOLDEN / "bedrock_converse"
SHAPE = aws.operation(BEDROCK, "ConverseStream").get_event_stream_output()


def asked(*, stream: bool) -> Request:
    body = b'{"messages":[{"role":"user","content":[{"text":"x"}]}]}'
    return read(body, "r", model="m", stream=stream)


def written(chunks: list[Chunk], *, stream: bool = True, like: bool = False) -> bytes:
    made = renderer(asked(stream=stream), like)
    return b"".join(made.render(chunk) for chunk in chunks) + made.finish()


def chunks(path: Path) -> list[Chunk]:
    decoder = bedrock_converse.PROVIDER.decoder(asked(stream=path.suffix == ".bin"), True)
    return decoder.feed(path.read_bytes()) + decoder.close()


def essence(events: list[dict[str, Any]]) -> Any:
    """Blocks put together, without what nobody can know."""
    blocks: dict[int, Any] = {}
    rest = []
    for event in events:
        [(kind, value)] = event.items()
        at = value.get("contentBlockIndex")
        if kind == "contentBlockStart":
            blocks[at] = [value["start"]["toolUse"], ""]
        elif kind == "contentBlockDelta":
            delta = value["delta"]
            if "toolUse" in delta:
                blocks[at][1] += delta["toolUse"]["input"]
            elif "text" in delta:
                blocks[at] = blocks.get(at, "") + delta["text"]
            else:
                blocks.setdefault(at, []).append(delta["reasoningContent"])
        elif kind == "messageStop":
            rest.append(value["stopReason"])
        elif kind == "metadata":
            usage = value["usage"]
            rest.append({name: usage[name] for name in ("inputTokens", "outputTokens", "totalTokens")})
    return [
        block if not isinstance(block, list) or block[1:] != [""] else [block[0], "{}"] for block in blocks.values()
    ], rest


@pytest.mark.parametrize("name", ["text", "tools"])
def test_a_stream_read_and_written_again_says_the_same(name: str) -> None:
    path = FOLDER / f"stream_{name}.bin"
    events = aws.events(BEDROCK, "ConverseStream", [written(chunks(path))])
    for event in events:
        [(kind, value)] = event.items()
        if kind != "metadata":  # without its latency, which a codec does not measure
            aws.check(SHAPE.members[kind], value, kind)
    assert essence(events) == essence(aws.events(BEDROCK, "ConverseStream", [path.read_bytes()]))
    starts = [event["contentBlockStart"]["contentBlockIndex"] for event in events if "contentBlockStart" in event]
    stops = sorted(event["contentBlockStop"]["contentBlockIndex"] for event in events if "contentBlockStop" in event)
    assert set(starts) <= set(stops)
    assert stops == list(range(len(stops))), "every block ends once"


def test_a_plain_reply_read_and_written_again_says_the_same() -> None:
    for name in ("text", "tools"):
        path = FOLDER / f"plain_{name}.json"
        body = json.loads(written(chunks(path), stream=False))
        theirs = json.loads(path.read_bytes())
        assert (body["output"], body["stopReason"]) == (theirs["output"], theirs["stopReason"])
        for count in ("inputTokens", "outputTokens"):
            assert body["usage"][count] == theirs["usage"][count]
        assert body["usage"]["totalTokens"] == theirs["usage"]["totalTokens"]


def test_bytes_that_are_converses_pass_as_they_came() -> None:
    for path in (FOLDER / "stream_reasoning.bin", FOLDER / "plain_tools.json"):
        assert written(chunks(path), stream=path.suffix == ".bin", like=True) == path.read_bytes()


SAID = [
    Chunk(events=(ReasoningDelta("a", block=0), ReasoningSeal(signature="s", block=0))),
    Chunk(events=(ReasoningSeal(signature="g", block=1, vendor="google"), ReasoningSeal(redacted="cmVk", block=2))),
    Chunk(events=(TextDelta("b"), TextDelta("other choice", index=1))),
    Chunk(events=(ToolCallDelta(call=0, name="f"), ToolCallDelta(call=1, id="c2", name="g"))),
    Chunk(events=(ToolCallDelta(call=1, arguments="{}"), ToolCallDelta(call=0, arguments='{"x":1}'), TextDelta("c"))),
    Chunk(events=(Finish("stop", "stop", stop="END"),)),
]


def test_pieces_of_calls_may_come_interleaved_and_thoughts_keep_their_seals() -> None:
    blocks, [stop] = essence([e for e in aws.events(BEDROCK, "ConverseStream", [written(SAID)]) if "metadata" not in e])
    assert blocks == [
        [{"text": "a"}, {"signature": "s"}],
        [{"redactedContent": b"red"}],
        "b",
        [{"toolUseId": "call_0", "name": "f"}, '{"x":1}'],
        [{"toolUseId": "c2", "name": "g"}, "{}"],
        "c",
    ]
    assert stop == "stop_sequence"
    body = json.loads(written(SAID, stream=False))
    assert body["output"]["message"]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "a", "signature": "s"}}},
        {"reasoningContent": {"redactedContent": "cmVk"}},
        {"text": "b"},
        {"toolUse": {"toolUseId": "call_0", "name": "f", "input": {"x": 1}}},
        {"toolUse": {"toolUseId": "c2", "name": "g", "input": {}}},
        {"text": "c"},
    ]
    assert "usage" not in body, "nobody counted"


def test_arguments_that_are_no_json_stay_words() -> None:
    said = [Chunk(events=(ToolCallDelta(call=0, id="c", name="f", arguments="{oops"),))]
    body = json.loads(written(said, stream=False))
    assert body["output"]["message"]["content"][0]["toolUse"]["input"] == "{oops"


def test_usage_leaves_out_what_the_cache_gave_and_took() -> None:
    said = [Chunk(usage=Usage(input=10, output=5, cached=3, cache_write=2))]
    assert json.loads(written(said, stream=False))["usage"] == {
        "inputTokens": 5,
        "outputTokens": 5,
        "totalTokens": 15,
        "cacheReadInputTokens": 3,
        "cacheWriteInputTokens": 2,
    }


ERRORS: list[tuple[NearfarError, str]] = [
    (BadRequestError("no"), "validationException"),
    (RateLimitError("no"), "throttlingException"),
    (Overloaded("no"), "serviceUnavailableException"),
    (StreamCut("no"), "modelStreamErrorException"),
    (InternalServerError("no"), "internalServerException"),
]


@pytest.mark.parametrize(("error", "kind"), ERRORS)
def test_errors_in_a_stream_are_modelled_and_raised_by_botocore(error: NearfarError, kind: str) -> None:
    made = renderer(asked(stream=True), False)
    data = made.render(SAID[2]) + made.error(error)
    assert kind in SHAPE.members
    with pytest.raises(EventStreamError, match=kind):
        aws.events(BEDROCK, "ConverseStream", [data])


@pytest.mark.parametrize(("error", "kind"), ERRORS)
def test_error_bodies_name_a_modelled_kind(error: NearfarError, kind: str) -> None:
    body = json.loads(error_body(error, "r"))
    modelled = {shape.name for shape in aws.operation(BEDROCK, "Converse").error_shapes}
    assert body["__type"] in modelled
    assert body["message"] == "no"


def test_a_stream_tolerates_no_filling() -> None:
    for stream in (True, False):
        made = renderer(asked(stream=stream), False)
        assert (made.keep_alive(), made.note("x")) == (b"", b"")
    assert json.loads(renderer(asked(stream=False), False).error(BadRequestError("no")))["message"] == "no"
