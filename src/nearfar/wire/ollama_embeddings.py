"""Ollama's older ``/api/embeddings``, one text at a time, towards clients. It knows no upstream.

Source: Ollama's api/types.go and server/routes.go of 2026-08, read 2026-11-22.
"""

from __future__ import annotations

import msgspec

from nearfar.core.chat import Request
from nearfar.core.conversation import Conversation, Message, Text
from nearfar.wire import strict
from nearfar.wire.base import ClientWire
from nearfar.wire.fields import refuse_steering, wrong
from nearfar.wire.ollama_common import asks_nothing, error_body, left_out, model_of, options_of
from nearfar.wire.ollama_embed import renderer
from nearfar.wire.tokens import of_text

_KNOWN = frozenset({"model", "name", "prompt"})
_ONE = msgspec.Raw(b'""')


def parse(body: bytes, request_id: str) -> Request:
    """Read a request for one vector. Raises BadRequestError."""
    members, values, compact = strict.parse(body)
    refuse_steering(values)
    options_of(values)
    prompt = values.get("prompt")
    if prompt is not None and not isinstance(prompt, str):
        raise wrong("prompt", prompt, "text")
    return Request(
        id=request_id,
        wire=CLIENT.name,
        operation="embeddings",
        model=model_of(values),
        body=body,
        fields=members,
        input_tokens=of_text(compact),
    )


def is_empty(request: Request) -> bool:
    """Whether the request has no prompt: the model is to be loaded, or, with ``keep_alive`` 0, unloaded."""
    return asks_nothing(request.fields.get("prompt"))


def conversation(request: Request) -> Conversation:
    """The prompt as the only block of one message, as openai_embeddings has it."""
    fields = request.fields
    text = Text(text=msgspec.json.decode(fields["prompt"], type=str))
    dropped = tuple(left_out(fields, _KNOWN))
    return Conversation(messages=[Message(role="user", blocks=[text])], extra={"input": _ONE}, deviations=dropped)


CLIENT = ClientWire(
    name="ollama.embeddings", parse=parse, renderer=renderer, conversation=conversation, error=error_body
)
