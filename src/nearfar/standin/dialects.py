"""An answer's bytes in OpenAI's, Anthropic's and Ollama's dialect. Pure: it knows no socket and no behaviour.

Google's and Amazon's dialects have files of their own (gemini, bedrock).
"""

from __future__ import annotations

import base64
import struct
import time
from collections.abc import Callable

import msgspec

from nearfar.standin.answers import FINGERPRINT, Answer

_encode = msgspec.json.encode

_OPENAI_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
_OPENAI_CODES = {
    401: "invalid_api_key",
    404: "model_not_found",
    429: "rate_limit_exceeded",
    503: "server_is_overloaded",
}
_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """How one vendor's replies look."""

    name: str
    stream_type: str
    """Content type of a stream."""
    plain: Callable[[Answer], bytes]
    head: Callable[[Answer], bytes]
    """What a stream sends before the first piece."""
    piece: Callable[[Answer, str], bytes]
    tail: Callable[[Answer, int], bytes]
    """(answer, pieces sent) → finish, counts and the terminal marker."""
    error: Callable[[int, str], bytes]
    """(status, message) → a whole error body."""
    stream_error: Callable[[str], bytes]
    """message → an error inside a stream."""
    broken: bytes
    """An event of the right frame whose JSON is not JSON."""
    error_headers: Callable[[int], list[tuple[str, str]]] = lambda _: []
    """status → what a vendor says of an error in headers."""
    refusal: Callable[[int, str, float | None], bytes] | None = None
    """(status, message, seconds) → an error body that says when to come back; None where a header does."""
    shape_stream: Callable[[Answer, str], list[bytes] | None] | None = None
    """(answer, mode) → the packets of a stream in a shape of its own; None for a shape that it does not have."""
    shape_plain: Callable[[Answer, str], bytes | None] | None = None


# OpenAI ------------------------------------------------------------------------------------------


def _openai_usage(answer: Answer, output: int) -> dict[str, object]:
    return {
        "prompt_tokens": answer.input,
        "completion_tokens": output,
        "total_tokens": answer.input + output,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def _openai_plain(answer: Answer) -> bytes:
    message = {"role": "assistant", "content": answer.text, "refusal": None}
    return _encode(
        {
            "id": answer.id,
            "object": "chat.completion",
            "created": answer.created,
            "model": answer.model,
            "system_fingerprint": FINGERPRINT,
            "choices": [
                {
                    "index": 0,
                    "message": message,
                    "logprobs": _openai_logprobs(answer, *answer.pieces),
                    "finish_reason": answer.finish,
                }
            ],
            "usage": _openai_usage(answer, answer.output),
        }
    )


def _openai_event(answer: Answer, choices: list[object], usage: dict[str, object] | None = None) -> bytes:
    event: dict[str, object] = {
        "id": answer.id,
        "object": "chat.completion.chunk",
        "created": answer.created,
        "model": answer.model,
        "system_fingerprint": FINGERPRINT,
        "choices": choices,
    }
    if answer.include_usage:
        event["usage"] = usage
    return b"data: %b\n\n" % _encode(event)


def _openai_delta(answer: Answer, delta: dict[str, str], finish: str | None = None) -> bytes:
    said = _openai_logprobs(answer, delta.get("content", ""))
    return _openai_event(answer, [{"index": 0, "delta": delta, "logprobs": said, "finish_reason": finish}])


def _openai_logprobs(answer: Answer, *pieces: str) -> dict[str, object] | None:
    said = [piece for piece in pieces if piece]
    if answer.logprob is None or not said:
        return None
    return {"content": [{"token": piece, "logprob": answer.logprob, "top_logprobs": []} for piece in said]}


def _openai_tail(answer: Answer, sent: int) -> bytes:
    usage = _openai_event(answer, [], _openai_usage(answer, sent)) if answer.include_usage else b""
    return _openai_delta(answer, {}, answer.finish) + usage + b"data: [DONE]\n\n"


def _openai_error(status: int, message: str) -> bytes:
    kind = _OPENAI_TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return _encode({"error": {"message": message, "type": kind, "param": None, "code": _OPENAI_CODES.get(status)}})


OPENAI = Dialect(
    name="openai",
    stream_type="text/event-stream",
    plain=_openai_plain,
    head=lambda answer: _openai_delta(answer, {"role": "assistant", "content": ""}),
    piece=lambda answer, piece: _openai_delta(answer, {"content": piece}),
    tail=_openai_tail,
    error=_openai_error,
    stream_error=lambda message: b"data: %b\n\n" % _openai_error(500, message),
    broken=b'data: {"id": "broken", "choices": [\n\n',
)


def openai_models(names: tuple[str, ...]) -> bytes:
    """``GET /v1/models``."""
    return _encode({"object": "list", "data": [openai_model(name) for name in names]})


def openai_model(name: str) -> dict[str, object]:
    """One row of the list of models."""
    return {"id": name, "object": "model", "created": 1_790_000_000, "owned_by": "stand-in"}


def openai_embeddings(model: str, vectors: list[list[float]], tokens: int, *, as_base64: bool) -> bytes:
    """``POST /v1/embeddings``; little-endian float32 in base64 when the client asks for it, as SDKs do."""
    rows: list[dict[str, object]] = []
    for index, vector in enumerate(vectors):
        packed = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
        rows.append({"object": "embedding", "index": index, "embedding": packed if as_base64 else vector})
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return _encode({"object": "list", "model": model, "data": rows, "usage": usage})


# Anthropic ---------------------------------------------------------------------------------------


def _anthropic_finish(answer: Answer) -> str:
    return "end_turn" if answer.finish == "stop" else "max_tokens"


def _anthropic_message(answer: Answer, text: str | None, output: int) -> dict[str, object]:
    return {
        "id": answer.id,
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": [] if text is None else [{"type": "text", "text": text}],
        "stop_reason": None if text is None else _anthropic_finish(answer),
        "stop_sequence": None,
        "usage": {"input_tokens": answer.input, "output_tokens": output},
    }


def _anthropic_event(event: dict[str, object]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (str(event["type"]).encode(), _encode(event))


def _anthropic_head(answer: Answer) -> bytes:
    return (
        _anthropic_event({"type": "message_start", "message": _anthropic_message(answer, None, 1)})
        + _anthropic_event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
        + _anthropic_event({"type": "ping"})
    )


def _anthropic_piece(answer: Answer, piece: str) -> bytes:
    del answer
    return _anthropic_event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}})


