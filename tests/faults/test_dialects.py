"""Random and hostile bodies at every door: a 4xx in the caller's dialect or an answer, never a 5xx, never a hang."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from tests.examples import examples
from tests.faults.conftest import Broken
from tests.running import Reply

TURN = {"role": "user", "content": "hello"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
IMAGE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGD4DwABBAEAX+XDSwAAAABJRU5ErkJggg=="


def openai(reply: Reply) -> None:
    assert isinstance(reply.json["error"]["message"], str)
    assert isinstance(reply.json["error"]["type"], str)


def anthropic(reply: Reply) -> None:
    assert reply.json["type"] == "error"
    assert isinstance(reply.json["error"]["message"], str)
    assert reply.json["error"]["type"].endswith("_error")


def gemini(reply: Reply) -> None:
    assert reply.json["error"]["code"] == reply.status
    assert isinstance(reply.json["error"]["message"], str)
    assert reply.json["error"]["status"].isupper()


def ollama(reply: Reply) -> None:
    assert isinstance(reply.json["error"], str)


def bedrock(reply: Reply) -> None:
    assert isinstance(reply.json["message"], str)
    assert reply.json["__type"].endswith("Exception")


Shape = Callable[[Reply], None]

OPENAI_TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
DOORS: dict[str, tuple[Shape, dict[str, Any]]] = {
    "/v1/chat/completions": (
        openai,
        {
            "model": "well",
            "messages": [{"role": "system", "content": "x"}, TURN],
            "tools": OPENAI_TOOLS,
            "tool_choice": "auto",
            "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}},
            "stop": ["a"],
            "max_tokens": 9,
        },
    ),
    "/v1/completions": (openai, {"model": "well", "prompt": ["a"], "max_tokens": 9, "stop": "x", "logprobs": 1}),
    "/v1/embeddings": (openai, {"model": "well", "input": ["a", "b"], "encoding_format": "base64"}),
    "/v1/responses": (
        openai,
        {
            "model": "well",
            "input": [TURN, {"type": "function_call_output", "call_id": "c", "output": "x"}],
            "tools": [{"type": "function", "name": "weather", "parameters": SCHEMA}],
            "text": {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA}},
            "reasoning": {"effort": "low"},
            "store": False,
        },
    ),
    "/v1/messages": (
        anthropic,
        {
            "model": "well",
            "max_tokens": 9,
            "system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}],
            "messages": [
                TURN,
                {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "weather", "input": {}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "x"}]},
            ],
            "tools": [{"name": "weather", "input_schema": SCHEMA}],
            "tool_choice": {"type": "auto"},
            "thinking": {"type": "enabled", "budget_tokens": 1024},
        },
    ),
    "/v1/messages/count_tokens": (anthropic, {"model": "well", "messages": [TURN], "system": "x"}),
    "/v1beta/models/well:generateContent": (
        gemini,
        {
            "contents": [
                {"role": "user", "parts": [{"text": "x"}, {"inlineData": {"mimeType": "image/png", "data": IMAGE}}]},
                {"role": "model", "parts": [{"functionCall": {"name": "weather", "args": {}}}]},
                {"role": "user", "parts": [{"functionResponse": {"name": "weather", "response": {"a": 1}}}]},
            ],
            "systemInstruction": {"parts": [{"text": "x"}]},
            "tools": [{"functionDeclarations": [{"name": "weather", "parameters": SCHEMA}]}],
            "generationConfig": {"maxOutputTokens": 9, "responseSchema": SCHEMA, "stopSequences": ["a"]},
        },
    ),
    "/v1/models/well:streamGenerateContent": (gemini, {"contents": [{"parts": [{"text": "x"}]}]}),
    "/v1beta/models/well:countTokens": (gemini, {"contents": [{"parts": [{"text": "x"}]}]}),
    "/v1beta/models/well:batchEmbedContents": (
        gemini,
        {"requests": [{"model": "models/well", "content": {"parts": [{"text": "x"}]}}]},
    ),
    "/api/chat": (
        ollama,
        {
            "model": "well",
            "messages": [{**TURN, "images": [IMAGE]}],
            "tools": OPENAI_TOOLS,
            "format": SCHEMA,
            "options": {"num_predict": 9, "stop": ["a"], "num_ctx": 512},
            "stream": False,
            "keep_alive": "5m",
        },
    ),
    "/api/generate": (ollama, {"model": "well", "prompt": "x", "system": "y", "stream": False, "images": [IMAGE]}),
    "/api/embed": (ollama, {"model": "well", "input": ["a"], "truncate": True}),
    "/api/show": (ollama, {"model": "well", "verbose": True}),
    "/model/well/converse": (
        bedrock,
        {
            "messages": [{"role": "user", "content": [{"text": "x"}]}],
            "system": [{"text": "x"}],
            "inferenceConfig": {"maxTokens": 9, "stopSequences": ["a"]},
            "toolConfig": {"tools": [{"toolSpec": {"name": "weather", "inputSchema": {"json": SCHEMA}}}]},
        },
    ),
}

JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.sampled_from(["user", "assistant", "tool", "text", "image", "http://127.0.0.1:1/x", "data:,", "\x00"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in ``value``."""
    found = [path] if path else []
    if isinstance(value, dict):
        items: Any = value.items()
    else:
        items = enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += places(item, (*path, key))
    return found


