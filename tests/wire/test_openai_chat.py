import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.chat import Request
from nearfar.core.errors import BadRequestError
from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.wire import openai_chat
from nearfar.wire.elsewhere import name_of
from nearfar.wire.fields import STEERING
from nearfar.wire.openai_chat_conversation import conversation
from nearfar.wire.tokens import IMAGE_TOKENS


def parse(**value: Any) -> Request:
    body = {"model": "near", "messages": [{"role": "user", "content": "hi"}], **value}
    return openai_chat.parse(json.dumps(body).encode(), "r1")


def deployment(**value: Any) -> Deployment:
    return Deployment(
        name="d", provider="p", model="far", wire="openai.chat", base_url="http://x", place=Place.CLOUD, **value
    )


def test_the_fields_that_decide() -> None:
    request = parse(
        stream=True, max_tokens=7, n=2, stream_options={"include_usage": True}, tools=[{"type": "function"}]
    )
    assert (request.id, request.wire, request.operation, request.model) == ("r1", "openai.chat", "chat", "near")
    assert request.stream
    assert request.include_usage
    assert (request.max_output, request.choices) == (7, 2)
    assert request.needs == {"tools", "choices"}
    assert list(request.fields) == ["model", "messages", "stream", "max_tokens", "n", "stream_options", "tools"]


def test_nulls_are_as_good_as_absent() -> None:
    request = parse(stream=None, max_tokens=None, n=None, stream_options=None, tools=None, response_format=None)
    assert not request.stream
    assert (request.max_output, request.choices, request.needs) == (None, 1, frozenset())


def test_the_new_name_of_the_limit_wins() -> None:
    assert parse(max_tokens=1, max_completion_tokens=2).max_output == 2


@pytest.mark.parametrize(
    ("value", "needs"),
    [
        ({"functions": [{"name": "f"}]}, {"tools"}),
        ({"tools": []}, set()),
        ({"logprobs": True}, {"logprobs"}),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, {"json_schema"}),
        ({"response_format": {"type": "json_object"}}, {"json_mode"}),
        ({"response_format": {"type": "text"}}, set()),
        ({"n": 1}, set()),
    ],
)
def test_needs(value: dict[str, Any], needs: set[str]) -> None:
    assert parse(**value).needs == needs


def test_media_are_needs_and_are_not_counted_as_text() -> None:
    parts = [
        {"type": "text", "text": "what is this"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 3_000_000}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "input_audio", "input_audio": {"data": "A" * 2_000, "format": "wav"}},
    ]
    request = parse(messages=[{"role": "user", "content": parts}])
    assert request.needs == {"images", "media_urls", "audio"}
    assert 3 * IMAGE_TOKENS < request.input_tokens < 3 * IMAGE_TOKENS + 500


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "HTTP://example.org/a.png"}},
        {"type": "image_url", "image_url": {"url": " https://example.org/a.png"}},
        {"type": "image_url", "image_url": {"url": "file:///etc/passwd"}},
        {"type": "image_url", "image_url": {"url": "//example.org/a.png"}},
        {"type": "image_url", "image_url": "ftp://example.org/a.png"},
        {"type": "image_url", "image_url": {"url": ["https://example.org/a.png"]}},
        {"type": "audio_url", "audio_url": {"url": "https://example.org/a.wav"}},
        {"type": "pdf_url", "pdf_url": "s3://bucket/key"},
        {"type": "image", "url": "https://example.org/a.png"},
        {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
        {"type": "input_image", "image_url": "https://example.org/a.png"},
        {"type": "text", "text": "x", "video_url": {"url": "https://example.org/a.mp4"}},
        {"type": "video", "video": [{"frame_url": "https://example.org/a.png"}]},
        {"type": "file", "file": {"file_data": "Https://example.org/a.pdf"}},
        {"type": "input_audio", "input_audio": {"data": "file:///srv/a.wav", "format": "wav"}},
    ],
)
def test_whatever_a_runtime_might_fetch_is_a_need(part: dict[str, Any]) -> None:
    assert "media_urls" in parse(messages=[{"role": "user", "content": [part]}]).needs


