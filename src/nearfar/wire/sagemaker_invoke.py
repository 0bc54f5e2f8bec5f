"""Amazon SageMaker's endpoints whose container speaks OpenAI's chat completions. It knows neither routes nor places.

A stream is the container's own, in parts of AWS's event stream that cut it anywhere. The endpoint is the deployment's
model, or ``options.endpoint``; then the model is what the container calls it.

Source: the service model sagemaker-runtime 2017-05-13 in botocore 1.44 and the SageMaker developer guide, read
2026-11-22.
"""

from __future__ import annotations

from urllib.parse import quote

from nearfar.core.chat import Request
from nearfar.core.conversation import Conversation
from nearfar.core.routing import Deployment
from nearfar.wire import openai_chat, strict
from nearfar.wire.aws_event_stream import Message
from nearfar.wire.aws_failures import aws_error
from nearfar.wire.aws_unwrap import Unwrapped
from nearfar.wire.base import Decoder, Outgoing, ProviderWire
from nearfar.wire.openai_chat_decode import decoder as chat_decoder

_COMPONENT = "x-amzn-sagemaker-inference-component"


def encode(request: Request, deployment: Deployment, conversation: Conversation | None) -> Outgoing:
    """The request as OpenAI's wire makes it, for the endpoint. Raises BadRequestError."""
    out = openai_chat.encode(request, deployment, conversation)
    endpoint = deployment.options.get("endpoint")
    named = bool(endpoint) and endpoint != deployment.model
    return to_endpoint(request, deployment, out.body if named else nameless(out.body), out.deviations)


def nameless(body: bytes) -> bytes:
    """``body`` without a model's name: vLLM's containers refuse every name but their own, and take an empty one."""
    return strict.replace(strict.members(body), {"model": b'""'})


def to_endpoint(request: Request, deployment: Deployment, body: bytes, deviations: tuple[str, ...]) -> Outgoing:
    """``body`` for the container behind the endpoint."""
    endpoint = quote(deployment.options.get("endpoint") or deployment.model, safe="")
    headers = [("content-type", "application/json")]
    component = deployment.options.get("inference_component")
    if component:
        headers.append((_COMPONENT, component))
    return Outgoing(
        path=f"/endpoints/{endpoint}/invocations{'-response-stream' if request.stream else ''}",
        headers=tuple(headers),
        body=body,
        deviations=deviations,
    )


def decoder(request: Request, typed: bool) -> Decoder:
    """The decoder for the reply to ``request``."""
    inner = chat_decoder(request, typed)
    return Unwrapped(inner, part) if request.stream else inner


def part(message: Message) -> bytes:
    """The container's bytes in a message; none in those that say something else."""
    return message.payload if message.header(":event-type") == "PayloadPart" else b""


PROVIDER = ProviderWire(
    name="sagemaker.invoke",
    like=frozenset({"openai.chat"}),
    encode=encode,
    decoder=decoder,
    error=aws_error,
)
