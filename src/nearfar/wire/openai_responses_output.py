"""Builds the output items of a response from events, and says each step as a Responses event. It knows no framing.

Source: the OpenAI API reference, "Streaming events", and the types of its Python SDK 3.54, read 2026-11-22. Calls of
custom tools and of namespaces were offered as functions; here they get the client's names and kinds back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from nearfar.core.chat import (
    Event,
    Finish,
    LogprobsDelta,
    ReasoningDelta,
    ReasoningSeal,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
)
from nearfar.wire import reported
from nearfar.wire.openai_responses_conversation import Seal, sealed
from nearfar.wire.openai_responses_tools import Offer

Say = Callable[[str, dict[str, Any]], None]
"""(event type, its members)."""


class _Call:
    """A call whose arguments are still coming."""

    def __init__(self, item: dict[str, Any], index: int, *, custom: bool) -> None:
        self.item = item
        self.index = index
        self.custom = custom
        self.pieces: list[str] = []


class Output:
    """The output of one response. Only the first choice is looked at: the API has no other."""

    def __init__(self, say: Say, offered: Offer, mark: str) -> None:
        """``mark`` makes the items' ids unique over all responses."""
        self.items: list[dict[str, Any]] = []
        self.finish = ""
        self._say = say
        self._offered = offered
        self._mark = mark
        self._message: dict[str, Any] | None = None
        self._message_index = 0
        self._part: dict[str, Any] | None = None
        self._content = 0
        self._pieces: list[str] = []
        self._reasoning: dict[str, Any] | None = None
        self._reasoning_index = 0
        self._block = 0
        self._thoughts: list[str] = []
        self._calls: dict[int, _Call] = {}
        self._logprobs: list[Any] = []
        self._turn = ""
        """Google's signature over the whole turn: it comes beside the last words and stands after them."""

    def add(self, events: tuple[Event, ...]) -> None:
        """Take the events of one chunk. Log-probabilities belong to the text beside them, whatever their order."""
        for event in events:
            if isinstance(event, LogprobsDelta) and event.index == 0:
                self._logprobs += _logprobs(event.raw)
        for event in events:
            if isinstance(event, TextDelta) and event.index == 0:
                self._text("output_text", event.text)
            elif isinstance(event, RefusalDelta) and event.index == 0:
                self._text("refusal", event.text)
            elif isinstance(event, ReasoningDelta) and event.index == 0:
                self._reason(event.text, event.block)
            elif isinstance(event, ReasoningSeal) and event.index == 0:
                self._seal(event)
            elif isinstance(event, ToolCallDelta) and event.index == 0:
                self._call(event)
            elif isinstance(event, Finish) and event.index == 0:
                self.finish = event.reason

    def close(self) -> None:
        """Everything has been said: end what is open."""
        status = "incomplete" if self.finish in {"length", "content_filter"} else "completed"
        self._close_reasoning(status)
        self._close_message(status)
        if self._turn:
            self._mark_with(Seal(self._turn, vendor="google"))
        for call in self._calls.values():
            self._close_call(call, status)
        self._calls = {}

    # Items.

    def _open(self, item: dict[str, Any]) -> int:
        index = len(self.items)
        self.items.append(item)
        self._say("response.output_item.added", {"output_index": index, "item": item})
        return index

    def _id(self, prefix: str) -> str:
        return f"{prefix}_{self._mark}_{len(self.items)}"

    def _done(self, index: int, item: dict[str, Any], status: str) -> None:
        item["status"] = status
        self._say("response.output_item.done", {"output_index": index, "item": item})

    # Text and refusals.

    def _text(self, kind: str, text: str) -> None:
        if not text:
            return
        self._close_reasoning("completed")
        if self._message is None:
            self._message = {
                "id": self._id("msg"),
                "type": "message",
                "status": "in_progress",
                "role": "assistant",
                "content": [],
            }
            self._message_index = self._open(self._message)
        message = self._message
        if self._part is None or self._part["type"] != kind:
            self._close_part()
            self._content = len(message["content"])
            empty: dict[str, Any] = {"type": kind, "annotations": [], "logprobs": [], "text": ""}
            self._part = empty if kind == "output_text" else {"type": kind, "refusal": ""}
            self._say("response.content_part.added", {**self._place(message), "part": self._part})
            message["content"].append(self._part)
        self._pieces.append(text)
        members: dict[str, Any] = {**self._place(message), "delta": text}
        if kind == "output_text":
            members["logprobs"] = self._logprobs
            self._part["logprobs"] += self._logprobs
            self._logprobs = []
        self._say(f"response.{kind}.delta", members)

    def _place(self, message: dict[str, Any]) -> dict[str, Any]:
        return {"item_id": message["id"], "output_index": self._message_index, "content_index": self._content}

    def _close_part(self) -> None:
        part, message = self._part, self._message
        if part is None or message is None:
            return
        name = "text" if part["type"] == "output_text" else "refusal"
        part[name] = "".join(self._pieces)
        self._pieces = []
        place = self._place(message)
        members = {**place, name: part[name]}
        if name == "text":
            part["logprobs"] += self._logprobs
            self._logprobs = []
            members["logprobs"] = part["logprobs"]
        self._say(f"response.{part['type']}.done", members)
        self._say("response.content_part.done", {**place, "part": part})
        self._part = None

    def _close_message(self, status: str) -> None:
        self._close_part()
        if self._message is not None:
            self._done(self._message_index, self._message, status)
            self._message = None

    # Reasoning.

    def _reason(self, text: str, block: int) -> None:
        if not text:
            return
        if self._reasoning is not None and self._block != block:
            self._close_reasoning("completed")
        if self._reasoning is None:
            self._begin_reasoning(block)
            self._say("response.content_part.added", {**self._thought(), "part": _thought("")})
        self._thoughts.append(text)
        self._say("response.reasoning_text.delta", {**self._thought(), "delta": text})

    def _begin_reasoning(self, block: int) -> None:
        self._close_message("completed")
        self._block = block
        self._reasoning = {"id": self._id("rs"), "type": "reasoning", "status": "in_progress", "summary": []}
        self._reasoning_index = self._open(self._reasoning)

    def _thought(self) -> dict[str, Any]:
        assert self._reasoning is not None
        return {"item_id": self._reasoning["id"], "output_index": self._reasoning_index, "content_index": 0}

    def _seal(self, seal: ReasoningSeal) -> None:
        if seal.vendor == "google":
            self._turn = seal.signature
            return
        if self._reasoning is None or self._block != seal.block:
            self._close_reasoning("completed")
            self._begin_reasoning(seal.block)
        assert self._reasoning is not None
        self._reasoning["encrypted_content"] = sealed(Seal(seal.signature, seal.redacted))
        self._close_reasoning("completed")

    def _mark_with(self, seal: Seal) -> None:
        """An item of reasoning without words, for a signature that belongs to something else."""
        self._begin_reasoning(self._block)
        assert self._reasoning is not None
        self._reasoning["encrypted_content"] = sealed(seal)
        self._close_reasoning("completed")

    def _close_reasoning(self, status: str) -> None:
        item = self._reasoning
        if item is None:
            return
        if self._thoughts:
            text = "".join(self._thoughts)
            self._thoughts = []
            self._say("response.reasoning_text.done", {**self._thought(), "text": text})
            item["content"] = [_thought(text)]
            self._say("response.content_part.done", {**self._thought(), "part": _thought(text)})
        self._reasoning = None
        self._done(self._reasoning_index, item, status)

    # Calls.

    def _call(self, event: ToolCallDelta) -> None:
        call = self._calls.get(event.call)
        if call is None:
            self._close_reasoning("completed")
            self._close_message("completed")
            call = self._calls[event.call] = self._begin_call(event)
        if not event.arguments:
            return
        call.pieces.append(event.arguments)
        if not call.custom:
            members = {"item_id": call.item["id"], "output_index": call.index, "delta": event.arguments}
            self._say("response.function_call_arguments.delta", members)

    def _begin_call(self, event: ToolCallDelta) -> _Call:
        offered = self._offered.called(event.name)
        kind, prefix = ("custom_tool_call", "ctc") if offered.custom else ("function_call", "fc")
        call_id = event.id or f"call_{self._mark}_{event.call}"
        if event.signature:
            self._mark_with(Seal(event.signature, vendor="google", call=call_id))
        item: dict[str, Any] = {
            "id": self._id(prefix),
            "type": kind,
            "status": "in_progress",
            "call_id": call_id,
            "name": offered.name,
        }
        if offered.namespace:
            item["namespace"] = offered.namespace
        item["input" if offered.custom else "arguments"] = ""
        return _Call(item, self._open(item), custom=offered.custom)

    def _close_call(self, call: _Call, status: str) -> None:
        text = "".join(call.pieces)
        place = {"item_id": call.item["id"], "output_index": call.index}
        if call.custom:
            # The text stands inside JSON, so it cannot be told before the JSON is whole.
            text = _input(text)
            call.item["input"] = text
            self._say("response.custom_tool_call_input.delta", {**place, "delta": text})
            self._say("response.custom_tool_call_input.done", {**place, "input": text})
        else:
            call.item["arguments"] = text
            members = {**place, "name": call.item["name"], "arguments": text}
            self._say("response.function_call_arguments.done", members)
        self._done(call.index, call.item, status)


def _thought(text: str) -> dict[str, str]:
    return {"type": "reasoning_text", "text": text}


def _input(arguments: str) -> str:
    """The text for a custom tool: what stands in ``input``, or what the model wrote instead."""
    try:
        value = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        return arguments
    text = value.get("input") if isinstance(value, dict) else None
    return text if isinstance(text, str) else arguments


def _logprobs(raw: msgspec.Raw) -> list[dict[str, Any]]:
    """Entries of the chat's shape; where it may leave out the bytes of a token, this API wants them."""
    return [
        {**_token(item), "top_logprobs": [_token(top) for top in item["top_logprobs"]]}
        for item in reported.logprobs(raw)
    ]


def _token(item: dict[str, Any]) -> dict[str, Any]:
    token = item["token"]
    return {
        "token": token,
        "logprob": item.get("logprob") or 0.0,
        "bytes": item["bytes"] if isinstance(item.get("bytes"), list) else list(token.encode()),
    }
