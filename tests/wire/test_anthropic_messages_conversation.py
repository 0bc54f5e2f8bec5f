import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.conversation import Media, Opaque, Reasoning, Text, ToolCall, ToolResult
from nearfar.core.errors import BadRequestError
from nearfar.wire.anthropic_messages_compose import to_anthropic
from nearfar.wire.anthropic_messages_conversation import from_anthropic

words = st.text("abc 中", min_size=1, max_size=5).map(lambda text: text + ".")
mark = st.sampled_from([{}, {"cache_control": {"type": "ephemeral"}}])


def marked(block: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(block, mark).map(lambda pair: {**pair[0], **pair[1]})


text = marked(words.map(lambda value: {"type": "text", "text": value}))
media = marked(
    st.sampled_from(
        [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
            {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
            {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
            {
                "type": "document",
                "title": "t",
                "citations": {"enabled": True},
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
            },
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain"}},
        ]
    )
)
result = marked(
    st.tuples(st.lists(st.one_of(text, media), min_size=1, max_size=2), st.booleans()).map(
        lambda pair: {
            "type": "tool_result",
            "tool_use_id": "toolu_1",
            "content": pair[0],
            **({"is_error": True} if pair[1] else {}),
        }
    )
)
said = st.one_of(
    text,
    marked(words.map(lambda name: {"type": "tool_use", "id": "toolu_1", "name": name, "input": {"x": [1, 2.5, None]}})),
    words.map(lambda value: {"type": "thinking", "thinking": value, "signature": "sig" + value}),
    st.just({"type": "thinking", "thinking": "", "signature": "sig"}),
    words.map(lambda value: {"type": "redacted_thinking", "data": value}),
    st.just({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}}),
)
turn = st.tuples(
    st.tuples(st.lists(result, max_size=2), st.lists(st.one_of(text, media), min_size=1, max_size=2)).map(
        lambda pair: {"role": "user", "content": pair[0] + pair[1]}
    ),
    st.lists(said, min_size=1, max_size=4).map(lambda blocks: {"role": "assistant", "content": blocks}),
)
tool = st.one_of(
    marked(st.just({"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {"a": {}}}})),
    st.just({"name": "g", "input_schema": {"type": "object"}, "strict": True}),
)
request = st.fixed_dictionaries(
    {
        "model": st.just("claude-haiku-4-5"),
        "max_tokens": st.integers(1, 99),
        "messages": st.lists(turn, min_size=1, max_size=2).map(lambda pairs: [turn for pair in pairs for turn in pair]),
        "tools": st.lists(tool, min_size=1, max_size=2),
    },
    optional={
        "system": st.lists(text, min_size=1, max_size=2),
        "temperature": st.floats(0, 1),
        "top_p": st.floats(0, 1),
        "top_k": st.integers(0, 9),
        "stop_sequences": st.lists(words, min_size=1, max_size=2),
        "metadata": words.map(lambda user: {"user_id": user}),
        "tool_choice": st.sampled_from(
            [
                {"type": "auto"},
                {"type": "any", "disable_parallel_tool_use": True},
                {"type": "tool", "name": "f"},
                {"type": "none"},
            ]
        ),
        "thinking": st.just({"type": "enabled", "budget_tokens": 1024}),
        "output_config": st.just({"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}}),
    },
)


@given(request)
def test_a_round_trip_loses_nothing(value: dict[str, Any]) -> None:
    again, deviations = to_anthropic(from_anthropic(json.dumps(value).encode()), "claude-haiku-4-5", None)
    assert json.loads(msgspec.json.encode(again)) == value
    assert deviations == ()


def test_every_kind_of_block_is_told_apart() -> None:
    user = [
        {"type": "tool_result", "tool_use_id": "a", "content": "42", "is_error": True},
        {"type": "text", "text": "t"},
        {"type": "image", "source": {"type": "url", "url": "u"}},
        {"type": "later"},
    ]
    assistant = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
    ]
    body = {
        "system": "be kind",
        "messages": [
            {"role": "user", "content": user},
            {"role": "assistant", "content": assistant},
            {"role": "user", "content": "plain"},
        ],
        "max_tokens": 5,
    }
    found = from_anthropic(json.dumps(body).encode())
    assert [message.role for message in found.messages] == ["system", "user", "assistant", "user"]
    assert [type(block) for block in found.messages[1].blocks] == [ToolResult, Text, Media, Opaque]
    first = found.messages[1].blocks[0]
    assert first == ToolResult(id="a", content=[Text(text="42")], error=True)
    assert found.messages[2].blocks == [
        Reasoning(text="hm", signature="s", vendor="anthropic"),
        ToolCall(id="a", name="f", arguments='{"x": 1}'),
    ]
    assert found.settings.max_output == 5


@pytest.mark.parametrize(
    ("value", "param"),
    [
        ({}, "body.messages"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages[0].content[0].type"),
        ({"messages": [], "max_tokens": "many"}, "max_tokens"),
        ({"messages": [], "system": 5}, "system"),
        ({"messages": [], "tools": [{"name": 5, "input_schema": {}}]}, "tools[0].name"),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "tool_result",
                                "tool_use_id": "a",
                                "content": [{"type": "thinking", "thinking": "", "signature": ""}],
                            }
                        ],
                    }
                ]
            },
            "messages[0].content[0].content",
        ),
    ],
)
def test_wrong_types_name_their_place(value: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        from_anthropic(json.dumps(value).encode())
    assert caught.value.param == param
