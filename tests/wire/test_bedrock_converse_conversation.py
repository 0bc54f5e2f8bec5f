"""Converse → Conversation → Converse loses nothing, and other wires can say what they have words for."""

import json
from typing import Any

import msgspec
import pytest
from tests import aws
from tests.aws import BEDROCK

from nearfar.core.conversation import Conversation, Media, Opaque, Text, ToolResult
from nearfar.core.errors import BadRequestError
from nearfar.wire.anthropic_messages_compose import to_anthropic
from nearfar.wire.bedrock_converse_compose import to_converse
from nearfar.wire.bedrock_converse_conversation import conversation
from nearfar.wire.bedrock_converse_parse import read

MODEL = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
POINT = {"cachePoint": {"type": "default", "ttl": "1h"}}
WHOLE: dict[str, Any] = {
    "system": [{"text": "s"}, POINT],
    "messages": [
        {
            "role": "user",
            "content": [
                {"text": "look"},
                {"image": {"format": "png", "source": {"bytes": "iVBORw0KGgo="}}},
                {"document": {"format": "pdf", "name": "a plan", "source": {"bytes": "JVBERg=="}, "context": "c"}},
                {"audio": {"format": "wav", "source": {"bytes": "AAAA"}}},
                POINT,
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"reasoningContent": {"reasoningText": {"text": "t", "signature": "c2ln"}}},
                {"reasoningContent": {"redactedContent": "cmVk"}},
                {"text": "I look."},
                {"toolUse": {"toolUseId": "c1", "name": "f", "input": {"a": [1, None]}}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"toolResult": {"toolUseId": "c1", "content": [{"text": "r"}], "status": "error"}},
                {
                    "searchResult": {
                        "source": "s",
                        "title": "t",
                        "content": [{"text": "x"}],
                        "citations": {"enabled": True},
                    }
                },
            ],
        },
    ],
    "inferenceConfig": {"maxTokens": 9, "temperature": 0.5, "topP": 0.25, "stopSequences": ["x"]},
    "toolConfig": {
        "tools": [
            {
                "toolSpec": {
                    "name": "f",
                    "description": "d",
                    "inputSchema": {"json": {"type": "object"}},
                    "strict": True,
                }
            },
            POINT,
        ],
        "toolChoice": {"tool": {"name": "f"}},
    },
    "additionalModelRequestFields": {"top_k": 3, "thinking": {"type": "enabled", "budget_tokens": 1024}},
    "requestMetadata": {"a": "b"},
    "outputConfig": {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": "{}", "name": "n"}}}},
}


def parsed(**value: Any) -> Conversation:
    body = {"messages": [{"role": "user", "content": [{"text": "x"}]}], **value}
    return conversation(read(json.dumps(body).encode(), "r", model="m", stream=False))


def test_there_and_back_nothing_is_lost() -> None:
    shape = aws.operation(BEDROCK, "Converse").input_shape
    aws.request(BEDROCK, "Converse", {**aws.params(shape, WHOLE), "modelId": MODEL})
    sent, deviations = to_converse(parsed(**WHOLE), MODEL)
    assert json.loads(msgspec.json.encode(sent)) == WHOLE
    assert deviations == ()


@pytest.mark.parametrize(("choice", "word"), [({"any": {}}, "required"), ({"auto": {}}, "auto")])
def test_tool_choice(choice: dict[str, Any], word: str) -> None:
    tool = {"toolSpec": {"name": "f", "inputSchema": {"json": {}}}}
    assert parsed(toolConfig={"tools": [tool], "toolChoice": choice}).settings.tool_choice == word


def test_another_wire_says_what_it_has_words_for() -> None:
    value = {name: item for name, item in WHOLE.items() if name != "messages"}
    value["messages"] = [WHOLE["messages"][0] | {"content": WHOLE["messages"][0]["content"][:3]}]
    sent, deviations = to_anthropic(parsed(**value), "claude-haiku-4-5", None)
    blocks = json.loads(msgspec.json.encode(sent["messages"]))[0]["content"]
    assert [block["type"] for block in blocks] == ["text", "image", "document"]
    assert blocks[2]["title"] == "a plan"
    assert sent["max_tokens"] == 9
    assert "dropped:requestMetadata" in deviations


def test_a_guardrail_is_bedrocks_alone() -> None:
    with pytest.raises(BadRequestError) as caught:
        parsed(guardrailConfig={"guardrailIdentifier": "x", "guardrailVersion": "1"})
    assert (caught.value.code, caught.value.param) == ("unsupported", "guardrailConfig")


def test_text_documents_and_json_results_become_what_others_know() -> None:
    found = parsed(
        messages=[
            {
                "role": "user",
                "content": [
                    {"document": {"format": "md", "name": "n", "source": {"text": "é"}}},
                    {"toolResult": {"toolUseId": "t", "content": [{"json": {"a": 1}}], "type": "x"}},
                    {"video": {"format": "mp4", "source": {"bytes": "AA=="}}},
                ],
            }
        ]
    )
    document, result, video = found.messages[0].blocks
    assert isinstance(document, Media)
    assert (document.mime, document.data) == ("text/markdown", "w6k=")
    assert isinstance(result, ToolResult)
    assert result.content == [Text(text='{"a": 1}')]
    assert isinstance(video, Opaque)


@pytest.mark.parametrize(
    "value",
    [
        {"messages": [{"role": "user", "content": [{"text": 7}]}]},
        {"messages": [{"role": "user", "content": [{"toolUse": {"name": "f", "input": {}}}]}]},
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {
                            "toolResult": {
                                "toolUseId": "t",
                                "content": [{"toolResult": {"toolUseId": "u", "content": []}}],
                            }
                        }
                    ],
                }
            ]
        },
        {"outputConfig": {"textFormat": {"structure": {"jsonSchema": {"schema": "no"}}}}},
        {"toolConfig": {"tools": [{"toolSpec": {"name": "f"}}]}},
        {"inferenceConfig": {"temperature": "hot"}},
    ],
)
def test_wrong_types_are_a_400(value: dict[str, Any]) -> None:
    with pytest.raises(BadRequestError):
        parsed(**value)
