"""What upstreams' error bodies mean, in the words of core/errors. It knows their usual shapes, not who sent them.

Shapes met in the wild: ``{"error": {"message", "type", "code", "param"}}`` (OpenAI, vLLM, llama.cpp, Anthropic),
``{"error": "text"}`` (Ollama, LM Studio, TGI), ``{"object": "error", "message": …}`` (older vLLM, TensorRT-LLM),
``{"detail": …}`` (FastAPI), ``{"message": …}`` (AWS), and pages of HTML.
"""

from __future__ import annotations

import email.utils
import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from nearfar.core.errors import (
    BadRequestError,
    ContextTooLong,
    ModelLoading,
    NearfarError,
    OutputUnparsed,
    QuotaExhausted,
    UpstreamError,
    from_status,
)

MAX_TEXT = 2000
"""Characters of a vendor's message that are kept."""
MAX_RETRY_AFTER = 86400.0
"""Seconds. A longer wait is no statement about a rate limit, and an absurd one would overflow in later sums."""

CODES = frozenset(
    {
        # OpenAI, Azure and who copies them
        "array_above_max_length",
        "billing_hard_limit_reached",
        "billing_not_active",
        "content_filter",
        "content_policy_violation",
        "context_length_exceeded",
        "DeploymentNotFound",
        "empty_image_file",
        "image_content_policy_violation",
        "image_file_too_large",
        "image_parse_error",
        "image_too_large",
        "image_too_small",
        "insufficient_quota",
        "integer_above_max_value",
        "integer_below_min_value",
        "invalid_api_key",
        "invalid_base64_image",
        "invalid_function_parameters",
        "invalid_image",
        "invalid_image_format",
        "invalid_image_mode",
        "invalid_image_url",
        "invalid_prompt",
        "invalid_request_error",
        "invalid_type",
        "invalid_value",
        "missing_required_parameter",
        "model_not_found",
        "OperationNotSupported",
        "rate_limit_exceeded",
        "requests",
        "ResponsibleAIPolicyViolation",
        "server_error",
        "server_is_overloaded",
        "slow_down",
        "string_above_max_length",
        "string_below_min_length",
        "tokens",
        "unknown_parameter",
        "unsupported_country_region_territory",
        "unsupported_file",
        "unsupported_parameter",
        "unsupported_value",
        "vector_store_timeout",
        # Anthropic, llama.cpp and vLLM, whose types sometimes stand in the code
        "api_error",
        "authentication_error",
        "BadRequestError",
        "billing_error",
        "exceed_context_size_error",
        "model_context_window_exceeded",
        "not_found_error",
        "not_supported_error",
        "overloaded_error",
        "permission_error",
        "quota_exceeded",
        "rate_limit_error",
        "request_too_large",
        "timeout_error",
        "unavailable_error",
        # Groq, Mistral, DeepSeek, Together, OpenRouter's upstreams
        "json_validate_failed",
        "model_decommissioned",
        "model_overloaded",
        "engine_overloaded",
        "service_unavailable",
        "tool_use_failed",
        # a nearfar behind this one, where the request or its deployment was at fault
        "bad_request",
        "budget_exceeded",
        "connection_error",
        "duplicate_key",
        "invalid_json",
        "missing_field",
        "model_loading",
        "output_unparsed",
        "overloaded",
        "steering_parameter",
        "stream_cut",
        "too_many_values",
        "unsupported",
        "upstream_error",
        "upstream_timeout",
    }
)
"""The only codes of an upstream that become ours. A code goes into headers, labels and the ledger, where no word of a
conversation may go, and an upstream may echo one in the shape of a code: what is not documented is not repeated."""

_CONTEXT_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error", "model_context_window_exceeded"})
_CONTEXT_TEXT = re.compile(
    r"maximum context length|context (length|window|size|limit)|exceeds the available context|prompt is too long"
    r"|input (length|is too long)|too many (input )?tokens|is too large to process",
    re.IGNORECASE,
)
_QUOTA_CODES = frozenset(
    {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "billing_error", "quota_exceeded"}
)
_QUOTA_TEXT = re.compile(
    r"credit balance is too low|exceeded your current quota|insufficient (funds|balance|credit)", re.IGNORECASE
)
_CANNOT_TEXT = re.compile(r"(image|audio) input is not supported|does not support logits computation", re.IGNORECASE)
_UNPARSED_TEXT = re.compile(r"does not match the expected .{0,40}format", re.IGNORECASE)
_LOADING_TEXT = re.compile(r"loading model|model is (currently )?loading|currently loading", re.IGNORECASE)
_TYPE_STATUS = {
    "invalid_request_error": 400,
    "BadRequestError": 400,
    "exceed_context_size_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "timeout_error": 504,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "overloaded_error": 529,
    "unavailable_error": 503,
    "server_is_overloaded": 503,
}


