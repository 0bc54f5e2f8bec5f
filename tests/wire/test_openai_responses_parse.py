"""What a Responses request may say, and what it is refused for."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.examples import examples

from nearfar.core.chat import Request
from nearfar.core.errors import BadRequestError
from nearfar.wire.openai_responses_parse import ITEMS, parse


def read(**members: Any) -> Request:
    return parse(json.dumps({"model": "m", "input": "hi", **members}).encode(), "req-1")


def refused(**members: Any) -> BadRequestError:
    with pytest.raises(BadRequestError) as caught:
        read(**members)
    return caught.value


def user(*parts: dict[str, Any]) -> list[Any]:
    return [{"role": "user", "content": list(parts)}]


def test_the_few_facts_that_decide() -> None:
    request = read(stream=True, max_output_tokens=9, tools=[{"type": "function", "name": "f"}], tool_choice="required")
    assert (request.wire, request.operation, request.model, request.stream) == ("openai.responses", "chat", "m", True)
    assert request.max_output == 9
    assert request.needs == {"tools", "tool_choice"}
    assert not request.include_usage


@pytest.mark.parametrize(
    ("members", "needs"),
    [
        ({"text": {"format": {"type": "json_schema", "name": "n", "schema": {}}}}, {"json_schema"}),
        ({"text": {"format": {"type": "json_object"}}}, {"json_mode"}),
        ({"text": {"format": {"type": "text"}, "verbosity": "low"}}, set()),
        ({"top_logprobs": 2}, {"logprobs"}),
        ({"include": ["message.output_text.logprobs"]}, {"logprobs"}),
        ({"input": user({"type": "input_image", "image_url": "data:image/png;base64,AA"})}, {"images"}),
        ({"input": user({"type": "input_image", "image_url": "http://x/y.png"})}, {"images", "media_urls"}),
        ({"input": user({"type": "input_file", "file_url": "https://x/y.pdf"})}, {"documents", "media_urls"}),
        ({"input": user({"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}})}, {"audio"}),
        ({"tools": [{"type": "web_search"}]}, set()),
    ],
)
def test_needs(members: dict[str, Any], needs: set[str]) -> None:
    assert read(**members).needs == needs


def test_citations_of_earlier_turns_are_no_media() -> None:
    link = {"type": "url_citation", "url": "https://x", "title": "x", "start_index": 0, "end_index": 1}
    part = {"type": "output_text", "text": "x", "annotations": [link]}
    assert read(input=[{"role": "assistant", "content": [part]}]).needs == set()


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"model": ""}, "model"),
        ({"input": None}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": [7]}, "input[0]"),
        ({"input": [{"role": 7, "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": 7}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{"text": "x"}]}]}, "input[0].content[0].type"),
        ({"input": [{"type": "additional_tools", "tools": []}]}, "input[0].type"),
        ({"input": [{"type": ["message"]}]}, "input[0].type"),
        ({"background": True}, "background"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"api_base": "http://x"}, "api_base"),
        ({"store": "yes"}, "store"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"instructions": ["x"]}, "instructions"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
        ({"text": {"format": 7}}, "text.format"),
        ({"text": 7}, "text"),
        ({"reasoning": "high"}, "reasoning"),
        ({"temperature": True}, "temperature"),
        ({"include": "x"}, "include"),
        ({"tool_choice": 7}, "tool_choice"),
        ({"stream": "yes"}, "stream"),
    ],
)
def test_refusals_name_the_place(members: dict[str, Any], param: str) -> None:
    assert refused(**members).param == param


@pytest.mark.parametrize(
    ("members", "reference"),
    [
        ({"input": [{"id": "msg_1"}]}, ("stored_response", "input[0]")),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, ("stored_response", "input[0]")),
        (
            {"input": user({"type": "input_file", "file_id": "file-1"})},
            ("file_id", "input[0].content[0].file_id"),
        ),
        (
            {"input": [{"type": "shell_call", "environment": {"type": "container", "container_id": "c"}}]},
            ("container", "input[0].environment.container_id"),
        ),
        ({"conversation": "conv_1"}, ("conversation", "conversation")),
        ({"prompt": {"id": "pmpt_1"}}, ("prompt", "prompt")),
        ({"tools": [{"type": "mcp", "server_url": "https://x"}]}, ("mcp", "tools[0].type")),
        ({"tools": [{"type": "web_search"}], "tool_choice": "required"}, ("web_search", "tool_choice")),
    ],
)
def test_what_lies_elsewhere_is_noted(members: dict[str, Any], reference: tuple[str, str]) -> None:
    assert read(**members).elsewhere == (reference,)


def test_a_search_that_is_merely_offered_is_a_wish() -> None:
    request = read(tools=[{"type": "web_search_preview"}])
    assert request.wishes == {"web_search"}
    assert request.elsewhere == ()
    assert not read().wishes


def test_a_picture_counts_as_a_picture_not_as_its_bytes() -> None:
    small = read(input=user({"type": "input_image", "image_url": "data:image/png;base64," + "A" * 100}))
    large = read(input=user({"type": "input_image", "image_url": "data:image/png;base64," + "A" * 100_000}))
    assert 1600 < small.input_tokens == large.input_tokens < 2000


_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 99) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "role", "content", "tools", "text", "url", "name", "format"]), inner)
    ),
    max_leaves=8,
)
_NAMES = (
    "input instructions tools tool_choice text reasoning include metadata store stream top_logprobs temperature "
    "max_output_tokens parallel_tool_calls previous_response_id background truncation user"
)


@examples(200)
@given(st.dictionaries(st.sampled_from(_NAMES.split()), _VALUES))
def test_anything_is_read_or_refused(members: dict[str, Any]) -> None:
    with contextlib.suppress(BadRequestError):
        read(**members)


@examples(100)
@given(st.sampled_from(sorted(ITEMS)), st.dictionaries(st.sampled_from(["output", "summary", "content"]), _VALUES))
def test_any_item_is_read_or_refused(kind: str, members: dict[str, Any]) -> None:
    with contextlib.suppress(BadRequestError):
        read(input=[{"type": kind, **members}])
