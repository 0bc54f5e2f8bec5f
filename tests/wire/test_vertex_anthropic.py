import contextlib
import json
from typing import Any

import pytest
from anthropic import AnthropicVertex, APIStatusError
from msgspec.structs import replace
from tests.sdk import google_upstream

from nearfar.core.errors import RateLimitError
from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.wire import anthropic_messages, openai_chat
from nearfar.wire.openai_chat_conversation import conversation
from nearfar.wire.vertex_anthropic import PROVIDER, encode

THERE = Deployment(
    name="d",
    provider="vertex-ai",
    model="claude-sonnet-4-5@20250929",
    wire="vertex.anthropic",
    base_url="https://x/v1/projects/p/locations/l",
    place=Place.CLOUD,
)
BODY: dict[str, Any] = {"model": "near", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}


def test_anthropics_clients_keep_their_bytes_but_for_the_model_and_the_version() -> None:
    assert "anthropic.messages" in PROVIDER.like
    body = json.dumps({**BODY, "stream": True, "new_member": [1]}).encode()
    out = encode(anthropic_messages.CLIENT.parse(body, "r"), THERE, None)
    assert out.path == "/publishers/anthropic/models/claude-sonnet-4-5@20250929:streamRawPredict"
    sent = json.loads(out.body)
    assert "model" not in sent
    assert sent.pop("anthropic_version") == "vertex-2023-10-16"
    assert sent == {**{key: value for key, value in BODY.items() if key != "model"}, "stream": True, "new_member": [1]}
    assert not any(name == "anthropic-version" for name, _ in out.headers)


def test_other_dialects_are_told() -> None:
    request = openai_chat.parse(json.dumps(BODY).encode(), "r")
    out = encode(request, THERE, conversation(request))
    assert out.path.endswith(":rawPredict")
    assert json.loads(out.body) == {
        "anthropic_version": "vertex-2023-10-16",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
    }


def test_refusals_of_googles_front_and_of_anthropic_behind_it() -> None:
    google = b'{"error":{"code":429,"message":"Quota exceeded","status":"RESOURCE_EXHAUSTED"}}'
    assert type(PROVIDER.error(429, {}, google)) is RateLimitError
    anthropic = b'{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}'
    assert type(PROVIDER.error(429, {"retry-after": "2"}, anthropic)) is RateLimitError


@pytest.mark.parametrize("stream", [False, True])
def test_it_is_what_the_official_client_for_vertex_sends(stream: bool) -> None:
    """The anthropic client's own class for Vertex AI, unmodified, asks a server on loopback; we send the same."""
    with google_upstream.upstream() as upstream:
        with (
            AnthropicVertex(
                base_url=f"{upstream.url}/v1", access_token="t", project_id="p", region="l", max_retries=0
            ) as client,
            contextlib.suppress(APIStatusError, RuntimeError),
        ):
            client.messages.create(
                model="error_404_model", max_tokens=9, messages=[{"role": "user", "content": "hi"}], stream=stream
            )
        [(path, headers, sent)] = upstream.requests
    there = replace(THERE, model="error_404_model")
    body = {**BODY, "stream": stream}
    out = encode(anthropic_messages.CLIENT.parse(json.dumps(body).encode(), "r"), there, None)
    assert path == "/v1/projects/p/locations/l" + out.path
    ours = json.loads(out.body)
    # The client's newest major asks for the newest version; we stay with the one before, as at Anthropic's own door.
    assert sent.pop("anthropic_version") in {"vertex-2023-10-16", "2026-10-21"}
    assert ours.pop("anthropic_version") == "vertex-2023-10-16"
    assert ours == {"stream": False, **sent}
    assert "x-api-key" not in headers
