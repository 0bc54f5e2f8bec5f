import json
from pathlib import Path
from typing import Any

import pytest

from nearfar.core.chat import Chunk, EmbeddingsDelta, Usage
from nearfar.core.conversation import Opaque, Text
from nearfar.core.errors import BadRequestError, StreamCut, UpstreamError
from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.wire import gemini_embed, ollama_embed, openai_embeddings
from nearfar.wire.gemini_embed import CLIENT, decoder, encode, read

GOLDEN = Path(__file__).parents[1] / "golden" / "gemini_embed"
THERE = Deployment(
    name="d", provider="gemini", model="gemini-embedding-001", wire="gemini.generate", base_url="https://x/v1beta",
    place=Place.CLOUD,
)  # fmt: skip
SINGLE: dict[str, Any] = {
    "content": {"parts": [{"text": "a"}]},
    "task_type": "RETRIEVAL_QUERY",
    "outputDimensionality": 8,
}
BATCH: dict[str, Any] = {
    "requests": [{"model": "models/near", "content": {"parts": [{"text": text}]}} for text in ("a", "b")]
}
PREDICT: dict[str, Any] = {
    "instances": [{"content": "a", "task_type": "CLUSTERING"}, {"content": "b", "title": "t"}],
    "parameters": {"outputDimensionality": 8},
}


def ask(value: Any) -> Any:
    return read(json.dumps(value).encode(), "r", model="near")


def rendered(value: Any, *chunks: Chunk) -> Any:
    found = CLIENT.renderer(ask(value), False)
    assert b"".join(found.render(chunk) for chunk in chunks) == b""
    assert (found.keep_alive(), found.note("x")) == (b"", b"")
    return json.loads(found.finish())


def test_reading() -> None:
    found = ask(SINGLE)
    assert (found.wire, found.operation, found.model, found.needs) == (
        "gemini.embed",
        "embeddings",
        "near",
        {"dimensions"},
    )
    assert gemini_embed.parse(json.dumps({"model": "models/x", **SINGLE}).encode(), "r").model == "x"


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"content": "a"},
        {"content": {}},
        {"content": {"parts": []}},
        {"content": {"parts": [{"text": 1}]}},
        {"requests": []},
        {"requests": "x"},
        {"requests": [1]},
        {"requests": [{"content": 1}]},
        {"requests": [{"content": {"parts": [{"text": "a"}]}, "outputDimensionality": "8"}]},
        {"requests": [SINGLE] * 2049},
        {"instances": [{"image": {}}]},
        {"instances": [{"content": "x"}], "parameters": 3},
        {"content": {"parts": [{"text": "a"}]}, "api_key": "x"},
    ],
)
def test_wrong_bodies_are_a_400(value: Any) -> None:
    with pytest.raises(BadRequestError):
        ask(value)


def test_what_lies_elsewhere_is_noted() -> None:
    request = ask({"content": {"parts": [{"fileData": {"fileUri": "gs://b/k"}}]}})
    assert request.elsewhere == (("storage_url", "requests[0].content.parts[0].fileData"),)


def test_the_model_must_be_said_somewhere() -> None:
    with pytest.raises(BadRequestError):
        gemini_embed.parse(json.dumps(SINGLE).encode(), "r")


def test_everything_goes_to_google_as_a_batch() -> None:
    out = encode(ask(SINGLE), THERE, None)
    assert out.path == "/models/gemini-embedding-001:batchEmbedContents"
    assert json.loads(out.body) == {
        "requests": [
            {
                "model": "models/gemini-embedding-001",
                "content": {"parts": [{"text": "a"}]},
                "taskType": "RETRIEVAL_QUERY",
                "outputDimensionality": 8,
            }
        ]
    }
    found = json.loads(encode(ask(PREDICT), THERE, None).body)["requests"]
    assert [item["content"] for item in found] == [{"parts": [{"text": "a"}]}, {"parts": [{"text": "b"}]}]
    assert [(item.get("taskType"), item.get("title")) for item in found] == [("CLUSTERING", None), (None, "t")]
    from msgspec.structs import replace

    out = encode(ask(SINGLE), replace(THERE, drop=("taskType",)), None)
    assert out.deviations == ("dropped:taskType",)


