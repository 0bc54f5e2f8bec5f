"""An upstream for the tests of Google's client: it answers as the Gemini API and Vertex AI do, as the model says.

A fake. Its bytes are those of tests/golden/gemini_generate and its siblings, written from Google's documentation.

| model | what it does |
|---|---|
| NAME | answers with ``stream_NAME`` or ``plain_NAME`` |
| NAME@N | the same, but only its first N bytes, ended as if they were the whole |
| error_STATUS_WHAT | that status with that body |
| cut | half of ``stream_text``, then a broken connection; of a plain body too |
| unfinished | ``stream_text`` without its last event, and a clean end |
| endless | text until the client hangs up |

It runs in the test's process, and in that of the client's checks, so it needs nothing but Python.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

GOLDEN = Path(__file__).parents[1] / "golden"


class Upstream(ThreadingHTTPServer):
    """The server, and what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.left = threading.Event()
        """Set when a client has left an endless answer."""
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Upstream

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is logged."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append((self.path, headers, body))
        name, _, verb = unquote(urlsplit(self.path).path).rpartition("/models/")[2].rpartition(":")
        if verb == "countTokens":
            self._whole(200, (GOLDEN / "gemini_count" / "plain_count.json").read_bytes())
        elif verb == "batchEmbedContents":
            self._whole(200, (GOLDEN / "gemini_embed" / "plain_two.json").read_bytes())
        elif verb == "predict":
            self._whole(200, (GOLDEN / "vertex_embed" / "plain_two.json").read_bytes())
        elif name.startswith("error_"):
            self._whole(int(name.split("_")[1]), (GOLDEN / "gemini_generate" / f"{name}.json").read_bytes())
        else:
            self._answer(name, stream=verb.startswith("stream"))

    def _answer(self, model: str, *, stream: bool) -> None:
        name, _, limit = model.partition("@")
        known = {"cut": "text", "unfinished": "text", "endless": "text"}.get(name, name)
        data = (GOLDEN / "gemini_generate" / (f"stream_{known}.sse" if stream else f"plain_{known}.json")).read_bytes()
        if limit:
            self._whole(200, data[: int(limit)], stream=stream)
        elif name == "cut":
            self._begin(stream=stream, length=len(data))
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
        elif not stream:
            self._whole(200, data)
        elif name == "unfinished":
            self._whole(200, data[: data.rindex(b"data: ")], stream=True)
        elif name == "endless":
            self._endless(data[: data.index(b"\n\n") + 2])
        else:
            self._whole(200, data, stream=True)

    def _endless(self, piece: bytes) -> None:
        self._begin(stream=True, length=None)
        with contextlib.suppress(ConnectionError):
            while True:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.server.left.set()
        self.close_connection = True

    def _begin(self, *, stream: bool, length: int | None) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if stream else "application/json; charset=UTF-8")
        if length is None:
            self.send_header("transfer-encoding", "chunked")
        else:
            self.send_header("content-length", str(length))
        self.end_headers()

    def _whole(self, status: int, body: bytes, *, stream: bool = False) -> None:
        self.send_response(status)
        self.send_header("content-type", "text/event-stream" if stream else "application/json; charset=UTF-8")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def upstream() -> Iterator[Upstream]:
    """An upstream that answers until the block ends."""
    server = Upstream()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, name="upstream")
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(20)
        assert not thread.is_alive(), "the upstream did not stop"
