"""boto3 as a client: Converse and ConverseStream at a real gateway, over upstreams of its own dialect and another.

The upstreams are the stand-ins of tests/aws_stand_in.py and tests/stand_in.py; boto3 parses every byte, and its retries
are off.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError
from tests import aws_stand_in, running
from tests import stand_in as stand_ins

MODEL = "eu.anthropic.claude-haiku-4-5-20251001-v1:0"
PNG = b"\x89PNG\r\n\x1a\n0000"
ASK = [{"role": "user", "content": [{"text": "weather?"}]}]
TOOLS = {"tools": [{"toolSpec": {"name": "get_weather", "inputSchema": {"json": {"type": "object"}}}}]}


@pytest.fixture(scope="module")
def far() -> Iterator[aws_stand_in.Running]:
    with aws_stand_in.running() as made:
        yield made


@pytest.fixture(scope="module")
def house(far: aws_stand_in.Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[running.Gateway]:
    def deployment(name: str, provider: str, model: str) -> str:
        region = aws_stand_in.REGION
        head = f'\n[deployments.{name}]\nprovider = "{provider}"\nmodel = "{model}"\nbase_url = "{far.url}"\n'
        return f'{head}options = {{ region = "{region}" }}\n'

    folder = tmp_path_factory.mktemp("boto3")
    with stand_ins.running(invoices=folder / "invoices.jsonl") as openai:
        words = ("text", "tools", "throttle", "cut", "wait")
        text = "".join(
            deployment(f"like-{word}", "bedrock", f"{MODEL}-{word}") + deployment(f"unlike-{word}", "sagemaker", word)
            for word in words
        )
        text += running.far("busy", openai.url, behaviour={"mode": "429", "retry_after": 20})
        text += running.far("reset", openai.url, behaviour={"mode": "cut", "after": 2})
        with running.gateway(folder, text, **aws_stand_in.KEYS) as gateway:
            yield gateway


@pytest.fixture
def client(house: running.Gateway, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    made = boto3.client(
        "bedrock-runtime",
        endpoint_url=house.url,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 1, "mode": "standard"}),
    )
    with closing(made):
        yield made


both = pytest.mark.parametrize("like", ["like", "unlike"])


def joined(stream: Any) -> tuple[str, list[list[str]], str, dict[str, int]]:
    """(text, calls, stop reason, usage) as users of boto3 put them together."""
    with closing(stream):
        return _joined(stream)


def _joined(stream: Any) -> tuple[str, list[list[str]], str, dict[str, int]]:
    text, calls, stop, usage = "", {}, "", {}
    for event in stream:
        if "contentBlockStart" in event:
            call = event["contentBlockStart"]["start"]["toolUse"]
            calls[event["contentBlockStart"]["contentBlockIndex"]] = [call["toolUseId"], call["name"], ""]
        elif "contentBlockDelta" in event:
            delta = event["contentBlockDelta"]["delta"]
            text += delta.get("text", "")
            if "toolUse" in delta:
                calls[event["contentBlockDelta"]["contentBlockIndex"]][2] += delta["toolUse"]["input"]
        elif "messageStop" in event:
            stop = event["messageStop"]["stopReason"]
        elif "metadata" in event:
            usage = event["metadata"]["usage"]
    return text, list(calls.values()), stop, usage


@pytest.mark.slow
@both
def test_text_plain_and_streamed(client: Any, house: running.Gateway, like: str) -> None:
    plain = client.converse(
        modelId=f"{like}-text", messages=ASK, system=[{"text": "s"}], inferenceConfig={"maxTokens": 9}
    )
    assert "20 °C" in plain["output"]["message"]["content"][0]["text"]
    assert plain["stopReason"] == "end_turn"
    assert plain["usage"]["outputTokens"] > 0
    text, calls, stop, usage = joined(client.converse_stream(modelId=f"{like}-text", messages=ASK)["stream"])
    assert "20 °C" in text
    assert (calls, stop) == ([], "end_turn")
    assert usage["inputTokens"] > 0


@pytest.mark.slow
@both
def test_tools_plain_and_streamed_and_their_results(client: Any, far: aws_stand_in.Running, like: str) -> None:
    plain = client.converse(modelId=f"{like}-tools", messages=ASK, toolConfig=TOOLS)
    calls = [block["toolUse"] for block in plain["output"]["message"]["content"] if "toolUse" in block]
    assert [(call["name"], call["input"]) for call in calls] == [("get_weather", {"city": "Taipei"}), ("now", {})]
    assert plain["stopReason"] == "tool_use"
    _, streamed, stop, _ = joined(
        client.converse_stream(modelId=f"{like}-tools", messages=ASK, toolConfig=TOOLS)["stream"]
    )
    assert streamed[0][1:] == ["get_weather", '{"city": "Taipei"}']
    assert stop == "tool_use"
    results = [{"toolResult": {"toolUseId": call["toolUseId"], "content": [{"json": {"t": 20}}]}} for call in calls]
    again = [*ASK, plain["output"]["message"], {"role": "user", "content": results}]
    assert client.converse(modelId=f"{like}-text", messages=again, toolConfig=TOOLS)["stopReason"] == "end_turn"
    assert far.refused == []


@pytest.mark.slow
@both
def test_an_image_arrives(client: Any, far: aws_stand_in.Running, like: str) -> None:
    content = [{"text": "what?"}, {"image": {"format": "png", "source": {"bytes": PNG}}}]
    client.converse(modelId=f"{like}-text", messages=[{"role": "user", "content": content}])
    assert "iVBORw0KGgowMDAw" in str(far.asked[-1][1])


@pytest.mark.slow
def test_errors_are_the_exceptions_that_boto3_models(client: Any) -> None:
    with pytest.raises(client.exceptions.ThrottlingException, match="Too many requests"):
        client.converse(modelId="like-throttle", messages=ASK)
    with pytest.raises(client.exceptions.ThrottlingException):
        client.converse_stream(modelId="busy", messages=ASK)
    with pytest.raises(client.exceptions.ResourceNotFoundException, match="No model is named"):
        client.converse(modelId="nothing", messages=ASK)
    guardrail = {"guardrailIdentifier": "abc", "guardrailVersion": "1"}
    with pytest.raises(client.exceptions.ValidationException, match="guardrails"):
        client.converse(modelId="unlike-text", messages=ASK, guardrailConfig=guardrail)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["like-cut", "unlike-cut", "reset"])
def test_a_cut_upstream_never_ends_clean(client: Any, model: str) -> None:
    with pytest.raises((EventStreamError, ClientError)) as caught:
        joined(client.converse_stream(modelId=model, messages=ASK)["stream"])
    assert "modelStreamErrorException" in str(caught.value) or "ModelErrorException" in str(caught.value)


@pytest.mark.slow
@both
def test_a_client_that_leaves_ends_the_call(
    client: Any, house: running.Gateway, far: aws_stand_in.Running, like: str
) -> None:
    far.left.clear()
    stream = client.converse_stream(modelId=f"{like}-wait", messages=ASK)["stream"]
    next(iter(stream))
    stream.close()
    client.close()
    assert far.left.wait(running.WAIT)
    running.eventually(
        lambda: [
            entry for entry in house.entries() if entry.outcome == "cancelled" and entry.deployment == f"{like}-wait"
        ]
    )