def test_requests_of_openais_dialect() -> None:
    body = {"model": "near", "input": ["a", "b"], "dimensions": 8, "encoding_format": "base64", "user": "u"}
    request = openai_embeddings.parse(json.dumps(body).encode(), "r")
    out = encode(request, THERE, openai_embeddings.conversation(request))
    found = json.loads(out.body)["requests"]
    assert [item["content"]["parts"][0]["text"] for item in found] == ["a", "b"]
    assert [item["outputDimensionality"] for item in found] == [8, 8]
    assert out.deviations == ("dropped:user",)
    tokens = openai_embeddings.parse(b'{"model":"m","input":[1,2]}', "r")
    with pytest.raises(BadRequestError):
        encode(tokens, THERE, openai_embeddings.conversation(tokens))


def test_the_inputs_for_other_wires() -> None:
    found = gemini_embed.conversation(ask(SINGLE))
    assert found.messages[0].blocks == [Text(text="a")]
    assert found.deviations == ("dropped:taskType",)
    there = Deployment(name="d", provider="o", model="m", wire="x", base_url="http://x", place=Place.DEVICE)
    for wire in (openai_embeddings, ollama_embed):
        request = ask({"requests": [SINGLE, SINGLE]})
        sent = json.loads(wire.encode(request, there, gemini_embed.conversation(request)).body)
        assert (sent["input"], sent["dimensions"]) == (["a", "a"], 8)
    several = {"content": {"parts": [{"text": "a"}, {"text": "b"}]}}
    assert gemini_embed.conversation(ask(several)).messages[0].blocks == [Text(text="a\nb")]
    image = {"content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": "AA"}}]}}
    assert ask(image).needs == {"images"}
    assert isinstance(gemini_embed.conversation(ask(image)).messages[0].blocks[0], Opaque)
    with pytest.raises(BadRequestError):
        gemini_embed.conversation(ask({"requests": [SINGLE, {**SINGLE, "outputDimensionality": 9}]}))


def test_the_answer_has_the_shape_of_the_question() -> None:
    chunk = Chunk(events=(EmbeddingsDelta([[1.0], [2.0]]),), usage=Usage(input=3), end=True)
    usage = {"promptTokenCount": 3, "totalTokenCount": 3}
    assert rendered(SINGLE, chunk) == {"embedding": {"values": [1.0]}, "usageMetadata": usage}
    assert rendered(BATCH, chunk) == {"embeddings": [{"values": [1.0]}, {"values": [2.0]}], "usageMetadata": usage}
    assert rendered(PREDICT, chunk) == {
        "predictions": [{"embeddings": {"values": [1.0]}}, {"embeddings": {"values": [2.0]}}]
    }
    assert json.loads(CLIENT.renderer(ask(SINGLE), True).error(StreamCut("x")))["error"]["code"] == 502


def test_replies() -> None:
    def of(name: str) -> Chunk:
        found = decoder(ask(SINGLE), False)
        assert found.feed((GOLDEN / name).read_bytes()) == []
        [chunk] = found.close()
        return chunk

    assert of("plain_two.json").events == (
        EmbeddingsDelta([[0.013168523, -0.008711934, -0.046782676], [0.0007, 0.5, -1.0]]),
    )
    assert of("plain_usage.json").usage == Usage(input=3, output=0)
    for name in ("broken_none.json", "error_400_invalid.json"):
        with pytest.raises((UpstreamError, BadRequestError)):
            of(name)
    single = decoder(ask(SINGLE), False)
    single.feed(b'{"embedding":{"values":[1]}}')
    assert single.close()[0].events == (EmbeddingsDelta([[1.0]]),)
