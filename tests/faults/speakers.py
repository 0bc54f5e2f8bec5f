"""Every client dialect as the fault suite speaks it: how to ask, and how to read what came, without an SDK's mercy."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

QUESTION = "hello"
TURN = {"role": "user", "content": QUESTION}


class Got(NamedTuple):
    """A reply as it came; ``framed``: it ended as HTTP says."""

    status: int
    headers: dict[str, str]
    body: bytes
    framed: bool


class Read(NamedTuple):
    """What a reply says to a client of its dialect."""

    text: str
    done: bool
    """It says itself that it is complete."""
    error: str
    """Words of an error; empty when there is none."""


class Speaker(NamedTuple):
    """One dialect."""

    name: str
    path: Callable[[str, bool], str]
    body: Callable[[str, bool], dict[str, Any]]
    plain: Callable[[Any], str]
    """Decoded body → the answer's words. Raises LookupError or TypeError for what is none."""
    stream: Callable[[bytes], Read]
    error: Callable[[Any], str]
    """Decoded body of an error reply → its words."""


async def ask(url: str, path: str, body: dict[str, Any], headers: tuple[tuple[str, str], ...] = ()) -> Got:
    """One request over a connection of its own."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    data = json.dumps(body).encode()
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    head = f"POST {path} HTTP/1.1\r\nhost: {host}:{port}\r\ncontent-type: application/json\r\n{lines}"
    writer.write(head.encode() + b"content-length: %d\r\n\r\n%b" % (len(data), data))
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
        first, *rest = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
        found = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}
        got, framed = await _body(reader, found)
        return Got(int(first.split(" ")[1]), found, got, framed)
    finally:
        writer.close()


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> tuple[bytes, bool]:
    if "content-length" in headers:
        length = int(headers["content-length"])
        try:
            return await reader.readexactly(length), True
        except (asyncio.IncompleteReadError, ConnectionError):
            return b"", False
    body = b""
    try:
        while True:
            size = int(await reader.readuntil(b"\r\n"), 16)
            body += (await reader.readexactly(size + 2))[:-2]
            if not size:
                return body, True
    except (asyncio.IncompleteReadError, ConnectionError, ValueError):
        return body, False


def sse(body: bytes) -> Iterator[tuple[str, Any]]:
    """(event, decoded data) of each event; ``[DONE]`` stays text."""
    for block in body.replace(b"\r\n", b"\n").split(b"\n\n"):
        name, data = "", b""
        for line in block.split(b"\n"):
            if line.startswith(b"event: "):
                name = line[7:].decode()
            elif line.startswith(b"data: "):
                data += line[6:]
        if data:
            yield name, data.decode() if data == b"[DONE]" else json.loads(data)


def _openai_stream(body: bytes) -> Read:
    text, done, error = "", False, ""
    for _, data in sse(body):
        if data == "[DONE]":
            done = True
        elif "error" in data:
            error = data["error"]["message"]
        else:
            for choice in data.get("choices", ()):
                text += choice.get("text") or (choice.get("delta") or {}).get("content") or ""
    return Read(text, done, error)


def _responses_stream(body: bytes) -> Read:
    text, done, error = "", False, ""
    for name, data in sse(body):
        if name == "response.output_text.delta":
            text += data["delta"]
        elif name in {"response.completed", "response.incomplete"}:
            done = True
        elif name in {"error", "response.failed"}:
            error = json.dumps(data)
    return Read(text, done, error)


def _anthropic_stream(body: bytes) -> Read:
    text, done, error = "", False, ""
    for name, data in sse(body):
        if name == "content_block_delta":
            text += data["delta"].get("text", "")
        elif name == "message_stop":
            done = True
        elif name == "error":
            error = data["error"]["message"]
    return Read(text, done, error)


def _gemini_text(data: Any) -> str:
    parts = data["candidates"][0].get("content", {}).get("parts", ())
    return "".join(part.get("text", "") for part in parts if not part.get("thought"))


def _gemini_stream(body: bytes) -> Read:
    text, done, error = "", False, ""
    for _, data in sse(body):
        if "error" in data:
            # Without an end marker it is the last event, and HTTP's end, that say how it ended.
            error, done = data["error"]["message"], False
        elif data.get("candidates"):
            text += _gemini_text(data)
            done = done or bool(data["candidates"][0].get("finishReason"))
    return Read(text, done, error)


def _ollama_stream(body: bytes) -> Read:
    text, done, error = "", False, ""
    for line in body.splitlines():
        data = json.loads(line)
        if "error" in data:
            error = data["error"]
            continue
        text += data["message"]["content"] if "message" in data else data["response"]
        done = done or data["done"]
    return Read(text, done, error)


def _bedrock_stream(body: bytes) -> Read:
    text, done, error = "", False, ""
    while body:
        total, head = struct.unpack(">II", body[:8])
        headers, payload = body[12 : 12 + head], body[12 + head : total - 4]
        body = body[total:]
        data = json.loads(payload or b"{}")
        if b"exception" in headers:
            error = data.get("message", "?")
        elif b"contentBlockDelta" in headers:
            text += data["delta"].get("text", "")
        elif b"messageStop" in headers:
            done = True
    return Read(text, done, error)


def _openai_body(model: str, stream: bool) -> dict[str, Any]:
    return {"model": model, "messages": [TURN], "stream": stream}


SPEAKERS = {
    speaker.name: speaker
    for speaker in (
        Speaker(
            "openai.chat",
            lambda model, stream: "/v1/chat/completions",
            _openai_body,
            lambda data: data["choices"][0]["message"]["content"],
            _openai_stream,
            lambda data: data["error"]["message"],
        ),
        Speaker(
            "openai.completions",
            lambda model, stream: "/v1/completions",
            lambda model, stream: {"model": model, "prompt": QUESTION, "stream": stream, "max_tokens": 4000},
            lambda data: data["choices"][0]["text"],
            _openai_stream,
            lambda data: data["error"]["message"],
        ),
        Speaker(
            "openai.responses",
            lambda model, stream: "/v1/responses",
            lambda model, stream: {"model": model, "input": QUESTION, "stream": stream, "store": False},
            lambda data: "".join(
                part["text"] for item in data["output"] if item["type"] == "message" for part in item["content"]
            ),
            _responses_stream,
            lambda data: data["error"]["message"],
        ),
        Speaker(
            "anthropic.messages",
            lambda model, stream: "/v1/messages",
            lambda model, stream: {"model": model, "messages": [TURN], "max_tokens": 4000, "stream": stream},
            lambda data: "".join(block.get("text", "") for block in data["content"]),
            _anthropic_stream,
            lambda data: data["error"]["message"],
        ),
        Speaker(
            "gemini.generate",
            lambda model, stream: (
                f"/v1beta/models/{model}:{'streamGenerateContent?alt=sse' if stream else 'generateContent'}"
            ),
            lambda model, stream: {"contents": [{"role": "user", "parts": [{"text": QUESTION}]}]},
            _gemini_text,
            _gemini_stream,
            lambda data: data["error"]["message"],
        ),
        Speaker(
            "ollama.chat",
            lambda model, stream: "/api/chat",
            _openai_body,
            lambda data: data["message"]["content"],
            _ollama_stream,
            lambda data: data["error"],
        ),
        Speaker(
            "ollama.generate",
            lambda model, stream: "/api/generate",
            lambda model, stream: {"model": model, "prompt": QUESTION, "stream": stream},
            lambda data: data["response"],
            _ollama_stream,
            lambda data: data["error"],
        ),
        Speaker(
            "bedrock.converse",
            lambda model, stream: f"/model/{model}/{'converse-stream' if stream else 'converse'}",
            lambda model, stream: {"messages": [{"role": "user", "content": [{"text": QUESTION}]}]},
            lambda data: "".join(block.get("text", "") for block in data["output"]["message"]["content"]),
            _bedrock_stream,
            lambda data: data["message"],
        ),
    )
}
