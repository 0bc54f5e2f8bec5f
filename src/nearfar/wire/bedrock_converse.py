"""Amazon Bedrock's Converse API, towards clients and providers. It knows neither routes nor places.

Clients' requests are read in bedrock_converse_parse, replies to them written in bedrock_converse_render. Towards
providers, a client's own bytes travel as they came; other requests are composed in bedrock_converse_compose (with the
table of what is refused, dropped and moved); replies are read in bedrock_converse_decode.
"""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from nearfar.core.chat import Request
from nearfar.core.conversation import Conversation
from nearfar.core.routing import Deployment
from nearfar.wire import strict
from nearfar.wire.aws_failures import aws_error
from nearfar.wire.base import ClientWire, Outgoing, ProviderWire
from nearfar.wire.bedrock_converse_compose import to_converse
from nearfar.wire.bedrock_converse_conversation import conversation as conversation_of
from nearfar.wire.bedrock_converse_decode import decoder
from nearfar.wire.bedrock_converse_parse import NAME, parse
from nearfar.wire.bedrock_converse_render import error_body, renderer
from nearfar.wire.patch import JSON_HEADERS

STREAM_HEADERS = (*JSON_HEADERS, ("accept", "application/vnd.amazon.eventstream"))


def encode(request: Request, deployment: Deployment, conversation: Conversation | None) -> Outgoing:
    """The conversation as a request to ``deployment``. Raises BadRequestError (code ``unsupported``)."""
    deviations: tuple[str, ...] = ()
    if conversation is None:
        dropped = [name for name in deployment.drop if name in request.fields]
        deviations = tuple(f"dropped:{name}" for name in dropped)
        body = strict.replace(request.fields, dict.fromkeys(dropped)) if dropped else request.body
    else:
        value, deviations = to_converse(conversation, deployment.model)
        for name in deployment.drop:
            if value.pop(name, None) is not None:
                deviations += (f"dropped:{name}",)
        body = msgspec.json.encode(value)
    return Outgoing(
        path=model_path(deployment.model, "converse-stream" if request.stream else "converse"),
        headers=STREAM_HEADERS if request.stream else JSON_HEADERS,
        body=body,
        deviations=deviations,
    )


def model_path(model: str, verb: str) -> str:
    """The path of an operation on a model. Ids hold colons, ARNs slashes too: both are encoded, as AWS's own SDK does.

    >>> model_path("amazon.nova-lite-v1:0", "converse")
    '/model/amazon.nova-lite-v1%3A0/converse'
    """
    return f"/model/{quote(model, safe='')}/{verb}"


CLIENT = ClientWire(name=NAME, parse=parse, renderer=renderer, conversation=conversation_of, error=error_body)

PROVIDER = ProviderWire(
    name=NAME,
    like=frozenset({NAME}),
    encode=encode,
    decoder=decoder,
    error=aws_error,
)
