"""Chat completions at Hugging Face Inference Endpoints, towards providers: OpenAI's dialect behind a proxy that sleeps.

The engine behind the proxy is whatever its owner chose; the words here are the proxy's. Source: Hugging Face's
"Inference Endpoints: autoscaling", read 2026-11-22. While an endpoint scales up from zero the proxy answers 503 at
once, or holds the request for as many seconds as ``X-Scale-Up-Timeout`` says (``options.scale_up_timeout``).
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from nearfar.core.chat import Request
from nearfar.core.conversation import Conversation
from nearfar.core.errors import BadRequestError, ModelLoading, NearfarError, UpstreamError
from nearfar.core.routing import Deployment
from nearfar.wire import openai_chat
from nearfar.wire.base import Outgoing, ProviderWire
from nearfar.wire.failures import retry_after, upstream_error
from nearfar.wire.openai_chat_decode import decoder

SCALES_UP = 60.0
"""Seconds after which a scaled-down endpoint is worth another try when the proxy names none."""


def encode(request: Request, deployment: Deployment, conversation: Conversation | None) -> Outgoing:
    """The request as for OpenAI, with the wait that the deployment's options allow the proxy."""
    return _patient(openai_chat.encode(request, deployment, conversation), deployment)


def _patient(outgoing: Outgoing, deployment: Deployment) -> Outgoing:
    seconds = deployment.options.get("scale_up_timeout", "")
    if not seconds:
        return outgoing
    return msgspec.structs.replace(outgoing, headers=(*outgoing.headers, ("X-Scale-Up-Timeout", seconds)))


def error(status: int, headers: Mapping[str, str], body: bytes) -> NearfarError:
    """503 means that the endpoint is scaling up: a state, not a failure. A paused endpoint answers 400."""
    found = upstream_error(status, headers, body)
    if status == 503:
        wait = retry_after(headers)
        message = "The endpoint is scaling up from zero."
        return ModelLoading(
            message, retry_after=SCALES_UP if wait is None else wait, upstream_status=status, upstream_body=body
        )
    if isinstance(found, BadRequestError) and "paused" in found.message.lower():
        return UpstreamError(
            "The endpoint is paused.",
            code="endpoint_paused",
            hint="Resume it at Hugging Face.",
            upstream_status=status,
            upstream_body=body,
        )
    return found


PROVIDER = ProviderWire(
    name="huggingface.chat", like=frozenset({"openai.chat"}), encode=encode, decoder=decoder, error=error
)
