"""A labelled stand-in for OpenAI's further doors: it sends the golden bytes, which follow the API reference.

It shows that bytes pass through as they came and that nothing is stored upstream; it proves nothing of OpenAI itself.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.sdk.responses_checks import WORDS

GOLDEN = Path(__file__).parents[1] / "golden" / "openai_responses"
TRANSCRIPT = b"".join(
    b"data: %b\n\n" % json.dumps(event).encode()
    for event in (
        {"type": "transcript.text.delta", "delta": WORDS[:4]},
        {"type": "transcript.text.delta", "delta": WORDS[4:]},
        {"type": "transcript.text.done", "text": WORDS},
    )
)


class Doors(ThreadingHTTPServer):
    """What came is remembered: (path, content type, body)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[tuple[str, str, bytes]] = []
        self._count = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def fresh(self, data: bytes) -> bytes:
        """The golden bytes with an id of their own, as a service gives to each response."""
        self._count += 1
        return data.replace(b"resp_68af4030592c81938ec0a5fbab4a3e9f", b"resp_%032d" % self._count)


class _Handler(BaseHTTPRequestHandler):
    server: Doors
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.seen.append((self.path, self.headers["content-type"], body))
        if self.path == "/v1/responses":
            self._respond(json.loads(body))
        elif self.path == "/v1/audio/transcriptions":
            self._transcribe(body)
        else:
            self._send(404, b'{"error":{"message":"the stand-in has no such door","type":"x"}}', "application/json")

    def _respond(self, asked: dict[str, Any]) -> None:
        if asked.get("store") is not False:
            self._send(400, b'{"error":{"message":"nothing may be stored here","type":"x"}}', "application/json")
        elif not asked.get("stream"):
            self._send(200, self.server.fresh((GOLDEN / "plain_text.json").read_bytes()), "application/json")
        else:
            data = self.server.fresh((GOLDEN / "stream_text.sse").read_bytes())
            if asked["model"] == "cut":
                data = data[: data.index(b"event: response.output_text.done")]
            self._send(200, data, "text/event-stream; charset=utf-8")

    def _transcribe(self, body: bytes) -> None:
        if b'name="stream"\r\n\r\ntrue' in body.lower():
            self._send(200, TRANSCRIPT, "text/event-stream")
        elif b'name="response_format"\r\n\r\ntext' in body:
            self._send(200, WORDS.encode() + b"\n", "text/plain; charset=utf-8")
        else:
            reply = {"text": WORDS, "usage": {"type": "duration", "seconds": 2}}
            self._send(200, json.dumps(reply).encode(), "application/json")

    def _send(self, status: int, data: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Tests read no log."""


@contextlib.contextmanager
def running() -> Iterator[Doors]:
    """The stand-in until the block ends."""
    with Doors() as doors:
        thread = threading.Thread(target=doors.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield doors
        finally:
            doors.shutdown()
            thread.join()
