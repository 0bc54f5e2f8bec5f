"""The error tree: every failure a caller can meet, with its HTTP status and whether another deployment may help.

It does not know how an error is rendered (that is a wire's business) nor where it came from.

    NearfarError
    ├── BadRequestError 400
    │   ├── ContextTooLong 400
    │   ├── SignatureRefused 400        a thought was signed by another account than the one that is asked
    │   └── PiiBlocked 400              what was found in the request may go to no deployment
    ├── AuthenticationError 401
    ├── PermissionDeniedError 403
    │   └── EgressDenied 403
    │       └── PlaceMismatch 403
    ├── NotFoundError 404
    │   └── NoRoute 404
    ├── MethodNotAllowedError 405
    ├── RequestTimeoutError 408
    ├── ConflictError 409
    ├── RequestTooLargeError 413
    ├── UnprocessableEntityError 422
    ├── RateLimitError 429
    │   ├── QuotaExhausted 429
    │   └── BudgetExceeded 429
    ├── HeadersTooLargeError 431
    ├── ClientGone 499
    ├── InternalServerError 500
    │   ├── MaskingFailed 500
    │   ├── AuditUnavailable 503        the record that must be durable before bytes leave is not
    │   ├── GuardError 503             a detector failed, so nobody knows what a text holds
    │   ├── LedgerUnavailable 503
    │   └── StoreUnavailable 503       the database is locked, full, unreachable or not one
    └── UpstreamError 502              what a deployment did wrong
        ├── ReplyTooLarge 502          a plain reply that is more than may be held in memory
        ├── OutputUnparsed 502         the model wrote what its own server cannot parse
        ├── APIConnectionError 502     no connection, or it broke before the reply began
        ├── StreamCut 502              the reply ended without its end
        ├── APITimeoutError 504
        ├── Overloaded 503             also vendors' 529
        ├── DeploymentUnusable 503     a key is not there, or a part that it needs is not installed
        ├── ModelLoading 503
        └── EngineError 503            the embedded engine could not load or run a model

Names follow the openai and anthropic SDKs where they have one.
"""

from __future__ import annotations

from typing import ClassVar


class NearfarError(Exception):
    """A failure with a status. ``code`` is stable and English; ``hint`` says the next step."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "api_error"
    default_code: ClassVar[str] = "internal_error"
    moves_on: ClassVar[bool] = False
    """Whether another candidate may be tried after this error (before the first byte to the client)."""
    cools_down: ClassVar[bool] = False
    """Whether the deployment rests after this error: not when the request or the model's own words were at fault."""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        hint: str = "",
        retry_after: float | None = None,
        upstream_status: int | None = None,
        upstream_body: bytes = b"",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.param = param
        self.hint = hint
        self.retry_after = retry_after
        """Seconds after which the same deployment may be asked again; None when nobody said."""
        self.upstream_status = upstream_status
        self.upstream_body = upstream_body
        """The vendor's own error body, handed through when the client speaks the vendor's dialect."""

    @property
    def text(self) -> str:
        """What went wrong and, after it, the next step."""
        # An upstream's words may end without a mark, and would run into ours.
        mark = "." if self.hint and self.message and self.message[-1].isalnum() else ""
        return f"{self.message}{mark} {self.hint}".strip()


class BadRequestError(NearfarError):
    """The request cannot be understood or asks for what its target cannot do."""

    status = 400
    type = "invalid_request_error"
    default_code = "bad_request"


class ContextTooLong(BadRequestError):
    """The prompt does not fit the context of any allowed deployment."""

    default_code = "context_length_exceeded"
    moves_on = True


class SignatureRefused(BadRequestError):
    """A signature in the history is none of this upstream's account: without signatures it answers, or another does."""

    default_code = "signature_refused"
    moves_on = True


class PiiBlocked(BadRequestError):
    """What was found in the request makes it too sensitive for every deployment that could answer."""

    default_code = "pii_blocked"


class AuthenticationError(NearfarError):
    """No key, or one that is unknown or revoked."""

    status = 401
    type = "authentication_error"
    default_code = "invalid_api_key"


class PermissionDeniedError(NearfarError):
    """The caller may not do this."""

    status = 403
    type = "permission_error"
    default_code = "permission_denied"


class EgressDenied(PermissionDeniedError):
    """The class of the request forbids the place; raised where the socket would be opened."""

    default_code = "egress_denied"


class PlaceMismatch(EgressDenied):
    """A deployment's address lies beyond its declared place, so nothing was sent; another one may be where it says."""

    default_code = "place_mismatch"
    moves_on = True
    cools_down = True


class NotFoundError(NearfarError):
    """No such path or object."""

    status = 404
    type = "not_found_error"
    default_code = "not_found"


class NoRoute(NotFoundError):
    """Nothing here answers to the asked model."""

    default_code = "model_not_found"
    type = "invalid_request_error"


class MethodNotAllowedError(NearfarError):
    """The path is known, but not for this method; the reply's Allow header says for which."""

    status = 405
    type = "invalid_request_error"
    default_code = "method_not_allowed"

    def __init__(self, message: str, *, hint: str = "", allowed: str = "") -> None:
        super().__init__(message, hint=hint)
        self.allowed = allowed
        """The methods, as the Allow header writes them."""


