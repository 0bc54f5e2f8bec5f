"""What leaves for a model: a request in the target's dialect, without what may not go along. It sends nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from nearfar.core.chat import Request
from nearfar.core.conversation import Conversation
from nearfar.core.errors import BadRequestError, SignatureRefused
from nearfar.core.routing import Deployment
from nearfar.wire.base import ClientWire, Outgoing, ProviderWire

if TYPE_CHECKING:
    from nearfar.gateway.masking import Masked

OUTPUT_FALLBACK = 4096
"""Output tokens assumed for the upper bound when neither client nor deployment states a limit."""


def output_limit(request: Request, deployment: Deployment) -> int:
    """The most output tokens a request can cost at ``deployment``, over all its choices."""
    if request.operation in {"embeddings", "count_tokens"}:
        return 0
    limit = request.max_output or deployment.max_output or OUTPUT_FALLBACK
    return limit * request.choices


def translated(client: ClientWire, wire: ProviderWire, request: Request, deployment: Deployment) -> Outgoing:
    """The request in another dialect than its client's."""
    conversation = _conversation(client, request)
    outgoing = wire.encode(request, deployment, conversation)
    if not conversation.deviations:
        return outgoing
    return msgspec.structs.replace(outgoing, deviations=(*conversation.deviations, *outgoing.deviations))


def changed(wire: ProviderWire, outgoing: Outgoing, masked: Masked | None, *, signed: bool) -> Outgoing:
    """What leaves, without foreign signatures if they may not, and told of its masks."""
    if not signed:
        outgoing = _unsigned(wire, outgoing)
    if masked is not None and masked.masks:
        outgoing = msgspec.structs.replace(outgoing, deviations=(*outgoing.deviations, f"masked:{masked.masks}"))
    return outgoing


def _conversation(client: ClientWire, request: Request) -> Conversation:
    if request.elsewhere:
        # They are only passed on as they came: a translation would lose them, or send them where nobody meant.
        names = ", ".join(name for name, _ in request.elsewhere)
        raise BadRequestError(
            f"This deployment speaks another dialect, in which {names} means nothing.",
            code="unsupported",
            param=request.elsewhere[0][1],
            hint="Send the content itself, or ask for the provider that holds it.",
        )
    convert = client.conversation
    if convert is None:
        raise BadRequestError(
            f"{request.operation} cannot be translated for this deployment.",
            code="unsupported",
            hint="Ask for a deployment that speaks the same dialect.",
        )
    return convert(request)


def _unsigned(wire: ProviderWire, outgoing: Outgoing) -> Outgoing:
    """What leaves without the signatures of another account. Raises SignatureRefused where it holds none."""
    assert wire.unsigned is not None
    body = wire.unsigned(outgoing.body)
    if body is outgoing.body:
        raise SignatureRefused("The upstream refuses a signature, and the request holds none.")
    deviations = (*outgoing.deviations, "dropped:thought_signature")
    return msgspec.structs.replace(outgoing, body=body, deviations=deviations)
