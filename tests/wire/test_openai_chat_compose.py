"""Conversations that did not come in OpenAI's shape; those that did are in test_openai_chat_conversation."""

import json
from typing import Any

import msgspec
from openai.types.chat import ChatCompletionMessageParam
from pydantic import TypeAdapter

from nearfar.core.conversation import (
    Conversation,
    Media,
    Message,
    Reasoning,
    Refusal,
    Settings,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from nearfar.wire.anthropic_messages_conversation import from_anthropic
from nearfar.wire.openai_chat_compose import members

_official: TypeAdapter[Any] = TypeAdapter(ChatCompletionMessageParam)


def compose(conversation: Conversation) -> dict[str, Any]:
    value: dict[str, Any] = {name: json.loads(bytes(raw)) for name, raw in members(conversation).items()}
    for message in value["messages"]:
        _official.validate_python(message)
    return value


def messages(*items: Message) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = compose(Conversation(messages=list(items)))["messages"]
    return found


def test_one_text_is_a_string_and_more_are_parts() -> None:
    assert messages(Message(role="user", blocks=[Text(text="a")])) == [{"role": "user", "content": "a"}]
    [message] = messages(Message(role="user", blocks=[Text(text="a"), Text(text="b")]))
    assert message["content"] == [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    marked = Text(text="a", extra={"cache_control": msgspec.Raw(b'{"type":"ephemeral"}')})
    [message] = messages(Message(role="user", blocks=[marked]))
    assert message["content"] == [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]


def test_tool_results_become_messages_of_their_own() -> None:
    found = messages(
        Message(role="assistant", blocks=[ToolCall(id="a", name="f"), ToolCall(id="b", name="g", arguments='{"x":1}')]),
        Message(
            role="user",
            blocks=[
                ToolResult(id="a", content=[Text(text="1")]),
                ToolResult(id="b", content=[Text(text="2"), Text(text="3")]),
                Text(text="and?"),
            ],
        ),
    )
    assert [message["role"] for message in found] == ["assistant", "tool", "tool", "user"]
    assert found[0]["tool_calls"][1] == {
        "id": "b",
        "type": "function",
        "function": {"name": "g", "arguments": '{"x":1}'},
    }
    assert found[1] == {"role": "tool", "tool_call_id": "a", "content": "1"}
    assert [part["text"] for part in found[2]["content"]] == ["2", "3"]
    assert found[3] == {"role": "user", "content": "and?"}


def test_media() -> None:
    [message] = messages(
        Message(
            role="user",
            blocks=[
                Media(kind="image", url="https://example.org/a.png"),
                Media(kind="image", mime="image/png", data="AAAA"),
                Media(kind="audio", mime="audio/wav", data="BBBB"),
                Media(kind="document", mime="application/pdf", data="CCCC"),
            ],
        )
    )
    assert message["content"] == [
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "input_audio", "input_audio": {"data": "BBBB", "format": "wav"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,CCCC"}},
    ]


def test_reasoning_and_refusals() -> None:
    [message] = messages(
        Message(
            role="assistant",
            blocks=[
                Reasoning(text="plain"),
                Reasoning(text=" thoughts"),
                Reasoning(text="signed", signature="s", vendor="anthropic"),
                Refusal(text="no"),
            ],
        )
    )
    assert message == {
        "role": "assistant",
        "refusal": "no",
        "thinking_blocks": [{"type": "thinking", "thinking": "signed", "signature": "s"}],
        "reasoning_content": "plain thoughts",
    }


def test_settings_take_openais_names() -> None:
    value = compose(
        Conversation(
            messages=[Message(role="user", blocks=[Text(text="a")])],
            tools=[Tool(name="f", description="d", schema=msgspec.Raw(b'{"type":"object"}'), strict=True)],
            settings=Settings(
                max_output=5,
                stop=["a"],
                tool_choice="tool:f",
                parallel_tools=False,
                choices=2,
                json_schema=msgspec.Raw(b"{}"),
                json_schema_name="n",
            ),
        )
    )
    del value["messages"]
    assert value == {
        "max_completion_tokens": 5,
        "stop": ["a"],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
        "n": 2,
        "response_format": {"type": "json_schema", "json_schema": {"schema": {}, "name": "n"}},
        "tools": [
            {
                "type": "function",
                "function": {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True},
            }
        ],
    }


def test_a_request_in_anthropics_shape_reads_well_in_openais() -> None:
    body = {
        "max_tokens": 9,
        "system": "be kind",
        "messages": [
            {"role": "user", "content": "hi"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "s"},
                    {"type": "text", "text": "let me see"},
                    {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
                ],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "42"}]},
        ],
    }
    assert compose(from_anthropic(json.dumps(body).encode()))["messages"] == [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": "let me see",
            "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}],
            "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}],
        },
        {"role": "tool", "tool_call_id": "a", "content": "42"},
    ]
