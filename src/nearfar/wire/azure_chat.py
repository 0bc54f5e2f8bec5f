"""Chat completions at Azure OpenAI, towards providers: OpenAI's dialect through one of Azure's two doors.

Sources: see azure_doors. Azure's filter adds a first event without choices (``prompt_filter_results``) and, when it
works asynchronously, choices without a ``delta``; openai_chat_decode reads both.
"""

from __future__ import annotations

from nearfar.core.chat import Request
from nearfar.core.conversation import Conversation
from nearfar.core.routing import Deployment
from nearfar.wire import openai_chat
from nearfar.wire.azure_doors import error, through
from nearfar.wire.base import Outgoing, ProviderWire
from nearfar.wire.openai_chat_decode import decoder


def encode(request: Request, deployment: Deployment, conversation: Conversation | None) -> Outgoing:
    """The request as for OpenAI, at Azure's path."""
    return through(openai_chat.encode(request, deployment, conversation), deployment)


PROVIDER = ProviderWire(name="azure.chat", like=frozenset({"openai.chat"}), encode=encode, decoder=decoder, error=error)
