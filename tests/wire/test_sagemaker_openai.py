"""SageMaker's OpenAI door: the endpoint's name is none of its model's."""

import json

import pytest

from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.wire import openai_chat
from nearfar.wire.sagemaker_openai import PROVIDER, encode


@pytest.mark.parametrize(("endpoint", "model"), [("e", "e-model"), ("same", "")])
def test_the_endpoints_name_is_not_sent_as_the_model(endpoint: str, model: str) -> None:
    request = openai_chat.parse(b'{"model":"asked","messages":[{"role":"user","content":"hi"}]}', "r")
    there = Deployment(
        name="d",
        provider="sagemaker",
        model=model or endpoint,
        wire=PROVIDER.name,
        base_url="https://h/endpoints/e/openai/v1",
        place=Place.CLOUD,
        options={"endpoint": endpoint},
    )
    out = encode(request, there, None)
    assert json.loads(out.body)["model"] == model
    assert out.path == "/chat/completions"
