import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.examples import examples

from nearfar.core.conversation import Media, Opaque, Reasoning, Refusal, Text, ToolCall, ToolResult
from nearfar.core.errors import BadRequestError
from nearfar.wire import openai_chat
from nearfar.wire.openai_chat_compose import members
from nearfar.wire.openai_chat_conversation import conversation


def request_of(value: dict[str, Any]) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "hi"}], **value}


def through(value: dict[str, Any]) -> dict[str, Any]:
    """Request → Conversation → request, without what belongs to the Request itself."""
    request = openai_chat.parse(json.dumps(value).encode(), "r")
    return {name: json.loads(bytes(raw)) for name, raw in members(conversation(request)).items()}


def expected(value: dict[str, Any]) -> dict[str, Any]:
    return {name: item for name, item in value.items() if name not in {"model", "stream", "stream_options"}}


texts = st.text(st.characters(codec="utf-8"), max_size=8)
vendor = st.dictionaries(st.sampled_from(["cache_control", "x_vendor"]), st.just({"type": "ephemeral"}), max_size=2)


def with_vendor(base: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(base, vendor).map(lambda pair: {**pair[0], **pair[1]})


text_part = with_vendor(texts.map(lambda text: {"type": "text", "text": text}))
user_part = with_vendor(
    st.one_of(
        texts.map(lambda text: {"type": "text", "text": text}),
        st.sampled_from(
            [
                {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0="}},
                {"type": "image_url", "image_url": {"url": "data:image/svg+xml;charset=utf-8,%3Csvg"}},
                {"type": "image_url", "image_url": "data:image/png;base64,AAAA"},
                {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "a.pdf"}},
                {"type": "video_url", "video_url": {"url": "https://example.org/a.mp4"}},
                {"type": "future", "future": [1, {"a": None}]},
            ]
        ),
    )
)
content = st.one_of(texts, st.lists(user_part, max_size=3))
call = with_vendor(
    st.tuples(texts, texts, texts).map(
        lambda item: {"id": item[0], "type": "function", "function": {"name": item[1], "arguments": item[2]}}
    )
)
thinking = with_vendor(
    st.one_of(
        st.tuples(texts, texts).map(lambda t: {"type": "thinking", "thinking": t[0], "signature": "s" + t[1]}),
        texts.map(lambda text: {"type": "redacted_thinking", "data": "d" + text}),
        st.just({"type": "thinking", "thinking": "no signature"}),
    )
)


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


assistant = st.tuples(
    optional(
        content=st.one_of(st.none(), texts, st.lists(text_part, max_size=2)),
        refusal=st.one_of(st.none(), texts),
        tool_calls=st.one_of(
            st.none(), st.lists(st.one_of(call, st.just({"id": "c", "type": "custom", "custom": {}})))
        ),
        name=texts.filter(bool),
        reasoning_content=st.one_of(st.none(), texts),
        reasoning=st.one_of(st.none(), texts),
        thinking_blocks=st.one_of(st.none(), st.lists(thinking, max_size=2)),
        function_call=st.just({"name": "f", "arguments": "{}"}),
        audio=st.none(),
        x_vendor=st.just({"deep": [1, 2]}),
    ),
).map(lambda parts: {"role": "assistant", **parts[0]})
message = st.one_of(
    st.tuples(st.sampled_from(["system", "developer", "user", "function"]), content).map(
        lambda pair: {"role": pair[0], "content": pair[1]}
    ),
    st.tuples(texts, st.one_of(texts, st.lists(text_part, max_size=2)), vendor).map(
        lambda item: {"role": "tool", "tool_call_id": item[0], "content": item[1], **item[2]}
    ),
    assistant,
)
function = st.fixed_dictionaries(
    {"name": texts.filter(bool)},
    optional={
        "description": texts,
        "parameters": st.sampled_from([None, {}, {"type": "object", "properties": {}}]),
        "strict": st.sampled_from([None, True, False]),
        "x_vendor": st.just(1),
    },
)
tool = st.one_of(
    with_vendor(function.map(lambda item: {"type": "function", "function": item})),
    st.just({"type": "custom", "custom": {"name": "grep", "format": {"type": "text"}}}),
)
numbers = st.one_of(st.none(), st.floats(0, 2), st.integers(0, 2))
request = st.fixed_dictionaries(
    {"model": st.just("m"), "messages": st.lists(message, min_size=1, max_size=4)},
    optional={
        "stream": st.booleans(),
        "stream_options": st.just({"include_usage": True}),
        "temperature": numbers,
        "top_p": numbers,
        "top_k": st.integers(-1, 99),
        "seed": st.one_of(st.none(), st.integers(-(2**62), 2**62)),
        "stop": st.one_of(st.none(), texts, st.lists(texts, max_size=3)),
        "n": st.one_of(st.none(), st.integers(1, 8)),
        "max_tokens": st.one_of(st.none(), st.integers(1, 99)),
        "max_completion_tokens": st.one_of(st.none(), st.integers(1, 99)),
        "presence_penalty": numbers,
        "logprobs": st.one_of(st.none(), st.booleans()),
        "top_logprobs": st.integers(0, 20),
        "tools": st.one_of(st.none(), st.lists(tool, max_size=2)),
        "tool_choice": st.sampled_from(
            [
                None,
                "auto",
                "none",
                "required",
                {"type": "function", "function": {"name": "f"}},
                {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}},
                {"type": "function", "function": {"name": "f"}, "x": 1},
            ]
        ),
        "parallel_tool_calls": st.one_of(st.none(), st.booleans()),
        "response_format": st.sampled_from(
            [
                None,
                {"type": "text"},
                {"type": "json_object"},
                {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True}},
                {"type": "json_schema", "json_schema": {"schema": {}, "description": "d", "strict": None}},
                {"type": "grammar", "grammar": "root ::= x"},
            ]
        ),
        "reasoning_effort": st.sampled_from([None, "low", "minimal"]),
        "user": texts,
        "store": st.booleans(),
        "metadata": st.just({"a": "b"}),
        "x_vendor": st.just([1, {"y": None}]),
    },
    # Without tools there is nothing to choose from.
).map(lambda value: {name: item for name, item in value.items() if name != "tool_choice" or value.get("tools")})


