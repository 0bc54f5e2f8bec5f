"""OpenAI's Responses API, towards clients and towards providers that speak it too. It knows neither routes nor places.

Requests are read in openai_responses_parse, told to other dialects by openai_responses_conversation; replies are
written in openai_responses_render, read in openai_responses_decode, passed on in openai_responses_like.
Upstream nothing is stored: ``store`` is always false there, because stored content is content held elsewhere.
"""

from __future__ import annotations

import msgspec

from nearfar.core.chat import Request
from nearfar.core.conversation import Conversation
from nearfar.core.errors import BadRequestError
from nearfar.core.routing import Deployment
from nearfar.wire.base import ClientWire, Outgoing, ProviderWire
from nearfar.wire.deviations import Deviations
from nearfar.wire.failures import upstream_error
from nearfar.wire.openai_chat_render import error_body
from nearfar.wire.openai_responses_conversation import SEAL
from nearfar.wire.openai_responses_conversation import conversation as conversation_of
from nearfar.wire.openai_responses_decode import decoder
from nearfar.wire.openai_responses_like import LikePlain, LikeStream
from nearfar.wire.openai_responses_parse import NAME, parse
from nearfar.wire.openai_responses_render import Plain, Stream, Told
from nearfar.wire.openai_responses_tools import is_search, without_searches
from nearfar.wire.patch import JSON_HEADERS, patch

_encode = msgspec.json.Encoder().encode


def encode(request: Request, deployment: Deployment, conversation: Conversation | None) -> Outgoing:
    """The request for ``deployment``: the client's bytes, changed only where they must be.

    Raises BadRequestError (code ``unsupported``) for other dialects: their requests go to chat completions.
    """
    if conversation is not None:
        message = "This deployment's Responses API is only spoken to clients that speak it themselves."
        raise BadRequestError(message, code="unsupported", hint="Ask for it as a chat.")
    note = Deviations()
    fields = dict(request.fields)
    changes: dict[str, bytes] = {"store": b"false"}
    if bytes(fields.get("store", b"")) == b"true":
        note.add("dropped:store")
    fields.pop("previous_response_id", None)  # its items are in the input already
    tools = fields.get("tools")
    if tools is not None and b"web_search" in bytes(tools) and not _may_search(request):
        _leave_out_searches(fields, tools, note)
    if b"reasoning" in bytes(fields["input"]):
        fields["input"] = _readable(fields["input"], note)
    body, deviations = patch(fields, request.model, deployment, changes, request.body)
    return Outgoing(path="/responses", headers=JSON_HEADERS, body=body, deviations=(*note.all(), *deviations))


def _may_search(request: Request) -> bool:
    """Whether the policy names web searches; one that the request insists on gets here only then."""
    return "web_search" in request.granted or any(name == "web_search" for name, _ in request.elsewhere)


def _leave_out_searches(fields: dict[str, msgspec.Raw], tools: msgspec.Raw, note: Deviations) -> None:
    kept = without_searches(tools)
    for kind in (item.get("type", "") for item in msgspec.json.decode(tools)):
        if is_search(kind):
            note.add(f"dropped:tools.{kind}")
    if kept:
        fields["tools"] = msgspec.Raw(_encode(kept))
        return
    fields.pop("tools")
    fields.pop("tool_choice", None)  # nothing is left to choose from


def _readable(raw: msgspec.Raw, note: Deviations) -> msgspec.Raw:
    """The input without reasoning that the upstream cannot read: what another vendor signed, and mere ids.

    Upstream nothing is stored, so an id of its own says nothing to it either, and it would refuse the request.
    """
    if bytes(raw).lstrip()[:1] == b'"':
        return raw
    items = msgspec.json.decode(raw, type=list[msgspec.Raw])
    kept = [item for item in items if _is_readable(item)]
    if len(kept) == len(items):
        return raw
    note.add("dropped:reasoning")
    return msgspec.Raw(_encode(kept))


def _is_readable(raw: msgspec.Raw) -> bool:
    item = msgspec.json.decode(raw)
    if item.get("type") != "reasoning":
        return True
    encrypted = item.get("encrypted_content")
    return not encrypted.startswith(SEAL) if isinstance(encrypted, str) else bool(item.get("content"))


def renderer(request: Request, like: bool, told: Told | None = None) -> Stream | Plain | LikeStream | LikePlain:
    """The renderer for the reply to ``request``. ``told``: what it says about where the response is kept."""
    told = told or Told()
    if request.stream:
        return LikeStream(request, told) if like else Stream(request, told)
    return LikePlain(request, told) if like else Plain(request, told)


CLIENT = ClientWire(name=NAME, parse=parse, renderer=renderer, conversation=conversation_of, error=error_body)

PROVIDER = ProviderWire(
    name=NAME,
    like=frozenset({NAME}),
    encode=encode,
    decoder=decoder,
    error=upstream_error,
)
