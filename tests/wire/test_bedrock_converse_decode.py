"""Our reading of Converse's replies is botocore's: whole streams, every cut, plain replies."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EventStreamError
from tests import aws
from tests.aws import BEDROCK, GOLDEN

from nearfar.core.chat import Chunk, ReasoningDelta, ReasoningSeal, TextDelta, ToolCallDelta, Usage
from nearfar.core.errors import NearfarError, OutputUnparsed, RateLimitError, StreamCut, UpstreamError
from nearfar.wire import aws_event_stream as frames
from nearfar.wire import bedrock_converse, openai_chat

FOLDER = GOLDEN / "bedrock_converse"
STREAMS = sorted(FOLDER.glob("stream_*.bin"))
PLAIN = sorted(FOLDER.glob("plain_*.json"))


def feed(data: bytes, *, stream: bool = True, typed: bool = True) -> list[Chunk]:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": stream}
    request = openai_chat.parse(json.dumps(body).encode(), "r")
    decoder = bedrock_converse.PROVIDER.decoder(request, typed)
    return decoder.feed(data) + decoder.close()


def partial(data: bytes) -> list[Chunk]:
    """What had been read when the bytes stopped."""
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": True}
    request = openai_chat.parse(json.dumps(body).encode(), "r")
    return bedrock_converse.PROVIDER.decoder(request, True).feed(data)


def ours(chunks: list[Chunk]) -> dict[str, Any]:
    """Text, reasoning, calls, end and usage as one value."""
    found: dict[str, Any] = {"text": "", "thought": "", "seals": [], "calls": {}, "stop": "", "usage": None}
    for chunk in chunks:
        for event in chunk.events:
            if isinstance(event, TextDelta):
                found["text"] += event.text
            elif isinstance(event, ReasoningDelta):
                found["thought"] += event.text
            elif isinstance(event, ReasoningSeal):
                found["seals"].append(event.signature or event.redacted)
            elif isinstance(event, ToolCallDelta):
                call = found["calls"].setdefault(event.call, ["", "", ""])
                for at, piece in enumerate((event.id, event.name, event.arguments)):
                    call[at] += piece
            elif hasattr(event, "native"):
                found["stop"] = event.native
        if chunk.usage is not None:
            found["usage"] = (chunk.usage.input, chunk.usage.output)
    return found


def theirs(events: list[dict[str, Any]]) -> dict[str, Any]:
    """The same from botocore's events, in the way the Bedrock user guide puts a stream together."""
    found: dict[str, Any] = {"text": "", "thought": "", "seals": [], "calls": {}, "stop": "", "usage": None}
    calls: dict[int, int] = {}
    signatures: dict[int, str] = {}
    for event in events:
        [(kind, value)] = event.items()
        at = value.get("contentBlockIndex", -1)
        if kind == "contentBlockStart":
            call = value["start"]["toolUse"]
            calls[at] = len(calls)
            found["calls"][calls[at]] = [call["toolUseId"], call["name"], ""]
        elif kind == "contentBlockDelta":
            delta = value["delta"]
            found["text"] += delta.get("text", "")
            if "toolUse" in delta:
                found["calls"][calls[at]][2] += delta["toolUse"]["input"]
            thought = delta.get("reasoningContent", {})
            found["thought"] += thought.get("text", "")
            signatures[at] = signatures.get(at, "") + thought.get("signature", "")
            if "redactedContent" in thought:
                found["seals"].append(base64.b64encode(thought["redactedContent"]).decode())
        elif kind == "contentBlockStop":
            if signatures.get(at):
                found["seals"].append(signatures[at])
            if at in calls and not found["calls"][calls[at]][2]:
                found["calls"][calls[at]][2] = "{}"
        elif kind == "messageStop":
            found["stop"] = value["stopReason"]
        elif kind == "metadata":
            found["usage"] = _usage(value["usage"])
    return found


def _usage(usage: dict[str, int]) -> tuple[int, int]:
    cache = usage.get("cacheReadInputTokens", 0) + usage.get("cacheWriteInputTokens", 0)
    return usage["inputTokens"] + cache, usage["outputTokens"]


def test_the_frames_are_made_from_the_readable_files_and_fit_the_service_model() -> None:
    shape = aws.operation(BEDROCK, "ConverseStream").get_event_stream_output()
    for source in aws.sources():
        assert aws.made_from(source).read_bytes() == aws.stream(source.read_text()), "python -m tests.aws"
    for source in FOLDER.glob("frames_*.jsonl"):
        for line in source.read_text().splitlines():
            kind, payload = json.loads(line)[:2]
            payload.pop("p", None)  # padding: no part of the model
            aws.check(shape.members[kind], payload, kind)
    for path in PLAIN:
        aws.check(aws.operation(BEDROCK, "Converse").output_shape, json.loads(path.read_bytes()), path.stem)


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_a_whole_stream_says_what_botocore_reads(path: Path) -> None:
    data = path.read_bytes()
    assert ours(feed(data)) == theirs(aws.events(BEDROCK, "ConverseStream", [data]))


