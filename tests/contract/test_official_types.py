"""OpenAI's official client reads the golden replies, and must read in them what our decoder reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk, completion_create_params
from pydantic import TypeAdapter
from tests.contract.test_wires import GOLDEN, ask, feed

from nearfar.core.chat import Chunk, Finish, TextDelta, ToolCallDelta, Usage
from nearfar.wire import openai_chat
from nearfar.wire.registry import provider_wire

FOLDERS = ("openai_chat", "azure_chat", "huggingface_chat")
REQUESTS = TypeAdapter(completion_create_params.CompletionCreateParamsNonStreaming)
# Azure's asynchronous filter sends choices without a delta, which the client's types forbid and its parser lets pass.
LOOSE = {"stream_azure.sse", "stream_filtered.sse"}


def files(pattern: str) -> list[Any]:
    found = [path for folder in FOLDERS for path in sorted((GOLDEN / folder).glob(pattern))]
    return [pytest.param(path, id=f"{path.parent.name}-{path.name}") for path in found]


def ours(path: Path) -> list[Chunk]:
    wire = provider_wire(path.parent.name.replace("_", "."))
    return feed(wire, ask(wire, path), [path.read_bytes()], typed=True)


def said(chunks: list[Chunk]) -> tuple[dict[int, str], dict[tuple[int, int], list[str]], dict[int, str]]:
    """Text, calls (name and arguments) and finish reasons by choice."""
    text: dict[int, str] = {}
    calls: dict[tuple[int, int], list[str]] = {}
    finishes: dict[int, str] = {}
    for chunk in chunks:
        for event in chunk.events:
            if isinstance(event, TextDelta):
                text[event.index] = text.get(event.index, "") + event.text
            elif isinstance(event, ToolCallDelta):
                call = calls.setdefault((event.index, event.call), ["", ""])
                call[0] += event.name
                call[1] += event.arguments
            elif isinstance(event, Finish):
                finishes[event.index] = event.native
    return text, calls, finishes


def counts(chunks: list[Chunk]) -> Usage | None:
    return next((chunk.usage for chunk in reversed(chunks) if chunk.usage is not None), None)


@pytest.mark.parametrize("path", files("plain_*"))
def test_plain_replies(path: Path) -> None:
    theirs = ChatCompletion.model_validate_json(path.read_bytes())
    chunks = ours(path)
    text, calls, finishes = said(chunks)
    for choice in theirs.choices:
        assert text.get(choice.index, "") == (choice.message.content or "")
        assert finishes[choice.index] == choice.finish_reason
        for number, call in enumerate(choice.message.tool_calls or ()):
            assert call.type == "function"
            assert calls[choice.index, number] == [call.function.name, call.function.arguments]
    usage = counts(chunks)
    if theirs.usage is not None:
        assert usage is not None
        assert (usage.input, usage.output) == (theirs.usage.prompt_tokens, theirs.usage.completion_tokens)


@pytest.mark.parametrize("path", files("stream_*"))
def test_streams(path: Path) -> None:
    text: dict[int, str] = {}
    calls: dict[tuple[int, int], list[str]] = {}
    finishes: dict[int, str] = {}
    usage = None
    for line in path.read_text("utf-8").splitlines():
        data = line.removeprefix("data: ")
        if not line.startswith("data: ") or data == "[DONE]":
            continue
        value = json.loads(data)
        if path.name in LOOSE:
            theirs = ChatCompletionChunk.construct(**value)
        else:
            theirs = ChatCompletionChunk.model_validate(value)
        usage = theirs.usage or usage
        for choice in theirs.choices:
            delta = getattr(choice, "delta", None)
            if delta is None:
                continue
            if delta.content:
                text[choice.index] = text.get(choice.index, "") + delta.content
            for piece in delta.tool_calls or ():
                call = calls.setdefault((choice.index, piece.index), ["", ""])
                assert piece.function is not None
                call[0] += piece.function.name or ""
                call[1] += piece.function.arguments or ""
            if choice.finish_reason:
                finishes[choice.index] = choice.finish_reason
    chunks = ours(path)
    assert said(chunks) == (text, calls, finishes)
    if usage is not None:
        found = counts(chunks)
        assert found is not None
        assert (found.input, found.output) == (usage.prompt_tokens, usage.completion_tokens)


def test_what_we_compose_is_a_request_of_its_types() -> None:
    """A conversation of another dialect, through the composer: the official types must take it."""
    wire = provider_wire("openai.chat")
    body = {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "hi"}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "c", "content": "done"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "tool_choice": "required",
        "max_tokens": 5,
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
        "seed": 1,
        "stop": ["x"],
    }
    request = openai_chat.parse(json.dumps(body).encode(), "r")
    assert openai_chat.CLIENT.conversation is not None
    out = wire.encode(request, there(), openai_chat.CLIENT.conversation(request))
    REQUESTS.validate_json(out.body, strict=False)


def there() -> Any:
    from nearfar.core.places import Place
    from nearfar.core.routing import Deployment

    return Deployment(name="d", provider="openai", model="m", wire="openai.chat", base_url="", place=Place.CLOUD)
