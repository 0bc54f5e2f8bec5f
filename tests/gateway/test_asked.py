"""What a user has said is one text, whatever the dialect; tools, models and instructions are not in it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from nearfar.core.chat import Request
from nearfar.gateway.asked import MOST, asked


def request(body: Any) -> Request:
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return Request(id="req-1", wire="w", operation="chat", model="m", body=data, fields={})


OPENAI = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "an answer", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "1", "content": "a result"},
        {"role": "user", "content": [{"type": "text", "text": "second"}]},
    ],
}
ANTHROPIC = {
    "system": "be brief",
    "messages": [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": [{"type": "text", "text": "an answer"}]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "1", "content": "a result"},
                {"type": "tool_result", "tool_use_id": "2", "content": [{"type": "text", "text": "a result"}]},
                {"type": "text", "text": "second"},
            ],
        },
    ],
}
GEMINI = {
    "systemInstruction": {"parts": [{"text": "be brief"}]},
    "contents": [
        {"role": "user", "parts": [{"text": "first"}]},
        {"role": "model", "parts": [{"text": "an answer"}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"x": "a result"}}}]},
        {"role": "user", "parts": [{"text": "second"}]},
    ],
}
RESPONSES = {
    "instructions": "be brief",
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "first"}]},
        {"type": "function_call_output", "call_id": "1", "output": "a result"},
        {"role": "user", "content": "second"},
    ],
}


@pytest.mark.parametrize("body", [OPENAI, ANTHROPIC, GEMINI, RESPONSES], ids=["openai", "anthropic", "gemini", "resp"])
def test_every_dialect_gives_the_same(body: dict[str, Any]) -> None:
    assert asked(request(body)) == "first\n\nsecond"


def test_short_forms() -> None:
    assert asked(request({"prompt": "one text"})) == "one text"
    assert asked(request({"input": "one text"})) == "one text"


@pytest.mark.parametrize("body", [b"", b"no json", b'{"messages": []}', b" " * (MOST + 1)])
def test_what_cannot_be_read_says_nothing(body: bytes) -> None:
    assert asked(request(body)) == ""
