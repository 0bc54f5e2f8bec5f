import json
from typing import Any

import msgspec
import pytest

from nearfar.core.chat import Request
from nearfar.core.conversation import (
    Conversation,
    Media,
    Message,
    Opaque,
    Reasoning,
    Refusal,
    Settings,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from nearfar.core.errors import BadRequestError
from nearfar.core.places import Place
from nearfar.core.routing import Capability, Deployment
from nearfar.wire import openai_chat

THERE = Deployment(name="d", provider="p", model="there", wire="openai.chat", base_url="http://x/v1", place=Place.LAN)
MARK = {"cache_control": msgspec.Raw(b'{"type":"ephemeral"}')}


def ask(wire: str = "other.chat") -> Request:
    return Request(id="r", wire=wire, operation="chat", model="asked", body=b"{}", fields={}, stream=True)


def sent(conversation: Conversation, there: Deployment = THERE) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The body that goes out, and the deviations; the conversation stays as it was."""
    before = msgspec.json.encode(conversation)
    out = openai_chat.encode(ask(), there, conversation)
    assert msgspec.json.encode(conversation) == before
    return json.loads(out.body), out.deviations


def turn(*blocks: Any, role: str = "user", **more: Any) -> Conversation:
    return Conversation(messages=[Message(role=role, blocks=list(blocks), **more)])


def test_what_openai_has_a_name_for_stays() -> None:
    body, deviations = sent(
        Conversation(
            messages=[Message(role="user", blocks=[Text(text="hi")])],
            settings=Settings(max_output=5, temperature=0.5, stop=["a"], user="u", reasoning_effort="low"),
            extra={"logit_bias": msgspec.Raw(b'{"1":2}'), "reasoning_effort": msgspec.Raw(b'""')},
        )
    )
    assert body == {
        "model": "there",
        "messages": [{"role": "user", "content": "hi"}],
        "logit_bias": {"1": 2},
        "max_completion_tokens": 5,
        "temperature": 0.5,
        "stop": ["a"],
        "user": "u",
        "reasoning_effort": "low",
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert deviations == ()


def test_marks_and_members_of_others_are_dropped_and_told() -> None:
    conversation = turn(Text(text="hi", extra=MARK), extra={"strange": msgspec.Raw(b"1")})
    conversation.extra = {"context_management": msgspec.Raw(b'{"edits":[1]}'), "empty": msgspec.Raw(b"[]")}
    conversation.tools = [
        Tool(name="f", extra={"defer_loading": msgspec.Raw(b"true"), "type": msgspec.Raw(b'"custom"')})
    ]
    body, deviations = sent(conversation)
    assert body["messages"] == [{"role": "user", "content": "hi"}]
    assert body["tools"] == [{"type": "function", "function": {"name": "f"}}]
    assert set(deviations) == {
        "dropped:strange",
        "dropped:cache_control",
        "dropped:context_management",
        "dropped:defer_loading",
    }


def test_an_effort_that_was_read_from_another_member_stands_for_it() -> None:
    conversation = turn(Text(text="hi"))
    conversation.extra = {"thinking": msgspec.Raw(b'{"type":"enabled"}'), "reasoning_effort": msgspec.Raw(b'""')}
    conversation.settings = Settings(reasoning_effort="high")
    body, deviations = sent(conversation)
    assert (body["reasoning_effort"], deviations) == ("high", ("adapted:thinking",))
    cannot = msgspec.structs.replace(THERE, capabilities={"reasoning": Capability(can=False, source="declared")})
    body, deviations = sent(conversation, cannot)
    assert "reasoning_effort" not in body
    assert deviations == ("dropped:reasoning_effort", "dropped:thinking")


def test_reasoning_travels_only_where_it_is_in_words() -> None:
    body, deviations = sent(
        turn(Reasoning(text="so", vendor="x"), Text(text="a"), Reasoning(text="", signature=""), role="assistant")
    )
    assert body["messages"] == [{"role": "assistant", "content": "a", "reasoning_content": "so"}]
    assert deviations == ()
    body, deviations = sent(
        turn(Reasoning(text="so", signature="s"), Reasoning(redacted="r"), Text(text="a"), role="assistant")
    )
    assert body["messages"] == [{"role": "assistant", "content": "a"}]
    assert deviations == ("dropped:reasoning",)


def test_calls_and_results() -> None:
    image = Media(kind="image", mime="image/png", data="AAAA")
    body, deviations = sent(
        Conversation(
            messages=[
                Message(role="assistant", blocks=[ToolCall(id="c", name="f", arguments='{"a": 1}', extra=MARK)]),
                Message(
                    role="user",
                    blocks=[
                        ToolResult(id="c", content=[Text(text="seen"), image], error=True),
                        ToolResult(id="d", content=[]),
                        Text(text="go on"),
                    ],
                ),
            ]
        )
    )
    assert body["messages"] == [
        {
            "role": "assistant",
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "seen"},
        {"role": "tool", "tool_call_id": "d", "content": ""},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                {"type": "text", "text": "go on"},
            ],
        },
    ]
    assert deviations == ("dropped:cache_control", "dropped:is_error", "moved:media")


def test_documents_travel_inline_with_a_name() -> None:
    def pdf(**more: Any) -> Media:
        return Media(kind="document", mime="application/pdf", data="JVBERi0=", **more)

    body, deviations = sent(turn(pdf(extra={"title": msgspec.Raw(b'"a.pdf"'), **MARK}), pdf()))
    files = [part["file"] for part in body["messages"][0]["content"]]
    assert [file["filename"] for file in files] == ["a.pdf", "document.pdf"]
    assert {file["file_data"] for file in files} == {"data:application/pdf;base64,JVBERi0="}
    assert deviations == ("dropped:cache_control",)


def test_blocks_of_one_vendor_are_said_in_words_or_refused() -> None:
    raw = msgspec.Raw(b'{"type":"search_result"}')
    body, deviations = sent(turn(Opaque(vendor="x", raw=raw, text="in words"), Refusal(text="no", extra=MARK)))
    assert body["messages"] == [{"role": "user", "content": "in words", "refusal": "no"}]
    assert deviations == ("adapted:content", "dropped:cache_control")
    part = msgspec.Raw(b'{"type":"video_url","video_url":{}}')
    body, deviations = sent(turn(Opaque(vendor="openai.part", raw=part)))
    assert body["messages"][0]["content"] == [{"type": "video_url", "video_url": {}}]
    assert deviations == ()


def test_a_schema_gets_a_name_and_stays_a_promise() -> None:
    conversation = turn(Text(text="hi"))
    conversation.settings = Settings(json_schema=msgspec.Raw(b'{"type":"object"}'))
    body, _ = sent(conversation)
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"schema": {"type": "object"}, "name": "answer", "strict": True},
    }


@pytest.mark.parametrize(
    ("conversation", "param"),
    [
        (turn(Opaque(vendor="x", raw=msgspec.Raw(b'{"type":"later"}'))), "messages"),
        (turn(Media(kind="document", url="https://example.org/a.pdf")), "messages"),
        (Conversation(messages=[], tools=[Tool(name="", extra={"type": msgspec.Raw(b'"bash"')})]), "tools"),
    ],
)
def test_what_may_not_get_lost_is_refused(conversation: Conversation, param: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        sent(conversation)
    assert (caught.value.code, caught.value.param) == ("unsupported", param)


def test_a_conversation_of_the_same_dialect_is_left_alone() -> None:
    conversation = turn(Text(text="hi", extra=MARK))
    out = openai_chat.encode(ask("openai.chat"), THERE, conversation)
    assert b"cache_control" in out.body
    assert out.deviations == ()
