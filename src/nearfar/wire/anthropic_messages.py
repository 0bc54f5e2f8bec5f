"""Anthropic's Messages API, towards clients and towards providers. It knows neither routes nor places.

Towards clients, requests are read in anthropic_messages_parse and replies written in anthropic_messages_render. Towards
providers, a client's own bytes travel as they came; conversations of other dialects are composed in
anthropic_messages_compose (with the table of what is refused, dropped and moved), replies read in
anthropic_messages_decode.

Version 2023-06-01 is asked for unless the client, whose bytes travel, or the deployment's headers name another: the
next one refuses more and offers nothing that translated requests need.
"""

from __future__ import annotations

import re

import msgspec

from nearfar.core.chat import Request
from nearfar.core.conversation import Conversation
from nearfar.core.routing import Deployment
from nearfar.wire.anthropic_messages_compose import to_anthropic
from nearfar.wire.anthropic_messages_conversation import conversation as conversation_of
from nearfar.wire.anthropic_messages_decode import decoder
from nearfar.wire.anthropic_messages_parse import parse
from nearfar.wire.anthropic_messages_render import renderer
from nearfar.wire.anthropic_messages_reply import error_body
from nearfar.wire.base import ClientWire, Outgoing, ProviderWire
from nearfar.wire.failures import upstream_error
from nearfar.wire.patch import patch

VERSION = "2023-06-01"

_DATE = re.compile(r"20\d\d-\d\d-\d\d")
_FOREIGN = re.compile(
    rb'"extra_content"\s*:|"signature"\s*:\s*"(?:[a-z]+:[^"]*)?"|"type"\s*:\s*"thinking"(?![^{}]*"signature")'
)
"""What may be a thought that Anthropic never signed, or another vendor's signature in a member of its own."""
_SIGNED = re.compile(r"(?![a-z]+:).+", re.DOTALL)


def encode(request: Request, deployment: Deployment, conversation: Conversation | None) -> Outgoing:
    """The request for ``deployment``: the client's bytes, changed only where they must be; or the conversation.

    Raises BadRequestError (code ``unsupported``) for what may not get lost.
    """
    if conversation is None:
        return like(request, deployment, "/messages")
    value, deviations = to_anthropic(conversation, deployment.model, deployment.max_output)
    if request.stream:
        value["stream"] = True
    for old, new in deployment.rename.items():
        if old in value:
            value[new] = value.pop(old)
            deviations += (f"renamed:{old}",)
    for name in deployment.drop:
        if value.pop(name, None) is not None:
            deviations += (f"dropped:{name}",)
    return Outgoing(
        path=_path(deployment, "/messages"),
        headers=_headers(deployment, (("anthropic-version", VERSION),)),
        body=msgspec.json.encode(value),
        deviations=deviations,
    )


def like(request: Request, deployment: Deployment, path: str) -> Outgoing:
    """The client's own bytes for ``path`` below the API's version, with the deployment's model.

    Thoughts that another system's model had earlier in the conversation, and its signatures, are left out: Anthropic
    refuses them.
    """
    fields, unchanged = request.fields, request.body
    told: tuple[str, ...] = ()
    if (b'"thinking"' in unchanged or b'"extra_content"' in unchanged) and _FOREIGN.search(unchanged):
        own = _own_thoughts(fields["messages"])
        if own is not None:
            fields, unchanged, told = {**fields, "messages": own}, b"", ("dropped:reasoning",)
    body, deviations = patch(fields, request.model if unchanged else "", deployment, {}, unchanged)
    headers = tuple(
        (name, value if name != "anthropic-version" or _is_usable(value) else VERSION)
        for name, value in request.headers
    )
    if not any(name == "anthropic-version" for name, _ in headers):
        headers = (("anthropic-version", VERSION), *headers)
    return Outgoing(
        path=_path(deployment, path),
        headers=_headers(deployment, headers),
        body=body,
        deviations=(*told, *deviations),
    )


def _is_usable(version: str) -> bool:
    """Whether a client's version can be asked for: a date, and none of before streams looked as they do now."""
    return _DATE.fullmatch(version) is not None and version >= VERSION


def _path(deployment: Deployment, path: str) -> str:
    """Some base URLs end with the API's version, as OpenAI's do, and some with the host."""
    return path if deployment.base_url.endswith("/v1") else f"/v1{path}"


def _headers(deployment: Deployment, wanted: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """The headers to send; the owner's own of the same name, which are added later, win."""
    owned = {name.lower() for name in deployment.headers}
    return (("content-type", "application/json"), *((name, value) for name, value in wanted if name not in owned))


def _own_thoughts(raw: msgspec.Raw) -> msgspec.Raw | None:
    """The messages without thoughts that Anthropic did not sign; None when there are none."""
    messages = msgspec.json.decode(raw, type=list[dict[str, msgspec.Raw]])
    kept = []
    found = False
    for message in messages:
        content = message.get("content", msgspec.Raw(b'""'))
        blocks = msgspec.json.decode(content) if bytes(content).lstrip()[:1] == b"[" else []
        own = [block for block in blocks if not _is_foreign(block)]
        signed = [block for block in own if isinstance(block, dict) and block.pop("extra_content", None) is not None]
        if len(own) == len(blocks) and not signed:
            kept.append(message)
            continue
        found = True
        if own:
            kept.append({**message, "content": msgspec.Raw(msgspec.json.encode(own))})
    return msgspec.Raw(msgspec.json.encode(kept)) if found else None


def _is_foreign(block: object) -> bool:
    if not isinstance(block, dict) or block.get("type") != "thinking":
        return False
    signature = block.get("signature")
    return not isinstance(signature, str) or _SIGNED.fullmatch(signature) is None


CLIENT = ClientWire(
    name="anthropic.messages", parse=parse, renderer=renderer, conversation=conversation_of, error=error_body
)

PROVIDER = ProviderWire(
    name="anthropic.messages",
    like=frozenset({"anthropic.messages"}),
    encode=encode,
    decoder=decoder,
    error=upstream_error,
)
