"""Titan and Cohere at Bedrock: what is asked, and how the vectors come back."""

import json
from typing import Any

import pytest
from tests import aws
from tests.aws import BEDROCK, GOLDEN

from nearfar.core.chat import EmbeddingsDelta, Usage
from nearfar.core.errors import BadRequestError, UpstreamError
from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.wire import openai_embeddings
from nearfar.wire.bedrock_embed import PROVIDER, encode

TITAN, COHERE = "amazon.titan-embed-text-v2:0", "cohere.embed-v4:0"


def asked(model: str, given: Any = "a", drop: tuple[str, ...] = (), **more: Any) -> tuple[dict[str, Any], Any]:
    request = openai_embeddings.parse(json.dumps({"model": "m", "input": given, **more}).encode(), "r")
    there = Deployment(
        name="d",
        provider="bedrock",
        model=model,
        wire=PROVIDER.name,
        base_url="https://h",
        place=Place.CLOUD,
        drop=drop,
    )
    out = encode(request, there, openai_embeddings.conversation(request))
    assert out.path == aws.request(BEDROCK, "InvokeModel", {"modelId": model, "body": out.body})["url_path"]
    return json.loads(out.body), out.deviations


def test_titan_embeds_one_text() -> None:
    assert asked(TITAN, "a", dimensions=256, encoding_format="base64") == ({"inputText": "a", "dimensions": 256}, ())
    assert asked(TITAN, ["a"], user="u") == ({"inputText": "a"}, ("dropped:user",))
    assert asked(TITAN, "a", ("dimensions",), dimensions=2) == ({"inputText": "a"}, ("dropped:dimensions",))
    with pytest.raises(BadRequestError, match="several texts") as caught:
        asked(TITAN, ["a", "b"])
    assert (caught.value.code, caught.value.param) == ("unsupported", "input")


def test_cohere_is_told_what_for_and_never_cuts() -> None:
    value, deviations = asked(COHERE, ["a", "b"], dimensions=512)
    assert value == {
        "texts": ["a", "b"],
        "truncate": "NONE",
        "embedding_types": ["float"],
        "input_type": "search_document",
        "output_dimension": 512,
    }
    assert deviations == ("default:input_type=search_document",)
    assert asked(COHERE, "a", input_type="search_query")[1] == ()


def test_token_ids_are_refused() -> None:
    with pytest.raises(BadRequestError, match="token ids"):
        asked(COHERE, [1, 2])


@pytest.mark.parametrize(
    ("name", "vectors", "usage"),
    [
        ("plain_titan", [[0.25, -0.5, 1.0]], Usage(input=4, output=0)),
        ("plain_cohere", [[0.5, 0.25], [1.0, -1.0]], None),
        ("plain_cohere_types", [[0.5, 0.25], [1.0, -1.0]], None),
    ],
)
def test_vectors_come_back_in_order(name: str, vectors: list[list[float]], usage: Usage | None) -> None:
    request = openai_embeddings.parse(b'{"model":"m","input":"a"}', "r")
    decoder = PROVIDER.decoder(request, True)
    decoder.feed((GOLDEN / "bedrock_embed" / f"{name}.json").read_bytes())
    [chunk] = decoder.close()
    assert chunk.events == (EmbeddingsDelta(vectors),)
    assert chunk.usage == usage


@pytest.mark.parametrize("body", [b"{}", b'{"embeddings":{"int8":[[1]]}}', b'{"embeddings":["a"]}'])
def test_a_reply_without_vectors_is_an_error(body: bytes) -> None:
    decoder = PROVIDER.decoder(openai_embeddings.parse(b'{"model":"m","input":"a"}', "r"), True)
    decoder.feed(body)
    with pytest.raises(UpstreamError, match="no embeddings"):
        decoder.close()