@st.composite
def spoiled(draw: st.DrawFn, good: dict[str, Any]) -> bytes:
    """``good`` with something else, something more or nothing at one to three places."""
    body = json.loads(json.dumps(good))
    for _ in range(draw(st.integers(1, 3))):
        where = places(body)
        if not where:
            break
        path = draw(st.sampled_from(where))
        holder = body
        for step in path[:-1]:
            holder = holder[step]
        how = draw(st.sampled_from(["replace", "remove", "add"]))
        if how == "remove":
            del holder[path[-1]]
        elif how == "add" and isinstance(holder, dict):
            holder[draw(st.text(min_size=1, max_size=8))] = draw(JUNK)
        else:
            holder[path[-1]] = draw(JUNK)
    return json.dumps(body).encode()


def check(path: str, reply: Reply) -> None:
    """An answer, or a refusal in the dialect of the door."""
    assert reply.status == 200 or 400 <= reply.status < 500, (reply.status, reply.body[:500])
    if reply.status != 200:
        DOORS[path][0](reply)


FEW = examples(60, suppress=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("path", DOORS)
def test_what_is_right_is_answered_or_refused_with_a_reason(broken: Broken, path: str) -> None:
    shape, good = DOORS[path]
    reply = broken.gateway.ask(path, good)
    check(path, reply)
    for bad in (b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"a":1,"a":2}', b"[" * 5000, b'{"a":' * 5000):
        refused = broken.gateway.ask(path, bad)
        assert refused.status == 400, (bad[:20], refused.body[:300])
        shape(refused)


@pytest.mark.parametrize("path", DOORS)
@FEW
@given(data=st.data())
def test_what_is_spoiled_is_never_our_failure(broken: Broken, path: str, data: st.DataObject) -> None:
    check(path, broken.gateway.ask(path, data.draw(spoiled(DOORS[path][1]))))


@pytest.mark.parametrize("path", DOORS)
def test_a_stranger_is_refused_in_his_dialect(broken: Broken, path: str) -> None:
    shape, good = DOORS[path]
    reply = broken.gateway.ask(path, good, headers={"host": "evil.example"})
    assert reply.status == 403
    shape(reply)


@pytest.mark.parametrize("path", [path for path in DOORS if "well" not in path])
def test_an_unknown_model_is_not_found_in_every_dialect(broken: Broken, path: str) -> None:
    shape, good = DOORS[path]
    reply = broken.gateway.ask(path, {**good, "model": "nobody-knows-me"})
    assert reply.status == 404, reply.body[:300]
    shape(reply)
