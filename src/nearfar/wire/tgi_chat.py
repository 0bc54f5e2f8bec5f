"""Text Generation Inference's chat completions, towards providers: OpenAI's shape with words and traps of its own.

It knows neither routes nor places. Source: TGI's docs/openapi.json and router of 2026-01 (3.3, in maintenance mode),
read 2026-11-22. Members it does not know it ignores in silence; here they are told.

=============================== ==========================================================================
n > 1                           refused: TGI ignores it
schema, any JSON                TGI's own grammar: ``{"type": "json", "value": SCHEMA}``
tools and a schema together     refused: TGI takes one grammar
max_completion_tokens           as max_tokens
logit_bias, user, store, …      dropped                                                        (deviation)
sound, documents, video         refused
=============================== ==========================================================================

Replies finish with ``eos_token`` or ``stop_sequence`` where OpenAI says ``stop``. Every streamed tool call has the
index 0, older versions send one call instead of a list of them, and ids are often empty: calls are numbered anew here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from nearfar.core.chat import Chunk, Event, Request, ToolCallDelta
from nearfar.core.conversation import Conversation, Media, Opaque
from nearfar.core.errors import ContextTooLong, NearfarError, Overloaded, UpstreamError
from nearfar.core.routing import Deployment
from nearfar.wire.base import Decoder, Outgoing, ProviderWire
from nearfar.wire.deviations import Deviations, unsupported
from nearfar.wire.failures import retry_after, upstream_error
from nearfar.wire.openai_chat_compose import members
from nearfar.wire.openai_chat_decode import plain, stream
from nearfar.wire.openai_chat_narrow import Takes, narrow, one_limit, sayable, schema_of
from nearfar.wire.patch import JSON_HEADERS

SYSTEM = "Text Generation Inference"

TAKES = Takes(
    system=SYSTEM,
    members=frozenset(
        {
            "frequency_penalty",
            "guideline",
            "logprobs",
            "max_tokens",
            "messages",
            "presence_penalty",
            "response_format",
            "seed",
            "stop",
            "stream_options",
            "temperature",
            "tool_choice",
            "tool_prompt",
            "tools",
            "top_logprobs",
            "top_p",
        }
    ),
    refused=frozenset({"audio", "function_call", "functions", "modalities", "n"}),
)

_PART = "openai.part"
_TOO_LONG = re.compile(r"`?inputs`? (tokens \+|must have less than)")


def encode(request: Request, deployment: Deployment, conversation: Conversation | None) -> Outgoing:
    """The conversation as a request to ``deployment``. Raises BadRequestError (code ``unsupported``)."""
    assert conversation is not None, "no client wire is like this one"
    note = Deviations()
    conversation = sayable(request, deployment, conversation, note)
    for message in conversation.messages:
        for block in message.blocks:
            foreign = isinstance(block, Opaque) and block.vendor == _PART
            if foreign or (isinstance(block, Media) and block.kind != "image"):
                raise unsupported(SYSTEM, "input but text and images", "messages")
    found = members(conversation)
    one_limit(found, "max_tokens", otherwise=deployment.max_output, note=note)
    _put_grammar(found)
    value: dict[str, Any] = {"model": deployment.model, **narrow(found, TAKES, note), "stream": request.stream}
    if isinstance(conversation.settings.stop, list):
        value["stop"] = conversation.settings.stop  # TGI takes a list alone
    if request.stream:
        value["stream_options"] = {"include_usage": True}
    body = msgspec.json.encode(value)
    return Outgoing(path="/chat/completions", headers=JSON_HEADERS, body=body, deviations=note.all())


def _put_grammar(found: dict[str, msgspec.Raw]) -> None:
    raw = found.get("response_format")
    if raw is None:
        return
    shape = msgspec.json.decode(raw)
    if isinstance(shape, dict) and shape.get("type") in {"json", "regex"} and "value" in shape:
        grammar: object = shape  # TGI's own words, from a client that knows it
    else:
        schema = schema_of(found)
        grammar = None if schema is None else {"type": "json", "value": schema}
    if grammar is None:
        del found["response_format"]
        return
    if "tools" in found:
        raise unsupported(SYSTEM, "way to follow tools and a schema together", "response_format")
    found["response_format"] = msgspec.Raw(msgspec.json.encode(grammar))


def decoder(request: Request, typed: bool) -> Decoder:
    """The decoder for the reply to ``request``. The bytes are never the client's: it always fills the events."""
    del typed
    return _Numbered(stream(request, typed=True) if request.stream else plain(typed=True), request.id)


class _Numbered:
    """Gives every tool call a number and an id of its own: TGI streams all of them under the index 0."""

    def __init__(self, inner: Decoder, request_id: str) -> None:
        self._inner = inner
        self._name = request_id.rpartition("-")[2]
        self._count = 0
        self._open: dict[tuple[int, int], tuple[int, str, bool]] = {}
        """(choice, TGI's index) → our number, TGI's id, whether arguments have come."""

    def feed(self, data: bytes) -> list[Chunk]:
        """See Decoder."""
        return [self._number(chunk) for chunk in self._inner.feed(data)]

    def close(self) -> list[Chunk]:
        """See Decoder."""
        return [self._number(chunk) for chunk in self._inner.close()]

    def _number(self, chunk: Chunk) -> Chunk:
        if any(isinstance(event, ToolCallDelta) for event in chunk.events):
            chunk.events = tuple(self._event(event) for event in chunk.events)
        return chunk

    def _event(self, event: Event) -> Event:
        if not isinstance(event, ToolCallDelta):
            return event
        place = (event.index, event.call)
        known = self._open.get(place)
        # A name says that a call begins: always where ids differ, and where arguments stand already.
        begins = known is None or (event.name and (known[2] or (event.id and event.id != known[1])))
        if known is None or begins:
            number = self._count
            self._count += 1
            self._open[place] = (number, event.id, bool(event.arguments))
            # TGI's own ids are empty or small numbers, which would collide in the next turn.
            minted = event.id if len(event.id) > 3 else f"call_{self._name}_{number}"
            return msgspec.structs.replace(event, call=number, id=minted)
        number, id_, written = known
        self._open[place] = (number, id_, written or bool(event.arguments))
        return msgspec.structs.replace(event, call=number, id="", name="")


def error(status: int, headers: Mapping[str, str], body: bytes) -> NearfarError:
    """TGI's 429 says that its queue is full, 424 that generating failed; 422 has its usual meaning."""
    if status == 429:
        text = "Text Generation Inference has as many requests as it takes."
        return Overloaded(text, retry_after=retry_after(headers), upstream_status=status, upstream_body=body)
    if status == 424:
        text = "Text Generation Inference failed while it was generating."
        return UpstreamError(text, upstream_status=status, upstream_body=body)
    found = upstream_error(status, headers, body)
    if status == 422 and _TOO_LONG.search(found.message):
        return ContextTooLong(found.message, upstream_status=status, upstream_body=body)
    return found


PROVIDER = ProviderWire(name="tgi.chat", encode=encode, decoder=decoder, error=error)
