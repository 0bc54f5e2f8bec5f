"""Replies in odd shapes: what other servers send that is right and unusual, or nearly right. Pure bytes, no socket."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import msgspec

from nearfar.standin.answers import FINGERPRINT, Answer
from nearfar.standin.dialects import OPENAI, Dialect

STREAMS = frozenset(
    {
        "comments",
        "crlf",
        "empty-choices",
        "in-pieces",
        "no-finish",
        "no-marker",
        "parallel-tools",
        "reasoning",
        "together",
        "tool-in-pieces",
        "unknown-fields",
        "usage-early",
        "usage-never",
    }
)
"""Modes whose streams differ from the usual one in their bytes alone."""
PAGE = b"<!doctype html><html><head><title>502</title></head><body><h1>Bad gateway</h1></body></html>"
_PIECES = 5
_TOOL = ("weather", '{"city": "Taipei", "days": 3, "units": "metric"}')
_TOOL_PIECES = 30
_DONE = b"data: [DONE]\n\n"
_encode = msgspec.json.encode


def stream(dialect: Dialect, answer: Answer, mode: str) -> list[bytes]:
    """The packets of a whole stream in the shape that ``mode`` names."""
    head, tail = dialect.head(answer), dialect.tail(answer, len(answer.pieces))
    words = [dialect.piece(answer, piece) for piece in answer.pieces]
    match mode:
        case "crlf":
            return [part.replace(b"\n", b"\r\n") for part in (head, *words, tail)]
        case "comments":
            blank = b"\n" if dialect.name == "ollama" else b": still here\n\n\n"
            return [blank, *itertools.chain.from_iterable((part, blank) for part in (head, *words)), tail]
        case "together":
            return [b"".join((head, *words, tail))]
        case "in-pieces":
            return [piece for part in (head, *words, tail) for piece in _cut(part, _PIECES)]
        case "no-marker":
            return [head, *words, _unmarked(dialect, tail)]
    if dialect.shape_stream is not None:
        return dialect.shape_stream(answer, mode) or [head, *words, tail]
    return list(_openai(answer, mode, head, words, tail))


def plain(dialect: Dialect, answer: Answer, mode: str) -> bytes:
    """A plain reply in the shape that ``mode`` names; most shapes are of streams alone."""
    if dialect.shape_plain is not None:
        return dialect.shape_plain(answer, mode) or dialect.plain(answer)
    body = dialect.plain(answer)
    if dialect is not OPENAI:
        return body
    value = msgspec.json.decode(body)
    choice = value["choices"][0]
    match mode:
        case "usage-never":
            del value["usage"]
        case "no-finish":
            choice["finish_reason"] = None
        case "reasoning":
            choice["message"]["reasoning_content"] = "Hm."
        case "unknown-fields":
            value["nobody_knows"] = {"x": [1, 2]}
            choice["message"]["nobody_knows"] = None
        case "tool-in-pieces" | "parallel-tools":
            count = 2 if mode == "parallel-tools" else 1
            choice["message"] = {"role": "assistant", "content": None, "tool_calls": [_call(n) for n in range(count)]}
            choice["finish_reason"] = "tool_calls"
        case _:
            return body
    return _encode(value)


def half(dialect: Dialect, answer: Answer, mode: str) -> bytes:
    """An event that ends inside a character (``cut-character``) or inside its JSON."""
    event = dialect.piece(answer, " café")
    if mode == "cut-character":
        return event[: event.index("é".encode()) + 1]
    return event[: len(event) // 2]


def corrupted(dialect: Dialect, answer: Answer) -> bytes:
    """A whole event with one wrong bit at its end: where a dialect has checksums, they tell."""
    event = dialect.piece(answer, " broken")
    return event[:-1] + bytes([event[-1] ^ 1])


def _unmarked(dialect: Dialect, tail: bytes) -> bytes:
    if dialect.name == "anthropic":
        return tail[: tail.index(b"event: message_stop")]
    return tail.removesuffix(_DONE) if dialect is OPENAI else b""


def _openai(answer: Answer, mode: str, head: bytes, words: list[bytes], tail: bytes) -> Iterator[bytes]:
    middle = len(words) // 2
    yield head
    match mode:
        case "no-finish":
            yield from words
            yield tail[tail.index(b"\n\n") + 2 :]
        case "usage-early":
            usage = {"prompt_tokens": answer.input, "completion_tokens": answer.output, "total_tokens": 0}
            yield from words[:middle]
            yield event(answer, [_delta({"content": ""})], usage=usage)
            yield from words[middle:]
            yield event(answer, [_delta({}, answer.finish)]) + _DONE
        case "usage-never":
            yield from words
            yield event(answer, [_delta({}, answer.finish)]) + _DONE
        case "empty-choices":
            yield from itertools.chain.from_iterable((word, event(answer, [])) for word in words)
            yield tail
        case "reasoning":
            yield event(answer, [_delta({"reasoning_content": "Hm. ", "content": None})])
            yield event(answer, [_delta({"reasoning_content": "Yes."})])
            yield from words
            yield tail
        case "unknown-fields":
            yield event(answer, [_delta({"nobody_knows": [1]})], nobody_knows={"a": None})
            yield from words
            yield tail
        case _:
            yield from _tool_calls(answer, 2 if mode == "parallel-tools" else 1)
            yield event(answer, [_delta({}, "tool_calls")])
            yield tail[tail.index(b"\n\n") + 2 :]


def _tool_calls(answer: Answer, count: int) -> Iterator[bytes]:
    """Calls whose arguments come in pieces, one after the other of each call."""
    for call in range(count):
        yield event(answer, [_delta({"tool_calls": [{**_call(call, arguments=""), "index": call}]})])
    arguments = _TOOL[1]
    size = -(-len(arguments) // _TOOL_PIECES)
    for start in range(0, len(arguments), size):
        for call in range(count):
            piece = {"index": call, "function": {"arguments": arguments[start : start + size]}}
            yield event(answer, [_delta({"tool_calls": [piece]})])


def _call(number: int, arguments: str = _TOOL[1]) -> dict[str, object]:
    return {"id": f"call_{number}", "type": "function", "function": {"name": _TOOL[0], "arguments": arguments}}


def _delta(delta: dict[str, object], finish: str | None = None) -> dict[str, object]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}


def event(answer: Answer, choices: list[dict[str, object]], **more: object) -> bytes:
    """One event of OpenAI's stream."""
    value: dict[str, object] = {
        "id": answer.id,
        "object": "chat.completion.chunk",
        "created": answer.created,
        "model": answer.model,
        "system_fingerprint": FINGERPRINT,
        "choices": choices,
        **more,
    }
    return b"data: %b\n\n" % _encode(value)


def _cut(data: bytes, count: int) -> list[bytes]:
    size = max(1, -(-len(data) // count))
    return [data[start : start + size] for start in range(0, len(data), size)]
