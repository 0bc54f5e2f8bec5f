import json
import re

import pytest

from nearfar.core.errors import (
    APITimeoutError,
    BadRequestError,
    ContextTooLong,
    ModelLoading,
    NearfarError,
    OutputUnparsed,
    Overloaded,
    QuotaExhausted,
    RateLimitError,
    RequestTooLargeError,
    UnprocessableEntityError,
    UpstreamError,
)
from nearfar.wire.failures import CODES, Said, read, retry_after, stream_error, upstream_error

# Status, body, class, code, a piece of the text. From the vendors' documentation of their errors.
CASES: list[tuple[int, object, type[NearfarError], str, str]] = [
    # OpenAI
    (
        429,
        {"error": {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded", "param": None}},
        RateLimitError,
        "rate_limit_exceeded",
        "Rate limit",
    ),
    (
        429,
        {"error": {"message": "You exceeded your current quota", "type": "insufficient_quota"}},
        QuotaExhausted,
        "insufficient_quota",
        "quota",
    ),
    (
        400,
        {"error": {"message": "too long", "type": "invalid_request_error", "code": "context_length_exceeded"}},
        ContextTooLong,
        "context_length_exceeded",
        "too long",
    ),
    (
        400,
        {"error": {"message": "Unknown parameter", "code": "unknown_parameter", "param": "foo"}},
        BadRequestError,
        "unknown_parameter",
        "Unknown parameter",
    ),
    (503, {"error": {"message": "busy", "code": "server_is_overloaded"}}, Overloaded, "server_is_overloaded", "busy"),
    # Anthropic
    (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, Overloaded, "", "Over"),
    (
        400,
        {"type": "error", "error": {"type": "invalid_request_error", "message": "Your credit balance is too low"}},
        QuotaExhausted,
        "insufficient_quota",
        "credit",
    ),
    (
        400,
        {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 > 8"}},
        ContextTooLong,
        "",
        "prompt is too long",
    ),
    (402, {"type": "error", "error": {"type": "billing_error", "message": "pay"}}, QuotaExhausted, "", "pay"),
    (413, {"error": {"type": "request_too_large", "message": "large"}}, RequestTooLargeError, "", "large"),
    (504, {"error": {"type": "timeout_error", "message": "late"}}, APITimeoutError, "", "late"),
    # llama.cpp
    (
        400,
        {"error": {"code": 400, "message": "request exceeds the available context size", "n_ctx": 64}},
        ContextTooLong,
        "",
        "context",
    ),
    (
        503,
        {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}},
        ModelLoading,
        "model_loading",
        "Loading",
    ),
    # vLLM, old and new
    (
        400,
        {"object": "error", "message": "This model's maximum context length is 16", "type": "BadRequestError"},
        ContextTooLong,
        "",
        "maximum",
    ),
    (
        404,
        {"error": {"message": "The model `x` does not exist.", "code": 404}},
        UpstreamError,
        "upstream_not_found",
        "`x`",
    ),
    # Ollama, LM Studio, TGI, FastAPI, AWS
    (404, {"error": "model 'x' not found"}, UpstreamError, "upstream_not_found", "not found"),
    (503, {"error": "server busy, please try again."}, Overloaded, "overloaded", "busy"),
    (
        400,
        {"error": "Trying to keep the first 9 tokens when context the overflows: context length of only 8"},
        ContextTooLong,
        "",
        "context",
    ),
    (422, {"error": "Input validation error", "error_type": "validation"}, UnprocessableEntityError, "", "Input"),
    (422, {"detail": [{"loc": ["body"], "msg": "Field required"}]}, UnprocessableEntityError, "", "Field required"),
    (500, {"message": "Internal"}, UpstreamError, "upstream_error", "Internal"),
]


@pytest.mark.parametrize(("status", "body", "kind", "code", "says"), CASES)
def test_error_bodies(status: int, body: object, kind: type[NearfarError], code: str, says: str) -> None:
    raw = json.dumps(body).encode()
    error = upstream_error(status, {}, raw)
    assert type(error) is kind
    assert says in error.message
    assert error.upstream_status == status
    assert error.upstream_body == raw
    if code:
        assert error.code == code


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_ours_and_stay_hidden(status: int) -> None:
    error = upstream_error(status, {}, b'{"error":{"message":"Incorrect API key provided: sk-live-1234"}}')
    assert isinstance(error, UpstreamError)
    assert error.moves_on
    assert "sk-live" not in error.text
    assert error.code == "upstream_credentials"


@pytest.mark.parametrize("body", [b"", b"<html>Bad Gateway</html>", b"\xff\xfe", b"[" * 100_000, b"[]", b"null", b"7"])
def test_bodies_that_say_nothing(body: bytes) -> None:
    error = upstream_error(502, {}, body)
    assert type(error) is UpstreamError
    assert "<" not in error.message
    assert error.message


def test_plain_text_is_kept() -> None:
    assert upstream_error(502, {}, b"upstream connect error").message == "upstream connect error"


def test_the_param_travels() -> None:
    assert upstream_error(400, {}, b'{"error":{"message":"m","param":"tools[0]"}}').param == "tools[0]"


@pytest.mark.parametrize(
    ("value", "kind", "status"),
    [
        ({"error": {"code": 400, "message": "bad", "type": "BadRequestError"}}, BadRequestError, 400),
        ({"error": {"message": "slow down", "type": "rate_limit_error"}}, RateLimitError, 429),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, Overloaded, 529),
        ({"error": "out of memory"}, UpstreamError, 502),
        ({"error": {"code": 500, "message": "The model produced output", "type": "server_error"}}, UpstreamError, 500),
        ("just text", UpstreamError, 502),
    ],
)
def test_errors_inside_a_stream(value: object, kind: type[NearfarError], status: int) -> None:
    error = stream_error(value, b"raw")
    assert type(error) is kind
    assert error.upstream_status == status
    assert error.upstream_body == b"raw"


def test_read_of_odd_shapes() -> None:
    assert read([{"error": {"message": "in a list"}}]).message == "in a list"
    assert read(None) == read([]) == read({}) == Said()
    assert read({"error": {"message": {"nested": 1}}}).message == '{"nested":1}'
    assert len(read("x" * 10_000).message) == 2000


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"x-ms-retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Sun, 22 Nov 2026 10:00:30 GMT", "date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 30.0),
        ({"retry-after": "Sun, 22 Nov 2026 10:00:30 GMT"}, None),
        ({"retry-after": "Sun, 22 Nov 2026 10:00:30 GMT", "date": "yesterday"}, None),
        ({"retry-after": "Sun, 22 Nov 2026 10:00:30", "date": "Sun, 22 Nov 2026 10:00:00 GMT"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after-ms": "junk", "retry-after": "2"}, 2.0),
        ({"retry-after": "1e306"}, 86400.0),
        ({"retry-after-ms": "1e308"}, 86400.0),
        ({"retry-after": "Sun, 22 Nov 9999 10:00:30 GMT", "date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 86400.0),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_retry_after_reaches_the_error() -> None:
    assert upstream_error(429, {"retry-after": "4"}, b"{}").retry_after == 4.0
    assert upstream_error(503, {"retry-after": "4"}, b"{}").retry_after == 4.0


@pytest.mark.parametrize(
    ("status", "message", "kind", "code"),
    [
        (500, "image input is not supported - hint: if this is unexpected, …", BadRequestError, "unsupported"),
        (500, "the current context does not support logits computation. skipping", BadRequestError, "unsupported"),
        (501, "This server does not support embeddings.", BadRequestError, "unsupported"),
        (
            500,
            "input (1002 tokens) is too large to process. increase the physical batch size",
            ContextTooLong,
            "context_length_exceeded",
        ),
        (
            500,
            "The model produced output that does not match the expected peg-native format",
            OutputUnparsed,
            "output_unparsed",
        ),
        (500, "something else", UpstreamError, "upstream_error"),
    ],
)
def test_llama_cpps_500s_say_whose_fault_it_was(status: int, message: str, kind: type[NearfarError], code: str) -> None:
    body = json.dumps({"error": {"code": status, "message": message, "type": "server_error"}}).encode()
    error = upstream_error(status, {}, body)
    assert type(error) is kind
    assert error.code == code


@pytest.mark.parametrize(
    "code",
    [
        "x" * 65,
        "a" * 1_000_000,
        "two words",
        "rate_limit_exceeded\r\nx-evil: 1",
        "rate_limit_exceeded\n",
        "\u00e9t\u00e9",
        "the_patients_name_is_chang",  # well-formed, but nobody's documented code: it may be an echo
        "sk-live-1234",
    ],
)
@pytest.mark.parametrize("status", [400, 413, 422, 429, 500, 503, 529])
def test_only_documented_codes_are_repeated(status: int, code: str) -> None:
    value = {"error": {"message": f"{code} is what it says", "code": code, "type": code}}
    for error in (
        upstream_error(status, {}, json.dumps(value).encode()),
        stream_error({"error": {**value["error"], "type": "rate_limit_error"}}, b"raw"),
    ):
        assert error.code == error.default_code
        assert code[:40] in error.message  # the client may read the upstream's own words


def test_ours_is_said_when_the_upstream_names_its_code_by_number() -> None:
    assert upstream_error(429, {}, b'{"error":{"code":429,"message":"m"}}').code == "rate_limit_exceeded"


def test_a_code_fits_into_a_header_and_a_label() -> None:
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", code) for code in CODES)
