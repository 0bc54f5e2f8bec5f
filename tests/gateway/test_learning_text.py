"""gateway/learning_text.py: a conversation as one text, or none at all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nearfar.gateway.learning_text import transcript
from nearfar.wire.openai_chat import CLIENT


def text(*messages: dict[str, Any]) -> str:
    body = json.dumps({"model": "m", "messages": messages}).encode()
    return transcript(CLIENT.parse(body, "req-1"), CLIENT)


def test_one_question_stands_as_it_is() -> None:
    assert text({"role": "user", "content": "Why?"}) == "Why?"


def test_turns_are_told_apart() -> None:
    said = text(
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": [{"type": "text", "text": "Why"}, {"type": "text", "text": "so?"}]},
        {"role": "assistant", "content": "Because."},
        {"role": "user", "content": "And?"},
    )
    assert said == "[system]\nBe short.\n\n[user]\nWhy\nso?\n\n[assistant]\nBecause.\n\n[user]\nAnd?"


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]},
        {"role": "tool", "tool_call_id": "c", "content": "4"},
    ],
    ids=["image", "tool"],
)
def test_more_than_words_is_nothing(message: dict[str, Any]) -> None:
    assert text({"role": "user", "content": "Why?"}, message) == ""
