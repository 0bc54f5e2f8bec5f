"""What is said of a whole reply in Anthropic's shape: its ending, its token counts, its error. It orders no blocks.

Source: the Claude API reference, "Messages" and "Errors", and the types of its Python SDK 2.12, read 2026-11-22.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nearfar.core.chat import Chunk, Event, Finish, ReasoningSeal, RefusalDelta, Request, ToolCallDelta, Usage
from nearfar.core.errors import ContextTooLong, ModelLoading, NearfarError, OutputUnparsed, Overloaded, UpstreamError

_encode = msgspec.json.Encoder().encode

_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
}
"""Status → Anthropic's word, where it is neither ``invalid_request_error`` (4xx) nor ``api_error`` (5xx)."""

_NATIVE = frozenset(
    {
        "end_turn",
        "max_tokens",
        "model_context_window_exceeded",
        "pause_turn",
        "refusal",
        "stop_sequence",
        "tool_use",
    }
)
_STOP = {
    "stop": "end_turn",
    "length": "max_tokens",
    "model_length": "model_context_window_exceeded",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
_GAVE_UP = frozenset({"abort", "error", "insufficient_system_resource"})
"""Finish reasons with which some servers say that the answer is not whole."""


def error_type(error: NearfarError) -> str:
    """Anthropic's word for an error of this status."""
    if isinstance(error, Overloaded | ModelLoading):
        return "overloaded_error"
    return _TYPES.get(error.status, "api_error" if error.status >= 500 else "invalid_request_error")


def error_body(error: NearfarError, request_id: str) -> bytes:
    """``error`` as a whole body in Anthropic's shape; its SDK looks for a stable code in ``details.error_code``."""
    # Agents shorten their history when they read Anthropic's own words for a prompt that does not fit.
    text = f"prompt is too long: {error.text}" if isinstance(error, ContextTooLong) else error.text
    told = {"type": error_type(error), "message": text, "details": {"error_code": error.code}}
    return _encode({"type": "error", "error": told, "request_id": request_id or None})


def usage_of(usage: Usage | None) -> dict[str, Any]:
    """Token counts as Anthropic gives them: ``input_tokens`` without what a cache gave or took; 0 where unknown."""
    found = usage or Usage()
    cached, written = found.cached or 0, found.cache_write or 0
    value: dict[str, Any] = {
        "input_tokens": max(0, (found.input or 0) - cached - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cached,
        "output_tokens": found.output or 0,
    }
    if found.reasoning is not None:
        value["output_tokens_details"] = {"thinking_tokens": found.reasoning}
    return value


class Ending:
    """What is known of a reply besides its blocks."""

    def __init__(self, request: Request) -> None:
        self._id = f"msg_{request.id.removeprefix('req-')}"
        self._model = request.model
        self._finish: Finish | None = None
        self._declined = False
        self._called = False
        self.usage: Usage | None = None

    def note(self, chunk: Chunk) -> None:
        """Remember the facts of ``chunk``."""
        self._model = chunk.model or self._model
        if chunk.usage is not None:
            self.usage = chunk.usage

    def saw(self, event: Event) -> None:
        """Remember what the ending depends on."""
        if isinstance(event, Finish):
            if event.reason in _GAVE_UP and event.native not in _NATIVE:
                raise UpstreamError(f"The upstream gave its answer up ({event.reason}).", code="gave_up")
            self._finish = event
        elif isinstance(event, RefusalDelta):
            self._declined = True
        elif isinstance(event, ToolCallDelta):
            self._called = True

    @property
    def stop_reason(self) -> str:
        """Anthropic's word for how it ended."""
        finish = self._finish
        if finish is None:
            found = "end_turn"
        elif finish.native in _NATIVE:
            found = finish.native
        else:
            found = _STOP.get(finish.reason, "end_turn")
        if found == "end_turn":
            # Some servers say "stop" also after calls, and a refusal has no finish reason of its own elsewhere.
            return "tool_use" if self._called else "refusal" if self._declined else found
        return found

    @property
    def stop_sequence(self) -> str | None:
        """The sequence that was found, if the upstream says which."""
        return (self._finish.stop or None) if self._finish is not None else None

    def arguments(self, name: str, text: str, *, last: bool) -> dict[str, Any]:
        """A call's arguments as the object that Anthropic's shape wants; OutputUnparsed when they are none."""
        try:
            return msgspec.json.decode(text or "{}", type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError) as exc:
            if last and self.stop_reason in {"max_tokens", "model_context_window_exceeded"}:
                return {}  # the limit cut the call, and the stop reason says so
            message = f"The model called {name[:100]!r} with arguments that are no JSON object."
            raise OutputUnparsed(message, hint="Ask again, or ask another model.") from exc

    def message(self, content: list[dict[str, Any]], *, begun: bool) -> dict[str, Any]:
        """The whole message, or the one with which a stream begins."""
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": content,
            "stop_reason": None if begun else self.stop_reason,
            "stop_sequence": None if begun else self.stop_sequence,
            "usage": usage_of(self.usage),
        }


def signature_of(seal: ReasoningSeal) -> str:
    """The signature as clients get it: with its vendor before it, unless it is Anthropic's own."""
    return f"{seal.vendor}:{seal.signature}" if seal.vendor else seal.signature


def signed_call(call: ToolCallDelta) -> dict[str, Any]:
    """Google's signature of a call, in the member that OpenAI's dialect has for it; clients send blocks back whole."""
    return {"extra_content": {"google": {"thought_signature": call.signature}}} if call.signature else {}


def made_id(request_id: str, number: int) -> str:
    """An id for a call to which its upstream gave none."""
    return f"toolu_{request_id.removeprefix('req-').replace('-', '_')}_{number}"
