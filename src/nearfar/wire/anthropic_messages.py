"""Anthropic's Messages API, towards providers. It knows neither routes nor places.

Requests are composed in anthropic_messages_compose (with the table of what is refused, dropped and moved), replies
read in anthropic_messages_decode. Version 2023-06-01 is pinned: the next one refuses more and offers nothing needed.
"""

from __future__ import annotations

import msgspec

from nearfar.core.chat import Request
from nearfar.core.conversation import Conversation
from nearfar.core.routing import Deployment
from nearfar.wire.anthropic_messages_compose import to_anthropic
from nearfar.wire.anthropic_messages_decode import decoder
from nearfar.wire.base import Outgoing, ProviderWire
from nearfar.wire.failures import upstream_error

_HEADERS = (("content-type", "application/json"), ("anthropic-version", "2023-06-01"))


def encode(request: Request, deployment: Deployment, conversation: Conversation | None) -> Outgoing:
    """The conversation as a request to ``deployment``. Raises BadRequestError (code ``unsupported``)."""
    assert conversation is not None, "no client wire is like this one"
    value, deviations = to_anthropic(conversation, deployment.model, deployment.max_output)
    if request.stream:
        value["stream"] = True
    for old, new in deployment.rename.items():
        if old in value:
            value[new] = value.pop(old)
            deviations += (f"renamed:{old}",)
    for name in deployment.drop:
        if value.pop(name, None) is not None:
            deviations += (f"dropped:{name}",)
    return Outgoing(path="/v1/messages", headers=_HEADERS, body=msgspec.json.encode(value), deviations=deviations)


PROVIDER = ProviderWire(name="anthropic.messages", encode=encode, decoder=decoder, error=upstream_error)