@pytest.mark.slow
@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_every_cut_says_as_much_as_botocore_reads_and_is_no_clean_end(path: Path) -> None:
    data = path.read_bytes()
    whole = [message.raw for message in frames.Messages().feed(data)]
    for place in range(len(data)):
        read = theirs(aws.events(BEDROCK, "ConverseStream", [data[:place]]))
        assert ours(partial(data[:place])) == read
        if read["stop"] and place == len(data) - len(whole[-1]):
            assert ours(feed(data[:place])) == read  # all was said, but not what it cost
        else:
            with pytest.raises(StreamCut):
                feed(data[:place])


@pytest.mark.parametrize("path", PLAIN, ids=lambda path: path.stem)
def test_a_plain_reply_says_what_botocore_reads(path: Path) -> None:
    body = path.read_bytes()
    reply = aws.reply(BEDROCK, "Converse", body)
    found = ours(feed(body, stream=False))
    content = reply["output"]["message"]["content"]
    calls = [block["toolUse"] for block in content if "toolUse" in block]
    thoughts = [block["reasoningContent"]["reasoningText"] for block in content if "reasoningContent" in block]
    assert found["text"] == "".join(block.get("text", "") for block in content)
    assert [(call[0], call[1], json.loads(call[2])) for call in found["calls"].values()] == [
        (call["toolUseId"], call["name"], call["input"]) for call in calls
    ]
    assert (found["thought"], found["seals"]) == (
        "".join(thought["text"] for thought in thoughts),
        [thought["signature"] for thought in thoughts],
    )
    assert (found["stop"], found["usage"]) == (reply["stopReason"], _usage(reply["usage"]))


@pytest.mark.parametrize("native", aws.operation(BEDROCK, "Converse").output_shape.members["stopReason"].enum)
def test_every_stop_reason_has_its_word(native: str) -> None:
    lines = [["messageStart", {"role": "assistant"}], ["messageStop", {"stopReason": native}]]
    data = aws.stream("\n".join(json.dumps(line) for line in lines))
    if native.startswith("malformed"):
        with pytest.raises(OutputUnparsed, match=native):
            feed(data)
        assert feed(data, typed=False)[-1].end, "Converse's own clients read it in their words"
        return
    words = {
        "tool_use": "tool_calls",
        "max_tokens": "length",
        "model_context_window_exceeded": "length",
        "content_filtered": "content_filter",
        "guardrail_intervened": "content_filter",
    }
    assert feed(data)[-2].finish == words.get(native, "stop")


def test_usage_holds_what_the_cache_gave_and_took() -> None:
    last = feed((FOLDER / "stream_reasoning.bin").read_bytes())[-1]
    assert last.usage == Usage(input=127, output=30, cached=100, cache_write=20)
    assert last.model.endswith("anthropic.claude-3-haiku-20240307-v1:0")


def test_an_error_in_the_stream_is_typed_as_boto3_types_it() -> None:
    data = (FOLDER / "broken_throttled.bin").read_bytes()
    with pytest.raises(EventStreamError, match="throttlingException"):
        aws.events(BEDROCK, "ConverseStream", [data])
    with pytest.raises(RateLimitError, match="Too many tokens"):
        feed(data)
    with pytest.raises(UpstreamError, match="worker lost"):
        feed((FOLDER / "broken_model.bin").read_bytes())


def test_what_the_provider_runs_itself_is_no_call_of_the_client() -> None:
    start = {"toolUse": {"toolUseId": "t", "name": "nova_grounding", "type": "server_tool_use"}}
    lines: list[list[Any]] = [
        ["contentBlockStart", {"contentBlockIndex": 0, "start": start}],
        ["contentBlockDelta", {"contentBlockIndex": 0, "delta": {"toolUse": {"input": "{}"}}}],
        ["contentBlockStop", {"contentBlockIndex": 0}],
        ["contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": "found"}}],
        ["messageStop", {"stopReason": "end_turn"}],
    ]
    found = ours(feed(aws.stream("\n".join(json.dumps(line) for line in lines))))
    assert (found["text"], found["calls"]) == ("found", {})


def test_calls_without_their_stop_reason_still_end_in_calls() -> None:
    data = (FOLDER / "frames_stream_tools.jsonl").read_text().replace('"tool_use"', '"end_turn"')
    assert feed(aws.stream(data))[-2].finish == "tool_calls"


@pytest.mark.parametrize(
    "message",
    [
        frames.event("contentBlockDelta", b"not json"),
        frames.event("contentBlockDelta", b'{"delta":7}'),
        frames.event("contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"toolUse":{"input":{}}}}'),
        frames.encode({}, b"{}"),
        frames.encode({":message-type": "error", ":error-code": "InternalFailure", ":error-message": "lost"}, b""),
    ],
)
def test_what_is_no_event_is_an_error(message: bytes) -> None:
    start = frames.event("contentBlockStart", b'{"start":{"toolUse":{"toolUseId":"t","name":"n"}}}')
    with pytest.raises(NearfarError) as caught:
        feed(start + message)
    assert caught.value.status == 502


def test_unknown_events_say_nothing() -> None:
    data = (FOLDER / "stream_text.bin").read_bytes()
    assert ours(feed(frames.event("later", b"{}") + data)) == ours(feed(data))
