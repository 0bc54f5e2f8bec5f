"""Each way to fail, byte by byte as a client sees it."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest
from tests.stand_in import Running

from nearfar.standin.replies import GARBAGE

Post = Callable[..., tuple[bytes, bool]]
PLAIN: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
STREAM: dict[str, Any] = PLAIN | {"stream": True}
PATHS = pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/api/chat"])


def deltas(reply: bytes, path: str) -> int:
    """Pieces of text in a streamed reply."""
    mark = {
        "/v1/chat/completions": b'"delta":{"content":"',
        "/v1/messages": b"text_delta",
        "/api/chat": b'"done":false',
    }
    return reply.count(mark[path])


def complete(reply: bytes) -> bool:
    """Whether HTTP's own framing says that the reply is whole."""
    head, _, body = reply.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" in head:
        return body.endswith(b"0\r\n\r\n")
    length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return len(body) == length


@PATHS
def test_a_good_stream_has_its_marker(post: Post, path: str) -> None:
    reply, reset = post(STREAM | {"stand_in": {"chunks": 12}}, path)
    assert not reset
    assert complete(reply)
    assert deltas(reply, path) == 12
    marker = {"/v1/chat/completions": b"data: [DONE]\n\n", "/v1/messages": b"message_stop", "/api/chat": b'"done":true'}
    assert reply.count(marker[path]) == 1 + (path == "/v1/messages")  # Anthropic names the event twice


@PATHS
def test_cut(stand_in: Running, post: Post, path: str) -> None:
    reply, reset = post(STREAM | {"stand_in": {"mode": "cut", "after": 4, "chunk_ms": 1}}, path)
    assert reset
    assert not complete(reply)
    assert deltas(reply, path) == 4
    assert (stand_in.ended().outcome, stand_in.report().totals.cut) == ("cut", 1)


@PATHS
def test_a_clean_close_without_the_marker(post: Post, path: str) -> None:
    reply, reset = post(STREAM | {"stand_in": {"mode": "close", "after": 4}}, path)
    assert not reset
    assert complete(reply)
    assert deltas(reply, path) == 4
    assert not any(marker in reply for marker in (b"[DONE]", b"message_stop", b'"done":true', b'finish_reason":"stop'))


@PATHS
def test_invalid_json_in_good_frames(post: Post, path: str) -> None:
    reply, _ = post(STREAM | {"stand_in": {"mode": "invalid-json"}}, path)
    assert complete(reply)
    assert deltas(reply, path) == 3
    plain, _ = post(PLAIN | {"stream": False, "stand_in": {"mode": "invalid-json"}}, path)
    assert complete(plain)
    with pytest.raises(json.JSONDecodeError):
        json.loads(plain.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize("body", [PLAIN, STREAM])
def test_garbage(post: Post, body: dict[str, Any]) -> None:
    reply, _ = post(body | {"stand_in": {"mode": "garbage", "after": 2}})
    assert reply.endswith(GARBAGE)
    assert reply.startswith(b"HTTP/1.1 200") == ("stream" in body)


@pytest.mark.parametrize("mode", ["cut", "close", "half-close"])
def test_a_plain_reply_breaks_off_halfway(post: Post, mode: str) -> None:
    reply, reset = post(PLAIN | {"stand_in": {"mode": mode}})
    assert reset == (mode == "cut")
    body = reply.partition(b"\r\n\r\n")[2]
    assert body
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)


def test_half_close_still_reads(
    stand_in: Running, connect_to: Callable[[], socket.socket], raw: Callable[..., bytes]
) -> None:
    with connect_to() as sock:
        sock.sendall(raw(STREAM | {"stand_in": {"mode": "half-close", "after": 2}}))
        received = b""
        while data := sock.recv(65536):
            received += data
        assert deltas(received, "/v1/chat/completions") == 2
        assert not complete(received)
        sock.sendall(b"still there?")
        assert stand_in.report().running == 1
    assert stand_in.ended().outcome == "cancelled"


