from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from nearfar.core.errors import BadRequestError, ContextTooLong
from nearfar.engine.child_chat import Ask, Logprob, Reply, error_body, read
from nearfar.engine.child_tools import Call

HELLO = {"messages": [{"role": "user", "content": "hello"}]}
ALL = frozenset({"logit_bias", "logprobs", "top_logprobs", "top_k", "json_schema"})


def asked(can: frozenset[str] = ALL, **members: Any) -> Ask:
    return read(json.dumps(HELLO | members).encode(), can)


def test_what_is_read() -> None:
    ask = asked(
        max_tokens=5,
        max_completion_tokens=7,
        temperature=0,
        top_k=3,
        seed=-1,
        stop=["a", "b"],
        stream=True,
        stream_options={"include_usage": True},
        logprobs=True,
        top_logprobs=2,
        logit_bias={"3": -100},
        user="somebody",
        n=1,
        tools=[{"type": "function", "function": {"name": "f"}}],
        parallel_tool_calls=False,
        top_p=None,
    )
    assert (ask.limit, ask.stops, ask.stream, ask.include_usage, ask.top) == (7, ("a", "b"), True, True, 2)
    assert (ask.sampling.temperature, ask.sampling.top_k, ask.sampling.seed) == (0.0, 3, -1)
    assert ask.sampling.top_p is None
    assert ask.sampling.logit_bias == {3: -100.0}
    assert (len(ask.tools), ask.parallel) == (1, False)
    assert asked(tools=[{"function": {"name": "f"}}], tool_choice="none").tools == []
    assert asked(stop="x").stops == ("x",)


def test_messages_as_templates_expect_them() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    ask = asked(
        messages=[
            {"role": "developer", "content": [{"type": "text", "text": "be "}, {"type": "text", "text": "brief"}]},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": "貓"},
        ]
    )
    assert ask.messages[0] == {"role": "system", "content": "be brief"}
    assert ask.messages[1]["tool_calls"][0]["function"]["arguments"] == {"a": 1}
    assert ask.messages[2] == {"role": "tool", "content": "貓", "tool_call_id": "c"}


IMAGE = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"reasoning_effort": "low"}, "unsupported", "reasoning_effort"),
    ({"presence_penalty": 1}, "unsupported", "presence_penalty"),
    ({"n": 2}, "unsupported", "n"),
    ({"tool_choice": "required"}, "unsupported", "tool_choice"),
    ({"tool_choice": {"type": "function"}}, "unsupported", "tool_choice"),
    ({"tools": [{"type": "custom"}]}, "unsupported", "tools[0]"),
    ({"messages": [IMAGE]}, "unsupported", "messages[0].content[0]"),
    ({"messages": []}, "invalid_value", "messages"),
    ({"messages": [{"content": "x"}]}, "invalid_value", "messages[0]"),
    ({"messages": [{"role": "user", "content": 7}]}, "invalid_value", "messages[0].content"),
    ({"temperature": "warm"}, "invalid_value", "temperature"),
    ({"temperature": True}, "invalid_value", "temperature"),
    ({"max_tokens": 0}, "invalid_value", "max_tokens"),
    ({"top_p": 1.5}, "invalid_value", "top_p"),
    ({"seed": 1.5}, "invalid_value", "seed"),
    ({"stop": [""]}, "invalid_value", "stop"),
    ({"stop": ["x"] * 17}, "invalid_value", "stop"),
    ({"stream": "yes"}, "invalid_value", "stream"),
    ({"logit_bias": {"a": 1}}, "invalid_value", "logit_bias"),
    ({"logit_bias": {"1": 101}}, "invalid_value", "logit_bias"),
    ({"response_format": {"type": "xml"}}, "invalid_value", "response_format"),
    ({"response_format": {"type": "json_schema"}}, "invalid_value", "response_format.json_schema.schema"),
]


@pytest.mark.parametrize(("members", "code", "param"), REFUSED)
def test_refusals_name_their_member(members: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        asked(**members)
    assert (caught.value.code, caught.value.param) == (code, param)


def test_json_for_sure_only_where_the_engine_can() -> None:
    assert json.loads(asked(response_format=SCHEMA).schema) == {"type": "object"}
    assert asked(response_format={"type": "json_object"}).schema
    assert not asked(frozenset(), response_format={"type": "text"}).schema
    with pytest.raises(BadRequestError, match="cannot give JSON"):
        asked(frozenset(), response_format=SCHEMA)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = st.sampled_from(
    [
        "messages",
        "model",
        "stream",
        "stop",
        "tools",
        "tool_choice",
        "seed",
        "n",
        "max_tokens",
        "logit_bias",
        "response_format",
        "logprobs",
    ]
)


@given(values=st.dictionaries(MEMBERS, JSON, max_size=5), with_hello=st.booleans())
def test_no_body_raises_anything_else(values: dict[str, Any], with_hello: bool) -> None:
    with contextlib.suppress(BadRequestError):
        read(json.dumps(HELLO | values if with_hello else values).encode(), ALL)


@given(body=st.binary(max_size=50))
def test_no_bytes_do(body: bytes) -> None:
    with pytest.raises(BadRequestError):
        read(body, ALL)


CALL = Call(id="abc", name="f", arguments='{"a":1}')
PROBS = [Logprob("貓", -0.5, (("x", float("-inf")),)), Logprob("\ufffd", -1.0)]


def test_a_plain_reply_is_what_the_official_client_expects() -> None:
    made = Reply("m").plain("hi", [CALL], PROBS, "tool_calls", (3, 4))
    reply = ChatCompletion.model_validate_json(made, strict=True)
    choice = reply.choices[0]
    assert reply.usage is not None
    assert (reply.model, choice.finish_reason, reply.usage.total_tokens) == ("m", "tool_calls", 7)
    assert choice.logprobs is not None
    assert choice.logprobs.content is not None
    cat, half = choice.logprobs.content
    assert (cat.bytes, cat.top_logprobs[0].logprob, half.bytes) == (list("貓".encode()), -9999.0, None)


def test_a_stream_is_what_the_official_client_expects() -> None:
    made = Reply("m")
    events = made.begin() + made.piece("hi", PROBS) + made.call(0, CALL) + made.end("tool_calls", (3, 4))
    *chunks, done = [event.removeprefix(b"data: ") for event in events.split(b"\n\n")[:-1]]
    assert done == b"[DONE]"
    read_chunks = [ChatCompletionChunk.model_validate_json(chunk, strict=True) for chunk in chunks]
    assert len({chunk.id for chunk in read_chunks}) == 1
    assert read_chunks[-1].usage is not None
    assert read_chunks[-2].choices[0].finish_reason == "tool_calls"


def test_errors_have_openais_shape() -> None:
    body = json.loads(error_body(ContextTooLong("Too long.", hint="Cut it.")))
    assert body["error"] == {
        "message": "Too long. Cut it.",
        "type": "invalid_request_error",
        "code": "context_length_exceeded",
        "param": None,
    }
