"""What a cascade asks: the client's request with log-probabilities, under another purpose, or in another style.

It decides nothing and sends nothing.
"""

from __future__ import annotations

import msgspec

from nearfar.core.chat import Request
from nearfar.core.conversation import Message, Text
from nearfar.core.errors import BadRequestError
from nearfar.core.places import Treatment
from nearfar.core.routing import Cascade, Deployment, Ranked
from nearfar.policy.cascade_answers import KINDS, Kind
from nearfar.wire import strict
from nearfar.wire.base import ClientWire
from nearfar.wire.openai_chat import CLIENT
from nearfar.wire.openai_chat_compose import members

STYLE = (
    "Work out the answer to the last message step by step and independently, check every step, and end with the final "
    "answer in the form that was asked for."
)
"""What makes the same model answer in another way."""
_LOGPROBS = "logprobs"


def purposed(request: Request, purpose: str) -> Request:
    """``request`` as it is, for another purpose."""
    return msgspec.structs.replace(request, purpose=purpose)


def weighed(request: Request, ranked: Ranked) -> Request:
    """``request`` with log-probabilities where its dialect has a word for them and the deployment is known to give
    them; else ``request`` itself.
    """
    if request.wire != CLIENT.name or _LOGPROBS in request.needs or ranked.treatment is not Treatment.CLEAR:
        return request
    known = ranked.candidate.deployment.capabilities.get(_LOGPROBS)
    if known is None or not known.can:
        return request
    body = strict.replace(request.fields, {_LOGPROBS: b"true"})
    return msgspec.structs.replace(request, body=body, fields=strict.members(body))


def styled(request: Request, wire: ClientWire) -> tuple[Request, ClientWire]:
    """``request`` with one instruction more. Raises BadRequestError where its dialect has no conversations."""
    if wire.conversation is None:
        raise BadRequestError("A request in this dialect cannot be asked in another style.", code="unsupported")
    conversation = wire.conversation(request)
    first = conversation.messages[0]
    if first.role in {"system", "developer"}:
        # Some templates take no second instruction, and none but at the beginning.
        first.blocks = [*first.blocks, Text(text=f"\n\n{STYLE}")]
    else:
        conversation.messages = [Message(role="system", blocks=[Text(text=STYLE)]), *conversation.messages]
    fields = {"model": msgspec.Raw(msgspec.json.encode(request.model)), **members(conversation)}
    if request.stream:
        fields["stream"] = msgspec.Raw(b"true")
    made = CLIENT.parse(strict.replace(fields, {}), request.id)
    made.caller, made.purpose, made.received = request.caller, request.purpose, request.received
    if made.max_output is None:
        made.max_output = request.max_output
    return made, CLIENT


def expected(request: Request, wire: ClientWire, cascade: Cascade) -> tuple[Kind, dict[str, object] | None]:
    """How answers to ``request`` are compared, and the schema that they must fit."""
    named: Kind = next(kind for kind in KINDS if kind == cascade.answers)
    if request.needs.isdisjoint({"json_schema", "json_mode"}) or wire.conversation is None:
        return named, None
    raw = wire.conversation(request).settings.json_schema
    if raw is None:
        return "json", None
    try:
        return "json", msgspec.json.decode(raw, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "json", None  # an engine would have refused it, or does not look at it either


def same_model(one: Deployment, other: Deployment) -> bool:
    """Whether two deployments are the same model at the same place."""
    return one.name == other.name or (one.base_url, one.model) == (other.base_url, other.model)
