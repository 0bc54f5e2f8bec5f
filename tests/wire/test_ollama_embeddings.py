import json
from typing import Any

import pytest
from ollama import EmbeddingsResponse

from nearfar.core.chat import Chunk, EmbeddingsDelta, Request
from nearfar.core.errors import BadRequestError
from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.wire import ollama_embed, openai_embeddings
from nearfar.wire.ollama_embeddings import CLIENT, conversation, is_empty, parse

THERE = Deployment(name="d", provider="p", model="minilm", wire="x", base_url="http://x", place=Place.DEVICE)


def ask(**value: Any) -> Request:
    return parse(json.dumps({"model": "m", "prompt": "near", **value}).encode(), "r")


def test_one_text_to_both_kinds_of_servers() -> None:
    request = ask(keep_alive="5m", options={"num_ctx": 3})
    found = conversation(request)
    assert found.deviations == ("dropped:keep_alive", "dropped:options")
    assert json.loads(openai_embeddings.encode(request, THERE, found).body) == {"model": "minilm", "input": "near"}
    assert json.loads(ollama_embed.encode(request, THERE, found).body)["input"] == ["near"]


def test_one_vector_back() -> None:
    made = CLIENT.renderer(ask(), False)
    assert made.render(Chunk(events=(EmbeddingsDelta([[0.5, -1.0]]),))) == b""
    value = json.loads(made.finish())
    assert value == {"embedding": [0.5, -1.0]}
    EmbeddingsResponse.model_validate(value)


def test_wrong_requests() -> None:
    for wrong in ({"prompt": ["a"]}, {"model": ""}, {"options": 3}):
        with pytest.raises(BadRequestError):
            ask(**wrong)
    assert is_empty(ask(prompt=""))
    assert not is_empty(ask())
