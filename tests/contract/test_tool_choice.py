"""A request that insists on a tool and offers none is refused in every dialect, whoever would answer it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nearfar.core.errors import BadRequestError
from nearfar.wire import (
    anthropic_messages,
    bedrock_converse_parse,
    gemini_generate,
    openai_chat,
    openai_chat_compose,
    openai_responses,
)

ASK = [{"role": "user", "content": "hello"}]
OPENAI = {"model": "m", "messages": ASK}
ANTHROPIC = {"model": "m", "max_tokens": 9, "messages": ASK}
GEMINI = {"model": "m", "contents": [{"role": "user", "parts": [{"text": "hello"}]}]}
BEDROCK = {"modelId": "m", "messages": [{"role": "user", "content": [{"text": "hello"}]}]}


@pytest.mark.parametrize(
    ("parse", "body", "choice"),
    [
        (openai_chat.parse, OPENAI, {"tool_choice": "required"}),
        (openai_chat.parse, OPENAI, {"tool_choice": {"type": "function", "function": {"name": "f"}}, "tools": []}),
        (anthropic_messages.CLIENT.parse, ANTHROPIC, {"tool_choice": {"type": "any"}}),
        (anthropic_messages.CLIENT.parse, ANTHROPIC, {"tool_choice": {"type": "tool", "name": "f"}, "tools": []}),
        (openai_responses.CLIENT.parse, {"model": "m", "input": "hello"}, {"tool_choice": "required"}),
        (gemini_generate.parse, GEMINI, {"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}),
        (bedrock_converse_parse.parse, BEDROCK, {"toolConfig": {"toolChoice": {"any": {}}}}),
    ],
)
def test_insisting_on_a_tool_without_tools_is_refused(parse: Any, body: dict[str, Any], choice: dict[str, Any]) -> None:
    parse(json.dumps(body).encode(), "req-1")
    with pytest.raises(BadRequestError, match="offers none") as caught:
        parse(json.dumps({**body, **choice}).encode(), "req-1")
    assert caught.value.param


@pytest.mark.parametrize("kind", ["auto", "none"])
def test_a_choice_that_asks_for_nothing_is_not_sent_without_tools(kind: str) -> None:
    """Servers of OpenAI's kind refuse any tool_choice beside no tools."""
    body = json.dumps({**ANTHROPIC, "tool_choice": {"type": kind}}).encode()
    request = anthropic_messages.CLIENT.parse(body, "req-1")
    convert = anthropic_messages.CLIENT.conversation
    assert convert is not None
    assert "tool_choice" not in openai_chat_compose.members(convert(request))