@pytest.mark.parametrize(
    "part",
    [
        {"type": "text", "text": "see https://example.org"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "image_url", "image_url": {"url": "DATA:image/png;base64,AAAA", "detail": "low"}},
        {"type": "audio_url", "audio_url": {"url": "data:audio/wav;base64,AAAA"}},
        {"type": "image_url", "image_url": None},
        {"type": "image_url", "image_url": {"url": None}},
        {"type": "file", "file": {"file_data": "AAAA", "filename": "a.pdf"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    ],
)
def test_what_is_inline_needs_no_fetching(part: dict[str, Any]) -> None:
    assert "media_urls" not in parse(messages=[{"role": "user", "content": [part]}]).needs


def test_sound_in_a_url_is_not_counted_as_text() -> None:
    part = {"type": "audio_url", "audio_url": {"url": "data:audio/wav;base64," + "A" * 200_000}}
    request = parse(messages=[{"role": "user", "content": [part]}])
    assert request.needs == {"audio"}
    assert request.input_tokens < 10_000


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["x", "function", "text", "url", "json_schema"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "role", "content", "url", "function", "name", "image_url"]), inner)
    ),
    max_leaves=8,
)
READ = (
    "messages",
    "tools",
    "functions",
    "tool_choice",
    "response_format",
    "stream_options",
    "stop",
    "n",
    "max_tokens",
    "logprobs",
    "stream",
    "user",
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(READ, ANYTHING)))
def test_members_of_any_type_are_read_or_refused(value: dict[str, Any]) -> None:
    with contextlib.suppress(BadRequestError):
        conversation(parse(**value))


@given(ANYTHING, ANYTHING, st.sampled_from(["tools", "messages", "content"]))
def test_so_are_the_members_of_members(kind: object, inner: object, where: str) -> None:
    item = {"type": kind, "function": inner}
    values: dict[str, dict[str, Any]] = {
        "tools": {"tools": [item]},
        "messages": {"messages": [{"role": kind, "content": inner, "tool_calls": [item]}]},
        "content": {"messages": [{"role": "user", "content": [{"type": kind, "image_url": inner, "file": inner}]}]},
    }
    with contextlib.suppress(BadRequestError):
        conversation(parse(**values[where]))


def test_long_text_counts() -> None:
    few, many = parse().input_tokens, parse(messages=[{"role": "user", "content": "中文" * 1000}]).input_tokens
    assert few < 50
    assert 2000 < many < 4500


@pytest.mark.parametrize(
    ("value", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 5}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [{"role": "user", "content": "a"}, {"content": "b"}]}, "messages[1].role"),
        ({"messages": [{"role": 1}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages[0].content[0].type"),
        ({"stream": "yes"}, "stream"),
        ({"stream": 1}, "stream"),
        ({"stream_options": []}, "stream_options"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_completion_tokens": "9"}, "max_completion_tokens"),
        ({"max_completion_tokens": 1.5}, "max_completion_tokens"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"n": [1]}, "n"),
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {}}, "response_format"),
        ({"tools": {"type": "function"}}, "tools"),
        ({"tools": ["f"]}, "tools[0]"),
        ({"tools": [{"type": ["x"]}]}, "tools[0].type"),
        ({"tools": [{"type": {}}]}, "tools[0].type"),
        ({"tools": [{"type": None}]}, "tools[0].type"),
    ],
)
def test_refusals_name_the_field(value: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        parse(**value)
    assert caught.value.param == param
    assert caught.value.message


@pytest.mark.parametrize("name", sorted(STEERING))
def test_a_request_cannot_steer(name: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        parse(**{name: "http://elsewhere"})
    assert (caught.value.code, caught.value.param) == ("steering_parameter", name)


@pytest.mark.parametrize("name", sorted(openai_chat.ELSEWHERE))
def test_content_from_elsewhere_is_noted(name: str) -> None:
    for value in (None, False):
        request = parse(**{name: value})
        assert name in request.fields
        assert request.elsewhere == ()
    wanted: list[Any] = [{}, True, "id"]
    for value in wanted:
        assert parse(**{name: value}).elsewhere == ((name_of(name), name),)


@pytest.mark.parametrize(
    ("value", "reference"),
    [
        ({"tools": [{"type": "function"}, {"type": "web_search"}]}, ("web_search", "tools[1].type")),
        ({"messages": [{"role": "assistant", "audio": {"id": "audio_1"}}]}, ("stored_audio", "messages[0].audio")),
        (
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]},
            ("file_id", "messages[0].content[0].file.file_id"),
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            ("file_id", "messages[0].content[0].file_id"),
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": None, "uuid": "u"}]}]},
            ("stored_media", "messages[0].content[0].uuid"),
        ),
    ],
)
def test_references_are_noted_where_they_stand(value: dict[str, Any], reference: tuple[str, str]) -> None:
    assert parse(**value).elsewhere == (reference,)


