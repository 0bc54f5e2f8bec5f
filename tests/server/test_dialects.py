"""Clients that claim the same path are told apart."""

import pytest

from nearfar.server.dialects import Dialect, dialect_of, secret_in

GOOGLE = {b"x-goog-api-client": b"google-genai-sdk/3.4.0"}


@pytest.mark.parametrize(
    ("path", "query", "headers", "dialect"),
    [
        ("/v1/chat/completions", b"", {}, "openai"),
        ("/v1/models", b"", {}, "openai"),
        ("/v1/models", b"", {b"anthropic-version": b"2026-10-21"}, "anthropic"),
        ("/v1/models/a/b", b"", {b"anthropic-version": b"2023-06-01"}, "anthropic"),
        ("/v1/models", b"", {b"x-goog-api-key": b"k"}, "gemini"),
        ("/v1/models", b"pageSize=5", GOOGLE, "gemini"),
        ("/v1/models", b"key=k", {}, "gemini"),
        ("/v1/models", b"monkey=k", {}, "openai"),
        ("/v1/models/gemma:2b", b"", {}, "openai"),
        ("/v1/models/gemma:2b:generateContent", b"", {}, "gemini"),
        ("/v1/models/org%2Fgemma%3A2b%3AstreamGenerateContent", b"alt=sse", {}, "gemini"),
        ("/v1beta/models/m:countTokens", b"", {}, "gemini"),
        ("/v1beta1/projects/p/locations/l/publishers/google/models/m:generateContent", b"", {}, "gemini"),
        ("/v1/messages", b"beta=true", {}, "anthropic"),
        ("/v1/messages/count_tokens", b"", {}, "anthropic"),
        ("/api/chat", b"", {}, "ollama"),
        ("/model/x%3A0/converse", b"", {}, "bedrock"),
        ("/", b"", {}, "openai"),
    ],
)
def test_a_dialect_is_told_by_path_and_headers(
    path: str, query: bytes, headers: dict[bytes, bytes], dialect: Dialect
) -> None:
    assert dialect_of(path, query, headers) == dialect


@pytest.mark.parametrize(
    ("headers", "query", "secret"),
    [
        ({b"authorization": b"Bearer a"}, b"", "a"),
        ({b"authorization": b"bearer  a "}, b"key=q", "a"),
        ({b"authorization": b"Basic a"}, b"", ""),
        ({b"x-api-key": b"b"}, b"", "b"),
        ({b"api-key": b"c"}, b"", "c"),
        ({b"x-goog-api-key": b"d"}, b"", "d"),
        ({}, b"alt=sse&key=e%2Ff", "e/f"),
        ({}, b"monkey=e", ""),
        ({}, b"", ""),
    ],
)
def test_the_key_is_found_wherever_a_client_puts_it(headers: dict[bytes, bytes], query: bytes, secret: str) -> None:
    assert secret_in(headers, query) == secret
