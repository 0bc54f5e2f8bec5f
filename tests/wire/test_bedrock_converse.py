"""The Converse wire: paths as botocore writes them, bodies of Converse's own clients as they came."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import aws
from tests.aws import BEDROCK

from nearfar.core.chat import Request
from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.wire import openai_chat, strict
from nearfar.wire.bedrock_converse import PROVIDER, encode, model_path
from nearfar.wire.openai_chat_conversation import conversation

OWN = b'{"messages": [{"role":"user","content":[{"text":"hi"}]}],  "inferenceConfig":{"maxTokens":5}}'


def deployment(**fields: Any) -> Deployment:
    given = {"name": "d", "provider": "bedrock", "model": "a.b-v1:0", "wire": PROVIDER.name, "base_url": "https://h"}
    return Deployment(**{**given, "place": Place.CLOUD, **fields})


def own(stream: bool = False) -> Request:
    return Request(
        id="r",
        wire=PROVIDER.name,
        operation="chat",
        model="m",
        body=OWN,
        fields=strict.members(OWN),
        stream=stream,
    )


def test_the_operation_follows_the_stream() -> None:
    for stream, verb, name in ((False, "converse", "Converse"), (True, "converse-stream", "ConverseStream")):
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": stream}
        request = openai_chat.parse(json.dumps(body).encode(), "r")
        out = encode(request, deployment(), conversation(request))
        assert out.path == f"/model/a.b-v1%3A0/{verb}"
        theirs = aws.request(BEDROCK, name, {"modelId": "a.b-v1:0", **json.loads(out.body)})
        assert (theirs["method"], theirs["url_path"]) == (out.method, out.path)
        assert json.loads(theirs["body"]) == json.loads(out.body)
    assert ("accept", "application/vnd.amazon.eventstream") in out.headers


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_model_ids_are_encoded_as_botocore_encodes_them(model: str) -> None:
    from botocore.utils import percent_encode

    assert model_path(model, "converse") == f"/model/{percent_encode(model, safe='-._~')}/converse"


@pytest.mark.parametrize("stream", [False, True])
def test_bytes_of_its_own_clients_travel_as_they_came(stream: bool) -> None:
    out = encode(own(stream), deployment(), None)
    assert (out.body, out.deviations) == (OWN, ())


def test_what_a_deployment_refuses_is_dropped_and_shown() -> None:
    out = encode(own(), deployment(drop=("inferenceConfig", "absent")), None)
    assert json.loads(out.body).keys() == {"messages"}
    assert out.deviations == ("dropped:inferenceConfig",)
    request = openai_chat.parse(b'{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":5}', "r")
    out = encode(request, deployment(drop=("inferenceConfig",)), conversation(request))
    assert json.loads(out.body).keys() == {"messages"}
    assert out.deviations == ("dropped:inferenceConfig",)
