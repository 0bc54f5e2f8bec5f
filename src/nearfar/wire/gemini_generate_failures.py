"""Errors in Google's shape, read from upstreams and written for clients. It knows no request.

Google's status word and the details beside it say what the HTTP status does not: a wrong key is a 400, the wait is no
header but a ``RetryInfo``, and a quota per day is not one per minute.
Source: google.rpc.Code and google.rpc error_details.proto; the Gemini API's page "Troubleshooting", read 2026-11-22.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from nearfar.core.errors import ContextTooLong, NearfarError, QuotaExhausted, SignatureRefused, UpstreamError
from nearfar.wire.failures import MAX_RETRY_AFTER, MAX_TEXT, upstream_error

_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    422: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    431: "INVALID_ARGUMENT",
    499: "CANCELLED",
    500: "INTERNAL",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}

_CREDENTIALS = re.compile(
    r"API[ _]key (not valid|expired|not found)|API_KEY_(INVALID|EXPIRED|SERVICE_BLOCKED)", re.IGNORECASE
)
_CONTEXT = re.compile(r"input token count.{0,40}exceeds|exceeds the maximum number of (input )?tokens", re.IGNORECASE)
_SIGNATURE = re.compile(r"thought[ _]?signature", re.IGNORECASE)
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)s")


def error_body(error: NearfarError, request_id: str) -> bytes:
    """``error`` as a whole body. ``code`` must be a number: Google's clients look at nothing else in a stream."""
    metadata = {"code": error.code}
    if error.param:
        metadata["param"] = error.param
    if request_id:
        metadata["request"] = request_id
    details: list[dict[str, Any]] = [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": error.code.upper(),
            "domain": "nearfar",
            "metadata": metadata,
        }
    ]
    if error.retry_after is not None:
        wait = f"{max(0.0, error.retry_after):g}s"
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": wait})
    status = _STATUS.get(error.status, "UNKNOWN")
    value = {"code": error.status, "message": error.text, "status": status, "details": details}
    return msgspec.json.encode({"error": value})


def gemini_error(status: int, headers: Mapping[str, str], body: bytes) -> NearfarError:
    """The error that a reply of Google's stands for."""
    error = upstream_error(status, headers, body)
    said = _said(body)
    message = said.get("message")
    text = message[:MAX_TEXT] if isinstance(message, str) else ""
    given = said.get("details")
    details = [item for item in given if isinstance(item, dict)] if isinstance(given, list) else []
    keep: dict[str, Any] = {"upstream_status": status, "upstream_body": body}
    reasons = " ".join(str(item.get("reason")) for item in details)
    if status in {400, 403} and (_CREDENTIALS.search(text) or _CREDENTIALS.search(reasons)):
        message = f"The upstream refused our credentials ({status})."
        return UpstreamError(message, code="upstream_credentials", hint="Check the deployment's key.", **keep)
    if status == 400 and _CONTEXT.search(text):
        return ContextTooLong(text, **keep)
    if status == 400 and _SIGNATURE.search(text):
        return SignatureRefused(text, hint="Send the history without its signatures.", **keep)
    if status == 400 and said.get("status") == "FAILED_PRECONDITION":
        # The account or the region may not: another deployment may, and the client's request was right.
        return UpstreamError(text or "The upstream's account may not do this.", code="upstream_precondition", **keep)
    if status == 429:
        wait = error.retry_after if error.retry_after is not None else _delay(details)
        if any("PerDay" in quota for quota in _quotas(details)):
            return QuotaExhausted(text or "The quota of the day is used up.", retry_after=wait, **keep)
        error.retry_after = wait
    elif error.retry_after is None:
        error.retry_after = _delay(details)
    return error


def stream_failure(body: bytes) -> NearfarError:
    """The error inside a stream or a body with status 200: its own number counts."""
    code = _said(body).get("code")
    return gemini_error(code if isinstance(code, int) and 400 <= code < 600 else 502, {}, body)


def _said(body: bytes) -> dict[str, Any]:
    """The ``error`` object, also of a list of one, as streams without ``alt=sse`` answer."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    if isinstance(value, list) and value:
        value = value[0]
    inner = value.get("error") if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else {}


def _delay(details: list[dict[str, Any]]) -> float | None:
    for item in details:
        found = _SECONDS.fullmatch(str(item.get("retryDelay")))
        if found is not None:
            seconds = float(found[1])
            return min(seconds, MAX_RETRY_AFTER) if math.isfinite(seconds) else MAX_RETRY_AFTER
    return None


def _quotas(details: list[dict[str, Any]]) -> list[str]:
    violations = [item.get("violations") for item in details]
    return [
        str(violation.get("quotaId"))
        for found in violations
        if isinstance(found, list)
        for violation in found
        if isinstance(violation, dict)
    ]
