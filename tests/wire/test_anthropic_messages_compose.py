import json
from typing import Any

import msgspec
import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from pydantic import TypeAdapter

from nearfar.core.errors import BadRequestError
from nearfar.wire import openai_chat
from nearfar.wire.anthropic_messages_compose import to_anthropic
from nearfar.wire.openai_chat_conversation import conversation

_official: TypeAdapter[Any] = TypeAdapter(MessageCreateParamsNonStreaming)


def exhaust(value: Any) -> Any:
    """Read what pydantic validates lazily."""
    if isinstance(value, dict):
        return {key: exhaust(item) for key, item in value.items()}
    if isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
        return value
    return [exhaust(item) for item in value]


def compose(model: str = "claude-haiku-4-5", **value: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """OpenAI request → Anthropic request, valid for the official client, and the deviations."""
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9, **value}
    request = openai_chat.parse(json.dumps(body).encode(), "r")
    found, deviations = to_anthropic(conversation(request), model, None)
    sent: dict[str, Any] = json.loads(msgspec.json.encode(found))
    exhaust(_official.validate_python(sent))
    return sent, deviations


def turns(*messages: dict[str, Any]) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    sent, deviations = compose(messages=list(messages))
    return sent["messages"], deviations


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def call(call_id: str, arguments: str = "{}") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": "f", "arguments": arguments}}


def refused(**value: Any) -> BadRequestError:
    with pytest.raises(BadRequestError) as caught:
        compose(**value)
    assert caught.value.code == "unsupported"
    return caught.value


def test_the_shared_settings() -> None:
    sent, deviations = compose(
        temperature=0.5, top_p=0.9, top_k=5, stop=["a", "b"], user="u1", max_tokens=7, max_completion_tokens=8
    )
    assert sent == {
        "model": "claude-haiku-4-5",
        "max_tokens": 8,
        "messages": [{"role": "user", "content": [text("hi")]}],
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 5,
        "stop_sequences": ["a", "b"],
        "metadata": {"user_id": "u1"},
    }
    assert deviations == ()


def test_max_tokens_is_mandatory_so_a_default_is_shown() -> None:
    sent, deviations = compose(max_tokens=None)
    assert sent["max_tokens"] == 4096
    assert deviations == ("default:max_tokens=4096",)
    request = openai_chat.parse(b'{"model":"m","messages":[{"role":"user","content":"x"}]}', "r")
    assert to_anthropic(conversation(request), "c", 64_000)[0]["max_tokens"] == 64_000


@pytest.mark.parametrize(
    ("value", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 3}, "logprobs"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"response_format": {"type": "grammar", "grammar": "x"}}, "response_format"),
        ({"temperature": 1.5}, "temperature"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"tools": [{"type": "custom", "custom": {"name": "c"}}]}, "tools"),
        (
            {
                "tools": [{"type": "function", "function": {"name": "f"}}],
                "tool_choice": {"type": "allowed_tools", "allowed_tools": {}},
            },
            "tool_choice",
        ),
        ({"audio": {"voice": "x"}}, "audio"),
        ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}]}, "messages"),
        ({"messages": [{"role": "assistant", "tool_calls": [call("c", "not json")]}]}, "messages"),
        ({"messages": [{"role": "assistant", "tool_calls": [call("c", "[1]")]}]}, "messages"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]}
                ]
            },
            "messages",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "later"}]}]}, "messages"),
    ],
)
def test_what_may_not_get_lost_is_refused(value: dict[str, Any], param: str) -> None:
    error = refused(**value)
    assert error.param == param
    assert error.hint


def test_what_only_shapes_sampling_is_dropped_and_shown() -> None:
    sent, deviations = compose(
        seed=1, presence_penalty=0.1, frequency_penalty=0.2, logit_bias={"1": 2}, store=True, metadata={}, n=1
    )
    assert sent.keys() == {"model", "max_tokens", "messages"}
    assert set(deviations) == {
        "dropped:seed",
        "dropped:presence_penalty",
        "dropped:frequency_penalty",
        "dropped:logit_bias",
        "dropped:store",
    }


@pytest.mark.parametrize(
    ("model", "kept"),
    [
        ("claude-haiku-4-5-20251001", True),
        ("claude-sonnet-4-6", True),
        ("claude-opus-4-20250514", True),
        ("claude-3-5-haiku-20241022", True),
        ("claude-opus-4-7", False),
        ("claude-sonnet-5", False),
        ("claude-haiku-5-5", False),
        ("claude-fable-5-1", False),
        ("claude-mythos-preview", False),
        ("anthropic.claude-opus-5-v1:0", False),
    ],
)
def test_newer_models_refuse_sampling_parameters(model: str, kept: bool) -> None:
    sent, deviations = compose(model, temperature=0.5, top_p=0.5)
    assert ("temperature" in sent) is kept
    assert deviations == (() if kept else ("dropped:temperature", "dropped:top_p"))


def test_effort() -> None:
    sent, deviations = compose("claude-sonnet-5-5", reasoning_effort="minimal")
    assert (sent["output_config"], sent["thinking"]) == ({"effort": "low"}, {"type": "adaptive"})
    assert deviations == ()
    sent, deviations = compose("claude-haiku-4-5", reasoning_effort="high")
    assert "output_config" not in sent
    assert deviations == ("dropped:reasoning_effort",)
    assert compose("claude-sonnet-5-5", reasoning_effort="none")[1] == ("dropped:reasoning_effort",)


