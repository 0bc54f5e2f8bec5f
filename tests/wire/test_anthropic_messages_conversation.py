import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.conversation import Conversation, Media, Opaque, Reasoning, Text, ToolCall, ToolResult
from nearfar.core.errors import BadRequestError
from nearfar.wire.anthropic_messages_compose import to_anthropic
from nearfar.wire.anthropic_messages_conversation import conversation, from_anthropic
from nearfar.wire.anthropic_messages_parse import parse

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
            {"type": "image", "source": {"type": "url", "url": "u", "later": 1}, "transformations": {"a": 1}},
            {"type": "search_result", "title": "t", "source": "s", "content": [{"type": "text", "text": "x"}]},
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
middle = st.lists(text, min_size=1, max_size=2).map(lambda blocks: [{"role": "system", "content": blocks}])
turn = st.tuples(
    st.tuples(st.lists(result, max_size=2), st.lists(st.one_of(text, media), min_size=1, max_size=2)).map(
        lambda pair: {"role": "user", "content": pair[0] + pair[1]}
    ),
    st.lists(said, min_size=1, max_size=4).map(lambda blocks: {"role": "assistant", "content": blocks}),
)
tool = st.one_of(
    marked(st.just({"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {"a": {}}}})),
    st.just({"name": "g", "input_schema": {"type": "object"}, "strict": True}),
    marked(st.just({"type": "bash_20250124", "name": "bash"})),
    st.just(
        {
            "name": "h",
            "input_schema": {"type": "object"},
            "defer_loading": True,
            "allowed_callers": ["direct"],
            "input_examples": [{"a": 1}],
        }
    ),
)
request = st.fixed_dictionaries(
    {
        "model": st.just("claude-haiku-4-5"),
        "max_tokens": st.integers(1, 99),
        "messages": st.lists(st.tuples(turn, st.one_of(st.just([]), middle)), min_size=1, max_size=2).map(
            lambda found: [item for pair, system in found for item in (*pair, *system)]
        ),
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
        "thinking": st.sampled_from(
            [
                {"type": "enabled", "budget_tokens": 1024, "display": "omitted"},
                {"type": "adaptive"},
                {"type": "disabled"},
                {"type": "between_tools"},
            ]
        ),
        "output_config": st.sampled_from(
            [
                {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
                {"effort": "max"},
                {"format": {"type": "json_schema", "schema": {"type": "object"}, "later": 1}, "later": [2]},
            ]
        ),
        "context_management": st.just({"edits": [{"type": "clear_tool_uses_20250919"}]}),
        "cache_control": st.just({"type": "ephemeral"}),
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


def of(**value: Any) -> Conversation:
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], **value}
    return conversation(parse(json.dumps(body).encode(), "r"))


def test_the_client_side_reads_the_same_as_the_body() -> None:
    body = json.dumps({"model": "m", "max_tokens": 9, "system": "s", "messages": [{"role": "user", "content": "hi"}]})
    request = parse(body.encode(), "r")
    before = list(request.fields)
    assert conversation(request) == from_anthropic(body.encode())
    assert list(request.fields) == before, "the request is left as it is"


def test_system_messages_keep_their_places() -> None:
    found = of(
        system=None,
        messages=[
            {"role": "user", "content": "a"},
            {"role": "system", "content": "mind this"},
            {"role": "assistant", "content": "b"},
        ],
    )
    assert [message.role for message in found.messages] == ["user", "system", "assistant"]
    sent, deviations = to_anthropic(found, "claude-haiku-4-5", None)
    assert [turn["role"] for turn in sent["messages"]] == ["user", "system", "assistant"]
    assert "system" not in sent
    assert deviations == ()


@pytest.mark.parametrize(
    ("value", "effort"),
    [
        ({}, None),
        ({"thinking": {"type": "adaptive"}}, None),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}, "low"),
        ({"output_config": {"effort": "max"}}, "high"),
        ({"output_config": {"effort": "later"}}, None),
        ({"output_config": {"effort": ["low"]}}, None),
        ({"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}}, "none"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 10000}}, "medium"),
        ({"thinking": {"type": "enabled", "budget_tokens": 32000}}, "high"),
        ({"thinking": None}, None),
    ],
)
def test_efforts_for_systems_without_budgets(value: dict[str, Any], effort: str | None) -> None:
    found = of(**value)
    assert found.settings.reasoning_effort == effort
    assert ("reasoning_effort" in found.extra) == (effort is not None)


def test_the_schema_under_either_name() -> None:
    form = {"type": "json_schema", "schema": {"type": "object"}}
    for found in (of(output_config={"format": form}), of(output_format=form)):
        assert found.settings.json_schema is not None
        assert json.loads(bytes(found.settings.json_schema)) == {"type": "object"}
        assert found.extra == {}
    with pytest.raises(BadRequestError, match="json_schema"):
        of(output_config={"format": {"type": "regex", "schema": "a"}})


def test_anthropics_own_tools_are_marked_as_such() -> None:
    own, usual = of(
        tools=[{"type": "bash_20250124", "name": "bash"}, {"type": "custom", "name": "f", "input_schema": {}}]
    ).tools
    assert (own.name, own.vendor, json.loads(bytes(own.extra["name"]))) == ("", "anthropic", "bash")
    assert (usual.name, usual.vendor, usual.extra) == ("f", "", {})


@pytest.mark.parametrize(
    ("block", "words"),
    [
        (
            {"type": "search_result", "title": "t", "source": "s", "content": [{"type": "text", "text": "a"}]},
            "t\ns\na",
        ),
        ({"type": "document", "title": "t", "source": {"type": "text", "data": "plain"}}, "t\nplain"),
        ({"type": "document", "source": {"type": "content", "content": "c"}, "context": "x"}, "x\nc"),
        ({"type": "document", "source": {"type": "content", "content": [{"type": "image", "source": {}}]}}, ""),
        ({"type": "document", "source": {"type": "text", "data": 7}}, ""),
        ({"type": "search_result", "title": 5, "source": "s", "content": "x"}, ""),
        ({"type": "tool_reference", "tool_name": "f"}, "f"),
        ({"type": "server_tool_use", "id": "a", "name": "web_search", "input": {}}, ""),
    ],
)
def test_blocks_that_can_be_said_in_words(block: dict[str, Any], words: str) -> None:
    [found] = of(messages=[{"role": "user", "content": [block]}]).messages[0].blocks
    assert isinstance(found, Opaque)
    assert (found.text, json.loads(bytes(found.raw))) == (words, block)


def test_thoughts_of_others_come_back_to_them() -> None:
    thoughts = [
        {"type": "thinking", "thinking": "a", "signature": "google:s/+="},
        {"type": "thinking", "thinking": "b", "signature": ""},
        {"type": "thinking", "thinking": "c"},
        {"type": "thinking", "thinking": "d", "signature": "EqQBCg=="},
    ]
    found = of(messages=[{"role": "assistant", "content": thoughts}]).messages[0].blocks
    assert found == [
        Reasoning(text="a", signature="s/+=", vendor="google"),
        Reasoning(text="b", vendor="anthropic"),
        Reasoning(text="c", vendor="anthropic"),
        Reasoning(text="d", signature="EqQBCg==", vendor="anthropic"),
    ]


def test_what_is_left_of_known_objects_is_not_lost_in_silence() -> None:
    found = of(metadata={"user_id": "u", "later": 1}, tool_choice={"type": "auto", "later": 2})
    assert found.settings.user == "u"
    assert {name: json.loads(bytes(raw)) for name, raw in found.extra.items()} == {
        "metadata": {"later": 1},
        "tool_choice": {"later": 2},
    }
