"""Claude by InvokeModel: Anthropic's bodies as Bedrock wants them, its events out of base64 as boto3 hands them out."""

import json
from typing import Any

import pytest
from tests import aws
from tests.aws import BEDROCK, GOLDEN

from nearfar.core.chat import Chunk, Request, ToolCallDelta
from nearfar.core.errors import UpstreamError
from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.wire import anthropic_messages, openai_chat
from nearfar.wire import aws_event_stream as frames
from nearfar.wire.anthropic_messages_decode import decoder as messages_decoder
from nearfar.wire.bedrock_anthropic import PROVIDER, VERSION, encode

MODEL = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
HERE = Deployment(
    name="d", provider="bedrock", model=MODEL, wire=PROVIDER.name, base_url="https://h", place=Place.CLOUD
)
OWN = {"model": "asked", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}


def own(*headers: tuple[str, str], **more: Any) -> Request:
    request = anthropic_messages.CLIENT.parse(json.dumps({**OWN, **more}).encode(), "r")
    request.headers = headers
    return request


@pytest.mark.parametrize(("stream", "name"), [(False, "InvokeModel"), (True, "InvokeModelWithResponseStream")])
def test_a_clients_own_body_keeps_all_but_what_the_path_says(stream: bool, name: str) -> None:
    out = encode(own(stream=stream, metadata={"user_id": "u"}), HERE, None)
    theirs = aws.request(BEDROCK, name, {"modelId": MODEL, "body": out.body, "contentType": "application/json"})
    assert (out.path, out.body) == (theirs["url_path"], theirs["body"])
    assert json.loads(out.body) == {
        "max_tokens": 9,
        "messages": OWN["messages"],
        "metadata": {"user_id": "u"},
        "anthropic_version": VERSION,
    }
    assert out.deviations == ()


def test_betas_move_into_the_body_and_another_version_is_told() -> None:
    out = encode(own(("anthropic-beta", "a-1, b-2"), ("anthropic-version", "2026-10-21")), HERE, None)
    assert json.loads(out.body)["anthropic_beta"] == ["a-1", "b-2"]
    assert out.deviations == ("adapted:anthropic-version",)
    assert not any(name.startswith("anthropic") for name, _ in out.headers)


def test_other_dialects_are_composed() -> None:
    request = openai_chat.parse(json.dumps({**OWN, "seed": 1}).encode(), "r")
    assert openai_chat.CLIENT.conversation is not None
    out = encode(request, HERE, openai_chat.CLIENT.conversation(request))
    assert json.loads(out.body)["anthropic_version"] == VERSION
    assert out.deviations == ("dropped:seed",)


def chunks(data: bytes, *, typed: bool = True) -> list[Chunk]:
    decoder = PROVIDER.decoder(own(stream=True), typed)
    return decoder.feed(data) + decoder.close()


def test_events_are_those_that_boto3_hands_out() -> None:
    data = (GOLDEN / "bedrock_anthropic" / "stream_tools.bin").read_bytes()
    events = aws.events(BEDROCK, "InvokeModelWithResponseStream", [data])
    assert [json.loads(event["chunk"]["bytes"]) for event in events] == [
        json.loads(chunk.raw.partition(b"data: ")[2]) for chunk in chunks(data, typed=False)
    ]
    plain = messages_decoder(own(stream=True), True)
    lines = b"".join(b"data: %b\n\n" % event["chunk"]["bytes"] for event in events)
    assert [chunk.events for chunk in plain.feed(lines) + plain.close()] == [chunk.events for chunk in chunks(data)]
    assert any(isinstance(event, ToolCallDelta) for chunk in chunks(data) for event in chunk.events)


@pytest.mark.parametrize("payload", [b"no json", b'{"bytes":"%%%"}', b'{"bytes":"bm8ganNvbg=="}'])
def test_what_is_no_event_is_an_error(payload: bytes) -> None:
    with pytest.raises(UpstreamError):
        chunks(frames.event("chunk", payload))
