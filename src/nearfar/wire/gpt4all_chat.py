"""GPT4All's chat completions, towards providers: OpenAI's shape with few members, plain text and no streams.

It knows neither routes nor places. Source: gpt4all-chat/src/server.cpp of 2025-02 (its last), read 2026-11-22.

======================================= ==================================================================
stream                                  asked for as one body, given to the client as a stream   (deviation)
no limit on the answer                  the deployment's, or 4096: GPT4All's own is 16           (deviation)
parts of text                           joined by line breaks
developer                               system
name, reasoning in messages             dropped                                                  (deviation)
seed, penalties, logit_bias, …          dropped: GPT4All answers 400 to each                     (deviation)
stop, tools, schema, log-probabilities  refused
images, sound, documents, tool results  refused
======================================= ==================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from nearfar.core.chat import Chunk, Request
from nearfar.core.conversation import Conversation, Message, Opaque, Reasoning, Refusal, Text
from nearfar.core.errors import APIConnectionError, BadRequestError, NearfarError, UpstreamError
from nearfar.core.routing import Deployment
from nearfar.wire import reported
from nearfar.wire.base import Decoder, Outgoing, ProviderWire
from nearfar.wire.deviations import Deviations, unsupported
from nearfar.wire.failures import upstream_error
from nearfar.wire.openai_chat_compose import members
from nearfar.wire.openai_chat_decode import read_plain
from nearfar.wire.openai_chat_narrow import Takes, narrow, one_limit, sayable
from nearfar.wire.patch import JSON_HEADERS
from nearfar.wire.plain import PlainDecoder

SYSTEM = "GPT4All"
OUTPUT = 4096
"""Tokens of answer asked for when neither the client nor the deployment states a limit."""

TAKES = Takes(
    system=SYSTEM,
    members=frozenset({"max_tokens", "min_p", "n", "temperature", "top_p", "user"}),
    refused=frozenset(
        {
            "audio",
            "function_call",
            "functions",
            "logprobs",
            "modalities",
            "response_format",
            "stop",
            "tool_choice",
            "tools",
        }
    ),
)

_THINKING = "openai.thinking_block"


class _Named(msgspec.Struct):
    model: Any = ""


def encode(request: Request, deployment: Deployment, conversation: Conversation | None) -> Outgoing:
    """The conversation as a request to ``deployment``. Raises BadRequestError (code ``unsupported``)."""
    assert conversation is not None, "no client wire is like this one"
    note = Deviations()
    conversation = sayable(request, deployment, conversation, note)
    found = members(conversation)
    del found["messages"]
    one_limit(found, "max_tokens", otherwise=deployment.max_output or OUTPUT, note=note)
    value: dict[str, Any] = {"model": deployment.model, **narrow(found, TAKES, note)}
    value["messages"] = [_message(message, note) for message in conversation.messages]
    if request.stream:
        note.add("adapted:stream")
    body = msgspec.json.encode(value)
    return Outgoing(path="/chat/completions", headers=JSON_HEADERS, body=body, deviations=note.all())


def _message(message: Message, note: Deviations) -> dict[str, str]:
    role = {"developer": "system"}.get(message.role, message.role)
    if role not in {"system", "user", "assistant"}:
        raise unsupported(SYSTEM, f"messages of the role {message.role!r}", "messages")
    if message.name:
        note.add("dropped:name")
    note.keep(message.extra, frozenset())
    texts = []
    for block in message.blocks:
        if isinstance(block, Text | Refusal):
            note.keep(block.extra, frozenset())
            texts.append(block.text)
        elif isinstance(block, Reasoning) or (isinstance(block, Opaque) and block.vendor == _THINKING):
            note.add("dropped:reasoning")
        elif isinstance(block, Opaque) and block.text:
            note.add("adapted:content")
            texts.append(block.text)
        else:
            raise unsupported(SYSTEM, "messages but text", "messages")
    return {"role": role, "content": "\n".join(texts)}


def decoder(request: Request, typed: bool) -> Decoder:
    """The reply is always one body: its chunk is what a stream is made of, too."""
    del request, typed  # the bytes are never the client's, so the events are always needed
    return PlainDecoder(_read)


def _read(body: bytes) -> Chunk:
    chunk = read_plain(body, typed=True)
    # GPT4All calls its models by titles ("Llama 3 8B Instruct"), and answers with its default model when it does not
    # know the name: which one answered must stay visible.
    name = msgspec.json.decode(body, type=_Named).model
    if isinstance(name, str):
        chunk.model = chunk.model or reported.model("-".join(name.split()))
    return chunk


def error(status: int, headers: Mapping[str, str], body: bytes) -> NearfarError:
    """GPT4All says little: 401 when its server is switched off in its settings, 500 with no body when a model fails."""
    if status == 401:
        message = "GPT4All's local API server is switched off."
        hint = "Switch it on in GPT4All: Settings, Application, Enable Local API Server."
        return APIConnectionError(message, hint=hint, upstream_status=status)
    if status == 500 and not body.strip():
        message = "GPT4All could not load the model or run it; it does not say why."
        return UpstreamError(message, hint="Its window shows the error.", upstream_status=status)
    found = upstream_error(status, headers, body)
    if isinstance(found, BadRequestError) and "Unrecognized request argument" in found.message:
        found.code = "unsupported"
        found.hint = "This GPT4All takes fewer members than the version this wire was written for."
    return found


PROVIDER = ProviderWire(name="gpt4all.chat", encode=encode, decoder=decoder, error=error)
