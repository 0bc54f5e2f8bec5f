import base64
import json
import struct
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import CreateEmbeddingResponse

from nearfar.core.chat import Chunk, EmbeddingsDelta, Request, Usage
from nearfar.core.errors import BadRequestError, StreamCut, UpstreamError
from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.wire import openai_embeddings as wire

GOLDEN = Path(__file__).parents[1] / "golden" / "openai_embeddings"
VECTORS = [[0.5, -0.25, 1.0], [0.0, 2.0, -4.5]]
THERE = Deployment(name="d", provider="p", model="far", wire="openai.embeddings", base_url="", place=Place.LAN)


def parse(**value: Any) -> Request:
    return wire.parse(json.dumps({"model": "near", "input": "text", **value}).encode(), "r")


def read(name: str, *, typed: bool = False, **value: Any) -> Chunk:
    decoder = wire.decoder(parse(**value), typed)
    assert decoder.feed((GOLDEN / name).read_bytes()) == []
    [chunk] = decoder.close()
    return chunk


@pytest.mark.parametrize(
    ("value", "tokens", "needs"),
    [
        ("a text", None, set()),
        (["a", "b"], None, set()),
        ([1, 2, 3], 3, {"token_input"}),
        ([[1, 2], [3]], 3, {"token_input"}),
    ],
)
def test_every_form_of_input_travels(value: object, tokens: int | None, needs: set[str]) -> None:
    request = parse(input=value, dimensions=256, user="u", x_vendor=1)
    assert (request.operation, request.wire, request.model) == ("embeddings", "openai.embeddings", "near")
    assert request.needs == needs | {"dimensions"}
    assert tokens is None or request.input_tokens == tokens
    sent = json.loads(wire.encode(request, THERE, None).body)
    assert sent == {"model": "far", "input": value, "dimensions": 256, "user": "u", "x_vendor": 1}
    assert json.loads(wire.encode(request, THERE, wire.conversation(request)).body) == sent


@pytest.mark.parametrize(
    ("value", "param"),
    [
        ({"input": None}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": [""]}, "input[0]"),
        ({"input": ["a", 1]}, "input"),
        ({"input": [True]}, "input"),
        ({"input": [[]]}, "input"),
        ({"input": [[1], "a"]}, "input"),
        ({"input": {"a": 1}}, "input"),
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"encoding_format": 1}, "encoding_format"),
        ({"encoding_format": ["float"]}, "encoding_format"),
        ({"encoding_format": {}}, "encoding_format"),
        ({"dimensions": 0}, "dimensions"),
        ({"model": 3}, "model"),
        ({"api_base": "http://x"}, "api_base"),
    ],
)
def test_refusals_name_the_field(value: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        parse(**value)
    assert caught.value.param == param


@pytest.mark.parametrize("name", ["plain_floats.json", "plain_base64.json"])
@pytest.mark.parametrize("form", [None, "float", "base64"])
def test_the_client_gets_the_form_it_asked_for(name: str, form: str | None) -> None:
    chunk = read(name, encoding_format=form)
    value = json.loads(chunk.raw)
    CreateEmbeddingResponse.model_validate(value if form != "base64" else {**value, "data": []})
    same = (form == "base64") == ("base64" in name)
    assert (chunk.raw == (GOLDEN / name).read_bytes()) is same
    for item, vector in zip(value["data"], VECTORS, strict=True):
        found = item["embedding"]
        if form == "base64":
            found = list(struct.unpack("<3f", base64.b64decode(found)))
        assert found == vector
    assert value["usage"] == {"prompt_tokens": 8, "total_tokens": 8}
    assert [item["index"] for item in value["data"]] == [0, 1]
    assert (chunk.usage, chunk.model, chunk.end) == (Usage(input=8, output=0), "text-embedding-3-small", True)


def test_vectors_come_in_the_order_of_their_index() -> None:
    decoder = wire.decoder(parse(), True)
    decoder.feed(b'{"data":[{"index":1,"embedding":[2]},{"index":0,"embedding":[1]}]}')
    assert decoder.close()[0].events == (EmbeddingsDelta([[1.0], [2.0]]),)


@pytest.mark.parametrize("form", [None, "base64"])
def test_rendered_from_another_wire(form: str | None) -> None:
    found = wire.renderer(parse(encoding_format=form), False)
    chunk = Chunk(events=(EmbeddingsDelta(VECTORS),), usage=Usage(input=4, output=0), model="m")
    assert found.render(chunk) == b""
    value = json.loads(found.finish())
    assert value["usage"] == {"prompt_tokens": 4, "total_tokens": 4}
    assert value["model"] == "m"
    first = value["data"][0]["embedding"]
    assert (list(struct.unpack("<3f", base64.b64decode(first))) if form else first) == VECTORS[0]


def test_like_bodies_pass() -> None:
    found = wire.renderer(parse(), True)
    assert found.render(Chunk(raw=b"{}")) + found.finish() == b"{}"


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_base64_is_lossless_for_32_bit_floats(vector: list[float]) -> None:
    assert wire.read_vector(msgspec.Raw(json.dumps(wire.to_text(vector)).encode())) == vector


@pytest.mark.parametrize("raw", [b'"###"', b'"QUI="', b'["a"]', b"7", b'"\\u4e2d"'])
def test_a_vector_in_neither_form_is_an_error(raw: bytes) -> None:
    with pytest.raises(UpstreamError):
        wire.read_vector(msgspec.Raw(raw))


@pytest.mark.parametrize("data", [b"", b'{"data":[{"embedding":[0.1', b"[]"])
def test_half_a_reply_is_cut(data: bytes) -> None:
    decoder = wire.decoder(parse(), False)
    decoder.feed(data)
    with pytest.raises(StreamCut):
        decoder.close()


@pytest.mark.parametrize("data", [b'{"error":{"message":"no"}}', b'{"object":"error","message":"no"}', b'{"data":[]}'])
def test_errors_with_status_200(data: bytes) -> None:
    decoder = wire.decoder(parse(), False)
    decoder.feed(data)
    with pytest.raises(UpstreamError, match="no"):
        decoder.close()


def test_token_ids_are_refused_where_only_text_is_embedded() -> None:
    assert wire.only_text(wire.conversation(parse(input=["a", "b"])), "It") == ["a", "b"]
    with pytest.raises(BadRequestError, match="not token ids"):
        wire.only_text(wire.conversation(parse(input=[1, 2])), "It")
