"""``transformers serve``'s chat completions, towards providers: OpenAI's shape, of which it leaves much out in silence.

It knows neither routes nor places. Source: transformers 5.23, ``cli/serving/chat_completion.py`` and ``utils.py``, read
2026-11-22. The server answers 422 to members it does not know and ignores others with a line in its own log; here they
are refused or told. Its streams have no ``[DONE]``: a finish reason and the end of the bytes complete them.

===================================== ====================================================================
schema, log-probabilities, n > 1      refused: the server would ignore them
tool_choice but auto                  refused: the server would ignore it
presence_penalty, user, store, …      dropped                                                  (deviation)
frequency_penalty                     sent; the server reads it as a repetition penalty        (deviation)
text beside tool calls, names         dropped: the server leaves them out of its prompt        (deviation)
images, sound, video                  refused until the owner says that the model can: a model of text
                                      would be asked without them
===================================== ====================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from nearfar.core.chat import Request
from nearfar.core.conversation import Conversation, Media, Message, Opaque, Reasoning, Refusal, Text, ToolCall
from nearfar.core.errors import NearfarError, UpstreamError
from nearfar.core.routing import Deployment
from nearfar.wire import sse
from nearfar.wire.base import Decoder, Outgoing, ProviderWire
from nearfar.wire.deviations import Deviations, unsupported
from nearfar.wire.failures import stream_error, upstream_error
from nearfar.wire.fields import call_arguments
from nearfar.wire.openai_chat_compose import members
from nearfar.wire.openai_chat_decode import plain, stream
from nearfar.wire.openai_chat_narrow import Takes, narrow, one_limit, sayable
from nearfar.wire.patch import JSON_HEADERS

SYSTEM = "transformers serve"

TAKES = Takes(
    system=SYSTEM,
    members=frozenset(
        {
            "chat_template_kwargs",
            "frequency_penalty",
            "logit_bias",
            "max_completion_tokens",
            "messages",
            "seed",
            "stop",
            "temperature",
            "tools",
            "top_p",
        }
    ),
    refused=frozenset(
        {"audio", "function_call", "functions", "logprobs", "modalities", "n", "response_format", "tool_choice"}
    ),
)

_NEEDS = {"image": "images", "audio": "audio", "document": "documents"}
_THINKING = "openai.thinking_block"
_PINNED = "Server is pinned to "


def encode(request: Request, deployment: Deployment, conversation: Conversation | None) -> Outgoing:
    """The conversation as a request to ``deployment``. Raises BadRequestError (code ``unsupported``)."""
    assert conversation is not None, "no client wire is like this one"
    note = Deviations()
    conversation = sayable(request, deployment, conversation, note)
    for message in conversation.messages:
        _check(message, deployment, note)
    found = members(conversation)
    one_limit(found, "max_completion_tokens", otherwise=deployment.max_output, note=note)
    kept = narrow(found, TAKES, note)
    if "frequency_penalty" in kept and bytes(kept["frequency_penalty"]) not in {b"0", b"0.0"}:
        note.add("adapted:frequency_penalty")
    value: dict[str, Any] = {"model": deployment.model, **kept, "stream": request.stream}
    return Outgoing(
        path="/chat/completions", headers=JSON_HEADERS, body=msgspec.json.encode(value), deviations=note.all()
    )


def _check(message: Message, deployment: Deployment, note: Deviations) -> None:
    """Refuse or tell what the server would leave out of its prompt without a word."""
    if message.name:
        note.add("dropped:name")
    note.keep(message.extra, frozenset())
    calls = [block for block in message.blocks if isinstance(block, ToolCall)]
    for call in calls:
        call_arguments(call, SYSTEM)
    for block in message.blocks:
        if isinstance(block, Reasoning) or (isinstance(block, Opaque) and block.vendor == _THINKING):
            note.add("dropped:reasoning")
        elif isinstance(block, Refusal):
            raise unsupported(SYSTEM, "refusals in its prompts", "messages")
        elif isinstance(block, Text) and calls and block.text:
            note.add("dropped:content")
        elif isinstance(block, Media | Opaque):
            need = _NEEDS.get(block.kind, "") if isinstance(block, Media) else ""
            able = deployment.capabilities.get(need)
            if not need or able is None or not able.can:
                hint = f"media known to reach this model (declare capabilities.{need or 'images'} if they do)"
                raise unsupported(SYSTEM, hint, "messages")


def decoder(request: Request, typed: bool) -> Decoder:
    """The decoder for the reply to ``request``. The bytes are never the client's: it always fills the events."""
    del typed
    return stream(request, typed=True, unreadable=_unreadable) if request.stream else plain(typed=True)


def _unreadable(event: sse.Event) -> NearfarError | None:
    """An error in mid-stream is written into its event unescaped: a quotation mark in its text breaks the JSON."""
    text = event.data.decode("utf-8", "replace")
    start, end = '{"error": "', '"}'
    if not (text.startswith(start) and text.endswith(end)):
        return None
    return stream_error(text[len(start) : -len(end)], event.data)


def error(status: int, headers: Mapping[str, str], body: bytes) -> NearfarError:
    """As everybody's, but a server started with one model answers 400 to every other name: the owner's mistake."""
    found = upstream_error(status, headers, body)
    if status == 400 and found.message.startswith(_PINNED):
        message = "transformers serve was started with another model than this deployment names."
        hint = "Give the deployment the model's name as it stands in the server's command line."
        return UpstreamError(message, code="upstream_not_found", hint=hint, upstream_status=status, upstream_body=body)
    return found


PROVIDER = ProviderWire(name="transformers.chat", encode=encode, decoder=decoder, error=error)