class RequestTimeoutError(NearfarError):
    """The client sent its request too slowly."""

    status = 408
    type = "invalid_request_error"
    default_code = "request_timeout"


class ConflictError(NearfarError):
    """The state of an object forbids this."""

    status = 409
    type = "invalid_request_error"
    default_code = "conflict"


class RequestTooLargeError(NearfarError):
    """The body is larger than the configured limit."""

    status = 413
    type = "invalid_request_error"
    default_code = "request_too_large"


class UnprocessableEntityError(NearfarError):
    """Well-formed, but a value cannot be processed."""

    status = 422
    type = "invalid_request_error"
    default_code = "unprocessable_entity"


class RateLimitError(NearfarError):
    """Too many requests, at a deployment or at our own edge."""

    status = 429
    type = "rate_limit_error"
    default_code = "rate_limit_exceeded"
    moves_on = True
    cools_down = True


class QuotaExhausted(RateLimitError):
    """The account at the provider is out of quota: waiting does not help."""

    default_code = "insufficient_quota"


class BudgetExceeded(RateLimitError):
    """The caller's budget does not cover the upper bound of this request."""

    default_code = "budget_exceeded"
    moves_on = False
    cools_down = False


class HeadersTooLargeError(NearfarError):
    """More request header bytes than the edge accepts."""

    status = 431
    type = "invalid_request_error"
    default_code = "headers_too_large"


class ClientGone(NearfarError):
    """The client hung up; nobody reads this error, the ledger does."""

    status = 499
    type = "client_closed_request"
    default_code = "client_gone"


class InternalServerError(NearfarError):
    """A fault of nearfar itself."""


class MaskingFailed(InternalServerError):
    """A detector or mask failed, so the request may not go far."""

    default_code = "masking_failed"
    moves_on = True


class AuditUnavailable(InternalServerError):
    """The policy demands a durable record before bytes leave, and it could not be made: nothing left.

    A near deployment may still answer.
    """

    status = 503
    default_code = "audit_unavailable"
    moves_on = True


class GuardError(InternalServerError):
    """A detector failed, hung or is missing: nothing is known about the text, so it stays near or is refused."""

    status = 503
    default_code = "guard_unavailable"


class LedgerUnavailable(InternalServerError):
    """Attempts can no longer be journalled: unaccounted requests are refused."""

    status = 503
    default_code = "ledger_unavailable"


class StoreUnavailable(InternalServerError):
    """The database is locked, full, unreachable or not one; the message says which."""

    status = 503
    default_code = "store_unavailable"


class UpstreamError(NearfarError):
    """A deployment answered wrongly, late or not at all."""

    status = 502
    type = "upstream_error"
    default_code = "upstream_error"
    moves_on = True
    cools_down = True


class ReplyTooLarge(UpstreamError):
    """A plain reply is more than may be held in memory: its deployment is well, and another would say as much."""

    default_code = "reply_too_large"
    moves_on = False
    cools_down = False


class OutputUnparsed(UpstreamError):
    """The model wrote something its own server cannot parse (tools, a schema): the next answer may be fine."""

    default_code = "output_unparsed"
    cools_down = False


class APIConnectionError(UpstreamError):
    """No connection, or it broke before the reply began."""

    default_code = "connection_error"


class StreamCut(UpstreamError):
    """The upstream closed before its reply was complete."""

    default_code = "stream_cut"


class APITimeoutError(UpstreamError):
    """One of the deadlines (connect, first byte, between bytes, total) passed."""

    status = 504
    default_code = "upstream_timeout"


class Overloaded(UpstreamError):
    """The deployment has no capacity now (503, 529, a full queue)."""

    status = 503
    type = "overloaded_error"
    default_code = "overloaded"


class DeploymentUnusable(UpstreamError):
    """The deployment lacks something that only the gateway's owner can give it: its key, or an optional part."""

    status = 503
    default_code = "deployment_unusable"
    cools_down = False


class ModelLoading(UpstreamError):
    """The model is being loaded: a state, not a failure."""

    status = 503
    default_code = "model_loading"


class EngineError(UpstreamError):
    """The embedded engine cannot load or run a model; the message says why and what to do."""

    status = 503
    default_code = "engine_error"


def from_status(
    status: int, message: str, *, retry_after: float | None = None, body: bytes = b"", code: str | None = None
) -> NearfarError:
    """The error that an upstream's HTTP status stands for.

    A vendor's 401 or 403 is our credential's fault, not the client's, so it becomes an UpstreamError
    and another candidate may be tried; a 400 is the client's and ends the request.
    """
    kind: type[NearfarError]
    if status == 429:
        kind = RateLimitError
    elif status in {503, 529}:
        kind = Overloaded
    elif status in {408, 504}:
        kind = APITimeoutError
    elif status == 413:
        kind = RequestTooLargeError
    elif status == 422:
        kind = UnprocessableEntityError
    elif status in {401, 402, 403, 404} or status >= 500 or status < 400:
        kind = UpstreamError
    else:
        kind = BadRequestError
    return kind(message, code=code, retry_after=retry_after, upstream_status=status, upstream_body=body)
