"""Amazon SageMaker's endpoints whose container is LMI (DJL Serving), asked by prompt: its tokens come as JSON lines.

It knows neither routes nor places; see sagemaker_invoke_prompt for what is asked and read.
"""

from __future__ import annotations

from nearfar.core.chat import Request
from nearfar.wire.aws_failures import aws_error
from nearfar.wire.aws_unwrap import Unwrapped
from nearfar.wire.base import Decoder, ProviderWire
from nearfar.wire.ndjson import Lines
from nearfar.wire.plain import PlainDecoder
from nearfar.wire.sagemaker_invoke import part
from nearfar.wire.sagemaker_invoke_prompt import read_piece, read_plain
from nearfar.wire.sagemaker_invoke_tgi import encode
from nearfar.wire.stream import StreamDecoder


def decoder(request: Request, typed: bool) -> Decoder:
    """The decoder for the reply to ``request``; its chunks always carry events (``typed`` changes nothing)."""
    del typed
    if not request.stream:
        return PlainDecoder(read_plain)
    return Unwrapped(StreamDecoder(Lines(), read_piece), part)


PROVIDER = ProviderWire(name="sagemaker.invoke.lines", encode=encode, decoder=decoder, error=aws_error)
