"""OpenAI's legacy text completions, towards clients and towards servers that have the same door. It knows no route.

A deployment without that door gets the prompt as the one message of a chat, which is told: a chat model answers a
text, it does not continue it. What a chat cannot mean (``suffix``, ``echo``, token ids, several prompts) is refused.
Source: the OpenAI API reference, "Create completion (legacy)", read 2026-11-22.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nearfar.core.chat import Chunk, Event, Finish, Request, TextDelta
from nearfar.core.conversation import Conversation, Message, Settings, Text
from nearfar.core.errors import BadRequestError, UpstreamError
from nearfar.core.routing import Deployment
from nearfar.wire import reported, sse, strict
from nearfar.wire.base import ClientWire, Decoder, Outgoing, ProviderWire
from nearfar.wire.deviations import unsupported
from nearfar.wire.elsewhere import References, frozen, note_members
from nearfar.wire.failures import stream_error, upstream_error
from nearfar.wire.fields import boolean, integer, refuse_steering, wrong
from nearfar.wire.members import starts, take
from nearfar.wire.openai_chat import ELSEWHERE, MAX_CHOICES
from nearfar.wire.openai_chat_decode import DONE, usage
from nearfar.wire.openai_chat_render import error_body
from nearfar.wire.openai_completions_render import renderer
from nearfar.wire.patch import JSON_HEADERS, patch
from nearfar.wire.plain import PlainDecoder, decode_reply, refuse_error
from nearfar.wire.stream import MALFORMED, StreamDecoder
from nearfar.wire.tokens import of_text

NAME = "openai.completions"
DEFAULT_MAX_TOKENS = 16
"""What the API assumes when the client gives no limit; a chat would assume a whole answer."""

_OWN = frozenset({"model", "prompt", "stream", "stream_options", "max_tokens"})
_encode = msgspec.json.Encoder().encode


def parse(body: bytes, request_id: str) -> Request:
    """Read a completion request; what this gateway has no name for travels. Raises BadRequestError."""
    members, values, compact = strict.parse(body)
    refuse_steering(values)
    found: References = {}
    if not ELSEWHERE.isdisjoint(values):
        note_members(found, ELSEWHERE, values)
    model = values.get("model")
    if not isinstance(model, str) or not model:
        raise wrong("model", model, "the name of a model", hint="GET /v1/models lists them.")
    prompts, tokens = _prompts(values.get("prompt"))
    options = values.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise wrong("stream_options", options, "an object")
    choices = (integer(values, "n", high=MAX_CHOICES) or 1) * prompts
    # The provider makes, and charges, as many as it chooses the best of: they count for those that stay.
    made = (integer(values, "best_of", high=MAX_CHOICES) or 1) * prompts
    needs = {"logprobs"} if integer(values, "logprobs", low=0, high=20) is not None else set()
    if choices > 1:
        needs.add("choices")
    limit = integer(values, "max_tokens", low=0)
    per_choice = None if limit is None else max(1, limit * max(made, choices) // choices)
    return Request(
        id=request_id,
        wire=NAME,
        operation="chat",
        model=model,
        body=body,
        fields=members,
        stream=boolean(values, "stream"),
        include_usage=boolean(options or {}, "include_usage", where="stream_options."),
        max_output=per_choice,
        choices=choices,
        input_tokens=of_text(compact) if tokens is None else tokens,
        needs=frozenset(needs),
        elsewhere=frozen(found),
    )


def _prompts(value: object) -> tuple[int, int | None]:
    """How many prompts there are, and their tokens where they are token ids. Raises BadRequestError."""
    wanted = "a text, a list of texts, a list of token ids, or a list of such lists"
    if isinstance(value, str) and value:
        return 1, None
    if isinstance(value, list) and value:
        if all(isinstance(item, str) and item for item in value):
            return len(value), None
        if _ids(value):
            return 1, len(value)
        if all(isinstance(item, list) and item and _ids(item) for item in value):
            return len(value), sum(len(item) for item in value)
    raise wrong("prompt", value, wanted)


def _ids(items: list[Any]) -> bool:
    return all(type(item) is int for item in items)


def conversation(request: Request) -> Conversation:
    """The prompt as one message. Raises BadRequestError (code ``unsupported``) for what no chat can mean."""
    members = {name: raw for name, raw in request.fields.items() if name not in _OWN}
    for name in ("suffix", "echo", "best_of"):
        raw = members.pop(name, None)
        if raw is not None and bytes(raw) not in {b"null", b"false", b'""', b"1"}:
            raise unsupported("This deployment", f"{name} in completions", name)
    prompt = msgspec.json.decode(request.fields["prompt"])
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str):
        prompt = prompt[0]
    if not isinstance(prompt, str):
        raise unsupported("This deployment", "completions of several prompts or of token ids", "prompt")
    stop = members.pop("stop", None)
    top = take(members, "logprobs", int, "logprobs")
    settings = Settings(
        max_output=request.max_output or DEFAULT_MAX_TOKENS,
        temperature=take(members, "temperature", float, "temperature"),
        top_p=take(members, "top_p", float, "top_p"),
        seed=take(members, "seed", int, "seed"),
        stop=_stop(stop),
        choices=take(members, "n", int, "n"),
        presence_penalty=take(members, "presence_penalty", float, "presence_penalty"),
        frequency_penalty=take(members, "frequency_penalty", float, "frequency_penalty"),
        logprobs=None if top is None else True,
        top_logprobs=top or None,
        user=take(members, "user", str, "user"),
    )
    return Conversation(
        messages=[Message(role="user", blocks=[Text(text=prompt)])],
        settings=settings,
        extra=members,
        deviations=("adapted:prompt",),
    )


def _stop(raw: msgspec.Raw | None) -> list[str] | None:
    if raw is None or bytes(raw) == b"null":
        return None
    try:
        return [msgspec.json.decode(raw, type=str)] if starts(raw, b'"') else msgspec.json.decode(raw, type=list[str])
    except (msgspec.DecodeError, RecursionError) as exc:
        raise wrong("stop", msgspec.json.decode(raw), "text or a list of texts") from exc


def encode(request: Request, deployment: Deployment, conversation: Conversation | None) -> Outgoing:
    """The request for ``deployment``: the client's bytes, changed only where they must be.

    Raises BadRequestError (code ``unsupported``) for other dialects: their requests go to chat completions.
    """
    if conversation is not None:
        message = "This deployment's completions are only spoken to clients that ask for completions."
        raise BadRequestError(message, code="unsupported", hint="Ask for it as a chat.")
    extra = {}
    if request.stream and not request.include_usage:
        options = request.fields.get("stream_options")
        given = msgspec.json.decode(options) if options is not None else None
        extra["stream_options"] = _encode({**(given or {}), "include_usage": True})
    # The name of the limit is this API's own: what a chat calls it does not matter here.
    renamed = msgspec.structs.replace(deployment, rename={})
    body, deviations = patch(request.fields, request.model, renamed, extra, request.body)
    return Outgoing(path="/completions", headers=JSON_HEADERS, body=body, deviations=deviations)


class _Choice(msgspec.Struct):
    index: int = 0
    text: Any = None
    finish_reason: str | None = None


class _Reply(msgspec.Struct):
    id: Any = None
    object: Any = None
    model: Any = None
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None


_decode = msgspec.json.Decoder(_Reply).decode


def decoder(request: Request, typed: bool) -> Decoder:
    """The decoder for the reply to ``request``."""
    if request.stream:
        reader = _Reader(request, typed)
        return StreamDecoder(sse.Splitter(), reader.read, reader.complete)
    return PlainDecoder(lambda body: _read_plain(body, typed))


class _Reader:
    """Turns events into chunks. A stream ends with ``[DONE]``, or with a finish reason for every choice."""

    def __init__(self, request: Request, typed: bool) -> None:
        self._typed = typed
        self._choices = request.choices
        self._hide_usage = not request.include_usage
        self._finished: set[int] = set()
        self._answered = False

    def complete(self) -> bool:
        """Whether every choice has its finish reason."""
        return len(self._finished) >= self._choices

    def read(self, event: sse.Event) -> Chunk:
        """One event. Raises the error that it holds."""
        if event.data == b"[DONE]":
            if not self._answered:
                raise UpstreamError("The upstream's stream ended without an answer.", code="empty_reply")
            return Chunk(raw=DONE, end=True)
        try:
            reply = _decode(event.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            message = "The upstream sent an event that is no piece of a completion."
            raise UpstreamError(message, code=MALFORMED, upstream_body=event.data[:1000]) from exc
        if reply.error or reply.object == "error":
            raise stream_error(msgspec.json.decode(event.data), event.data)
        chunk = Chunk(raw=event.raw, model=reported.model(reply.model))
        for choice in reply.choices or ():
            self._answered = True
            chunk.content = chunk.content or bool(choice.text)
            if choice.finish_reason:
                self._finished.add(choice.index)
                chunk.finish = reported.finish(choice.finish_reason)
        if not reply.choices and reply.usage and self._hide_usage:
            chunk.raw = b""  # encode asked for it, the client did not
        if self._typed:
            chunk.events = tuple(_events(reply.choices or []))
        chunk.usage = usage(reply.usage)
        chunk.id = reply.id if isinstance(reply.id, str) else ""
        return chunk


def _read_plain(body: bytes, typed: bool) -> Chunk:
    reply: _Reply = decode_reply(_decode, body)
    refuse_error(reply.error or reply.object == "error", body)
    if not reply.choices:
        raise UpstreamError("The upstream's reply has no choices.", code="empty_reply", upstream_body=body[:1000])
    return Chunk(
        raw=body,
        events=tuple(_events(reply.choices)) if typed else (),
        usage=usage(reply.usage),
        finish=reported.finish(reply.choices[0].finish_reason or ""),
        content=True,
        end=True,
        model=reported.model(reply.model),
        id=reply.id if isinstance(reply.id, str) else "",
    )


def _events(choices: list[_Choice]) -> list[Event]:
    events: list[Event] = []
    for choice in choices:
        if isinstance(choice.text, str) and choice.text:
            events.append(TextDelta(choice.text, choice.index))
        if choice.finish_reason:
            events.append(Finish(choice.finish_reason, choice.finish_reason, choice.index))
    return events


CLIENT = ClientWire(name=NAME, parse=parse, renderer=renderer, conversation=conversation, error=error_body)

PROVIDER = ProviderWire(
    name=NAME,
    like=frozenset({NAME}),
    encode=encode,
    decoder=decoder,
    error=upstream_error,
)
