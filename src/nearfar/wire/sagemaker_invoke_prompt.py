"""A Conversation as one prompt with parameters, for containers that know no messages; and their replies.

Such a container has no tools, no images and no schema, and does not say how its model wants to be asked: the prompt is
written by ``options.template`` (``plain``, ``chatml`` or ``llama-3``), which is told as a deviation. It knows no
framing.

Sources: text-generation-inference's docs/openapi.json of 2026-01; the DJL Serving documentation, "LMI handlers
inference API schema"; read 2026-11-22.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nearfar.core.chat import Chunk, Event, Finish, Request, TextDelta, Usage
from nearfar.core.conversation import Conversation, Opaque, Reasoning, Refusal, Settings, Text
from nearfar.core.errors import BadRequestError, UpstreamError
from nearfar.core.routing import Deployment
from nearfar.wire.deviations import Deviations, says_something, unsupported
from nearfar.wire.failures import stream_error
from nearfar.wire.plain import decode_reply, refuse_error
from nearfar.wire.stream import MALFORMED

DEFAULT_MAX_TOKENS = 1024
"""These containers stop after 20 to 100 tokens unless told otherwise."""

TEMPLATES: dict[str, tuple[str, str, str]] = {
    "plain": ("", "{role}: {text}\n\n", "assistant:"),
    "chatml": ("", "<|im_start|>{role}\n{text}<|im_end|>\n", "<|im_start|>assistant\n"),
    "llama-3": (
        "<|begin_of_text|>",
        "<|start_header_id|>{role}<|end_header_id|>\n\n{text}<|eot_id|>",
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
    ),
}
"""Before all, around each message, before the answer."""

_REFUSED = frozenset({"functions", "function_call", "tool_choice", "audio", "response_format"})
_NOTHING: frozenset[str] = frozenset()
_FINISH = {"eos_token": "stop", "stop_sequence": "stop", "length": "length", "error": "error"}


def _refuse(what: str, param: str) -> BadRequestError:
    return unsupported("The endpoint's container", what, param)


def body(request: Request, deployment: Deployment, conversation: Conversation) -> tuple[bytes, tuple[str, ...]]:
    """``inputs`` and ``parameters``, and the deviations. Raises BadRequestError (code ``unsupported``)."""
    note = Deviations()
    template = deployment.options.get("template") or "plain"
    if template not in TEMPLATES:
        names = ", ".join(TEMPLATES)
        message = f"The deployment's template {template!r} is none of {names}."
        raise UpstreamError(message, code="configuration", hint="Correct its options.template.")
    note.add(f"adapted:messages={template}")
    if conversation.tools:
        raise _refuse("tools", "tools")
    for name, raw in conversation.extra.items():
        if name in _REFUSED and says_something(name, raw) and bytes(raw) != b'{"type":"text"}':
            raise _refuse(f"{name} like this one", name)
    note.keep({name: raw for name, raw in conversation.extra.items() if name not in _REFUSED}, _NOTHING)
    value: dict[str, Any] = {
        "inputs": _prompt(conversation, template, note),
        "parameters": _parameters(conversation.settings, deployment, note),
    }
    if request.stream:
        value["stream"] = True
    return msgspec.json.encode(value), note.all()


def _prompt(conversation: Conversation, template: str, note: Deviations) -> str:
    before, around, answer = TEMPLATES[template]
    parts = [before]
    for message in conversation.messages:
        role = {"developer": "system"}.get(message.role, message.role)
        if role not in {"system", "user", "assistant"}:
            raise _refuse(f"role {message.role!r}", "messages")
        texts = []
        for block in message.blocks:
            if isinstance(block, Text | Refusal):
                texts.append(block.text)
            elif isinstance(block, Reasoning) or (
                isinstance(block, Opaque) and block.vendor == "openai.thinking_block"
            ):
                note.add("dropped:reasoning")
            else:
                raise _refuse("content but text", "messages")
        parts.append(around.replace("{role}", role).replace("{text}", "\n".join(texts)))
    return "".join([*parts, answer])


def _parameters(settings: Settings, deployment: Deployment, note: Deviations) -> dict[str, Any]:
    if settings.choices is not None and settings.choices > 1:
        raise _refuse("second choice in one reply (n > 1)", "n")
    if settings.logprobs or settings.top_logprobs:
        raise _refuse("log-probabilities", "logprobs")
    if settings.json_mode or settings.json_schema is not None:
        raise _refuse("answer by a schema", "response_format")
    limit = settings.max_output or deployment.max_output
    if limit is None:
        limit = DEFAULT_MAX_TOKENS
        note.add(f"default:max_tokens={limit}")
    value: dict[str, Any] = {"max_new_tokens": limit, "return_full_text": False, "details": True}
    given = {"temperature": settings.temperature, "top_p": settings.top_p, "top_k": settings.top_k}
    value.update({name: number for name, number in given.items() if number is not None})
    # Zero is no temperature there: not to sample is said apart.
    if settings.temperature == 0:
        del value["temperature"]
    value["do_sample"] = settings.temperature != 0 and any(number is not None for number in given.values())
    if settings.seed is not None:
        value["seed"] = settings.seed
    if settings.stop:
        value["stop"] = settings.stop
    for name in ("presence_penalty", "frequency_penalty", "user", "reasoning_effort"):
        if getattr(settings, name) is not None:
            note.add(f"dropped:{name}")
    return value


class _Token(msgspec.Struct):
    text: str = ""
    special: bool = False


class _Details(msgspec.Struct):
    finish_reason: str = ""
    generated_tokens: int | None = None
    input_length: int | None = None
    prompt_tokens: int | None = None


class _Piece(msgspec.Struct):
    token: _Token | None = None
    generated_text: str | None = None
    details: _Details | None = None
    error: Any = None


_decode_piece = msgspec.json.Decoder(_Piece).decode
_decode_reply = msgspec.json.Decoder(list[_Piece] | _Piece).decode


def read_piece(raw: bytes) -> Chunk:
    """One token of a stream; the last one carries the whole text and how it ended. Raises the error that it holds."""
    try:
        piece = _decode_piece(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        message = "The endpoint's container sent what is no token."
        raise UpstreamError(message, code=MALFORMED, upstream_body=raw[:1000]) from exc
    reason = piece.details.finish_reason if piece.details is not None else ""
    if piece.error or reason == "error":
        raise stream_error(msgspec.json.decode(raw), raw)
    events: list[Event] = []
    token = piece.token
    if token is not None and token.text and not token.special:
        events.append(TextDelta(token.text))
    chunk = Chunk(raw=raw, content=bool(events))
    if piece.details is not None or piece.generated_text is not None:
        _end(chunk, events, piece)
    chunk.events = tuple(events)
    return chunk


def read_plain(raw: bytes) -> Chunk:
    """A plain reply: one object, or a list of one."""
    found: list[_Piece] | _Piece = decode_reply(_decode_reply, raw)
    piece = (found[0] if found else _Piece()) if isinstance(found, list) else found
    refuse_error(piece.error, raw)
    if piece.generated_text is None:
        message = "The endpoint's container sent no text."
        raise UpstreamError(message, code="empty_reply", upstream_body=raw[:1000])
    events: list[Event] = [TextDelta(piece.generated_text)] if piece.generated_text else []
    chunk = Chunk(raw=raw, content=True)
    _end(chunk, events, piece)
    chunk.events = tuple(events)
    return chunk


def _end(chunk: Chunk, events: list[Event], piece: _Piece) -> None:
    details = piece.details or _Details()
    chunk.end = True
    chunk.finish = _FINISH.get(details.finish_reason, "stop")
    events.append(Finish(chunk.finish, details.finish_reason))
    counts = Usage(input=details.input_length or details.prompt_tokens, output=details.generated_tokens)
    chunk.usage = counts if counts != Usage() else None
