"""An answer's bytes in the dialect of Google's Gemini API. Pure: it knows no socket and no behaviour.

A stream is server-sent events without names and without a terminal marker; each carries the counts so far. An error
says in its body, not in a header, when to come back. Source: the Gemini API reference ("GenerateContentResponse",
"Troubleshooting") and google.rpc's error_details.proto, read 2026-11-22.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import msgspec

from nearfar.standin.answers import Answer
from nearfar.standin.dialects import Dialect

_encode = msgspec.json.encode

_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_FINISH = {"stop": "STOP", "length": "MAX_TOKENS"}
_TYPE = "type.googleapis.com/google.rpc."


def _response(
    answer: Answer, parts: list[dict[str, object]], output: int | None, finish: str = "", **more: object
) -> dict[str, object]:
    """One response. ``output``: tokens so far; None leaves the counts out."""
    candidate: dict[str, object] = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    value: dict[str, object] = {"candidates": [candidate], "modelVersion": answer.model, "responseId": answer.id}
    if output is not None:
        counts = {"promptTokenCount": answer.input, "totalTokenCount": answer.input + output}
        value["usageMetadata"] = counts | ({"candidatesTokenCount": output} if output else {})
    return value | more


def _event(value: object) -> bytes:
    return b"data: %b\n\n" % _encode(value)


def _plain(answer: Answer) -> bytes:
    return _encode(_response(answer, [{"text": answer.text}], answer.output, _FINISH[answer.finish]))


def _piece(answer: Answer, piece: str) -> bytes:
    # The counts so far; a lone piece cannot know more than that there is one.
    return _event(_response(answer, [{"text": piece}], 1))


def _tail(answer: Answer, sent: int) -> bytes:
    return _event(_response(answer, [{"text": ""}], sent, _FINISH[answer.finish]))


def _error(status: int, message: str) -> bytes:
    return _refusal(status, message, None)


def _refusal(status: int, message: str, wait: float | None) -> bytes:
    error: dict[str, object] = {"code": status, "message": message, "status": _STATUSES.get(status, "UNKNOWN")}
    if wait is not None:
        error["details"] = [{"@type": f"{_TYPE}RetryInfo", "retryDelay": f"{wait:g}s"}]
    return _encode({"error": error})


def _shape_stream(answer: Answer, mode: str) -> list[bytes] | None:
    if mode == "usage-never":
        words = [_event(_response(answer, [{"text": piece}], None)) for piece in answer.pieces]
        return [*words, _event(_response(answer, [{"text": ""}], None, _FINISH[answer.finish]))]
    if mode not in {"reasoning", "unknown-fields"}:
        return None
    return list(_odd(answer, mode))


def _odd(answer: Answer, mode: str) -> Iterator[bytes]:
    if mode == "reasoning":
        yield _event(_response(answer, [{"text": "Hm. Yes.", "thought": True}], 0))
    else:
        yield _event(_response(answer, [{"nobodyKnows": {"x": 1}}], 0, nobodyKnows=[1]))
    for piece, sent in zip(answer.pieces, itertools.count(1), strict=False):
        yield _event(_response(answer, [{"text": piece}], sent))
    yield _tail(answer, len(answer.pieces))


def _shape_plain(answer: Answer, mode: str) -> bytes | None:
    parts: list[dict[str, object]] = [{"text": answer.text}]
    finish = _FINISH[answer.finish]
    match mode:
        case "usage-never":
            return _encode(_response(answer, parts, None, finish))
        case "reasoning":
            return _encode(_response(answer, [{"text": "Hm.", "thought": True}, *parts], answer.output, finish))
        case "unknown-fields":
            more = {"nobodyKnows": {"x": [1, 2]}}
            return _encode(_response(answer, [*parts, {"nobodyKnows": 1}], answer.output, finish, **more))
    return None


GEMINI = Dialect(
    name="gemini",
    stream_type="text/event-stream",
    plain=_plain,
    head=lambda _: b"",
    piece=_piece,
    tail=_tail,
    error=_error,
    stream_error=lambda message: b"data: %b\n\n" % _error(503, message),
    broken=b'data: {"candidates": [{"content": {"parts": [\n\n',
    refusal=_refusal,
    shape_stream=_shape_stream,
    shape_plain=_shape_plain,
)