def test_anthropics_own_members_travel() -> None:
    thinking = {"type": "enabled", "budget_tokens": 2000}
    sent, deviations = compose(thinking=thinking, cache_control={"type": "ephemeral"})
    assert sent["thinking"] == thinking
    assert sent["cache_control"] == {"type": "ephemeral"}
    assert deviations == ()


def test_schema() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": True, "description": "d"}}
    sent, deviations = compose(
        "claude-sonnet-5-5", response_format=form, reasoning_effort="low", output_config={"effort": "max"}
    )
    assert sent["output_config"] == {"effort": "low", "format": {"type": "json_schema", "schema": schema}}
    assert deviations == ("dropped:response_format.description",)
    assert "output_config" not in compose(response_format={"type": "text"})[0]


def test_tools() -> None:
    sent, deviations = compose(
        tools=[
            {
                "type": "function",
                "function": {"name": "f", "description": "d", "parameters": {"properties": {}}, "strict": True},
                "cache_control": {"type": "ephemeral"},
            },
            {"type": "function", "function": {"name": "g"}},
        ],
        parallel_tool_calls=False,
    )
    assert sent["tools"] == [
        {
            "name": "f",
            "description": "d",
            "input_schema": {"type": "object", "properties": {}},
            "strict": True,
            "cache_control": {"type": "ephemeral"},
        },
        {"name": "g", "input_schema": {"type": "object", "properties": {}}},
    ]
    assert sent["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert deviations == ()


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ({"type": "function", "function": {"name": "f"}}, {"type": "tool", "name": "f"}),
    ],
)
def test_tool_choice(choice: object, sent: object) -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    assert compose(tools=tools, tool_choice=choice)[0]["tool_choice"] == sent
    assert "tool_choice" not in compose(tool_choice="none")[0]


def test_system_messages_stand_at_the_top() -> None:
    sent, deviations = compose(
        messages=[
            {"role": "system", "content": "one"},
            {"role": "developer", "content": [{"type": "text", "text": "two", "cache_control": {"type": "ephemeral"}}]},
            {"role": "user", "content": "hi"},
        ]
    )
    assert sent["system"] == [text("one"), {**text("two"), "cache_control": {"type": "ephemeral"}}]
    assert deviations == ()
    sent, deviations = compose(messages=[{"role": "user", "content": "hi"}, {"role": "system", "content": "late"}])
    assert sent["system"] == [text("late")]
    assert deviations == ("moved:system",)
    sent, deviations = compose(messages=[{"role": "system", "content": "only"}])
    assert sent["messages"] == [{"role": "user", "content": [text("only")]}]
    assert deviations == ("moved:system",)


def test_tool_results_come_first_and_all_in_one_message() -> None:
    found, deviations = turns(
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "", "tool_calls": [call("a", ' {"x": 1} '), call("b", "")]},
        {"role": "user", "content": "wait"},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": ""},
        {"role": "user", "content": "and?"},
    )
    assert found == [
        {"role": "user", "content": [text("hi")]},
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
                {"type": "tool_use", "id": "b", "name": "f", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": [text("1")]},
                {"type": "tool_result", "tool_use_id": "b"},
                text("wait"),
                text("and?"),
            ],
        },
    ]
    assert deviations == ()


def test_ids_of_other_systems_are_made_acceptable_alike() -> None:
    found, _ = turns(
        {"role": "assistant", "tool_calls": [call("functions.f:0")]},
        {"role": "tool", "tool_call_id": "functions.f:0", "content": "1"},
    )
    assert found[0]["content"][0]["id"] == found[1]["content"][0]["tool_use_id"] == "functions_f_0"


def test_empty_text_is_left_out_and_roles_are_merged() -> None:
    found, _ = turns(
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": " "},
        {"role": "user", "content": [text(""), text("b")]},
        {"role": "assistant", "content": "c"},
        {"role": "assistant", "content": [text("d"), {"type": "refusal", "refusal": "no"}]},
    )
    assert [(turn["role"], [block["text"] for block in turn["content"]]) for turn in found] == [
        ("user", ["a"]),
        ("user", ["b"]),
        ("assistant", ["c", "d", "no"]),
    ]


def test_a_prefill_is_trimmed() -> None:
    found, deviations = turns({"role": "user", "content": "a"}, {"role": "assistant", "content": "Sure: \n"})
    assert found[-1]["content"] == [text("Sure:")]
    assert deviations == ("trimmed:prefill",)


def test_media() -> None:
    found, deviations = turns(
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
                {
                    "type": "image_url",
                    "image_url": {"url": "https://example.org/a.png"},
                    "cache_control": {"type": "ephemeral"},
                },
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "a.pdf"}},
            ],
        }
    )
    assert found[0]["content"] == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        {
            "type": "image",
            "source": {"type": "url", "url": "https://example.org/a.png"},
            "cache_control": {"type": "ephemeral"},
        },
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
            "title": "a.pdf",
        },
    ]
    assert deviations == ("dropped:detail",)


def test_a_mark_on_a_message_marks_its_last_block() -> None:
    mark = {"type": "ephemeral", "ttl": "1h"}
    found, deviations = turns({"role": "user", "content": "long", "cache_control": mark})
    assert found[0]["content"] == [{**text("long"), "cache_control": mark}]
    assert deviations == ()


def test_unsigned_reasoning_is_dropped_and_shown() -> None:
    found, deviations = turns(
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "reasoning_content": "hm", "annotations": []},
        {"role": "user", "content": "c", "name": "ann"},
    )
    assert found[1]["content"] == [text("b")]
    assert set(deviations) == {"dropped:reasoning", "dropped:name"}
