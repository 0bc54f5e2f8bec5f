import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.examples import examples

from nearfar.core.chat import Request
from nearfar.core.errors import BadRequestError
from nearfar.wire.anthropic_messages_parse import CLIENT_TOOLS, dialect_headers, parse, read

HI: list[Any] = [{"role": "user", "content": "hi"}]


def ask(**value: Any) -> Request:
    return parse(json.dumps({"model": "m", "max_tokens": 9, "messages": HI, **value}).encode(), "req-1")


def said(*blocks: Any) -> Request:
    return ask(messages=[{"role": "user", "content": list(blocks)}])


def image(**source: Any) -> dict[str, Any]:
    return {"type": "image", "source": source}


def test_the_deciding_fields() -> None:
    request = ask(stream=True, max_tokens=7, system="be kind")
    assert (request.wire, request.operation, request.model) == ("anthropic.messages", "chat", "m")
    assert (request.stream, request.max_output, request.choices) == (True, 7, 1)
    assert request.needs == frozenset()
    assert request.input_tokens > 10
    assert list(request.fields) == ["model", "max_tokens", "messages", "stream", "system"]
    assert ask(max_tokens=0).max_output == 0, "a request may only fill the cache"


def test_counting_needs_no_limit_and_is_no_stream() -> None:
    body = json.dumps({"model": "m", "messages": HI, "stream": True}).encode()
    request = read(body, "r", wire="anthropic.count_tokens", operation="count_tokens")
    assert (request.operation, request.max_output, request.stream) == ("count_tokens", None, False)


@pytest.mark.parametrize(
    ("value", "param"),
    [
        ({"model": ""}, "model"),
        ({"model": 5}, "model"),
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "messages[0].content[0].source"),
        ({"system": 5}, "system"),
        ({"system": [{"text": "x"}]}, "system[0].type"),
        ({"tools": {}}, "tools"),
        ({"tools": {"name": "f"}}, "tools"),
        ({"tools": ["f"]}, "tools[0]"),
        ({"tools": [{"type": 5}]}, "tools[0].type"),
        ({"tools": [{"name": "f", "input_schema": {}}], "tool_choice": "any"}, "tool_choice"),
        ({"output_config": "low"}, "output_config"),
        ({"api_base": "http://x"}, "api_base"),
        ({"fallbacks": [{"model": "other"}]}, "fallbacks"),
    ],
)
def test_wrong_fields_name_their_place(value: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        ask(**value)
    assert caught.value.param == param
    assert caught.value.message


def test_words_of_other_kinds_break_nothing() -> None:
    tool = {"name": "f", "input_schema": {}}
    assert "tool_choice" not in ask(tools=[tool], tool_choice={"type": ["any"]}).needs
    source: dict[str, Any] = {"type": ["text"], "data": "x"}
    turn = {"role": "user", "content": [{"type": "document", "source": source}]}
    assert "documents" in ask(messages=[turn]).needs


def test_what_is_asked_for_becomes_a_need() -> None:
    tools = [{"name": "f", "input_schema": {"type": "object"}}]
    assert ask(tools=tools).needs == {"tools"}
    assert ask(tools=tools, tool_choice={"type": "any"}).needs == {"tools", "tool_choice"}
    assert ask(tools=tools, tool_choice={"type": "auto"}).needs == {"tools"}
    assert ask(tools=[]).needs == frozenset()
    schema = {"type": "json_schema", "schema": {"type": "object"}}
    assert ask(output_config={"format": schema}).needs == {"json_schema"}
    assert ask(output_format=schema).needs == {"json_schema"}
    assert ask(output_config={"effort": "low"}).needs == frozenset()


def test_media() -> None:
    inline = said(image(type="base64", media_type="image/png", data="A" * 9000))
    assert inline.needs == {"images"}
    assert 1600 < inline.input_tokens < 2000, "the picture counts as one, not as its base64"
    assert said(image(type="url", url="https://example.org/a.png")).needs == {"images", "media_urls"}
    assert said(image(type="url", url="data:image/png;base64,AAAA")).needs == {"images"}
    result = {"type": "tool_result", "tool_use_id": "a", "content": [image(type="url", url="file:///etc/passwd")]}
    assert said(result).needs == {"images", "media_urls"}
    pdf = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}}
    assert said(pdf).needs == {"documents"}
    text = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "https://example.org"}}
    assert said(text).needs == frozenset()
    nested = {"type": "document", "source": {"type": "content", "content": [image(type="url", url="https://x")]}}
    assert said(nested).needs == {"images", "media_urls"}
    assert "media_urls" in said({"type": "later", "video_url": "https://example.org/v"}).needs