@pytest.mark.parametrize(("mode", "chunks"), [("never", 0), ("stall", 3)])
def test_silence_lasts_until_the_client_hangs_up(
    stand_in: Running, connect_to: Callable[[], socket.socket], raw: Callable[..., bytes], mode: str, chunks: int
) -> None:
    with connect_to() as sock:
        sock.sendall(raw(STREAM | {"stand_in": {"mode": mode}}))
        received = b""
        while deltas(received, "/v1/chat/completions") < chunks:
            received += sock.recv(65536)
    seen = stand_in.ended()
    assert (seen.outcome, seen.chunks, seen.mode) == ("cancelled", chunks, mode)
    assert bool(seen.invoice) == (chunks > 0)


def test_error_event(post: Post) -> None:
    reply, _ = post(STREAM | {"stand_in": {"mode": "error-event", "after": 1}})
    assert complete(reply)
    assert b'data: {"error":{' in reply
    assert b"[DONE]" not in reply
    plain, _ = post(PLAIN | {"stand_in": {"mode": "error-event"}})
    assert plain.startswith(b"HTTP/1.1 200")
    assert "error" in json.loads(plain.partition(b"\r\n\r\n")[2])


def test_empty_and_redirect(stand_in: Running, post: Post) -> None:
    empty, _ = post(PLAIN | {"stand_in": {"mode": "empty"}})
    assert empty.startswith(b"HTTP/1.1 200 ")
    assert empty.endswith(b"content-length: 0\r\nx-request-id: stand-in-1\r\n\r\n")
    redirect, _ = post(PLAIN | {"stand_in": {"mode": "redirect"}})
    assert redirect.startswith(b"HTTP/1.1 307 ")
    assert b"location: /stand-in/elsewhere\r\n" in redirect
    assert stand_in.report().totals.redirects_followed == 0
    post({}, "/stand-in/elsewhere")
    assert stand_in.report().totals.redirects_followed == 1


@PATHS
@pytest.mark.parametrize("stream", [False, True])
def test_huge(stand_in: Running, post: Post, path: str, stream: bool) -> None:
    size = 3_000_000
    reply, _ = post(PLAIN | {"stream": stream, "stand_in": {"mode": "huge", "size": size}}, path)
    assert complete(reply)
    assert reply.count(b"standin ") == size // 8
    if not stream:
        json.loads(reply.partition(b"\r\n\r\n")[2])
    assert stand_in.ended().chunks == size // 8


def test_a_client_that_does_not_read_holds_a_huge_reply_up(
    stand_in: Running, connect_to: Callable[[], socket.socket], raw: Callable[..., bytes]
) -> None:
    with connect_to() as sock:
        sock.sendall(raw(PLAIN | {"stand_in": {"mode": "huge", "size": 1 << 30}}))
        assert sock.recv(10) == b"HTTP/1.1 2"
    seen = stand_in.ended()
    assert seen.outcome == "cancelled"
    assert seen.chunks * 8 < 1 << 29  # what the socket buffers took, not the whole


@pytest.mark.parametrize(
    ("form", "header"), [("seconds", b"retry-after: 3\r\n"), ("ms", b"retry-after-ms: 3000\r\n"), ("date", b" GMT\r\n")]
)
def test_429(post: Post, form: str, header: bytes) -> None:
    reply, _ = post(PLAIN | {"stand_in": {"mode": "429", "retry_after": 3, "retry_after_form": form}})
    assert reply.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
    assert header in reply


def test_an_unofficial_status_has_words_too(post: Post) -> None:
    reply, _ = post(PLAIN | {"stand_in": {"mode": "529"}}, "/v1/messages")
    assert reply.startswith(b"HTTP/1.1 529 Overloaded\r\n")
    assert b"overloaded_error" in reply


def test_slow_first_byte_and_slow_chunks_change_nothing_but_the_pace(post: Post) -> None:
    reply, _ = post(STREAM | {"stand_in": {"first_byte_ms": 5, "chunk_ms": 1, "chunks": 5}})
    assert complete(reply)
    assert deltas(reply, "/v1/chat/completions") == 5
