"""Amazon SageMaker's own OpenAI door. It knows neither routes nor places.

``options.endpoint`` stands in the address; a deployment whose model is that endpoint sends an empty name, because
vLLM's containers refuse the endpoint's.

Source: the SageMaker developer guide, "OpenAI-compatible endpoints", read 2026-11-22.
"""

from __future__ import annotations

import msgspec

from nearfar.core.chat import Request
from nearfar.core.conversation import Conversation
from nearfar.core.routing import Deployment
from nearfar.wire import openai_chat
from nearfar.wire.aws_failures import aws_error
from nearfar.wire.base import Outgoing, ProviderWire
from nearfar.wire.openai_chat_decode import decoder
from nearfar.wire.sagemaker_invoke import nameless


def encode(request: Request, deployment: Deployment, conversation: Conversation | None) -> Outgoing:
    """The request as OpenAI's wire makes it. Raises BadRequestError."""
    out = openai_chat.encode(request, deployment, conversation)
    if deployment.options.get("endpoint") != deployment.model:
        return out
    return msgspec.structs.replace(out, body=nameless(out.body))


PROVIDER = ProviderWire(
    name="sagemaker.openai",
    like=frozenset({"openai.chat"}),
    encode=encode,
    decoder=decoder,
    error=aws_error,
)
