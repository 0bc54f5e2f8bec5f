"""Amazon SageMaker's endpoints whose container is TGI, asked by prompt: its events come as server-sent events.

It knows neither routes nor places; see sagemaker_invoke_prompt for what is asked and read.
"""

from __future__ import annotations

from nearfar.core.chat import Request
from nearfar.core.conversation import Conversation
from nearfar.core.routing import Deployment
from nearfar.wire import sse
from nearfar.wire.aws_failures import aws_error
from nearfar.wire.aws_unwrap import Unwrapped
from nearfar.wire.base import Decoder, Outgoing, ProviderWire
from nearfar.wire.plain import PlainDecoder
from nearfar.wire.sagemaker_invoke import part, to_endpoint
from nearfar.wire.sagemaker_invoke_prompt import body, read_piece, read_plain
from nearfar.wire.stream import StreamDecoder


def encode(request: Request, deployment: Deployment, conversation: Conversation | None) -> Outgoing:
    """The conversation as a prompt for the endpoint. Raises BadRequestError (code ``unsupported``)."""
    assert conversation is not None, "no client wire is like this one"
    return to_endpoint(request, deployment, *body(request, deployment, conversation))


def decoder(request: Request, typed: bool) -> Decoder:
    """The decoder for the reply to ``request``; its chunks always carry events (``typed`` changes nothing)."""
    del typed
    if not request.stream:
        return PlainDecoder(read_plain)
    return Unwrapped(StreamDecoder(sse.Splitter(), lambda event: read_piece(event.data)), part)


PROVIDER = ProviderWire(name="sagemaker.invoke.tgi", encode=encode, decoder=decoder, error=aws_error)
