"""AWS's errors, by the kinds and statuses that its service models name."""

import json
from typing import Any

import pytest
from tests import aws
from tests.aws import BEDROCK, SAGEMAKER

from nearfar.core.errors import (
    APITimeoutError,
    BadRequestError,
    ContextTooLong,
    ModelLoading,
    NearfarError,
    Overloaded,
    QuotaExhausted,
    RateLimitError,
    UpstreamError,
)
from nearfar.wire import aws_event_stream as frames
from nearfar.wire.aws_failures import aws_error, stream_failure

EXPECTED: dict[str, type[NearfarError]] = {
    "AccessDeniedException": UpstreamError,
    "InternalDependencyException": UpstreamError,
    "InternalFailure": UpstreamError,
    "InternalServerException": UpstreamError,
    "InternalStreamFailure": UpstreamError,
    "ModelError": UpstreamError,
    "ModelErrorException": UpstreamError,
    "ModelNotReadyException": ModelLoading,
    "ModelStreamError": UpstreamError,
    "ModelStreamErrorException": UpstreamError,
    "ModelTimeoutException": APITimeoutError,
    "ResourceNotFoundException": UpstreamError,
    "ServiceQuotaExceededException": QuotaExhausted,
    "ServiceUnavailable": Overloaded,
    "ServiceUnavailableException": Overloaded,
    "ThrottlingException": RateLimitError,
    "ValidationError": BadRequestError,
    "ValidationException": BadRequestError,
}


def modelled() -> list[Any]:
    """(kind, status) of every error that the operations we call may answer with."""
    found = {}
    for service, names in (
        (BEDROCK, ("Converse", "ConverseStream", "InvokeModel")),
        (SAGEMAKER, ("InvokeEndpoint", "InvokeEndpointWithResponseStream")),
    ):
        for name in names:
            for shape in aws.operation(service, name).error_shapes:
                found[shape.name] = shape.metadata.get("error", {}).get("httpStatusCode", 500)
    return [pytest.param(kind, status, id=kind) for kind, status in sorted(found.items())]


@pytest.mark.parametrize(("kind", "status"), modelled())
def test_every_modelled_error_is_typed_by_header_by_body_and_in_a_stream(kind: str, status: int) -> None:
    body = json.dumps({"message": "words"}).encode()
    replies = [
        aws_error(status, {"x-amzn-errortype": f"{kind}:http://internal.amazon.com/coral/"}, body),
        aws_error(status, {}, json.dumps({"__type": f"com.amazon.coral#{kind}", "message": "words"}).encode()),
    ]
    for error in replies:
        assert type(error) is EXPECTED[kind]
        assert error.upstream_status == status
    lower = kind[0].lower() + kind[1:]
    [message] = frames.Messages().feed(frames.exception(lower, body))
    assert type(stream_failure(message)) is EXPECTED[kind]


def test_throttling_moves_on_and_a_wait_is_kept() -> None:
    error = aws_error(429, {"x-amzn-errortype": "ThrottlingException", "retry-after": "4"}, b'{"message":"slow"}')
    assert isinstance(error, RateLimitError)
    assert (error.retry_after, error.moves_on) == (4.0, True)


@pytest.mark.parametrize(
    "text",
    ["Input is too long for requested model.", "The model returned the following errors: prompt is too long: 9 > 8"],
)
def test_a_prompt_that_does_not_fit_is_told_apart(text: str) -> None:
    body = json.dumps({"message": text}).encode()
    assert type(aws_error(400, {"x-amzn-errortype": "ValidationException"}, body)) is ContextTooLong


def test_a_model_that_wants_a_profile_is_the_owners_fault() -> None:
    text = "Invocation of model ID x with on-demand throughput isn’t supported. Retry with an inference profile."
    error = aws_error(400, {"x-amzn-errortype": "ValidationException"}, json.dumps({"message": text}).encode())
    assert type(error) is UpstreamError
    assert "global." in error.hint
    assert error.moves_on


def test_credentials_that_are_refused_are_not_repeated() -> None:
    body = b'{"message":"The security token AKIDSECRET included in the request is expired"}'
    error = aws_error(403, {"x-amzn-errortype": "ExpiredTokenException"}, body)
    assert error.code == "upstream_credentials"
    assert "AKID" not in error.text


@pytest.mark.parametrize(
    ("status", "words", "kind"),
    [
        (
            422,
            '{"error":"`inputs` tokens + `max_new_tokens` must be <= 4096","error_type":"validation"}',
            "Unprocessable",
        ),
        (400, "This model's maximum context length is 4096 tokens", "ContextTooLong"),
        (429, "overloaded", "RateLimitError"),
        (503, "busy", "Overloaded"),
        (500, "CUDA out of memory", "UpstreamError"),
        (401, "who", "UpstreamError"),
        (0, "?", "UpstreamError"),
    ],
)
def test_the_containers_own_error_is_heard(status: int, words: str, kind: str) -> None:
    body = {"ErrorCode": "X", "Message": f"Received error ({status})", "OriginalMessage": words}
    error = aws_error(424, {}, json.dumps({**body, "OriginalStatusCode": status}).encode())
    assert type(error).__name__.startswith(kind)
    assert error.upstream_status == 424


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"\xff", b"<html>", b'{"message":7}', b"[" * 5000])
def test_unreadable_bodies_are_typed_too(body: bytes) -> None:
    for status in (400, 403, 404, 408, 424, 429, 500, 503, 530):
        assert aws_error(status, {}, body).message


def test_an_unmodelled_error_message_is_told() -> None:
    headers = {":message-type": "error", ":error-code": "InternalFailure", ":error-message": "lost"}
    [message] = frames.Messages().feed(frames.encode(headers, b""))
    assert stream_failure(message).message == "lost"
