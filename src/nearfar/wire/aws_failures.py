"""What AWS's errors mean, in the words of core/errors: of a reply, or in the middle of a stream. It knows no wire.

The kind of an error stands in the header ``x-amzn-errortype`` (or in the body's ``__type``), its status in the service
models that botocore 1.44 carries (bedrock-runtime 2023-09-30, sagemaker-runtime 2017-05-13), read 2026-11-22.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from nearfar.core.errors import APITimeoutError, ModelLoading, NearfarError, QuotaExhausted, UpstreamError
from nearfar.wire.aws_event_stream import Message
from nearfar.wire.failures import MAX_TEXT, retry_after, upstream_error

_STATUS = {
    "accessdenied": 403,
    "internaldependency": 530,
    "internalfailure": 500,
    "internalserver": 500,
    "internalstreamfailure": 500,
    "modelerror": 424,
    "modelnotready": 429,
    "modelstreamerror": 424,
    "modeltimeout": 408,
    "resourcenotfound": 404,
    "servicequotaexceeded": 400,
    "serviceunavailable": 503,
    "throttling": 429,
    "validation": 400,
}
"""The status of each kind, for errors that come without one: those inside of a stream."""

_PROFILE_TEXT = re.compile(r"on-demand throughput|inference profile|model identifier is invalid", re.IGNORECASE)
_PROFILE_HINT = "Name an inference profile: the model's id with us., eu., apac. or global. before it, or its ARN."


def aws_error(status: int, headers: Mapping[str, str], body: bytes) -> NearfarError:
    """The error that a reply with ``status`` stands for. ``headers`` have lower-case names."""
    said = _object(body)
    kind = _kind(headers.get("x-amzn-errortype") or said.get("__type") or "")
    text = _text(said)
    keep: dict[str, Any] = {"upstream_status": status, "upstream_body": body}
    wait = retry_after(headers)
    if kind == "modelnotready":
        return ModelLoading(text or "The model is being made ready.", retry_after=wait, **keep)
    if kind == "servicequotaexceeded":
        return QuotaExhausted(text or "The account's service quota is exceeded.", retry_after=wait, **keep)
    if kind == "modeltimeout":
        return APITimeoutError(text or "The model took too long.", **keep)
    if kind == "validation" and status == 400 and _PROFILE_TEXT.search(text):
        # Our model's name, not the client's words.
        return UpstreamError(text, code="upstream_not_found", hint=_PROFILE_HINT, **keep)
    if status == 424:
        return _model_error(said, text, headers, keep)
    return upstream_error(status, headers, body)


def _model_error(said: dict[str, Any], text: str, headers: Mapping[str, str], keep: dict[str, Any]) -> NearfarError:
    """The model's own server failed: its status and words say whose fault it was, where AWS repeats them."""
    status = said.get("OriginalStatusCode") or said.get("originalStatusCode")
    words = said.get("OriginalMessage") or said.get("originalMessage") or text
    if not isinstance(status, int) or not 400 <= status < 600 or status in {401, 403, 404}:
        return UpstreamError(text or "The model failed while it processed the request.", **keep)
    error = upstream_error(status, headers, words.encode() if isinstance(words, str) else b"")
    error.upstream_status, error.upstream_body = keep["upstream_status"], keep["upstream_body"]
    return error


def stream_failure(message: Message) -> NearfarError:
    """The error that a message of the type ``exception`` or ``error`` stands for."""
    name = message.header(":exception-type") or message.header(":error-code")
    status = _STATUS.get(_kind(name), 502)
    body = message.payload
    if not body and message.header(":error-message"):
        body = msgspec.json.encode({"message": message.header(":error-message")})
    return aws_error(status, {"x-amzn-errortype": name}, body)


def _kind(name: object) -> str:
    """``com.amazon#ThrottlingException:http://…`` → ``throttling``."""
    if not isinstance(name, str):
        return ""
    plain = name.partition(":")[0].rpartition("#")[2].lower()
    return plain.removesuffix("exception") if plain != "validationerror" else "validation"


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(said: dict[str, Any]) -> str:
    """What AWS says, and what the model's own server said behind it."""
    words = [said.get("message") or said.get("Message"), said.get("OriginalMessage") or said.get("originalMessage")]
    return " ".join(text for text in words if isinstance(text, str) and text)[:MAX_TEXT]
