"""An answer's bytes as Amazon Bedrock's Converse says them. Pure: it knows no socket and no behaviour.

A stream is binary: messages with two checksums each. An error's kind stands in a header, and in the middle of a stream
in a message of another type. The framing is written here a second time on purpose: what reads it is tested with what
did not come from the same hand. Source: the service model bedrock-runtime 2023-09-30 in botocore 1.44 and the Smithy
specification, "Amazon Event Stream", read 2026-11-22.
"""

from __future__ import annotations

import struct
import zlib

import msgspec

from nearfar.standin.answers import Answer
from nearfar.standin.dialects import Dialect

_encode = msgspec.json.encode

_KINDS = {
    400: "ValidationException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}
_FINISH = {"stop": "end_turn", "length": "max_tokens"}
_TEXT = 7
_PADDING = "abcdefghijklmnop"
"""Bedrock fills its events up, so that their sizes tell nothing; readers must not mind."""


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """One message: lengths, their checksum, headers of text, payload, the checksum of all before it; big-endian."""
    block = b""
    for name, value in headers.items():
        key, text = name.encode(), value.encode()
        block += bytes([len(key)]) + key + bytes([_TEXT]) + struct.pack(">H", len(text)) + text
    prelude = struct.pack(">II", 16 + len(block) + len(payload), len(block))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + block + payload
    return body + struct.pack(">I", zlib.crc32(body))


def _event(kind: str, payload: bytes) -> bytes:
    return frame({":event-type": kind, ":content-type": "application/json", ":message-type": "event"}, payload)


def _said(kind: str, **members: object) -> bytes:
    return _event(kind, _encode(members | {"p": _PADDING}))


def _usage(answer: Answer, output: int) -> dict[str, int]:
    return {"inputTokens": answer.input, "outputTokens": output, "totalTokens": answer.input + output}


def _reply(answer: Answer, content: list[dict[str, object]], **more: object) -> bytes:
    value: dict[str, object] = {
        "metrics": {"latencyMs": 1},
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": _FINISH[answer.finish],
        "usage": _usage(answer, answer.output),
        **more,
    }
    return _encode({name: member for name, member in value.items() if member is not None})


def _piece(answer: Answer, piece: str) -> bytes:
    del answer
    return _said("contentBlockDelta", contentBlockIndex=0, delta={"text": piece})


def _stop(answer: Answer) -> bytes:
    return _said("contentBlockStop", contentBlockIndex=0) + _said("messageStop", stopReason=_FINISH[answer.finish])


def _tail(answer: Answer, sent: int) -> bytes:
    return _stop(answer) + _said("metadata", metrics={"latencyMs": 1}, usage=_usage(answer, sent))


def _error(status: int, message: str) -> bytes:
    del status
    return _encode({"message": message})


def _error_headers(status: int) -> list[tuple[str, str]]:
    kind = _KINDS.get(status)
    return [("x-amzn-errortype", f"{kind}:http://internal.amazon.com/coral/com.amazon.bedrock/")] if kind else []


def _stream_error(message: str) -> bytes:
    headers = {
        ":exception-type": "throttlingException",
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return frame(headers, _error(429, message))


def _head(answer: Answer) -> bytes:
    del answer
    return _said("messageStart", role="assistant")


def _shape_stream(answer: Answer, mode: str) -> list[bytes] | None:
    words = [_piece(answer, piece) for piece in answer.pieces]
    match mode:
        case "usage-never":
            return [_head(answer), *words, _stop(answer)]
        case "reasoning":
            thought = _said("contentBlockDelta", contentBlockIndex=0, delta={"reasoningContent": {"text": "Hm."}})
            sealed = _said("contentBlockDelta", contentBlockIndex=0, delta={"reasoningContent": {"signature": "c2ln"}})
            said = [_said("contentBlockDelta", contentBlockIndex=1, delta={"text": piece}) for piece in answer.pieces]
            ends = _said("contentBlockStop", contentBlockIndex=1) + _said(
                "messageStop", stopReason=_FINISH[answer.finish]
            )
            counts = _said("metadata", usage=_usage(answer, answer.output))
            first = _said("contentBlockStop", contentBlockIndex=0)
            return [_head(answer), thought, sealed, first, *said, ends, counts]
        case "unknown-fields":
            return [_head(answer), _said("nobodyKnows", x=[1]), *words, _tail(answer, len(words))]
    return None


def _shape_plain(answer: Answer, mode: str) -> bytes | None:
    text: list[dict[str, object]] = [{"text": answer.text}]
    match mode:
        case "usage-never":
            return _reply(answer, text, usage=None)
        case "reasoning":
            thought: dict[str, object] = {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}}
            return _reply(answer, [thought, *text])
        case "unknown-fields":
            return _reply(answer, text, nobodyKnows={"x": [1, 2]})
    return None


BEDROCK = Dialect(
    name="bedrock",
    stream_type="application/vnd.amazon.eventstream",
    plain=lambda answer: _reply(answer, [{"text": answer.text}]),
    head=_head,
    piece=_piece,
    tail=_tail,
    error=_error,
    stream_error=_stream_error,
    broken=_event("contentBlockDelta", b'{"contentBlockIndex": 0, "delta": {'),
    error_headers=_error_headers,
    shape_stream=_shape_stream,
    shape_plain=_shape_plain,
)
