"""Gemini's dialect of the stand-in: every shape of it, and over a socket."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.running import ask
from tests.stand_in import Running

from nearfar.standin.answers import Answer
from nearfar.standin.gemini import GEMINI
from nearfar.standin.shapes import plain, stream

ANSWER = Answer(id="c", model="m", created=1, pieces=("one", " two"), input=3, output=2)
PATH = "/v1beta/models/gemini-x"
QUESTION = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}


def events(data: bytes) -> list[Any]:
    return [json.loads(block.removeprefix(b"data: ")) for block in data.split(b"\n\n") if block]


def text(value: Any) -> str:
    """The words of a response, without thoughts."""
    parts = value["candidates"][0]["content"]["parts"]
    return "".join(part.get("text", "") for part in parts if not part.get("thought"))


@pytest.mark.parametrize("mode", ["ok", "usage-never", "reasoning", "unknown-fields"])
def test_the_words_are_the_same_in_every_shape(mode: str) -> None:
    found = events(b"".join(stream(GEMINI, ANSWER, mode)))
    whole = json.loads(plain(GEMINI, ANSWER, mode))
    assert "".join(map(text, found)) == text(whole) == "one two"
    assert [event["candidates"][0].get("finishReason") for event in found] == [None] * (len(found) - 1) + ["STOP"]
    for value in (found[-1], whole):
        counts = value.get("usageMetadata", {})
        assert counts.get("candidatesTokenCount") == (None if mode == "usage-never" else 2)


def test_it_answers_at_googles_paths(stand_in: Running) -> None:
    whole = ask(stand_in.url, f"{PATH}:generateContent", QUESTION)
    assert text(whole.json) == "This is the stand-in for a cloud model, not a real one. You asked: “hello”"
    assert whole.json["modelVersion"] == "gemini-x"
    limited = {**QUESTION, "generationConfig": {"maxOutputTokens": 2}}
    found = events(ask(stand_in.url, f"{PATH}:streamGenerateContent?alt=sse", limited).body)
    assert found[-1]["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert found[-1]["usageMetadata"]["candidatesTokenCount"] == 2
    assert [seen.stream for seen in stand_in.report().requests] == [False, True]


def test_an_error_says_in_its_body_when_to_come_back(stand_in: Running) -> None:
    stand_in.behave("429", retry_after=34.5)
    reply = ask(stand_in.url, f"{PATH}:generateContent", QUESTION)
    assert (reply.status, reply.json["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert reply.json["error"]["details"][0]["retryDelay"] == "34.5s"
    assert "retry-after" not in reply.headers
