"""SageMaker's endpoints over OpenAI's dialect: requests as botocore sends them, names as containers want them."""

import json
from typing import Any

import pytest
from tests import aws
from tests.aws import SAGEMAKER

from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.wire import openai_chat
from nearfar.wire.base import Outgoing
from nearfar.wire.openai_chat_conversation import conversation
from nearfar.wire.sagemaker_invoke import PROVIDER, encode


def out(options: dict[str, str] | None = None, **more: Any) -> Outgoing:
    body = {"model": "asked", "messages": [{"role": "user", "content": "hi"}], **more}
    request = openai_chat.parse(json.dumps(body).encode(), "r")
    there = Deployment(
        name="d",
        provider="sagemaker",
        model="my-endpoint",
        wire=PROVIDER.name,
        base_url="https://h",
        place=Place.CLOUD,
        options=options or {},
    )
    return encode(request, there, None)


@pytest.mark.parametrize(("stream", "name"), [(False, "InvokeEndpoint"), (True, "InvokeEndpointWithResponseStream")])
def test_the_request_is_botocores(stream: bool, name: str) -> None:
    sent = out({"inference_component": "part-1"}, stream=stream)
    params = {
        "EndpointName": "my-endpoint",
        "Body": sent.body,
        "ContentType": "application/json",
        "InferenceComponentName": "part-1",
    }
    theirs = aws.request(SAGEMAKER, name, params)
    assert (sent.method, sent.path, sent.body) == (theirs["method"], theirs["url_path"], theirs["body"])
    assert dict(sent.headers) == {name.lower(): value for name, value in theirs["headers"].items()}


@pytest.mark.parametrize(
    ("options", "endpoint", "model"),
    [
        ({}, "my-endpoint", ""),
        ({"endpoint": ""}, "my-endpoint", ""),
        ({"endpoint": "my-endpoint"}, "my-endpoint", ""),
        ({"endpoint": "other"}, "other", "my-endpoint"),
    ],
)
def test_the_container_hears_a_name_only_where_it_has_one(options: dict[str, str], endpoint: str, model: str) -> None:
    sent = out(options)
    assert sent.path == f"/endpoints/{endpoint}/invocations"
    assert json.loads(sent.body)["model"] == model
    assert sent.deviations == ()


def test_a_conversation_of_another_dialect_has_its_body_too() -> None:
    request = openai_chat.parse(b'{"model":"asked","messages":[{"role":"user","content":"hi"}]}', "r")
    there = Deployment(name="d", provider="p", model="ep", wire=PROVIDER.name, base_url="https://h", place=Place.CLOUD)
    sent = encode(request, there, conversation(request))
    assert json.loads(sent.body) == {"messages": [{"role": "user", "content": "hi"}], "model": ""}


def test_all_else_travels_as_it_came() -> None:
    assert json.loads(out(top_k=3, chat_template_kwargs={"a": 1}).body)["chat_template_kwargs"] == {"a": 1}
    assert json.loads(out(stream=True).body)["stream_options"] == {"include_usage": True}
