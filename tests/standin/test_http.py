"""One connection: requests in pieces, several at once, and what is not HTTP."""

from __future__ import annotations

import itertools
import json
import socket
from collections.abc import Callable

from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from tests.examples import examples
from tests.stand_in import Running

from nearfar.standin.http import MAX_BODY

Connect = Callable[[], socket.socket]
Raw = Callable[..., bytes]
BODY = {"model": "m", "messages": [{"role": "user", "content": "hello 台灣"}]}


def read_reply(sock: socket.socket) -> tuple[bytes, bytes]:
    """(head, body) of one reply with a content-length, and not a byte more."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(1)
    length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    body = b""
    while len(body) < length:
        body += sock.recv(length - len(body))
    return head, body


@examples(25, suppress=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, 300), max_size=6))
def test_a_request_may_come_in_any_pieces(connect_to: Connect, raw: Raw, cuts: list[int]) -> None:
    data = raw(BODY)
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    with connect_to() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start, end in itertools.pairwise(edges):
            sock.sendall(data[start:end])
        head, body = read_reply(sock)
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert "hello 台灣" in json.loads(body)["choices"][0]["message"]["content"]


def test_requests_on_one_connection_are_answered_in_order(connect_to: Connect, raw: Raw) -> None:
    with connect_to() as sock:
        sock.sendall(b"".join(raw(BODY | {"max_tokens": n}) for n in (1, 2, 3)))
        replies = [json.loads(read_reply(sock)[1]) for _ in range(3)]
    assert [reply["usage"]["completion_tokens"] for reply in replies] == [1, 2, 3]


def test_the_connection_closes_when_asked(connect_to: Connect, raw: Raw) -> None:
    with connect_to() as sock:
        sock.sendall(raw(BODY, connection="close"))
        read_reply(sock)
        assert sock.recv(1) == b""


def test_what_is_not_http_is_a_400(connect_to: Connect) -> None:
    with connect_to() as sock:
        sock.sendall(b"\x16\x03\x01 this is no request\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 400 ")


def test_too_long_a_body_is_a_413_and_is_not_kept(stand_in: Running, connect_to: Connect) -> None:
    block = b"x" * (1 << 20)
    with connect_to() as sock:
        sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % (MAX_BODY + 1))
        for _ in range(MAX_BODY // len(block)):
            sock.sendall(block)
        sock.sendall(b"x")
        assert read_reply(sock)[0].startswith(b"HTTP/1.1 413 ")
    assert stand_in.report().totals.requests == 0
