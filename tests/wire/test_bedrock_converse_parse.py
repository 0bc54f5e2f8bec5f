"""What a Converse request needs, and what may not be asked for here."""

import json
from typing import Any

import pytest

from nearfar.core.chat import Request
from nearfar.core.errors import BadRequestError
from nearfar.wire.bedrock_converse_parse import parse, read

TEXT = [{"role": "user", "content": [{"text": "hi"}]}]
BYTES = {"bytes": "AAAA" * 5000}


def asked(*, stream: bool = False, **value: Any) -> Request:
    return read(json.dumps({"messages": TEXT, **value}).encode(), "r", model="m", stream=stream)


def content(*blocks: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(blocks)}]


def test_the_path_names_the_model_and_the_stream() -> None:
    request = asked(stream=True, inferenceConfig={"maxTokens": 7})
    assert (request.model, request.stream, request.max_output, request.wire) == ("m", True, 7, "bedrock.converse")
    assert parse(json.dumps({"modelId": "x", "messages": TEXT}).encode(), "r").model == "x"


@pytest.mark.parametrize(
    ("value", "needs"),
    [
        ({}, set()),
        ({"messages": content({"image": {"format": "png", "source": BYTES}})}, {"images"}),
        ({"messages": content({"audio": {"format": "wav", "source": BYTES}})}, {"audio"}),
        ({"messages": content({"video": {"format": "mp4", "source": BYTES}})}, {"video"}),
        ({"messages": content({"document": {"name": "n", "source": BYTES}})}, {"documents"}),
        ({"messages": content({"document": {"name": "n", "source": {"text": "t"}}})}, set()),
        (
            {"messages": content({"toolResult": {"toolUseId": "t", "content": [{"image": {"source": BYTES}}]}})},
            {"images"},
        ),
        ({"toolConfig": {"tools": [{"toolSpec": {}}]}}, {"tools"}),
        ({"toolConfig": {"tools": [{"toolSpec": {}}], "toolChoice": {"any": {}}}}, {"tools", "tool_choice"}),
        ({"outputConfig": {"textFormat": {"type": "json_schema"}}}, {"json_schema"}),
        ({"outputConfig": {"effort": "low"}}, set()),
    ],
)
def test_what_it_needs(value: dict[str, Any], needs: set[str]) -> None:
    request = asked(**value)
    assert request.needs == needs
    assert request.input_tokens < 4000, "bytes of media are no words"


@pytest.mark.parametrize(
    ("value", "reference"),
    [
        ({"promptVariables": {"a": {"text": "x"}}}, ("prompt", "promptVariables")),
        (
            {"messages": content({"image": {"format": "png", "source": {"s3Location": {"uri": "s3://b/k"}}}})},
            ("storage_url", "messages[0].content[0].image.source"),
        ),
        (
            {"toolConfig": {"tools": [{"systemTool": {"name": "nova_grounding"}}]}},
            ("web_search", "toolConfig.tools[0]"),
        ),
        ({"toolConfig": {"tools": [{"somethingNew": {}}]}}, ("somethingNew", "toolConfig.tools[0]")),
        (
            {"additionalModelRequestFields": {"mcp_servers": []}},
            ("mcp", "additionalModelRequestFields.mcp_servers"),
        ),
        ({"additionalModelRequestFields": {"tools": []}}, ("tools", "additionalModelRequestFields.tools")),
    ],
)
def test_what_lies_elsewhere_is_noted(value: dict[str, Any], reference: tuple[str, str]) -> None:
    assert asked(**value).elsewhere == (reference,)


@pytest.mark.parametrize(
    "value",
    [
        {"messages": []},
        {"messages": ["x"]},
        {"messages": [{"role": "tool", "content": []}]},
        {"messages": [{"role": "user", "content": "text"}]},
        {"messages": content({"text": "a", "image": {}})},
        {"messages": content("x")},
        {"messages": content({"image": {"format": "png"}})},
        {"messages": content({"toolResult": []})},
        {"system": "text"},
        {"inferenceConfig": []},
        {"inferenceConfig": {"maxTokens": "x"}},
        {"toolConfig": {"tools": {}}},
        {"toolConfig": {"tools": ["x"]}},
        {"outputConfig": {"textFormat": []}},
        {"api_base": "http://x"},
        {"additionalModelRequestFields": {"api_base": "http://x"}},
    ],
)
def test_what_is_no_request_is_a_400(value: dict[str, Any]) -> None:
    with pytest.raises(BadRequestError):
        asked(**value)
