"""OpenAI requests as Converse requests: each one passes botocore's validator, patterns and serialiser."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import aws
from tests.aws import BEDROCK

from nearfar.core.errors import BadRequestError
from nearfar.wire import openai_chat
from nearfar.wire.bedrock_converse import model_path
from nearfar.wire.bedrock_converse_compose import EMPTY, to_converse
from nearfar.wire.openai_chat_conversation import conversation

CLAUDE = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
NEWEST = "global.anthropic.claude-sonnet-5-5"
NOVA = "us.amazon.nova-lite-v1:0"
CONVERSE = aws.operation(BEDROCK, "Converse")
PNG = "iVBORw0KGgo="
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def compose(model: str = CLAUDE, **value: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """OpenAI request → what is sent, as botocore would send the same, and the deviations."""
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **value}
    request = openai_chat.parse(json.dumps(body).encode(), "r")
    found, deviations = to_converse(conversation(request), model)
    sent: dict[str, Any] = json.loads(msgspec.json.encode(found))
    theirs = aws.request(BEDROCK, "Converse", {**aws.params(CONVERSE.input_shape, sent), "modelId": model})
    assert json.loads(theirs["body"]) == sent
    assert theirs["url_path"] == model_path(model, "converse")
    alternate(sent["messages"])
    return sent, deviations


def alternate(messages: list[dict[str, Any]]) -> None:
    """What the service model does not say: strict turns, the first the user's, no blank text, results first."""
    assert [message["role"] for message in messages] == ["user", "assistant"] * (len(messages) // 2) + ["user"] * (
        len(messages) % 2
    )
    for message in messages:
        assert message["content"]
        kinds = ["toolResult" in block for block in message["content"] if "cachePoint" not in block]
        assert kinds == sorted(kinds, reverse=True)
    for text in texts(messages):
        assert text.strip()


def texts(value: Any) -> list[str]:
    if isinstance(value, list):
        return [text for item in value for text in texts(item)]
    if isinstance(value, dict):
        own = [value["text"]] if isinstance(value.get("text"), str) else []
        return own + [text for item in value.values() for text in texts(item)]
    return []


def turns(*messages: dict[str, Any], **value: Any) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    sent, deviations = compose(messages=list(messages), **value)
    return sent["messages"], deviations


def call(call_id: str, arguments: str = "{}", name: str = "f") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def user(content: Any = "hi") -> dict[str, Any]:
    return {"role": "user", "content": content}


def test_the_shared_settings() -> None:
    sent, deviations = compose(
        temperature=0.5, top_p=0.9, stop=["a", " "], max_tokens=7, tools=[TOOL], tool_choice="auto"
    )
    assert sent == {
        "messages": [{"role": "user", "content": [{"text": "hi"}]}],
        "inferenceConfig": {"maxTokens": 7, "temperature": 0.5, "topP": 0.9, "stopSequences": ["a"]},
        "toolConfig": {
            "tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}],
            "toolChoice": {"auto": {}},
        },
    }
    assert deviations == ("dropped:stop",)
    assert compose()[0].keys() == {"messages"}, "nothing is invented: Bedrock has its own defaults"


