"""Bedrock's dialect of the stand-in: frames that botocore reads, and errors whose kind stands in a header."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer
from tests.running import ask
from tests.stand_in import Running

from nearfar.standin.answers import Answer
from nearfar.standin.bedrock import BEDROCK
from nearfar.standin.shapes import corrupted, plain, stream

ANSWER = Answer(id="c", model="m", created=1, pieces=("one", " two"), input=3, output=2)
PATH = "/model/eu.anthropic.claude%3A0"
QUESTION = {"messages": [{"role": "user", "content": [{"text": "hello"}]}]}


def messages(data: bytes) -> list[tuple[str, Any]]:
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return [
        (item.headers.get(":event-type") or item.headers[":exception-type"], json.loads(item.payload))
        for item in buffer
    ]


@pytest.mark.parametrize("mode", ["ok", "usage-never", "reasoning", "unknown-fields"])
def test_botocore_reads_every_frame(mode: str) -> None:
    found = messages(b"".join(stream(BEDROCK, ANSWER, mode)))
    said = [value["delta"].get("text", "") for kind, value in found if kind == "contentBlockDelta"]
    assert "".join(said) == "one two"
    assert ("metadata" in dict(found)) is (mode != "usage-never")
    assert dict(found)["messageStop"]["stopReason"] == "end_turn"
    whole = json.loads(plain(BEDROCK, ANSWER, mode))
    assert whole["output"]["message"]["content"][-1]["text"] == "one two"
    assert ("usage" in whole) is (mode != "usage-never")


def test_a_wrong_bit_is_seen() -> None:
    with pytest.raises(Exception, match=r"[Cc]hecksum"):
        messages(corrupted(BEDROCK, ANSWER))


def test_an_error_in_a_stream_is_a_message_of_its_own() -> None:
    assert messages(BEDROCK.stream_error("too much")) == [("throttlingException", {"message": "too much"})]


def test_it_answers_at_bedrocks_paths(stand_in: Running) -> None:
    whole = ask(stand_in.url, f"{PATH}/converse", QUESTION).json
    text = whole["output"]["message"]["content"][0]["text"]
    assert text == "This is the stand-in for a cloud model, not a real one. You asked: “hello”"
    limited = {**QUESTION, "inferenceConfig": {"maxTokens": 2}}
    found = messages(ask(stand_in.url, f"{PATH}/converse-stream", limited).body)
    assert dict(found)["messageStop"]["stopReason"] == "max_tokens"
    assert dict(found)["metadata"]["usage"]["outputTokens"] == 2
    assert [(seen.model, seen.stream) for seen in stand_in.report().requests] == [
        ("eu.anthropic.claude:0", False),
        ("eu.anthropic.claude:0", True),
    ]
    stand_in.behave("429")
    refused = ask(stand_in.url, f"{PATH}/converse", QUESTION)
    assert (refused.status, "message" in refused.json) == (429, True)
    assert refused.headers["x-amzn-errortype"].startswith("ThrottlingException:")