@examples(200)
@given(request)
def test_a_round_trip_loses_nothing(value: dict[str, Any]) -> None:
    assert through(value) == expected(value)


@examples(200)
@given(request)
def test_the_composed_request_is_the_request_with_another_model(value: dict[str, Any]) -> None:
    from nearfar.core.places import Place
    from nearfar.core.routing import Deployment

    there = Deployment(name="d", provider="p", model="other", wire="openai.chat", base_url="", place=Place.LAN)
    asked = openai_chat.parse(json.dumps(value).encode(), "r")
    raw = openai_chat.encode(asked, there, None)
    composed = openai_chat.encode(asked, there, conversation(asked))
    assert raw.deviations == composed.deviations == ()
    streamed = json.loads(composed.body)
    if value.get("stream") is False:
        streamed["stream"] = False
    if "stream_options" in value:
        streamed.setdefault("stream_options", value["stream_options"])
    assert streamed == json.loads(raw.body)


def blocks_of(value: dict[str, Any]) -> list[Any]:
    body = json.dumps(request_of({"messages": [value]})).encode()
    return conversation(openai_chat.parse(body, "r")).messages[0].blocks


def test_every_kind_of_block_is_told_apart() -> None:
    assistant_blocks = blocks_of(
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "t"}, {"type": "refusal", "refusal": "no"}],
            "thinking_blocks": [
                {"type": "thinking", "thinking": "hm", "signature": "sig"},
                {"type": "redacted_thinking", "data": "xx"},
            ],
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        }
    )
    assert [type(block) for block in assistant_blocks] == [Reasoning, Reasoning, Text, Refusal, ToolCall]
    assert assistant_blocks[0] == Reasoning(text="hm", signature="sig", vendor="anthropic")
    assert assistant_blocks[1] == Reasoning(redacted="xx", vendor="anthropic")
    [result] = blocks_of({"role": "tool", "tool_call_id": "c", "content": "42"})
    assert isinstance(result, ToolResult)
    assert result.id == "c"
    assert result.content == [Text(text="42")]
    [image, later] = blocks_of(
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                {"type": "later"},
            ],
        }
    )
    assert isinstance(image, Media)
    assert (image.kind, image.mime, image.data, image.url) == ("image", "image/png", "AAAA", "")
    assert isinstance(later, Opaque)


def test_settings_have_one_meaning_for_two_spellings() -> None:
    def read(**value: Any) -> Any:
        body = json.dumps(request_of(value)).encode()
        return conversation(openai_chat.parse(body, "r")).settings

    assert read(max_tokens=5).max_output == 5
    assert read(max_tokens=5, max_completion_tokens=7).max_output == 7
    assert read(max_completion_tokens=7, max_tokens=5).max_output == 7
    assert read(stop="a").stop == read(stop=["a"]).stop == ["a"]
    tools = [{"type": "function", "function": {"name": "f"}}]
    assert read(tool_choice={"type": "function", "function": {"name": "f"}}, tools=tools).tool_choice == "tool:f"
    assert read(response_format={"type": "json_object"}).json_mode
    schema = read(response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {"a": 1}}})
    assert (schema.json_schema_name, bytes(schema.json_schema)) == ("n", b'{"a": 1}')


@pytest.mark.parametrize(
    ("value", "param"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"seed": 1.5}, "seed"),
        ({"stop": 3}, "stop"),
        ({"stop": [3]}, "stop"),
        ({"max_tokens": 5, "top_p": []}, "top_p"),
        ({"tools": [{"type": "function", "function": {"description": "no name"}}]}, "tools[0].function.name"),
        ({"tools": [{"type": "function", "function": {"name": 7}}]}, "tools[0].function.name"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format.json_schema.schema"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]}, "messages[0].content[0].text"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": 1}}]}]},
            "messages[0].content[0].image_url.url",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f"}}]}]},
            "messages[0].tool_calls[0].function.arguments",
        ),
        (
            {"messages": [{"role": "tool", "tool_call_id": "c", "content": [{"type": "refusal", "refusal": "r"}]}]},
            "messages[0].content",
        ),
        ({"messages": [{"role": "assistant", "thinking_blocks": "x"}]}, "messages[0].thinking_blocks"),
    ],
)
def test_wrong_types_name_their_place(value: dict[str, Any], param: str) -> None:
    request = openai_chat.parse(json.dumps(request_of(value)).encode(), "r")
    with pytest.raises(BadRequestError) as caught:
        conversation(request)
    assert caught.value.param == param
    assert param in caught.value.message
