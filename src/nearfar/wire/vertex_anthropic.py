"""Anthropic's messages at Vertex AI: the same body, but for the model, which is in the path, and a version in it.

It knows neither routes nor places. Source: Claude API documentation, "Claude on Vertex AI", and the anthropic client
2.12 (lib/vertex), read 2026-11-22.
"""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from nearfar.core.chat import Request
from nearfar.core.conversation import Conversation
from nearfar.core.routing import Deployment
from nearfar.wire import anthropic_messages, strict
from nearfar.wire.base import Outgoing, ProviderWire
from nearfar.wire.gemini_generate_failures import gemini_error

VERSION = "vertex-2023-10-16"

_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_CHANGES = {"model": None, "anthropic_version": b'"%b"' % VERSION.encode()}
_OF_ANTHROPICS_OWN_DOOR = frozenset({"anthropic-version"})


def encode(request: Request, deployment: Deployment, conversation: Conversation | None) -> Outgoing:
    """Anthropic's request for ``deployment``, as Vertex AI takes it. Raises BadRequestError."""
    out = anthropic_messages.PROVIDER.encode(request, deployment, conversation)
    verb = "streamRawPredict" if request.stream else "rawPredict"
    model = quote(deployment.model, safe="@:.-_~")
    return msgspec.structs.replace(
        out,
        path=f"/publishers/anthropic/models/{model}:{verb}",
        headers=tuple(item for item in out.headers if item[0] not in _OF_ANTHROPICS_OWN_DOOR),
        body=strict.replace(_FIELDS(out.body), _CHANGES),
    )


PROVIDER = ProviderWire(
    name="vertex.anthropic",
    like=anthropic_messages.PROVIDER.like,
    encode=encode,
    decoder=anthropic_messages.PROVIDER.decoder,
    error=gemini_error,
)
"""Refusals come from Google's front or from Anthropic behind it; both shapes are read."""
