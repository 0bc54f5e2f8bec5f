import json
from typing import Any

import msgspec
import pytest
from ollama._types import ChatRequest

from nearfar.core.errors import BadRequestError, ContextTooLong
from nearfar.core.places import Place
from nearfar.core.routing import Capability, Deployment
from nearfar.wire import anthropic_messages, openai_chat
from nearfar.wire.ollama_chat_compose import context_for, to_ollama
from nearfar.wire.openai_chat_conversation import conversation


def compose(there: dict[str, Any] | None = None, **value: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """OpenAI request → Ollama request, valid for the official client, and the deviations."""
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **value}
    request = openai_chat.parse(json.dumps(body).encode(), "r")
    deployment = Deployment(
        **{
            "name": "d",
            "provider": "ollama",
            "model": "llama3.2",
            "wire": "ollama.chat",
            "base_url": "",
            "place": Place.LAN,
            **(there or {}),
        }
    )
    found, deviations = to_ollama(conversation(request), deployment, request.input_tokens)
    sent: dict[str, Any] = json.loads(msgspec.json.encode(found))
    ChatRequest.model_validate(sent)
    return sent, deviations


def messages(*items: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = compose(messages=list(items))[0]["messages"]
    return found


def test_the_shared_settings() -> None:
    sent, deviations = compose(
        temperature=0.5,
        top_p=0.9,
        top_k=4,
        min_p=0.1,
        seed=7,
        stop="x",
        max_tokens=50,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        logprobs=True,
        top_logprobs=2,
        n=1,
    )
    assert sent == {
        "model": "llama3.2",
        "messages": [{"role": "user", "content": "hi"}],
        "options": {
            "num_predict": 50,
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 4,
            "min_p": 0.1,
            "seed": 7,
            "stop": ["x"],
            "presence_penalty": 0.1,
            "frequency_penalty": 0.2,
            "num_ctx": 4096,
        },
        "truncate": False,
        "shift": False,
        "logprobs": True,
        "top_logprobs": 2,
    }
    assert deviations == ()


def test_nothing_is_set_that_the_client_did_not_say() -> None:
    assert compose()[0]["options"] == {"num_ctx": 4096}


@pytest.mark.parametrize(
    ("prompt", "output", "limit", "context"),
    [
        (10, 100, None, 4096),
        (4000, 96, None, 4096),
        (4000, 97, None, 8192),
        (30_000, 2048, None, 32_768),
        (31_000, 2048, None, 65_536),
        (31_000, 2048, 40_960, 40_960),
        (90_000, 2048, 40_960, 40_960),
        (10, 10, 2048, 2048),
    ],
)
def test_context_holds_prompt_and_answer(prompt: int, output: int, limit: int | None, context: int) -> None:
    assert context_for(prompt, output, limit) == context


def test_the_context_is_asked_for_from_estimate_and_limit() -> None:
    long = [{"role": "user", "content": "word " * 6000}]
    assert compose(messages=long)[0]["options"]["num_ctx"] == 16_384
    assert compose({"context": 12_000}, messages=long)[0]["options"]["num_ctx"] == 12_000
    with pytest.raises(ContextTooLong, match="8192"):
        compose({"context": 8192}, messages=long)
    assert compose({"loaded_context": 32_768})[0]["options"]["num_ctx"] == 32_768
    assert compose(max_tokens=7000)[0]["options"]["num_ctx"] == 8192
    assert compose({"max_output": 30_000})[0]["options"]["num_ctx"] == 32_768


def test_formats() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": True}}
    assert compose(response_format=form)[0]["format"] == schema
    assert compose(response_format={"type": "json_object"})[0]["format"] == "json"
    assert "format" not in compose(response_format={"type": "text"})[0]


def test_thinking_only_where_the_model_is_known_to_think() -> None:
    assert compose(reasoning_effort="low")[1] == ("dropped:reasoning_effort",)
    there = {"capabilities": {"reasoning": Capability(can=True)}}
    for effort, think in (("low", "low"), ("minimal", "low"), ("none", False)):
        sent, deviations = compose(there, reasoning_effort=effort)
        assert (sent["think"], deviations) == (think, ())
    assert compose(think=True)[0]["think"] is True


def test_tools_and_their_results() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
    sent, deviations = compose(
        tools=[
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}},
            {"type": "function", "function": {"name": "g"}},
        ],
        tool_choice="auto",
        messages=[
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "42"},
        ],
    )
    assert sent["tools"][0]["function"] == {"name": "f", "description": "d", "parameters": {"type": "object"}}
    assert sent["tools"][1]["function"]["parameters"] == {"type": "object", "properties": {}}
    assert sent["messages"][1:] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c1", "function": {"index": 0, "name": "f", "arguments": {"x": 1}}}],
        },
        {"role": "tool", "content": "42", "tool_call_id": "c1", "tool_name": "f"},
    ]
    assert deviations == ()


