"""Which dialect a client speaks, told by the path it calls and the headers it sends. It reads no body.

Three vendors claim ``/v1/models``; their SDKs are told apart by the headers that only they send.
Source: what the official SDKs send, logged on loopback with their releases of 2026-11.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from typing import Literal
from urllib.parse import parse_qsl, unquote

from nearfar.core.errors import NearfarError

Dialect = Literal["openai", "anthropic", "gemini", "ollama", "bedrock"]
ErrorBody = Callable[[NearfarError, str], bytes]
"""(error, request id) → a whole error body."""

_ERRORS: dict[Dialect, str] = {
    "openai": "openai_chat_render",
    "anthropic": "anthropic_messages_reply",
    "gemini": "gemini_generate_failures",
    "ollama": "ollama_common",
    "bedrock": "bedrock_converse_render",
}
"""Where a wire says how a refusal looks."""


REQUEST_ID: Mapping[Dialect, bytes] = {
    "openai": b"x-request-id",
    "anthropic": b"request-id",
    "bedrock": b"x-amzn-requestid",
}
"""The header in which a dialect's SDKs look for a request's id."""


@functools.cache
def error_body(dialect: Dialect) -> ErrorBody:
    """How a refusal looks in ``dialect``. Imports its wire, which nothing else may have needed so far."""
    found: ErrorBody = importlib.import_module(f"nearfar.wire.{_ERRORS[dialect]}").error_body
    return found


def dialect_of(path: str, query: bytes, headers: Mapping[bytes, bytes]) -> Dialect:
    """The dialect of a request. ``path``: percent-encoded, as it came."""
    if path.startswith("/v1/messages"):
        return "anthropic"
    if path.startswith("/api/"):
        return "ollama"
    if path.startswith("/model/"):
        return "bedrock"
    if path.startswith(("/v1beta/", "/v1beta1/", "/v1/projects/")) or is_verb(path):
        return "gemini"
    if path == "/v1/models" or path.startswith("/v1/models/"):
        if b"anthropic-version" in headers:
            return "anthropic"
        if b"x-goog-api-key" in headers or b"x-goog-api-client" in headers or key_in_query(query):
            return "gemini"
    return "openai"


def is_verb(path: str) -> bool:
    """Whether ``path`` is Google's ``/v1/models/MODEL:verb``. Model names may hold slashes and colons."""
    if not path.startswith("/v1/models/"):
        return False
    _, colon, verb = unquote(path).rpartition(":")
    return bool(colon) and verb in VERBS


VERBS = frozenset(
    {
        "generateContent",
        "streamGenerateContent",
        "countTokens",
        "embedContent",
        "batchEmbedContents",
        "predict",
        "rawPredict",
        "streamRawPredict",
    }
)


def key_in_query(query: bytes) -> str:
    """The key that Google's clients may put into the query; empty when there is none."""
    if b"key=" not in query:
        return ""
    return dict(parse_qsl(query.decode("latin-1"))).get("key", "")


def secret_in(headers: Mapping[bytes, bytes], query: bytes) -> str:
    """The caller's key in any of the places where clients put it; empty when there is none."""
    bearer = headers.get(b"authorization", b"")
    if bearer[:7].lower() == b"bearer ":
        return bearer[7:].strip().decode("latin-1")
    found = headers.get(b"x-api-key") or headers.get(b"api-key") or headers.get(b"x-goog-api-key")
    return found.decode("latin-1") if found else key_in_query(query)
