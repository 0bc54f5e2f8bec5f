import json
from pathlib import Path
from typing import Any

import pytest
from ollama import EmbedResponse
from ollama._types import EmbedRequest

from nearfar.core.chat import Chunk, EmbeddingsDelta, Request, Usage
from nearfar.core.errors import BadRequestError, NearfarError, StreamCut, UpstreamError
from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.wire import ollama_embed, openai_embeddings

GOLDEN = Path(__file__).parents[1] / "golden" / "ollama_embed"
THERE = Deployment(
    name="d",
    provider="ollama",
    model="all-minilm",
    wire="ollama.chat",
    base_url="http://x",
    place=Place.DEVICE,
    drop=("dimensions",),
)


def parse(**value: Any) -> Request:
    return openai_embeddings.parse(json.dumps({"model": "near", "input": "text", **value}).encode(), "r")


def test_texts_are_never_cut_in_silence() -> None:
    request = parse(input=["a", "b"], encoding_format="base64", user="u", dimensions=8)
    out = ollama_embed.encode(request, THERE, openai_embeddings.conversation(request))
    assert (out.path, json.loads(out.body)) == (
        "/api/embed",
        {"model": "all-minilm", "input": ["a", "b"], "truncate": False},
    )
    assert out.deviations == ("dropped:user", "dropped:dimensions")


def test_token_ids_are_refused() -> None:
    request = parse(input=[1, 2])
    with pytest.raises(BadRequestError, match="Ollama embeds text only"):
        ollama_embed.encode(request, THERE, openai_embeddings.conversation(request))


def test_the_reply_through_to_the_client() -> None:
    data = (GOLDEN / "plain_two.json").read_bytes()
    EmbedResponse.model_validate_json(data)
    request = parse(input=["a", "b"])
    decoder = ollama_embed.decoder(request, True)
    decoder.feed(data)
    [chunk] = decoder.close()
    assert chunk.events == (EmbeddingsDelta([[0.5, -0.25], [1.0, 2.0]]),)
    assert (chunk.usage, chunk.model, chunk.end) == (Usage(input=8, output=0), "all-minilm", True)
    renderer = openai_embeddings.renderer(request, False)
    renderer.render(chunk)
    value = json.loads(renderer.finish())
    assert [item["embedding"] for item in value["data"]] == [[0.5, -0.25], [1.0, 2.0]]
    assert value["usage"] == {"prompt_tokens": 8, "total_tokens": 8}


@pytest.mark.parametrize(
    ("data", "kind"), [(b"{", StreamCut), (b'{"error":"no"}', UpstreamError), (b'{"embeddings":[]}', UpstreamError)]
)
def test_bad_replies(data: bytes, kind: type[NearfarError]) -> None:
    decoder = ollama_embed.decoder(parse(), True)
    decoder.feed(data)
    with pytest.raises(kind):
        decoder.close()


def ask(**value: Any) -> Request:
    return ollama_embed.parse(json.dumps({"model": "near", "input": "text", **value}).encode(), "r")


def test_towards_ollama_the_bytes_travel() -> None:
    out = ollama_embed.encode(ask(keep_alive="5m", dimensions=8), THERE, None)
    assert out.deviations == ("dropped:dimensions",)
    sent = json.loads(out.body)
    EmbedRequest.model_validate(sent)
    assert sent == {"model": "all-minilm", "input": "text", "keep_alive": "5m", "truncate": False}
    assert json.loads(ollama_embed.encode(ask(truncate=True), THERE, None).body)["truncate"] is True


def test_elsewhere() -> None:
    request = ask(input=["a", "b"], dimensions=8, keep_alive="5m", truncate=True)
    assert request.needs == {"dimensions"}
    found = ollama_embed.conversation(request)
    assert found.deviations == ("dropped:keep_alive", "dropped:truncate")
    sent = json.loads(openai_embeddings.encode(request, THERE, found).body)
    assert (sent["model"], sent["input"]) == ("all-minilm", ["a", "b"])
    request = ask(truncate=False)
    found = ollama_embed.conversation(request)
    assert found.deviations == (), "elsewhere nothing is cut in silence anyway"
    assert json.loads(openai_embeddings.encode(request, THERE, found).body)["input"] == "text"


def test_the_reply_in_ollamas_shape() -> None:
    made = ollama_embed.renderer(ask(), False)
    made.render(Chunk(events=(EmbeddingsDelta([[0.5], [1.0]]),), usage=Usage(input=4, output=0), model="e"))
    value = json.loads(made.finish())
    EmbedResponse.model_validate(value)
    assert (value["model"], value["embeddings"], value["prompt_eval_count"]) == ("e", [[0.5], [1.0]], 4)
    assert value["total_duration"] > 0
    like = ollama_embed.renderer(ask(), True)
    assert (like.render(Chunk(raw=b"{}")), like.finish(), like.note("x"), like.keep_alive()) == (b"{}", b"", b"", b"")


def test_wrong_requests_of_ollamas_clients() -> None:
    hostile: list[dict[str, Any]] = [{"input": 3}, {"input": [3]}, {"model": ""}, {"truncate": "yes"}, {"options": []}]
    for wrong in hostile:
        with pytest.raises(BadRequestError):
            ask(**wrong)
    assert ollama_embed.is_empty(ask(input=[]))
    assert ollama_embed.is_empty(ask(input=""))
    assert not ollama_embed.is_empty(ask())