class Said(msgspec.Struct, frozen=True):
    """What an error body says; empty where it says nothing."""

    message: str = ""
    code: str = ""
    type: str = ""
    param: str = ""
    number: int = 0
    """An HTTP status given inside the body."""


def upstream_error(status: int, headers: Mapping[str, str], body: bytes) -> NearfarError:
    """The error that a reply with ``status`` stands for. ``headers`` have lower-case names."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = body.decode("utf-8", "replace").strip()
        value = "" if text.startswith("<") else text
    return _classify(status, read(value), retry_after=retry_after(headers), body=body)


def stream_error(value: object, body: bytes) -> NearfarError:
    """The error that the decoded ``value`` of an in-stream error event stands for; its status is in the words."""
    said = read(value)
    status = said.number or _TYPE_STATUS.get(said.type) or _TYPE_STATUS.get(said.code) or 502
    return _classify(status, said, retry_after=None, body=body)


def read(value: object) -> Said:
    """The words of a decoded error body in any of the usual shapes."""
    if isinstance(value, str):
        return Said(message=value[:MAX_TEXT])
    if isinstance(value, list):
        return read(value[0]) if value and isinstance(value[0], dict | str) else Said()
    if not isinstance(value, dict):
        return Said()
    inner = value.get("error")
    if isinstance(inner, dict | str) and inner:
        return read(inner)
    code, kind = value.get("code"), value.get("type") or value.get("error_type")
    number = code if isinstance(code, int) and 400 <= code < 600 else 0
    return Said(
        message=_words(value.get("message") or value.get("Message") or value.get("detail")),
        code=code if isinstance(code, str) else "",
        type=kind if isinstance(kind, str) else "",
        param=_words(value.get("param")),
        number=number,
    )


def known_code(text: str) -> str | None:
    """A vendor's ``text`` if it is a code that vendors are known to send, else None: then the error's own code stands.

    >>> known_code("rate_limit_exceeded"), known_code("my_secret_word")
    ('rate_limit_exceeded', None)
    """
    return text if text in CODES else None


def _words(value: object) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text[:MAX_TEXT]


def _classify(status: int, said: Said, *, retry_after: float | None, body: bytes) -> NearfarError:
    names = {said.code, said.type}
    text = said.message
    keep: dict[str, Any] = {"upstream_status": status, "upstream_body": body}
    if status in {401, 403}:  # the vendor's words may quote our key
        message = f"The upstream refused our credentials ({status})."
        return UpstreamError(message, code="upstream_credentials", hint="Check the deployment's key.", **keep)
    if names & _CONTEXT_CODES or (status in {400, 413, 422, 500, 502} and _CONTEXT_TEXT.search(text)):
        return ContextTooLong(text or "The prompt does not fit the model's context.", **keep)
    if status in {500, 501} and (status == 501 or _CANNOT_TEXT.search(text)):
        # llama.cpp answers 500 to what its model cannot do: the request's fault, not the server's.
        return BadRequestError(text or "The model cannot do this.", code="unsupported", **keep)
    if status == 500 and _UNPARSED_TEXT.search(text):
        return OutputUnparsed(text, **keep)
    if status == 402 or names & _QUOTA_CODES or (status in {400, 403, 429} and _QUOTA_TEXT.search(text)):
        message = text or "The account at the provider is out of quota."
        return QuotaExhausted(message, retry_after=retry_after, **keep)
    if status == 503 and _LOADING_TEXT.search(text):
        return ModelLoading(text, retry_after=retry_after, **keep)
    if status == 404:
        message = text or "The upstream does not know this model or path (404)."
        return UpstreamError(message, code="upstream_not_found", **keep)
    error = from_status(
        status,
        text or f"The upstream answered {status} without saying why.",
        retry_after=retry_after,
        body=body,
        code=known_code(said.code),
    )
    error.param = said.param or None
    return error


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, at most a day: ``retry-after-ms`` (Azure's ``x-ms-retry-after-ms``), ``retry-after``, or a date
    beside the reply's own date.
    """
    for name, scale in (("retry-after-ms", 0.001), ("x-ms-retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = headers.get(name)
        if not text:
            continue
        try:
            seconds = float(text) * scale
        except ValueError:
            seconds = _until(text, headers.get("date", ""))
        if math.isfinite(seconds):
            return min(max(0.0, seconds), MAX_RETRY_AFTER)
    return None


def _until(then: str, now: str) -> float:
    try:
        return (email.utils.parsedate_to_datetime(then) - email.utils.parsedate_to_datetime(now)).total_seconds()
    except (ValueError, TypeError):
        return math.nan
