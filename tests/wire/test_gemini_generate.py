import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.examples import examples

from nearfar.core.errors import BadRequestError
from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.wire import gemini_generate, openai_chat
from nearfar.wire.gemini_generate import encode, parse, read
from nearfar.wire.gemini_generate_members import seal
from nearfar.wire.openai_chat_conversation import conversation

THERE = Deployment(
    name="d",
    provider="gemini",
    model="gemini-3-flash",
    wire="gemini.generate",
    base_url="https://x/v1beta",
    place=Place.CLOUD,
)
VERTEX = replace(THERE, base_url="https://x/v1/projects/p-1/locations/europe-west1")
WORDS = [
    "role",
    "parts",
    "text",
    "inlineData",
    "mime_type",
    "data",
    "functionCall",
    "name",
    "args",
    "id",
    "thought",
    "functionResponse",
    "response",
    "functionDeclarations",
    "parameters",
    "mode",
    "type",
    "properties",
    "thoughtSignature",
    "thinkingConfig",
    "responseSchema",
    "responseMimeType",
    "topK",
    "stopSequences",
]
"""Members that a hostile body mixes."""
BODY: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


def test_reading() -> None:
    body = json.dumps({**BODY, "generationConfig": {"maxOutputTokens": 5, "candidateCount": 2}}).encode()
    found = read(body, "r", model="near", stream=True)
    assert (found.wire, found.operation, found.model, found.stream) == ("gemini.generate", "chat", "near", True)
    assert (found.max_output, found.choices) == (5, 2)
    assert found.needs == {"choices"}
    assert found.input_tokens > 5


def test_the_model_in_the_body() -> None:
    assert parse(json.dumps({**BODY, "model": "models/near"}).encode(), "r").model == "near"
    for bad in (None, 7, "", "models/"):
        with pytest.raises(BadRequestError):
            parse(json.dumps({**BODY, "model": bad}).encode(), "r")


def test_what_would_steer_the_gateway_is_refused() -> None:
    with pytest.raises(BadRequestError) as caught:
        read(json.dumps({**BODY, "api_base": "http://x"}).encode(), "r", model="m", stream=False)
    assert caught.value.code == "steering_parameter"


def test_bytes_of_the_same_dialect_travel_as_they_came() -> None:
    body = b'{ "contents" : {"parts":{"text":"x"}}, "newMember": [1, 2] }'
    request = read(body, "r", model="near", stream=False)
    out = encode(request, THERE, None)
    assert out.body is body
    assert (out.method, out.path, out.deviations) == ("POST", "/models/gemini-3-flash:generateContent", ())
    named = read(b'{"model":"models/near",' + body[1:], "r", model="near", stream=True)
    out = encode(named, THERE, None)
    assert "model" not in json.loads(out.body)
    assert out.path == "/models/gemini-3-flash:streamGenerateContent?alt=sse"


@pytest.mark.parametrize(
    ("model", "there", "path"),
    [
        ("gemini-3-flash", THERE, "/models/gemini-3-flash"),
        ("models/gemini-3-flash", THERE, "/models/gemini-3-flash"),
        ("tunedModels/x y", THERE, "/tunedModels/x%20y"),
        ("m?x#y", THERE, "/models/m%3Fx%23y"),
        ("gemini-3-flash", VERTEX, "/publishers/google/models/gemini-3-flash"),
        ("publishers/google/models/x", VERTEX, "/publishers/google/models/x"),
        ("endpoints/12", VERTEX, "/endpoints/12"),
    ],
)
def test_paths(model: str, there: Deployment, path: str) -> None:
    assert gemini_generate.model_path(replace(there, model=model)) == path


def test_requests_of_another_dialect() -> None:
    body = {"model": "near", "messages": [{"role": "user", "content": "hi"}], "seed": 1, "top_p": 0.5, "stream": True}
    request = openai_chat.parse(json.dumps(body).encode(), "r")
    out = encode(request, VERTEX, conversation(request))
    assert out.path == "/publishers/google/models/gemini-3-flash:streamGenerateContent?alt=sse"
    assert json.loads(out.body) == {**BODY, "generationConfig": {"topP": 0.5, "seed": 1}}
    out = encode(request, replace(THERE, drop=("seed", "labels")), conversation(request))
    assert json.loads(out.body)["generationConfig"] == {"topP": 0.5}
    assert out.deviations == ("dropped:seed",)


def test_what_a_deployment_refuses_is_dropped_from_like_bytes_too() -> None:
    body = json.dumps({**BODY, "labels": {}, "generationConfig": {"seed": 1, "topP": 0.5}}).encode()
    request = read(body, "r", model="m", stream=False)
    out = encode(request, replace(THERE, drop=("seed", "labels", "topK")), None)
    assert json.loads(out.body) == {**BODY, "generationConfig": {"topP": 0.5}}
    assert set(out.deviations) == {"dropped:seed", "dropped:labels"}


def test_another_vendors_sealed_signature_never_reaches_google() -> None:
    thought = {"text": "hm", "thought": True, "thoughtSignature": seal("anthropic", "signature", "s")}
    turn = {"role": "model", "parts": [thought, {"text": "x"}]}
    request = read(json.dumps({"contents": [*BODY["contents"], turn]}).encode(), "r", model="m", stream=False)
    out = encode(request, THERE, None)
    assert json.loads(out.body)["contents"][1] == {"role": "model", "parts": [{"text": "x"}]}
    assert out.deviations == ("dropped:reasoning",)


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4) | st.sampled_from(["user", "model", "STOP"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(WORDS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(
    st.fixed_dictionaries(
        {"contents": _json},
        optional=dict.fromkeys(
            ["systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings", "model"], _json
        ),
    )
)
@examples(300)
def test_a_hostile_body_is_a_400_or_understood(value: dict[str, Any]) -> None:
    try:
        request = read(json.dumps(value).encode(), "r", model="m", stream=False)
        assert gemini_generate.CLIENT.conversation is not None
        encode(request, THERE, gemini_generate.CLIENT.conversation(request))
    except BadRequestError as error:
        assert error.message  # noqa: PT017 - either outcome is right
