"""Every provider's answer, as a client of Anthropic's dialect gets it: valid for its official client, and whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter
from tests.contract.test_wires import LIKE_ONLY, ask, feed, golden

from nearfar.core.chat import Chunk, RefusalDelta, Request, TextDelta, ToolCallDelta
from nearfar.wire import sse
from nearfar.wire.anthropic_messages import CLIENT
from nearfar.wire.base import ProviderWire

_official: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
ANSWERS = [
    answer
    for answer in golden("stream_*") + golden("plain_*")
    if "chat" in answer.values[0].operations
    and answer.values[0].name not in LIKE_ONLY
    and "choices" not in answer.values[1].name
]


def events(data: bytes) -> list[dict[str, Any]]:
    found = []
    for event in sse.Splitter().feed(data):
        _official.validate_json(event.data)
        found.append(json.loads(event.data))
    return found


@pytest.mark.parametrize(("wire", "path"), ANSWERS)
def test_every_answer_is_whole_in_anthropics_shape(wire: ProviderWire, path: Path) -> None:
    asked = ask(wire, path)
    chunks: list[Chunk] = feed(wire, asked, [path.read_bytes()], typed=True)
    said = [event for chunk in chunks for event in chunk.events]
    text = "".join(event.text for event in said if isinstance(event, TextDelta | RefusalDelta))
    arguments = [event for event in said if isinstance(event, ToolCallDelta)]
    request = Request(
        id="req-1",
        wire="anthropic.messages",
        operation="chat",
        model="asked",
        body=b"",
        fields={},
        stream=asked.stream,
    )
    renderer = CLIENT.renderer(request, False)
    out = b"".join(renderer.render(chunk) for chunk in chunks) + renderer.finish()
    if request.stream:
        values = events(out)
        deltas = [value["delta"] for value in values if value["type"] == "content_block_delta"]
        assert "".join(delta.get("text", "") for delta in deltas) == text
        written = "".join(delta.get("partial_json", "") for delta in deltas)
        assert written == "".join(event.arguments for event in arguments)
        assert values[-1]["type"] == "message_stop"
        calls = sum(value.get("content_block", {}).get("type") == "tool_use" for value in values)
        assert (values[-2]["delta"]["stop_reason"] == "tool_use") == bool(calls)
    else:
        message = Message.model_validate_json(out, strict=True)
        assert "".join(block.text for block in message.content if block.type == "text") == text
        calls = sum(block.type == "tool_use" for block in message.content)
        assert (message.stop_reason == "tool_use") == bool(calls)
    assert calls == len({event.call for event in arguments})
