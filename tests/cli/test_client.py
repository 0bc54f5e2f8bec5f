"""The client of a running gateway, against a small server of this test."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nearfar.cli.client import Gateway, error_of, locate
from nearfar.cli.errors import UsageError
from nearfar.core.errors import (
    APIConnectionError,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    NearfarError,
    NotFoundError,
    StreamCut,
)
from nearfar.settings.load import Loaded, load


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    keys: list[str]

    def do_GET(self) -> None:
        self.server.keys.append(self.headers.get("authorization", ""))  # type: ignore[attr-defined]  # this test's own
        if self.path == "/moved":
            self._answer(302, b"", location="/json")
        elif self.path == "/html":
            self._answer(200, b"<html>")
        elif self.path == "/":
            self._answer(200, b'{"name":"nearfar","version":"0"}')
        elif self.path == "/denied":
            self._answer(401, b'{"error":{"message":"No key.","code":"invalid_api_key"}}')
        else:
            self._answer(200, b'{"ok":true}')

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/refused":
            self._answer(404, b'{"error":{"message":"No model.","code":"model_not_found"}}')
            return
        self.send_response(200)
        self.send_header("transfer-encoding", "chunked")
        self.send_header("x-nearfar-place", "device")
        self.end_headers()
        self.wfile.write(b"3\r\nabc\r\n")
        self.wfile.write(b"0\r\n\r\n" if self.path == "/whole" else b"ff\r\nd")
        self.close_connection = True

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.keys: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


def test_json_and_the_key(server: Server) -> None:
    server.keys.clear()
    assert Gateway(server.url, "nf-secret").get("/json") == {"ok": True}
    assert server.keys == ["Bearer nf-secret"]


def test_a_key_that_is_none_is_refused_and_not_repeated(server: Server) -> None:
    for key in ("sk-hunter2\nx: y", "sk-hunter2 is mine", "hunter2金鑰"):
        with pytest.raises(AuthenticationError) as caught:
            Gateway(server.url, key).get("/ok")
        assert "hunter2" not in caught.value.text
        assert "NEARFAR_API_KEY" in caught.value.text
        assert caught.value.__cause__ is None
    server.keys.clear()
    assert Gateway(server.url, "nf-secret\r\n").get("/json") == {"ok": True}
    assert server.keys == ["Bearer nf-secret"], "what a file's line ends with is no part of the key in it"


def test_asking_whether_it_lives_sends_no_key(server: Server) -> None:
    server.keys.clear()
    gateway = Gateway(server.url, "nf-secret")
    assert gateway.alive()
    assert server.keys == [""]
    assert "nf-secret" not in repr(gateway)
    assert not Gateway(f"{server.url}/elsewhere").alive()


def test_a_stream_and_its_headers(server: Server) -> None:
    with Gateway(server.url).stream("/whole", {}) as (headers, pieces):
        assert headers["x-nearfar-place"] == "device"
        assert b"".join(pieces) == b"abc"


def test_a_stream_that_breaks_off(server: Server) -> None:
    with pytest.raises(StreamCut), Gateway(server.url).stream("/cut", {}) as (_, pieces):
        list(pieces)


@pytest.mark.parametrize(
    ("path", "kind"), [("/denied", AuthenticationError), ("/html", InternalServerError), ("/moved", NearfarError)]
)
def test_errors_of_the_gateway(server: Server, path: str, kind: type[NearfarError]) -> None:
    with pytest.raises(kind):
        Gateway(server.url).get(path)


def test_a_refused_stream_is_the_gateways_error(server: Server) -> None:
    with pytest.raises(NotFoundError, match="No model"), Gateway(server.url).stream("/refused", {}):
        pass


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    gateway = Gateway(f"http://127.0.0.1:{port}")
    assert not gateway.alive()
    with pytest.raises(APIConnectionError) as caught:
        gateway.get("/json")
    assert "nearfar serve" in caught.value.hint


def loaded(tmp_path: Path, **environ: str) -> Loaded:
    return load(environ={"HOME": str(tmp_path), **environ})


def test_where_the_gateway_is(tmp_path: Path) -> None:
    assert locate(loaded(tmp_path)).url == "http://127.0.0.1:8642"
    wide = loaded(tmp_path, NEARFAR_SERVER__HOST="0.0.0.0", NEARFAR_SERVER__PORT="1")
    assert locate(wide).url == "http://127.0.0.1:1"
    assert locate(loaded(tmp_path, NEARFAR_URL="https://gw.example/v1/")).url == "https://gw.example"
    assert locate(loaded(tmp_path, NEARFAR_URL="http://a"), "http://b:2").url == "http://b:2"


@pytest.mark.parametrize("url", ["ftp://x", "x", "http://u:p@h", "http://h/?q", "http://h\r\nx", "file:///etc"])
def test_a_bad_address_is_a_usage_error(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError):
        locate(loaded(tmp_path), url)


def test_an_error_without_a_body_still_says_something() -> None:
    assert "418" in error_of(418, b"").message
    assert isinstance(error_of(400, b"[]"), BadRequestError)
