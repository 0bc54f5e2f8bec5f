import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from nearfar.core.chat import Usage
from nearfar.core.conversation import Conversation
from nearfar.core.errors import BadRequestError, NearfarError
from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.wire.gemini_count import CLIENT, counted, decoder, encode, parse, read

GOLDEN = Path(__file__).parents[1] / "golden" / "gemini_count"
THERE = Deployment(
    name="d",
    provider="gemini",
    model="gemini-3-flash",
    wire="gemini.generate",
    base_url="https://x/v1beta",
    place=Place.CLOUD,
)
VERTEX = replace(THERE, base_url="https://x/v1/projects/p/locations/l")
BODY: dict[str, Any] = {"contents": [{"parts": [{"text": "hi"}]}]}


def ask(value: Any) -> Any:
    return read(json.dumps(value).encode(), "r", model="near")


def test_contents_travel_as_they_came() -> None:
    request = ask(BODY)
    assert (request.wire, request.operation, request.model) == ("gemini.count", "count_tokens", "near")
    out = encode(request, THERE, None)
    assert out.body is request.body
    assert out.path == "/models/gemini-3-flash:countTokens"
    named = encode(parse(json.dumps({**BODY, "model": "models/near"}).encode(), "r"), THERE, None)
    assert json.loads(named.body) == BODY


@pytest.mark.parametrize("name", ["generateContentRequest", "generate_content_request"])
def test_a_whole_request_names_the_model_again_but_not_at_vertex(name: str) -> None:
    whole = {**BODY, "systemInstruction": {"parts": [{"text": "s"}]}}
    request = ask({name: {"model": "models/near", **whole}})
    assert json.loads(encode(request, THERE, None).body) == {
        "generateContentRequest": {"model": "models/gemini-3-flash", **whole}
    }
    out = encode(request, VERTEX, None)
    assert out.path == "/publishers/google/models/gemini-3-flash:countTokens"
    assert json.loads(out.body) == whole
    assert parse(json.dumps({name: {"model": "models/near", **whole}}).encode(), "r").model == "near"


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"generateContentRequest": 1},
        {"generateContentRequest": {"contents": []}},
        {"generateContentRequest": {**BODY, "api_base": "x"}},
    ],
)
def test_wrong_bodies_are_a_400(value: Any) -> None:
    with pytest.raises(BadRequestError):
        ask(value)


def test_what_lies_elsewhere_is_noted() -> None:
    assert ask({**BODY, "cachedContent": "x"}).elsewhere == (("cached_content", "cachedContent"),)


def test_the_model_must_be_said_somewhere_and_other_dialects_are_not_counted() -> None:
    with pytest.raises(BadRequestError):
        parse(json.dumps(BODY).encode(), "r")
    with pytest.raises(BadRequestError) as caught:
        encode(ask(BODY), THERE, Conversation(messages=[]))
    assert caught.value.code == "unsupported"


def test_replies() -> None:
    found = decoder(ask(BODY), False)
    found.feed((GOLDEN / "plain_count.json").read_bytes())
    [chunk] = found.close()
    assert chunk.usage == Usage(input=0, output=0)
    assert CLIENT.renderer(ask(BODY), True).render(chunk) == chunk.raw
    assert json.loads(counted(7)) == {"totalTokens": 7}
    for body in ((GOLDEN / "broken_none.json").read_bytes(), b'{"error":{"code":503}}', b"{"):
        broken = decoder(ask(BODY), False)
        broken.feed(body)
        with pytest.raises(NearfarError):
            broken.close()
