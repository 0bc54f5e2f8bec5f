"""Bedrock and SageMaker behind a real gateway: signed with real SigV4, answered in real event-stream frames.

AWS is a stand-in (tests/aws_stand_in.py) that checks signatures and requests with botocore; the gateway, its ledger and
the official client are real.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from tests import aws_stand_in, running

MODEL = "eu.anthropic.claude-haiku-4-5-20251001-v1:0"
TOOL: ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.fixture
def far() -> Iterator[aws_stand_in.Running]:
    with aws_stand_in.running() as made:
        yield made


def deployment(name: str, model: str, far: aws_stand_in.Running, provider: str = "bedrock", options: str = "") -> str:
    return f"""
[deployments.{name}]
provider = "{provider}"
model = "{model}"
base_url = "{far.url}"
options = {{ region = "{aws_stand_in.REGION}"{options} }}
"""


Start = Callable[..., running.Gateway]


@pytest.fixture
def house(gateway: Start, far: aws_stand_in.Running) -> running.Gateway:
    names = {word: f"{MODEL}-{word}" for word in ("text", "tools", "guardrail", "throttle", "cut", "wait")}
    parts = [deployment(name, model, far) for name, model in names.items()]
    parts.append(deployment("claude", MODEL, far, options=', wire = "anthropic"'))
    parts.append(deployment("endpoint", "my-endpoint", far, "sagemaker"))
    parts.append(running.route("assistant", "throttle", "text"))
    return gateway("".join(parts), **aws_stand_in.KEYS)


@pytest.fixture
def client(house: running.Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{house.url}/v1", api_key="unused", max_retries=0) as made:
        yield made


@pytest.mark.slow
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["text", "claude", "endpoint"])
def test_text_comes_and_is_accounted_for(
    house: running.Gateway, far: aws_stand_in.Running, model: str, stream: bool
) -> None:
    reply = house.chat(model, stream=stream, max_tokens=50, stream_options={"include_usage": True} if stream else None)
    assert (reply.status, reply.clean, far.refused) == (200, True, []), reply.body
    assert "20 °C" in reply.text
    [entry] = house.attempts(reply)
    assert (entry.outcome, entry.provider) == ("ok", "sagemaker" if model == "endpoint" else "bedrock")
    assert entry.input_tokens
    assert entry.output_tokens


@pytest.mark.slow
def test_the_official_client_reads_parallel_calls_and_sends_their_results(
    client: openai.OpenAI, far: aws_stand_in.Running
) -> None:
    stream = client.chat.completions.create(
        model="tools", messages=[{"role": "user", "content": "weather?"}], tools=[TOOL], stream=True
    )
    calls: dict[int, list[str]] = {}
    finish = ""
    for chunk in stream:
        for choice in chunk.choices:
            finish = choice.finish_reason or finish
            for piece in choice.delta.tool_calls or []:
                call = calls.setdefault(piece.index, ["", "", ""])
                function = piece.function
                assert function is not None
                for at, text in enumerate((piece.id, function.name, function.arguments)):
                    call[at] += text or ""
    assert calls == {
        0: ["tooluse_one-1", "get_weather", '{"city": "Taipei"}'],
        1: ["tooluse_two-2", "now", "{}"],
    }
    assert finish == "tool_calls"
    results: list[ChatCompletionMessageParam] = [
        {"role": "tool", "tool_call_id": call[0], "content": "20"} for call in calls.values()
    ]
    plain = client.chat.completions.create(
        model="tools",
        tools=[TOOL],
        messages=[
            {"role": "user", "content": "weather?"},
            {
                "role": "assistant",
                "tool_calls": [
                    {"id": call[0], "type": "function", "function": {"name": call[1], "arguments": call[2]}}
                    for call in calls.values()
                ],
            },
            *results,
        ],
    )
    assert [call.id for call in plain.choices[0].message.tool_calls or []] == ["tooluse_a", "tooluse_b"]
    assert far.refused == []
    assert [len(message["content"]) for message in far.asked[-1][1]["messages"]] == [1, 2, 2]


@pytest.mark.slow
def test_an_image_and_a_schema_arrive_as_bedrock_wants_them(client: openai.OpenAI, far: aws_stand_in.Running) -> None:
    client.chat.completions.create(
        model="text",
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "what?"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
                ],
            }
        ],
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
    )
    [(path, body)] = far.asked
    assert path == f"/model/{MODEL.replace(':', '%3A')}-text/converse"
    assert body["messages"][0]["content"][1] == {"image": {"format": "png", "source": {"bytes": PNG}}}
    assert json.loads(body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]["schema"]) == {"type": "object"}
    assert far.refused == []


@pytest.mark.slow
@pytest.mark.parametrize("stream", [False, True])
def test_a_throttled_bedrock_moves_on(house: running.Gateway, stream: bool) -> None:
    reply = house.chat("assistant", stream=stream)
    assert (reply.status, reply.headers["x-nearfar-deployment"]) == (200, "text")
    assert "failover:throttle:rate_limit_exceeded" in reply.tried
    assert [entry.outcome for entry in house.attempts(reply, count=2)] == ["error", "ok"]


@pytest.mark.slow
def test_errors_are_typed_for_the_client(client: openai.OpenAI) -> None:
    ask = {"messages": [{"role": "user", "content": "x"}]}
    with pytest.raises(openai.RateLimitError, match="Too many requests"):
        client.chat.completions.create(model="throttle", **ask)  # type: ignore[call-overload]  # one dict for all calls
    with pytest.raises(openai.BadRequestError, match="cannot do logprobs"):
        client.chat.completions.create(model="text", logprobs=True, **ask)  # type: ignore[call-overload]  # as above


@pytest.mark.slow
def test_a_cut_stream_never_ends_clean(house: running.Gateway) -> None:
    reply = house.chat("cut", stream=True)
    assert not reply.clean
    assert "[DONE]" not in reply.events
    assert reply.events[-1]["error"]["code"] == "stream_cut"
    [entry] = house.attempts(reply)
    assert (entry.outcome, entry.error) == ("cut", "stream_cut")


@pytest.mark.slow
def test_a_client_that_leaves_ends_the_call(house: running.Gateway, far: aws_stand_in.Running) -> None:
    with house.raw() as raw:
        body = {"model": "wait", "stream": True, "messages": [{"role": "user", "content": "x"}]}
        raw.post("/v1/chat/completions", body)
        raw.until(b"It is ")
    assert far.left.wait(running.WAIT)
    running.eventually(lambda: [entry for entry in house.entries() if entry.outcome == "cancelled"])


@pytest.mark.slow
def test_a_guardrail_is_a_filter(house: running.Gateway) -> None:
    reply = house.chat("guardrail", stream=True)
    finishes = [choice["finish_reason"] for event in reply.events if event != "[DONE]" for choice in event["choices"]]
    assert finishes[-1] == "content_filter"


@pytest.mark.slow
def test_a_bearer_token_is_sent_instead_of_a_signature(gateway: Start, far: aws_stand_in.Running) -> None:
    token = '\nkey = "env:MY_TOKEN"\n'
    openai_door = deployment("door", "openai.gpt-oss-20b-1:0", far, options=', wire = "openai"')
    openai_door = openai_door.replace(far.url, f"{far.url}/openai/v1")
    house = gateway(deployment("text", MODEL, far) + token + openai_door + token, MY_TOKEN=aws_stand_in.TOKEN)
    for model in ("text", "door"):
        assert house.chat(model).status == 200
    assert far.refused == []


@pytest.mark.slow
def test_without_credentials_the_error_says_what_to_do(gateway: Start, far: aws_stand_in.Running) -> None:
    house = gateway(deployment("text", MODEL, far), AWS_EC2_METADATA_DISABLED="true")
    reply = house.chat("text")
    assert (reply.status, reply.error["code"]) == (502, "upstream_credentials")
    assert "AWS_ACCESS_KEY_ID" in reply.error["message"]
    assert far.asked == []


@pytest.mark.slow
def test_offline_nobody_is_asked_and_no_credentials_are_looked_for(gateway: Start, far: aws_stand_in.Running) -> None:
    house = gateway(deployment("text", MODEL, far), arguments=("--offline",), **aws_stand_in.KEYS)
    assert house.chat("text").status == 403
    assert (far.asked, far.refused) == ([], [])