@pytest.mark.parametrize(
    ("value", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"response_format": {"type": "grammar", "grammar": "x"}}, "response_format"),
        ({"temperature": 1.5}, "temperature"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"tools": [{"type": "custom", "custom": {"name": "c"}}]}, "tools"),
        ({"tools": [{"type": "function", "function": {"name": "a.b"}}]}, "tools"),
        ({"tools": [TOOL], "tool_choice": {"type": "allowed_tools", "allowed_tools": {}}}, "tool_choice"),
        ({"audio": {"voice": "x"}}, "audio"),
        ({"additionalModelRequestFields": {"container": "x"}}, "additionalModelRequestFields"),
        ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}]}, "messages"),
        ({"messages": [{"role": "assistant", "tool_calls": [call("c", "not json")]}], "tools": [TOOL]}, "messages"),
        ({"messages": [user([{"type": "image_url", "image_url": {"url": "https://x/y.png"}}])]}, "messages"),
        ({"messages": [user([{"type": "image_url", "image_url": {"url": "data:image/bmp;base64,AA=="}}])]}, "messages"),
        ({"messages": [user([{"type": "later"}])]}, "messages"),
    ],
)
def test_what_may_not_get_lost_is_refused(value: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        compose(**value)
    assert (caught.value.code, caught.value.param) == ("unsupported", param)
    assert caught.value.hint


def test_what_only_shapes_sampling_is_dropped_and_shown() -> None:
    sent, deviations = compose(
        seed=1,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        user="u",
        store=True,
        parallel_tool_calls=False,
        tools=[TOOL],
    )
    assert sent.keys() == {"messages", "toolConfig"}
    assert set(deviations) == {
        f"dropped:{name}"
        for name in ("seed", "presence_penalty", "frequency_penalty", "user", "store", "parallel_tool_calls")
    }


@pytest.mark.parametrize(
    ("model", "expected", "dropped"),
    [
        (CLAUDE, {"top_k": 5}, False),
        (NOVA, {"inferenceConfig": {"topK": 5}}, False),
        ("mistral.mistral-large-2407-v1:0", {"top_k": 5}, False),
        ("cohere.command-r-v1:0", {"k": 5}, False),
        ("meta.llama3-3-70b-instruct-v1:0", None, True),
        (NEWEST, None, True),
    ],
)
def test_top_k_goes_where_the_family_has_it(model: str, expected: object, dropped: bool) -> None:
    sent, deviations = compose(model, top_k=5)
    assert sent.get("additionalModelRequestFields") == expected
    assert ("dropped:top_k" in deviations) == dropped


def test_the_newest_claude_refuses_sampling_so_it_is_dropped() -> None:
    sent, deviations = compose(NEWEST, temperature=0.3, top_p=0.5)
    assert "inferenceConfig" not in sent
    assert deviations == ("dropped:temperature", "dropped:top_p")


def test_reasoning_effort_goes_where_the_family_has_it() -> None:
    sent, _ = compose(NEWEST, reasoning_effort="high")
    assert sent["outputConfig"] == {"effort": "high"}
    assert sent["additionalModelRequestFields"] == {"thinking": {"type": "adaptive"}}
    sent, _ = compose(NEWEST, reasoning_effort="low", thinking={"type": "enabled", "budget_tokens": 2000})
    assert sent["additionalModelRequestFields"]["thinking"]["budget_tokens"] == 2000
    sent, _ = compose("openai.gpt-oss-120b-1:0", reasoning_effort="low")
    assert sent["additionalModelRequestFields"] == {"reasoning_effort": "low"}
    assert compose(CLAUDE, reasoning_effort="low")[1] == compose(NOVA, reasoning_effort="low")[1]
    assert compose(NOVA, reasoning_effort="low")[1] == ("dropped:reasoning_effort",)


def test_a_schema_is_sent_as_text() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    shape = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": True}}
    sent, deviations = compose(response_format=shape)
    inner = sent["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
    assert (inner["name"], json.loads(inner["schema"])) == ("n", schema)
    assert deviations == ()


def test_own_members_travel_under_their_name() -> None:
    own: dict[str, Any] = {
        "guardrailConfig": {"guardrailIdentifier": "abc", "guardrailVersion": "1"},
        "performanceConfig": {"latency": "optimized"},
        "requestMetadata": {"team": "a"},
        "serviceTier": {"type": "flex"},
    }
    sent, deviations = compose(**own)
    assert {name: sent[name] for name in own} == own
    assert deviations == ()


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("required", {"any": {}}),
        ("auto", {"auto": {}}),
        ({"type": "function", "function": {"name": "f"}}, {"tool": {"name": "f"}}),
    ],
)
def test_tool_choice(choice: object, expected: object) -> None:
    assert compose(tools=[TOOL], tool_choice=choice)[0]["toolConfig"]["toolChoice"] == expected


