"""Holds a chat request in OpenAI's shape to what one server takes: the rest is dropped and told, or refused.

It knows no server: each wire that speaks a part of the dialect says what its server takes. Servers of that kind either
refuse a request for a member they do not know, or leave the member out without a word; here both become visible.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from nearfar.core.chat import Request
from nearfar.core.conversation import Conversation
from nearfar.core.errors import BadRequestError
from nearfar.core.routing import Deployment
from nearfar.wire.deviations import Deviations, unsupported
from nearfar.wire.openai_chat_foreign import adapt

Members = dict[str, msgspec.Raw]

_NEUTRAL: Mapping[str, frozenset[bytes]] = {
    "frequency_penalty": frozenset({b"0", b"0.0"}),
    "function_call": frozenset({b'"auto"', b'"none"'}),
    "logprobs": frozenset({b"false"}),
    "modalities": frozenset({b'["text"]'}),
    "n": frozenset({b"1"}),
    "parallel_tool_calls": frozenset({b"true"}),
    "presence_penalty": frozenset({b"0", b"0.0"}),
    "service_tier": frozenset({b'"auto"', b'"default"'}),
    "store": frozenset({b"false"}),
    "tool_choice": frozenset({b'"auto"', b'"none"'}),
    "top_logprobs": frozenset({b"0"}),
}
"""Members whose usual value asks for nothing: leaving them out changes no answer. (``tool_choice`` without tools.)"""

_WORDS: Mapping[str, str] = {
    "audio": "spoken answers",
    "function_call": "functions",
    "functions": "functions",
    "logprobs": "log-probabilities",
    "modalities": "answers in other media",
    "n": "second choice in one reply (n > 1)",
    "response_format": "answers by a schema or a grammar",
    "stop": "stop sequences",
    "tool_choice": "way to be told which tool to call",
    "tools": "tools",
}


class Takes(msgspec.Struct, frozen=True, kw_only=True):
    """What one server takes of OpenAI's chat request."""

    system: str
    """The server's name in errors."""
    members: frozenset[str]
    """Top-level members that go out as they are."""
    refused: frozenset[str]
    """Members without which the answer would not be what was asked for: a request that says something there is refused.
    Every other member is dropped and told."""


def sayable(request: Request, deployment: Deployment, conversation: Conversation, note: Deviations) -> Conversation:
    """The conversation as OpenAI's shape can say it, whatever dialect it came in."""
    if request.wire == "openai.chat":
        return conversation
    adapted, told = adapt(conversation, deployment)
    for deviation in told:
        note.add(deviation)
    return adapted


def narrow(members: Members, takes: Takes, note: Deviations) -> Members:
    """The members that the server takes. Raises BadRequestError (code ``unsupported``)."""
    kept: Members = {}
    for name, raw in members.items():
        if name in takes.members:
            kept[name] = raw
        elif not _asks(name, raw):
            continue
        elif name in takes.refused:
            raise unsupported(takes.system, _WORDS.get(name, name), name)
        else:
            note.add(f"dropped:{name}")
    return kept


def one_limit(members: Members, name: str, *, otherwise: int | None, note: Deviations) -> None:
    """Leave one output limit in ``members``, called ``name``: the client's, or ``otherwise``, which is told.

    OpenAI has two names for it; where both are given, the newer one counts.
    """
    old, new = members.pop("max_tokens", None), members.pop("max_completion_tokens", None)
    limit = new if new is not None and bytes(new) != b"null" else old
    if limit is not None and bytes(limit) != b"null":
        members[name] = limit
    elif otherwise is not None:
        members[name] = msgspec.Raw(b"%d" % otherwise)
        note.add(f"default:{name}={otherwise}")


def schema_of(members: Members) -> msgspec.Raw | None:
    """The JSON schema that ``response_format`` asks for; any object for ``json_object``; None when it asks for text.

    Raises BadRequestError for a format of another kind.
    """
    raw = members.get("response_format")
    if raw is None or not _asks("response_format", raw):
        return None
    shape = msgspec.json.decode(raw)
    kind = shape.get("type") if isinstance(shape, dict) else None
    if kind == "json_object":
        return msgspec.Raw(b'{"type":"object"}')
    inner = shape.get("json_schema") if isinstance(shape, dict) else None
    schema = inner.get("schema") if kind == "json_schema" and isinstance(inner, dict) else None
    if schema is None:
        message = "response_format is of a kind that this deployment cannot follow."
        hint = "Use json_schema or json_object."
        raise BadRequestError(message, code="unsupported", param="response_format", hint=hint)
    return msgspec.Raw(msgspec.json.encode(schema))


def _asks(name: str, raw: msgspec.Raw) -> bool:
    """Whether the member asks for anything that a server without it would not do anyway."""
    text = bytes(raw)
    if text in {b"null", b"[]", b"{}", b'""'} or text in _NEUTRAL.get(name, frozenset()):
        return False
    if name != "response_format":
        return True
    shape = msgspec.json.decode(raw)
    return not (isinstance(shape, dict) and shape.get("type") == "text")
