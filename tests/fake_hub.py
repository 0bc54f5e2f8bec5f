"""A tiny Hub on loopback: the part of the Hugging Face Hub's HTTP API that models are fetched with.

A stand-in, written from the documentation of the Hub's API and of ``huggingface_hub`` (Hub API Endpoints, and the
headers that ``hf_hub_download`` reads; seen 2026-11): ``GET /api/models/REPO/revision/REV?blobs=true``, ``HEAD`` and
``GET /REPO/resolve/REV/FILE`` with ranges, ``X-Repo-Commit``, ``ETag``, ``X-Linked-ETag``, ``X-Error-Code``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

STATES_CHECKSUMS = True
"""Whether the list of files tells anything beside names and sizes."""
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeHub:
    """Repositories, and what was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.repos: dict[str, dict[str, bytes]] = {}
        self.cards: dict[str, dict[str, Any]] = {}
        self.gated: set[str] = set()
        self.token = "hf_test"
        """Whoever sends it has accepted all terms."""
        self.asked: list[tuple[str, str, str]] = []
        """(method, path, Range)."""
        self.break_after: int | None = None
        """Bytes of the next file that are sent before the connection breaks."""
        self.lie: dict[str, bytes] = {}
        """File → other bytes than were promised."""
        self.lie_later: dict[str, bytes] = {}
        """The same, for whoever asks for the whole file; its beginning is as it was promised."""
        self.small: set[str] = set()
        """Files that are kept in git itself: the Hub tells git's name of them and no SHA-256."""
        self.sizes: dict[str, int] = {}
        """File → another size than it has."""
        self.elsewhere = ""
        """Where files are instead: each is answered with a redirect there."""
        self.busy = 0
        """How many of the next requests for files are refused for being too many."""
        self.ranges = True
        """Whether it knows ranges."""
        self.tokens: list[str] = []
        """The Authorization of each request."""

    def fetched(self) -> int:
        """How many files were asked for whole, or from some byte to their end."""
        return sum(
            1 for method, path, span in self.asked if method == "GET" and "/resolve/" in path and span[-1:] in {"", "-"}
        )


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append((self.command, path, self.headers.get("Range", "")))
        self.hub.tokens.append(self.headers.get("Authorization", ""))
        if path.startswith("/api/models/"):
            repo, _, _ = path.removeprefix("/api/models/").partition("/revision/")
            self._info(repo)
        else:
            repo, _, rest = path.removeprefix("/").partition("/resolve/")
            self._file(repo, rest.partition("/")[2])

    def _refused(self, repo: str) -> bool:
        if repo not in self.hub.repos:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            return True
        if repo in self.hub.gated and self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            self._send(403, b"{}", {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted."})
            return True
        return False

    def _info(self, repo: str) -> None:
        if repo not in self.hub.repos:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            return
        files = [self._listed(name, data) for name, data in self.hub.repos[repo].items()]
        body = {
            "_id": "1",
            "id": repo,
            "modelId": repo,
            "sha": COMMIT,
            "private": False,
            "gated": "auto" if repo in self.hub.gated else False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "siblings": files,
            "cardData": self.hub.cards.get(repo, {}),
            "createdAt": "2026-01-01T00:00:00.000Z",
        }
        self._send(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _listed(self, name: str, data: bytes) -> dict[str, Any]:
        size = self.hub.sizes.get(name, len(data))
        git = hashlib.sha1(f"blob {len(data)}\0".encode() + data, usedforsecurity=False).hexdigest()
        listed: dict[str, Any] = {"rfilename": name, "size": size}
        if not STATES_CHECKSUMS:
            return listed
        listed["blobId"] = git
        if name not in self.hub.small:
            listed["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": size, "pointerSize": 130}
        return listed

    def _file(self, repo: str, name: str) -> None:
        if self._refused(repo):
            return
        if self.hub.elsewhere:
            self._send(302, b"", {"Location": f"{self.hub.elsewhere}{self.path}"})
            return
        if self.hub.busy:
            self.hub.busy -= 1
            self._send(503, b"", {"Retry-After": "0"})
            return
        data = self.hub.repos[repo].get(name)
        if data is None:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        tag = {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha256(data).hexdigest()}"', "Accept-Ranges": "bytes"}
        data = self.hub.lie.get(name, data)
        asked = self.headers.get("Range", "") if self.hub.ranges else ""
        if not asked.endswith(tuple("0123456789")):
            data = self.hub.lie_later.get(name, data)
        if not asked:
            self._send(200, data, tag)
            return
        first, _, last = asked.removeprefix("bytes=").partition("-")
        start, end = int(first), int(last) if last else len(data) - 1
        if start >= len(data):
            self._send(416, b"", {"Content-Range": f"bytes */{len(data)}"})
            return
        part = data[start : end + 1]
        self._send(206, part, {**tag, "Content-Range": f"bytes {start}-{start + len(part) - 1}/{len(data)}"})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        broken = self.hub.break_after
        if broken is not None and len(body) > broken and "/resolve/" in self.path:
            self.hub.break_after = None
            self.wfile.write(body[:broken])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(1)
            return
        self.wfile.write(body)


@contextlib.contextmanager
def running() -> Iterator[FakeHub]:
    """A hub on a free port."""
    hub = FakeHub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
