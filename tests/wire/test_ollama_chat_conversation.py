import base64
import json
from typing import Any

import msgspec
import pytest

from nearfar.core.conversation import Conversation, Media, Reasoning, Text, ToolCall, ToolResult
from nearfar.core.errors import BadRequestError
from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.wire import ollama_chat, openai_chat
from nearfar.wire.ollama_chat_conversation import conversation

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(20)).decode()
HELLO = [{"role": "user", "content": "hi"}]
THERE = Deployment(name="d", provider="p", model="gpt", wire="openai.chat", base_url="http://x", place=Place.CLOUD)


def read(**value: Any) -> Conversation:
    return conversation(ollama_chat.parse(json.dumps({"model": "m", "messages": HELLO, **value}).encode(), "r"))


def abroad(**value: Any) -> dict[str, Any]:
    """The same request as an OpenAI server gets it."""
    request = ollama_chat.parse(json.dumps({"model": "m", "messages": HELLO, **value}).encode(), "r")
    sent: dict[str, Any] = json.loads(openai_chat.encode(request, THERE, conversation(request)).body)
    return sent


def test_messages_and_settings_elsewhere() -> None:
    sent = abroad(
        messages=[{"role": "system", "content": "s"}, *HELLO],
        tools=[],
        stream=False,
        options={
            "num_predict": 5,
            "temperature": 0.5,
            "top_k": 4,
            "seed": 7,
            "stop": ["x"],
            "min_p": 0.1,
            "top_p": None,
        },
    )
    assert sent == {
        "model": "gpt",
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "hi"}],
        "max_completion_tokens": 5,
        "temperature": 0.5,
        "top_k": 4,
        "seed": 7,
        "stop": ["x"],
        "min_p": 0.1,
    }


def test_a_stream_elsewhere_asks_for_usage() -> None:
    sent = abroad()
    assert sent["stream"] is True
    assert sent["stream_options"] == {"include_usage": True}


def test_calls_get_ids_and_results_find_them() -> None:
    found = read(
        messages=[
            *HELLO,
            {
                "role": "assistant",
                "content": "",
                "thinking": "hm",
                "tool_calls": [
                    {"function": {"name": "f", "arguments": {"a": 1}}},
                    {"function": {"name": "g", "arguments": {}}},
                    {"function": {"name": "f", "arguments": '{"a":2}'}, "id": "mine"},
                ],
            },
            {"role": "tool", "tool_name": "g", "content": "G"},
            {"role": "tool", "tool_name": "f", "content": "F1"},
            {"role": "tool", "tool_call_id": "mine", "content": "F2"},
            {"role": "tool", "content": "nobody asked"},
        ]
    )
    assistant = found.messages[1]
    assert [type(block) for block in assistant.blocks] == [Reasoning, ToolCall, ToolCall, ToolCall]
    calls = [block for block in assistant.blocks if isinstance(block, ToolCall)]
    assert [(call.id, call.name, json.loads(call.arguments)) for call in calls] == [
        ("call_1", "f", {"a": 1}),
        ("call_2", "g", {}),
        ("mine", "f", {"a": 2}),
    ]
    results = [block for message in found.messages[2:] for block in message.blocks if isinstance(block, ToolResult)]
    assert [(result.id, result.name) for result in results] == [
        ("call_2", "g"),
        ("call_1", "f"),
        ("mine", "f"),
        ("call_0", ""),
    ]
    assert [block.text for result in results for block in result.content if isinstance(block, Text)] == [
        "G",
        "F1",
        "F2",
        "nobody asked",
    ]


def test_images_are_told_by_their_bytes() -> None:
    jpeg = base64.b64encode(b"\xff\xd8\xff" + bytes(9)).decode()
    found = read(
        messages=[{"role": "user", "content": "what?", "images": [PNG, f"data:image/jpeg;base64,{jpeg}", "AAAA"]}]
    )
    media = [block for block in found.messages[0].blocks if isinstance(block, Media)]
    assert [(block.mime, block.data) for block in media] == [
        ("image/png", PNG),
        ("image/jpeg", jpeg),
        ("application/octet-stream", "AAAA"),
    ]
    with pytest.raises(BadRequestError, match=r"messages\[0\].images\[0\] is not base64"):
        read(messages=[{"role": "user", "content": "what?", "images": ["no base64!"]}])


def test_tools_and_formats() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    tool = {"type": "function", "function": {"name": "f", "description": "d", "parameters": schema}}
    found = read(tools=[tool, {"function": {"name": "g", "parameters": None}}], format=schema)
    assert [(item.name, item.description) for item in found.tools] == [("f", "d"), ("g", "")]
    assert found.tools[0].schema is not None
    assert json.loads(bytes(found.tools[0].schema)) == schema
    assert found.tools[1].schema is None
    assert found.settings.json_schema is not None
    assert json.loads(bytes(found.settings.json_schema)) == schema
    assert abroad(format=schema)["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": schema, "strict": True},
    }
    assert read(format="json").settings.json_mode


@pytest.mark.parametrize(("think", "effort"), [(True, "medium"), (False, "none"), ("low", "low"), ("max", "high")])
def test_thinking_is_an_effort(think: object, effort: str) -> None:
    assert read(think=think).settings.reasoning_effort == effort


def test_what_has_no_place_elsewhere_is_told() -> None:
    found = read(
        keep_alive="5m",
        options={"num_ctx": 8192, "num_gpu": 1, "mirostat": 2, "seed": 1},
        messages=[{"role": "user", "content": "hi", "mood": "good", "empty": None}],
        surprise=1,
        nothing=None,
    )
    assert found.deviations == (
        "dropped:options.num_ctx",
        "dropped:options.num_gpu",
        "dropped:options.mirostat",
        "dropped:messages.mood",
        "dropped:keep_alive",
        "dropped:surprise",
    )
    assert found.extra == {}
    assert read(truncate=True, shift=False).deviations == (), "elsewhere no prompt is cut in silence"


def test_log_probabilities() -> None:
    settings = read(logprobs=True, top_logprobs=3).settings
    assert (settings.logprobs, settings.top_logprobs) == (True, 3)


def test_nothing_is_changed_in_the_request() -> None:
    request = ollama_chat.parse(json.dumps({"model": "m", "messages": HELLO, "tools": []}).encode(), "r")
    before = {name: bytes(raw) for name, raw in request.fields.items()}
    assert msgspec.json.encode(conversation(request)) == msgspec.json.encode(conversation(request))
    assert {name: bytes(raw) for name, raw in request.fields.items()} == before
