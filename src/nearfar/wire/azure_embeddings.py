"""Embeddings at Azure OpenAI, towards providers: OpenAI's dialect through one of two doors (see azure_doors)."""

from __future__ import annotations

from nearfar.core.chat import Request
from nearfar.core.conversation import Conversation
from nearfar.core.routing import Deployment
from nearfar.wire import openai_embeddings
from nearfar.wire.azure_doors import error, through
from nearfar.wire.base import Outgoing, ProviderWire


def encode(request: Request, deployment: Deployment, conversation: Conversation | None) -> Outgoing:
    """The request as for OpenAI, at Azure's path."""
    return through(openai_embeddings.encode(request, deployment, conversation), deployment)


PROVIDER = ProviderWire(
    name="azure.embeddings",
    like=openai_embeddings.PROVIDER.like,
    operations=frozenset({"embeddings"}),
    encode=encode,
    decoder=openai_embeddings.PROVIDER.decoder,
    error=error,
)