HISTORY = [
    user("weather?"),
    {"role": "assistant", "content": "I look.", "tool_calls": [call("c1", '{"a":1}'), call("c2")]},
    {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
    {"role": "tool", "tool_call_id": "c2", "content": " "},
    user("and now?"),
]


def test_results_of_one_turn_stand_first_in_one_message_and_are_never_blank() -> None:
    messages, deviations = turns(*HISTORY, tools=[TOOL])
    assert messages[1]["content"] == [
        {"text": "I look."},
        {"toolUse": {"toolUseId": "c1", "name": "f", "input": {"a": 1}}},
        {"toolUse": {"toolUseId": "c2", "name": "f", "input": {}}},
    ]
    assert messages[2]["content"] == [
        {"toolResult": {"toolUseId": "c1", "content": [{"text": "sunny"}]}},
        {"toolResult": {"toolUseId": "c2", "content": [{"text": EMPTY}]}},
        {"text": "and now?"},
    ]
    assert deviations == ("added:tool_result",)


@pytest.mark.parametrize("value", [{}, {"tools": [TOOL], "tool_choice": "none"}])
def test_without_tools_their_history_is_told_as_text(value: dict[str, Any]) -> None:
    """Bedrock wants toolConfig whenever the history has calls, and has no "none": a model that is offered no tool may
    not call one."""
    sent, deviations = compose(messages=HISTORY, **value)
    assert "toolConfig" not in sent
    assert not any("toolUse" in block or "toolResult" in block for m in sent["messages"] for block in m["content"])
    assert "sunny" in texts(sent)
    assert "adapted:tool_history" in deviations
    assert ("dropped:tools" in deviations) == bool(value)


def test_ids_of_calls_are_made_to_fit_and_stay_the_same() -> None:
    long = "call|" + "x" * 90
    messages, _ = turns(
        user(),
        {"role": "assistant", "tool_calls": [call(long)]},
        {"role": "tool", "tool_call_id": long, "content": "a"},
        tools=[TOOL],
    )
    used = messages[1]["content"][0]["toolUse"]["toolUseId"]
    assert used == messages[2]["content"][0]["toolResult"]["toolUseId"]


def test_turns_alternate_and_begin_with_the_user() -> None:
    messages, deviations = turns(
        {"role": "assistant", "content": "Hello."}, user("a"), user("b"), {"role": "assistant", "content": "c \n"}
    )
    assert [message["role"] for message in messages] == ["user", "assistant", "user", "assistant"]
    assert messages[2]["content"] == [{"text": "a"}, {"text": "b"}]
    assert messages[3]["content"] == [{"text": "c"}]
    assert deviations == ("added:user_turn", "trimmed:prefill")


def test_system_goes_to_the_top() -> None:
    sent, deviations = compose(
        messages=[{"role": "system", "content": "s"}, user(), {"role": "developer", "content": "d"}, user(" ")]
    )
    assert sent["system"] == [{"text": "s"}, {"text": "d"}]
    assert deviations == ("moved:system",)
    sent, deviations = compose(messages=[{"role": "system", "content": "s"}])
    assert sent == {"messages": [{"role": "user", "content": [{"text": "s"}]}]}
    assert deviations == ("moved:system",)
    sent, deviations = compose(messages=[user("  ")])
    assert sent["messages"] == [{"role": "user", "content": [{"text": EMPTY}]}]
    assert deviations == ("added:user_turn",)


def test_cache_marks_become_cache_points_behind_their_block() -> None:
    mark = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    point = {"cachePoint": {"type": "default", "ttl": "1h"}}
    sent, deviations = compose(
        messages=[
            {"role": "system", "content": [{"type": "text", "text": "s", **mark}]},
            user([{"type": "text", "text": "a", **mark}, {"type": "text", "text": "b"}]),
            {"role": "assistant", "content": None, "tool_calls": [call("c")]},
            {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "r", **mark}]},
        ],
        tools=[{**TOOL, **mark}],
    )
    assert sent["system"] == [{"text": "s"}, point]
    assert sent["messages"][0]["content"] == [{"text": "a"}, point, {"text": "b"}]
    assert sent["messages"][2]["content"][1] == point
    assert sent["toolConfig"]["tools"][1] == point
    assert deviations == ()


def test_signed_reasoning_goes_back_to_claude_alone() -> None:
    thoughts = [
        {"type": "thinking", "thinking": "t", "signature": "s"},
        {"type": "redacted_thinking", "data": "cmVk"},
    ]
    history = [user(), {"role": "assistant", "content": "x", "thinking_blocks": thoughts}, user()]
    messages, deviations = turns(*history)
    assert messages[1]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "t", "signature": "s"}}},
        {"reasoningContent": {"redactedContent": "cmVk"}},
        {"text": "x"},
    ]
    assert deviations == ()
    assert compose(NOVA, messages=history)[1] == ("dropped:reasoning",)
    assert turns(user(), {"role": "assistant", "content": "x", "reasoning_content": "t"})[1] == ("dropped:reasoning",)


def test_media_of_every_kind() -> None:
    messages, deviations = turns(
        user(
            [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"}},
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERg==", "filename": "a_b.pdf"}},
                {"type": "file", "file": {"file_data": "data:text/plain;base64,aGk=", "filename": "a b.txt"}},
            ]
        )
    )
    assert messages[0]["content"] == [
        {"text": "look"},
        {"image": {"format": "png", "source": {"bytes": PNG}}},
        {"audio": {"format": "wav", "source": {"bytes": "AAAA"}}},
        {"document": {"format": "pdf", "name": "a b", "source": {"bytes": "JVBERg=="}}},
        {"document": {"format": "txt", "name": "a b 2", "source": {"bytes": "aGk="}}},
    ]
    assert deviations == ("dropped:detail", "adapted:filename")


parts = st.sampled_from(
    [
        user("hi"),
        user(" "),
        user([{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}]),
        {"role": "system", "content": "s"},
        {"role": "assistant", "content": "ok "},
        {"role": "assistant", "content": ""},
        {"role": "assistant", "content": None, "tool_calls": [call("a"), call("b")]},
        {"role": "tool", "tool_call_id": "a", "content": ""},
        {"role": "tool", "tool_call_id": "b", "content": "r"},
    ]
)


@given(messages=st.lists(parts, min_size=1, max_size=8), tools=st.booleans())
def test_any_conversation_is_one_that_bedrock_takes(messages: list[dict[str, Any]], tools: bool) -> None:
    offered: dict[str, Any] = {"tools": [TOOL]} if tools else {}
    sent, _ = compose(messages=messages, **offered)
    calls = any("toolUse" in block for message in sent["messages"] for block in message["content"])
    assert not calls or "toolConfig" in sent
