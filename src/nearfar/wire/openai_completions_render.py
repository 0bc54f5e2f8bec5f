"""Renders chunks as OpenAI's legacy text completions, streamed or plain. It knows no upstream.

Source: the OpenAI API reference, "Create completion (legacy)". Chunks from another wire come from a chat: what a
completion has no place for (reasoning) is left out of its text; a refusal is its text.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nearfar.core.chat import Chunk, Finish, LogprobsDelta, RefusalDelta, Request, TextDelta, Usage
from nearfar.core.errors import NearfarError
from nearfar.wire import reported
from nearfar.wire.base import Renderer
from nearfar.wire.openai_chat_decode import DONE
from nearfar.wire.openai_chat_render import KEEP_ALIVE, LikeStream, error_body
from nearfar.wire.plain import PassedOn

_encode = msgspec.json.Encoder().encode
_FINISH = {"length": "length", "content_filter": "content_filter"}


def renderer(request: Request, like: bool) -> Renderer:
    """The renderer for the reply to ``request``; ``like``: the chunks are already in this shape."""
    if request.stream:
        return LikeStream(request) if like else Stream(request)
    return PassedOn(request.id, error_body) if like else Plain(request)


class _Text:
    """What one choice has said, with log-probabilities in the legacy shape."""

    def __init__(self) -> None:
        self.offset = 0
        self.text: list[str] = []
        self.logprobs: dict[str, list[Any]] | None = None
        self.finish = ""

    def take(self) -> dict[str, Any]:
        """The members of a choice for what came since the last call."""
        text, logprobs = "".join(self.text), self.logprobs
        self.text, self.logprobs = [], None
        return {"text": text, "logprobs": logprobs}

    def add_logprobs(self, raw: msgspec.Raw) -> None:
        """Add the chat's entries; ``text_offset`` counts characters of the whole answer."""
        entries = reported.logprobs(raw)
        if not entries:
            return
        if self.logprobs is None:
            self.logprobs = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
        for entry in entries:
            token = entry["token"]
            self.logprobs["tokens"].append(token)
            self.logprobs["token_logprobs"].append(entry.get("logprob"))
            self.logprobs["top_logprobs"].append({top["token"]: top.get("logprob") for top in entry["top_logprobs"]})
            self.logprobs["text_offset"].append(self.offset)
            self.offset += len(token)


class _Completion:
    """The parts that a stream and a plain reply share."""

    def __init__(self, request: Request) -> None:
        self.request_id = request.id
        self.usage: Usage | None = None
        self.choices: dict[int, _Text] = {}
        self._created = request.received
        self._model = request.model

    def read(self, chunk: Chunk) -> None:
        """Put the chunk's events to their choices."""
        self._model = chunk.model or self._model
        self.usage = chunk.usage or self.usage
        for event in chunk.events:
            if isinstance(event, TextDelta | RefusalDelta):
                self._choice(event.index).text.append(event.text)
            elif isinstance(event, LogprobsDelta):
                self._choice(event.index).add_logprobs(event.raw)
            elif isinstance(event, Finish):
                self._choice(event.index).finish = _FINISH.get(event.reason, "stop")

    def _choice(self, index: int) -> _Text:
        return self.choices.setdefault(index, _Text())

    def value(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        """The object around ``choices``."""
        return {
            "id": f"cmpl-{self.request_id}",
            "object": "text_completion",
            "created": self._created,
            "model": self._model,
            "choices": choices,
        }

    def counts(self) -> dict[str, int] | None:
        """OpenAI's ``usage``; None when a count is not known, for zero would be a lie."""
        usage = self.usage
        if usage is None or usage.input is None or usage.output is None:
            return None
        total = usage.input + usage.output
        return {"prompt_tokens": usage.input, "completion_tokens": usage.output, "total_tokens": total}


class Stream:
    """A stream of completions from chunks of another wire."""

    content_type = "text/event-stream"

    def __init__(self, request: Request) -> None:
        self._completion = _Completion(request)
        self._wants_usage = request.include_usage

    def render(self, chunk: Chunk) -> bytes:
        """One event per choice that the chunk adds to or finishes."""
        completion = self._completion
        completion.read(chunk)
        parts = []
        for index, choice in sorted(completion.choices.items()):
            said, finish = choice.take(), choice.finish
            choice.finish = ""
            if said["text"] or said["logprobs"] or finish:
                parts.append(self._event([{"index": index, **said, "finish_reason": finish or None}], None))
        return b"".join(parts)

    def _event(self, choices: list[dict[str, Any]], usage: dict[str, int] | None) -> bytes:
        value = self._completion.value(choices)
        if self._wants_usage:
            value["usage"] = usage
        return b"data: %b\n\n" % _encode(value)

    def finish(self) -> bytes:
        """Usage, if the client asked and it is known, and the terminal marker."""
        counts = self._completion.counts()
        return (self._event([], counts) if self._wants_usage and counts is not None else b"") + DONE

    def error(self, error: NearfarError) -> bytes:
        """An error event; ``[DONE]`` does not follow, so no client takes the stream for complete."""
        return b"data: %b\n\n" % error_body(error, self._completion.request_id)

    def keep_alive(self) -> bytes:
        """A comment of one line, which every official client skips."""
        return KEEP_ALIVE

    def note(self, text: str) -> bytes:
        """A comment of one line."""
        return b": %b\n" % text.encode("ascii", "replace")


class Plain:
    """A plain completion from chunks of another wire."""

    content_type = "application/json"

    def __init__(self, request: Request) -> None:
        self._completion = _Completion(request)

    def render(self, chunk: Chunk) -> bytes:
        """Nothing yet: the body is written when the reply is complete."""
        self._completion.read(chunk)
        return b""

    def finish(self) -> bytes:
        """The whole body."""
        completion = self._completion
        choices = completion.choices or {0: _Text()}
        value = completion.value(
            [
                {"index": index, **choice.take(), "finish_reason": choice.finish or "stop"}
                for index, choice in sorted(choices.items())
            ]
        )
        counts = completion.counts()
        if counts is not None:
            value["usage"] = counts
        return _encode(value)

    def error(self, error: NearfarError) -> bytes:
        """The error's body."""
        return error_body(error, self._completion.request_id)

    def keep_alive(self) -> bytes:
        """Nothing: a plain body tolerates no filling."""
        return b""

    def note(self, text: str) -> bytes:  # noqa: ARG002  the contract's signature
        """Nothing: what is told of a plain reply stands in its headers."""
        return b""