def test_a_named_tool_is_a_need() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}, {"type": "custom", "custom": {"name": "c"}}]
    assert parse(tools=tools, tool_choice="auto").needs == {"tools"}
    assert parse(tools=tools, tool_choice="required").needs == {"tools", "tool_choice"}
    assert parse(tools=tools, tool_choice={"type": "function"}).needs == {"tools", "tool_choice"}


def test_a_missing_model_names_the_next_step() -> None:
    with pytest.raises(BadRequestError, match="model is missing") as caught:
        openai_chat.parse(b'{"messages":[{"role":"user"}]}', "r")
    assert "/v1/models" in caught.value.hint


def test_nothing_to_change_nothing_changed() -> None:
    request = openai_chat.parse(b'{ "model": "far", "messages": [ {"role":"user"} ] }', "r")
    out = openai_chat.encode(request, deployment(), None)
    assert out.body == request.body
    assert (out.method, out.path, out.deviations) == ("POST", "/chat/completions", ())


def test_only_the_model_changes() -> None:
    body = (
        b'{"top_k": 4, "model":"near" ,"messages":[{"role":"user","content":"\\u4e2d  "}],"store":true,"x":{"y": 1.50}}'
    )
    out = openai_chat.encode(openai_chat.parse(body, "r"), deployment(), None)
    assert out.body == (
        b'{"top_k":4,"model":"far","messages":[{"role":"user","content":"\\u4e2d  "}],"store":true,"x":{"y": 1.50}}'
    )


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        (None, {"include_usage": True}),
        ({"include_usage": False}, {"include_usage": True}),
        ({"include_obfuscation": False}, {"include_obfuscation": False, "include_usage": True}),
        ({"include_usage": True, "x": 1}, {"include_usage": True, "x": 1}),
    ],
)
def test_usage_is_always_asked_for_in_a_stream(options: object, sent: object) -> None:
    out = openai_chat.encode(parse(stream=True, stream_options=options), deployment(), None)
    assert json.loads(out.body)["stream_options"] == sent
    assert out.deviations == ()


def test_a_plain_request_gets_no_stream_options() -> None:
    assert "stream_options" not in json.loads(openai_chat.encode(parse(), deployment(), None).body)


def test_drop_and_rename_are_shown() -> None:
    there = deployment(drop=("seed", "stream_options", "absent"), rename={"max_tokens": "max_completion_tokens"})
    out = openai_chat.encode(parse(stream=True, seed=1, max_tokens=9), there, None)
    body = json.loads(out.body)
    assert body["max_completion_tokens"] == 9
    assert body.keys() == {"model", "messages", "stream", "max_completion_tokens"}
    assert out.deviations == ("renamed:max_tokens", "dropped:seed")


def test_a_rename_onto_a_given_member_drops_the_old_one() -> None:
    there = deployment(rename={"max_tokens": "max_completion_tokens"})
    out = openai_chat.encode(parse(max_tokens=9, max_completion_tokens=5), there, None)
    assert json.loads(out.body)["max_completion_tokens"] == 5
    assert out.deviations == ("dropped:max_tokens",)


def test_the_client_sees_our_error_in_openais_shape() -> None:
    error = BadRequestError("No.", code="c", param="p", hint="Do this.")
    assert json.loads(openai_chat.CLIENT.error(error, "r9")) == {
        "error": {
            "message": "No. Do this.",
            "type": "invalid_request_error",
            "param": "p",
            "code": "c",
            "request_id": "r9",
        }
    }
