"""An upstream for the tests of official clients: it answers in OpenAI's and Anthropic's dialect as the model says.

A fake. Its bytes are those of tests/golden, written from the vendors' documentation; its models are named after them.

| model | what it does |
|---|---|
| NAME | answers with ``stream_NAME`` or ``plain_NAME`` of the dialect's golden files |
| ``STATUS`` | that status with the dialect's error body; 429 with ``retry-after`` |
| ``once-STATUS`` | the same, but only for the first request |
| ``cut`` | half of ``stream_text``, then a reset; of a plain body too |
| ``unfinished`` | ``stream_text`` without what says that it is complete, and a clean end |
| ``endless`` | text until the client hangs up |
| ``late`` | ``text`` after so long a silence that a gateway must have kept its client's connection alive |
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parents[1] / "golden"
FOLDERS = {"/v1/chat/completions": "openai_chat", "/v1/messages": "anthropic_messages"}
MARKS = {"openai_chat": b'"finish_reason":"', "anthropic_messages": b'"message_stop"'}
"""What only the piece that completes a stream holds."""
ERRORS = {
    400: ("invalid_request_error", "messages: text content blocks must be non-empty"),
    401: ("authentication_error", "invalid key sk-secret"),
    404: ("not_found_error", "model: nobody"),
    413: ("request_too_large", "too large"),
    429: ("rate_limit_error", "slow down"),
    500: ("api_error", "Internal server error"),
    529: ("overloaded_error", "Overloaded"),
}
RETRY_AFTER = 7
LATE = 5.5
"""Seconds; a gateway's own patience is 5."""


class Seen:
    """What the upstream was asked, and how many of its endless answers were left."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.requests: list[dict[str, Any]] = []
        self.left = 0


class Upstream(ThreadingHTTPServer):
    """The server; ``GET /seen`` tells what it saw, also to clients in other processes."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen = Seen()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Upstream

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is logged."""

    def do_GET(self) -> None:
        seen = self.server.seen
        with seen.lock:
            body = json.dumps({"requests": seen.requests, "left": seen.left}).encode()
        self._whole(200, body)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        model, seen = body["model"], self.server.seen
        with seen.lock:
            before = sum(request["body"]["model"] == model for request in seen.requests)
            headers = {name.lower(): value for name, value in self.headers.items()}
            seen.requests.append({"path": self.path, "headers": headers, "body": body})
        if self.path == "/v1/messages/count_tokens":
            self._whole(200, b'{"input_tokens": 2095}')
            return
        status = model.removeprefix("once-")
        if status.isdecimal():
            if status == model or not before:
                self._error(int(status))
                return
            model = "text"
        self._answer(FOLDERS[self.path], model, stream=bool(body.get("stream")))

    def _answer(self, folder: str, model: str, *, stream: bool) -> None:
        name = {"cut": "text", "unfinished": "text", "endless": "text", "late": "text"}.get(model, model)
        if model == "late":
            time.sleep(LATE)
        path = GOLDEN / folder / (f"stream_{name}.sse" if stream else f"plain_{name}.json")
        data = path.read_bytes()
        if model == "cut":
            self._begin(stream=stream, length=len(data))
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
        elif not stream:
            self._whole(200, data)
        elif model == "unfinished":
            self._stream(data[: data.rindex(b"\n\n", 0, data.index(MARKS[folder])) + 2])
        elif model == "endless":
            self._endless(data, folder)
        else:
            self._stream(data)

    def _endless(self, data: bytes, folder: str) -> None:
        end = data.index(b"Hello")
        begin = data[: data.index(b"\n\n", end) + 2]
        piece = begin[begin.rindex(b"\n\n", 0, end) + 2 :]
        self._begin(stream=True, length=None)
        self._chunk(begin)
        with contextlib.suppress(ConnectionError):
            while True:
                self._chunk(piece)
        with self.server.seen.lock:
            self.server.seen.left += 1
        self.close_connection = True

    def _stream(self, data: bytes) -> None:
        self._begin(stream=True, length=None)
        self._chunk(data)
        self.wfile.write(b"0\r\n\r\n")

    def _begin(self, *, stream: bool, length: int | None) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if stream else "application/json")
        if length is None:
            self.send_header("transfer-encoding", "chunked")
        else:
            self.send_header("content-length", str(length))
        self.end_headers()

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()

    def _error(self, status: int) -> None:
        kind, message = ERRORS[status]
        error = {"type": kind, "message": message, "code": None, "param": None}
        body = json.dumps({"type": "error", "error": error}).encode()
        self._whole(status, body, {"retry-after": str(RETRY_AFTER)} if status == 429 else {})

    def _whole(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def upstream() -> Iterator[Upstream]:
    """An upstream that answers until the block ends."""
    server = Upstream()
    thread = threading.Thread(target=server.serve_forever, name="upstream")
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(20)
        assert not thread.is_alive(), "the upstream did not stop"
