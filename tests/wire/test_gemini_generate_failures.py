import json
from pathlib import Path

import pytest

from nearfar.core.errors import (
    BadRequestError,
    ClientGone,
    ContextTooLong,
    HeadersTooLargeError,
    InternalServerError,
    MethodNotAllowedError,
    NearfarError,
    NoRoute,
    QuotaExhausted,
    RateLimitError,
    StreamCut,
    UpstreamError,
)
from nearfar.wire.gemini_generate_failures import error_body, gemini_error, stream_failure

GOLDEN = Path(__file__).parents[1] / "golden" / "gemini_generate"


def of(name: str) -> NearfarError:
    return gemini_error(int(name.split("_")[1]), {}, (GOLDEN / name).read_bytes())


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (BadRequestError("x"), 400, "INVALID_ARGUMENT"),
        (NoRoute("x"), 404, "NOT_FOUND"),
        (MethodNotAllowedError("x"), 405, "UNIMPLEMENTED"),
        (HeadersTooLargeError("x"), 431, "INVALID_ARGUMENT"),
        (RateLimitError("x"), 429, "RESOURCE_EXHAUSTED"),
        (ClientGone("x"), 499, "CANCELLED"),
        (InternalServerError("x"), 500, "INTERNAL"),
        (StreamCut("x"), 502, "UNAVAILABLE"),
    ],
)
def test_an_error_for_a_client(error: NearfarError, code: int, status: str) -> None:
    found = json.loads(error_body(error, "req-1"))["error"]
    assert (found["code"], found["message"], found["status"]) == (code, "x", status)
    [info] = found["details"]
    assert info["reason"] == error.code.upper()
    assert info["metadata"]["request"] == "req-1"


def test_every_error_has_a_status_word() -> None:
    kinds: list[type[NearfarError]] = [NearfarError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert len(kinds) > 20
    assert all(json.loads(error_body(kind("x"), ""))["error"]["status"] != "UNKNOWN" for kind in kinds)


def test_the_wait_is_told_in_googles_way() -> None:
    body = error_body(RateLimitError("x", param="p", retry_after=2.5), "")
    details = json.loads(body)["error"]["details"]
    assert details[1] == {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "2.5s"}
    assert details[0]["metadata"] == {"code": "rate_limit_exceeded", "param": "p"}


def test_a_wrong_key_is_ours_though_google_says_400() -> None:
    error = of("error_400_key.json")
    assert (type(error), error.code, error.moves_on) == (UpstreamError, "upstream_credentials", True)
    assert "API key" not in error.message


def test_the_rest() -> None:
    assert type(of("error_400_context.json")) is ContextTooLong
    assert type(of("error_400_invalid.json")) is BadRequestError
    region = of("error_400_api.json")
    assert (type(region), region.code) == (UpstreamError, "upstream_precondition")
    minute, day = of("error_429_rate_limit.json"), of("error_429_quota.json")
    assert (type(minute), minute.retry_after) == (RateLimitError, 34.4)
    assert (type(day), day.retry_after) == (QuotaExhausted, 41.0)


def test_an_error_inside_a_stream_brings_its_own_number() -> None:
    body = (GOLDEN / "error_429_rate_limit.json").read_bytes()
    assert type(stream_failure(body)) is RateLimitError
    assert type(stream_failure(b"[%b]" % body)) is RateLimitError
    for odd in (b"{}", b"[]", b"x", b'{"error":{"code":"x"}}', b'{"error":{"code":200}}', b"[" * 9999):
        assert type(stream_failure(odd)) is UpstreamError


@pytest.mark.parametrize("details", [7, [7], [{"retryDelay": 3}], [{"violations": 1}], [{"violations": [1]}]])
def test_odd_details_are_no_crash(details: object) -> None:
    body = json.dumps({"error": {"code": 429, "message": 1, "details": details}}).encode()
    error = gemini_error(429, {}, body)
    assert (type(error), error.retry_after) == (RateLimitError, None)


def test_an_absurd_wait_is_bounded() -> None:
    details = [{"retryDelay": "9" * 400 + "s"}]
    error = gemini_error(429, {}, json.dumps({"error": {"details": details}}).encode())
    assert error.retry_after == 86400.0