def _anthropic_tail(answer: Answer, sent: int) -> bytes:
    delta = {"stop_reason": _anthropic_finish(answer), "stop_sequence": None}
    return (
        _anthropic_event({"type": "content_block_stop", "index": 0})
        + _anthropic_event({"type": "message_delta", "delta": delta, "usage": {"output_tokens": sent}})
        + _anthropic_event({"type": "message_stop"})
    )


def _anthropic_error(status: int, message: str) -> bytes:
    kind = _ANTHROPIC_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return _encode({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_stand_in"})


ANTHROPIC = Dialect(
    name="anthropic",
    stream_type="text/event-stream; charset=utf-8",
    plain=lambda answer: _encode(_anthropic_message(answer, answer.text, answer.output)),
    head=_anthropic_head,
    piece=_anthropic_piece,
    tail=_anthropic_tail,
    error=_anthropic_error,
    stream_error=lambda message: b"event: error\ndata: %b\n\n" % _anthropic_error(529, message),
    broken=b'event: content_block_delta\ndata: {"type": "content_block_delta", "delta":\n\n',
)


# Ollama ------------------------------------------------------------------------------------------


def _ollama_line(answer: Answer, said: dict[str, object], done: dict[str, object] | None = None) -> bytes:
    when = time.strftime("%Y-%m-%dT%H:%M:%S.000000000Z", time.gmtime(answer.created))
    line: dict[str, object] = {"model": answer.model, "created_at": when, **said, "done": done is not None}
    return _encode(line | (done or {}))


def _ollama_chat(text: str) -> dict[str, object]:
    return {"message": {"role": "assistant", "content": text}}


def _ollama_generate(text: str) -> dict[str, object]:
    return {"response": text}


def _ollama_done(answer: Answer, output: int) -> dict[str, object]:
    return {
        "done_reason": answer.finish,
        "total_duration": 1_000_000,
        "load_duration": 0,
        "prompt_eval_count": answer.input,
        "prompt_eval_duration": 500_000,
        "eval_count": output,
        "eval_duration": 500_000,
    }


def _ollama(said: Callable[[str], dict[str, object]]) -> Dialect:
    """Ollama's lines, which hold what was said in one of two ways."""
    return Dialect(
        name="ollama",
        stream_type="application/x-ndjson",
        plain=lambda answer: _ollama_line(answer, said(answer.text), _ollama_done(answer, answer.output)),
        head=lambda _: b"",
        piece=lambda answer, piece: _ollama_line(answer, said(piece)) + b"\n",
        tail=lambda answer, sent: _ollama_line(answer, said(""), _ollama_done(answer, sent)) + b"\n",
        error=lambda _, message: _encode({"error": message}),
        stream_error=lambda message: _encode({"error": message}) + b"\n",
        broken=b'{"model": "broken", "message": {\n',
    )


OLLAMA = _ollama(_ollama_chat)
OLLAMA_GENERATE = _ollama(_ollama_generate)


def ollama_loaded(model: str) -> bytes:
    """``POST /api/generate`` without a prompt: there is nothing to load, and that is done."""
    return _encode({"model": model, "created_at": "2026-01-01T00:00:00Z", "response": "", "done": True})


def ollama_embed(model: str, vectors: list[list[float]], tokens: int) -> bytes:
    """``POST /api/embed``."""
    return _encode({"model": model, "embeddings": vectors, "prompt_eval_count": tokens, "total_duration": 1_000_000})


def _ollama_details() -> dict[str, object]:
    return {"format": "stand-in", "family": "stand-in", "parameter_size": "0", "quantization_level": "none"}


def ollama_tags(names: tuple[str, ...]) -> bytes:
    """``GET /api/tags``. No weights lie here, so ``size`` is 0 and ``remote_host`` says whose they would be."""
    when = "2026-01-01T00:00:00Z"
    rows = [
        {
            "name": name,
            "model": name,
            "modified_at": when,
            "size": 0,
            "digest": "0" * 64,
            "remote_host": "stand-in",
            "details": _ollama_details(),
        }
        for name in names
    ]
    return _encode({"models": rows})


def ollama_show(name: str) -> bytes:
    """``POST /api/show``."""
    capabilities = ["embedding"] if name.endswith("embed") else ["completion"]
    return _encode(
        {"details": _ollama_details(), "capabilities": capabilities, "model_info": {"stand-in.context_length": 8192}}
    )
