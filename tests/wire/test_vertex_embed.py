import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from nearfar.core.chat import EmbeddingsDelta, Usage
from nearfar.core.errors import BadRequestError, NearfarError
from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.wire import gemini_embed, openai_embeddings
from nearfar.wire.vertex_embed import PROVIDER, decoder, encode

GOLDEN = Path(__file__).parents[1] / "golden" / "vertex_embed"
THERE = Deployment(
    name="d",
    provider="vertex-ai",
    model="text-embedding-005",
    wire="gemini.generate",
    base_url="https://x/v1/projects/p/locations/l",
    place=Place.CLOUD,
)


def test_one_prediction_for_each_text() -> None:
    body = {"requests": [{"content": {"parts": [{"text": text}]}, "taskType": "CLUSTERING"} for text in ("a", "b")]}
    request = gemini_embed.read(json.dumps(body).encode(), "r", model="near")
    assert request.wire in PROVIDER.like
    out = encode(request, THERE, None)
    assert out.path == "/publishers/google/models/text-embedding-005:predict"
    assert json.loads(out.body) == {
        "instances": [{"content": "a", "task_type": "CLUSTERING"}, {"content": "b", "task_type": "CLUSTERING"}],
        "parameters": {"autoTruncate": False},
    }
    assert encode(request, replace(THERE, drop=("taskType",)), None).deviations == ("dropped:taskType",)


def test_openais_dialect() -> None:
    request = openai_embeddings.parse(b'{"model":"near","input":"a","dimensions":8}', "r")
    out = encode(request, THERE, openai_embeddings.conversation(request))
    assert json.loads(out.body) == {
        "instances": [{"content": "a"}],
        "parameters": {"autoTruncate": False, "outputDimensionality": 8},
    }


def test_only_text() -> None:
    body = {"content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": "AA"}}]}}
    with pytest.raises(BadRequestError):
        encode(gemini_embed.read(json.dumps(body).encode(), "r", model="near"), THERE, None)


def test_replies() -> None:
    request = openai_embeddings.parse(b'{"model":"near","input":"a"}', "r")
    found = decoder(request, True)
    found.feed((GOLDEN / "plain_two.json").read_bytes())
    [chunk] = found.close()
    assert chunk.events == (EmbeddingsDelta([[0.1, -0.2], [0.3, 0.4]]),)
    assert chunk.usage == Usage(input=9, output=0)
    for body in (b'{"predictions":[]}', b'{"predictions":[{"embeddings":{}}]}', b'{"error":{"code":400}}', b"{"):
        broken = decoder(request, True)
        broken.feed(body)
        with pytest.raises(NearfarError):
            broken.close()