def test_urls_in_words_are_fetched_by_nobody() -> None:
    call = {"type": "tool_use", "id": "a", "name": "fetch", "input": {"url": "https://example.org"}}
    cited = {"type": "text", "text": "x", "citations": [{"url": "https://example.org"}]}
    assert said(call, cited).needs == frozenset()


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ({"container": "container_1"}, "container"),
        ({"mcp_servers": [{"type": "url", "url": "https://example.org"}]}, "mcp"),
        ({"thread": {"id": "thread_1"}}, "thread"),
        ({"tools": [{"type": "web_search_20260318", "name": "web_search"}]}, "web_search"),
        ({"tools": [{"type": "code_execution_20260521", "name": "code_execution"}]}, "code_execution"),
        ({"tools": [{"type": "mcp_toolset", "mcp_server_name": "x"}]}, "mcp"),
        ({"messages": [{"role": "user", "content": [image(type="file", file_id="file_1")]}]}, "file_id"),
        (
            {"messages": [{"role": "user", "content": [{"type": "container_upload", "file_id": "file_1"}]}]},
            "file_id",
        ),
    ],
)
def test_content_elsewhere_and_tools_of_the_provider_are_noted(value: dict[str, Any], name: str) -> None:
    [(found, where)] = ask(**value).elsewhere
    assert found == name
    assert where.split("[")[0] in value


def test_tools_that_the_client_runs_are_its_own() -> None:
    for kind in ("custom", *(f"{name}20260101" for name in CLIENT_TOOLS)):
        assert ask(tools=[{"type": kind, "name": "x"}]).needs == {"tools"}
    assert ask(container=None, mcp_servers=[]).needs == frozenset()


def test_blocks_nest_only_so_deep() -> None:
    block: dict[str, Any] = {"type": "text", "text": "x"}
    for _ in range(300):
        block = {"type": "tool_result", "tool_use_id": "a", "content": [block]}
    with pytest.raises(BadRequestError, match="deep"):
        said(block)


def test_the_headers_that_belong_to_what_is_said() -> None:
    headers = {b"anthropic-beta": b"a-2026-01-01,b", b"anthropic-version": b"2023-06-01", b"x-api-key": b"secret"}
    assert dialect_headers(headers) == (("anthropic-version", "2023-06-01"), ("anthropic-beta", "a-2026-01-01,b"))
    assert dialect_headers({b"anthropic-beta": b"a\r\nx: y"}) == ()
    assert dialect_headers({b"anthropic-beta": b"\xff"}) == ()
    assert dialect_headers({}) == ()


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "content", "source", "role", "url", "data", "input", "id", "name"]),
            inner | st.sampled_from(["text", "image", "document", "tool_use", "tool_result", "thinking", "base64"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)
MEMBERS = ["system", "messages", "tools", "tool_choice", "thinking", "output_config", "metadata", "stop_sequences"]


@given(st.dictionaries(st.sampled_from(MEMBERS), anything))
@examples(150)
def test_hostile_values_are_refused_or_read_but_never_break(value: dict[str, Any]) -> None:
    from nearfar.wire.anthropic_messages import CLIENT

    assert CLIENT.conversation is not None
    with contextlib.suppress(BadRequestError):
        CLIENT.conversation(ask(**value))
