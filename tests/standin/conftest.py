"""A client so simple that it sees exactly what came over the wire."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest
from tests.stand_in import WAIT, Running

Post = Callable[..., tuple[bytes, bool]]


def connect(url: str) -> socket.socket:
    host, _, port = url.removeprefix("http://").rpartition(":")
    return socket.create_connection((host, int(port)), WAIT)


def request(path: str, body: dict[str, Any], **headers: str) -> bytes:
    data = json.dumps(body).encode()
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(data)}\r\n{lines}\r\n".encode() + data


@pytest.fixture
def post(stand_in: Running) -> Post:
    """post(body, path=…, headers…) → (every byte until the connection ended, whether it was reset)."""

    def send(body: dict[str, Any], path: str = "/v1/chat/completions", **headers: str) -> tuple[bytes, bool]:
        received = b""
        with connect(stand_in.url) as sock:
            sock.sendall(request(path, body, connection="close", **headers))
            while True:
                try:
                    data = sock.recv(65536)
                except ConnectionResetError:
                    return received, True
                if not data:
                    return received, False
                received += data

    return send


@pytest.fixture
def connect_to(stand_in: Running) -> Callable[[], socket.socket]:
    """connect_to() → a connection to the stand-in."""
    return lambda: connect(stand_in.url)


@pytest.fixture
def raw() -> Callable[..., bytes]:
    """raw(body, path=…, headers…) → the bytes of a request."""
    return lambda body, path="/v1/chat/completions", **headers: request(path, body, **headers)
