"""A stand-in for GPT4All's local API server, as strict as the real one. It runs no model and loads no library of it.

Written from the rules of gpt4all-chat/src/server.cpp (2025-02, its last version, read 2026-11-22): which members it
takes, which it answers 400 to and in which words, the shapes of its replies. GPT4All itself is a desktop program with a
window; it does not run here.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "Llama 3.2 1B Instruct"

_RANGES = {"max_tokens": (1, None), "n": (1, None), "temperature": (0, 2), "top_p": (0, 1), "min_p": (0, 1)}
_UNSUPPORTED = ("seed", "stop", "stream_options", "logit_bias", "top_logprobs", "response_format", "tools")
_UNSUPPORTED_TOO = ("tool_choice", "function_call", "functions")
_IF_TRUE = ("stream", "logprobs")
_PENALTIES = ("frequency_penalty", "presence_penalty")
_UNUSED = ("user", "service_tier", "parallel_tool_calls")


def objection(request: object) -> str:
    """What GPT4All would answer 400 with; empty when it takes the request."""
    if not isinstance(request, dict):
        return "error parsing request JSON: not an object"
    rest = dict(request)
    if rest.pop("model", None) is None:
        return "you must provide a model parameter"
    for name in _UNSUPPORTED + _UNSUPPORTED_TOO:
        if rest.pop(name, None) is not None:
            return f"'{name}' is not supported"
    for name in _IF_TRUE:
        if rest.pop(name, None) is True:
            return f"'{name}' is not supported"
    for name in _PENALTIES:
        value = rest.pop(name, None)
        if isinstance(value, float) or value:
            return f"'{name}' is not supported"
    for name, (low, high) in _RANGES.items():
        value = rest.pop(name, None)
        if value is not None and (value < low or (high is not None and value > high)):
            return f"{value} is out of range - '{name}'"
    for name in _UNUSED:
        rest.pop(name, None)
    wrong = _messages(rest.pop("messages", None))
    if wrong:
        return wrong
    return f"Unrecognized request argument supplied: {next(iter(rest))}" if rest else ""


def _messages(messages: object) -> str:
    if not isinstance(messages, list) or not messages:
        return "Invalid type for 'messages': expected a non-empty array of objects"
    for number, message in enumerate(messages):
        if not isinstance(message, dict):
            return f"Invalid type for 'messages[{number}]'"
        rest = dict(message)
        if rest.pop("role", None) not in {"system", "user", "assistant"}:
            return f"Invalid 'messages[{number}].role'"
        if not isinstance(rest.pop("content", None), str):
            return "you must provide a content parameter"
        if rest:
            return f"Invalid 'messages[{number}]': unrecognized key: '{next(iter(rest))}'"
    return ""


def reply(request: dict[str, Any], text: str) -> dict[str, Any]:
    """A reply of its shape, with one token per word."""
    words = text.split()[: request.get("max_tokens", 16)]
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": " ".join(words)},
        "finish_reason": "length" if len(words) == request.get("max_tokens", 16) else "stop",
        "logprobs": None,
        "references": None,
    }
    counts = {"prompt_tokens": 9, "completion_tokens": len(words), "total_tokens": 9 + len(words)}
    return {
        "id": "placeholder",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": MODEL,
        "choices": [choice],
        "usage": counts,
    }


def models() -> dict[str, Any]:
    """``GET /v1/models``."""
    row = {"id": MODEL, "object": "model", "created": 0, "owned_by": "humanity", "root": MODEL, "parent": None}
    permission = {"id": "placeholder", "object": "model_permission", "organization": "*", "allow_view": True}
    return {"object": "list", "data": [{**row, "permissions": [permission]}]}


class Running:
    """The stand-in, answering on loopback."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[dict[str, Any]] = []
        self.refused: list[str] = []


@contextmanager
def running(text: str = "GPT4All answers on this machine.") -> Iterator[Running]:
    """Answers until the block ends."""
    running: Running

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/v1/models":
                self._send(200, models())
            else:
                self._send(404, {})

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            wrong = objection(request)
            if wrong:
                running.refused.append(wrong)
                error = {"message": wrong, "type": "invalid_request_error", "param": None, "code": None}
                self._send(400, {"error": error})
                return
            running.asked.append(request)
            self._send(200, reply(request, text))

        def log_message(self, *_: object) -> None:
            pass

        def _send(self, status: int, value: object) -> None:
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    running = Running(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