def test_no_tools_when_none_may_be_called() -> None:
    sent, deviations = compose(tools=[{"type": "function", "function": {"name": "f"}}], tool_choice="none")
    assert "tools" not in sent
    assert deviations == ("dropped:tools",)


def test_parts_become_one_message() -> None:
    assert messages(
        {"role": "developer", "content": "be brief"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "one"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                {"type": "text", "text": "two"},
            ],
        },
        {"role": "assistant", "content": "ok", "reasoning_content": "hm"},
    ) == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "one\ntwo", "images": ["AAAA"]},
        {"role": "assistant", "content": "ok", "thinking": "hm"},
    ]


def test_what_is_dropped_is_shown() -> None:
    sent, deviations = compose(
        user="u",
        logit_bias={"1": 1},
        store=True,
        metadata={},
        parallel_tool_calls=False,
        tools=[{"type": "function", "function": {"name": "f", "strict": True}}],
        messages=[
            {"role": "user", "content": "hi", "name": "ann"},
            {"role": "assistant", "content": "x", "thinking_blocks": [{"type": "redacted_thinking", "data": "d"}]},
        ],
    )
    assert set(deviations) == {
        "dropped:user",
        "dropped:logit_bias",
        "dropped:store",
        "dropped:parallel_tool_calls",
        "dropped:strict",
        "dropped:name",
        "dropped:reasoning",
    }
    assert sent.keys() == {"model", "messages", "options", "truncate", "shift", "tools"}


TOOL = {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize(
    ("value", "param"),
    [
        ({"n": 2}, "n"),
        ({"tools": [TOOL], "tool_choice": "required"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice"),
        ({"tools": [{"type": "custom", "custom": {}}]}, "tools"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"response_format": {"type": "grammar", "grammar": "x"}}, "response_format"),
        ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a/b.png"}}]}
                ]
            },
            "messages",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]}
                ]
            },
            "messages",
        ),
        (
            {
                "messages": [
                    {
                        "role": "assistant",
                        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "no"}}],
                    }
                ]
            },
            "messages",
        ),
    ],
)
def test_what_may_not_get_lost_is_refused(value: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        compose(**value)
    assert (caught.value.code, caught.value.param) == ("unsupported", param)


def test_what_comes_in_anthropics_dialect_is_told_too() -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    found = {"type": "search_result", "title": "t", "source": "s", "content": [{"type": "text", "text": "x"}]}
    body = {
        "model": "m",
        "max_tokens": 9,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "q", **mark}, found]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {}, **mark}]},
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "c", "content": "no", "is_error": True}],
            },
        ],
    }
    request = anthropic_messages.CLIENT.parse(json.dumps(body).encode(), "r")
    assert anthropic_messages.CLIENT.conversation is not None
    there = Deployment(name="d", provider="ollama", model="m", wire="ollama.chat", base_url="http://x", place=Place.LAN)
    value, deviations = to_ollama(anthropic_messages.CLIENT.conversation(request), there, 10)
    sent = json.loads(msgspec.json.encode(value["messages"]))
    assert [(message["role"], message["content"]) for message in sent] == [
        ("user", "q\nt\ns\nx"),
        ("assistant", ""),
        ("tool", "no"),
    ]
    assert set(deviations) == {
        "dropped:cache_control",
        "adapted:content",
        "dropped:is_error",
        "dropped:thinking",
        "dropped:reasoning_effort",
    }
