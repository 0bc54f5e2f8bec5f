"""Bad input from clients: a typed refusal within the deadline, and the next request is answered as if nothing were."""

from __future__ import annotations

import json
import socket
import time

import psutil
import pytest
from tests.faults.conftest import Broken
from tests.running import HELLO, Gateway, Raw, eventually

CHAT = "/v1/chat/completions"
GOOD = json.dumps({"model": "well", "messages": HELLO}).encode()


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"", "invalid_json", None),
        (b"{", "invalid_json", None),
        (b"[]", "invalid_json", None),
        (b'"text"', "invalid_json", None),
        (b"null", "invalid_json", None),
        (GOOD + b"}", "invalid_json", None),
        (b'{"model": "well", "messages": [{"role": "user", "content": "\xff\xfe"}]}', "invalid_json", None),
        (b'{"model": "well", "messages": [{"role": "user", "content": "\\ud800"}]}', "invalid_json", None),
        (b'{"model": "well", "messages": NaN}', "invalid_json", None),
        (b'{"model": "well", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "invalid_json", None),
        (b'{"model": "well", "x": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}", "invalid_json", None),
        (b'{"model": "well", "model": "sealed", "messages": []}', "duplicate_key", "model"),
        (b'{"model": "well", "messages": [{"role": "user", "role": "tool"}]}', "duplicate_key", "messages.0.role"),
        (b'{"model": 7, "messages": []}', None, "model"),
        (b'{"messages": [{"role": "user", "content": "x"}]}', None, "model"),
        (b'{"model": "well"}', None, "messages"),
        (b'{"model": "well", "messages": []}', None, "messages"),
        (b'{"model": "well", "messages": "hello"}', None, "messages"),
        (b'{"model": "well", "messages": [7]}', None, "messages[0]"),
        (b'{"model": "well", "messages": [{"content": "x"}]}', None, "messages[0].role"),
        (GOOD[:-1] + b', "stream": "yes"}', None, "stream"),
        (GOOD[:-1] + b', "n": 0}', None, "n"),
        (GOOD[:-1] + b', "max_tokens": -1}', None, "max_tokens"),
        (GOOD[:-1] + b', "max_tokens": 1e400}', "invalid_json", None),
        (GOOD[:-1] + b', "api_base": "http://127.0.0.1:1"}', None, "api_base"),
    ],
)
def test_bodies(broken: Broken, body: bytes, code: str | None, param: str | None) -> None:
    before = broken.stand_in.report().totals.requests
    reply = broken.gateway.ask(CHAT, body)
    assert reply.status == 400, reply
    assert reply.error["type"] == "invalid_request_error"
    assert param is None or reply.error["param"] == param
    assert code is None or reply.error["code"] == code
    assert b"Traceback" not in reply.body
    assert broken.stand_in.report().totals.requests == before


def test_a_body_that_is_too_large_is_refused_before_it_comes(broken: Broken) -> None:
    with broken.gateway.raw() as raw:
        raw.send(b"POST %b HTTP/1.1\r\nhost: localhost\r\ncontent-length: 52428800\r\n\r\n" % CHAT.encode())
        reply = raw.reply()
    assert (reply.status, reply.headers["connection"]) == (413, "close")


def test_a_body_of_50_megabytes_is_refused_however_it_is_framed(broken: Broken) -> None:
    # A client that sends first and reads later still gets the answer, not a reset.
    piece = b"x" * (1 << 20)
    plain = b"POST %b HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % (CHAT.encode(), 50 << 20)
    chunked = b"POST %b HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n" % CHAT.encode()
    for head, wrap in ((plain, piece), (chunked, b"%x\r\n%b\r\n" % (len(piece), piece))):
        with broken.gateway.raw() as raw:
            raw.send(head)
            for _ in range(50):
                try:
                    raw.send(wrap)
                except ConnectionError:
                    break
            assert raw.reply().status == 413
    _still_well(broken.gateway)


@pytest.mark.parametrize(
    "flood",
    [
        pytest.param(b"x-flood: %b\r\nx-next: 1\r\n" % (b"y" * 40_000), id="one-long-line"),
        pytest.param(b"x-flood: %b" % (b"y" * 400_000), id="a-line-without-end"),
        pytest.param(b"x-a: b\r\n" * 500, id="the-same-line-again"),
        pytest.param(b"".join(b"x-%d: b\r\n" % i for i in range(500)), id="many-lines"),
        pytest.param(b"content-length: 5\r\n" + b"y" * 400_000, id="a-name-without-end"),
    ],
)
def test_too_many_headers(broken: Broken, flood: bytes) -> None:
    with broken.gateway.raw() as raw:
        raw.send(b"POST %b HTTP/1.1\r\nhost: localhost\r\n" % CHAT.encode() + flood)
        assert raw.reply().status == 431
    _still_well(broken.gateway)


def test_a_target_that_is_too_long(broken: Broken) -> None:
    with broken.gateway.raw() as raw:
        raw.send(b"GET /" + b"a" * 50_000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert raw.reply().status == 431


def test_a_trailer_without_end(broken: Broken) -> None:
    with broken.gateway.raw() as raw:
        raw.send(b"POST %b HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n" % CHAT.encode())
        raw.send(b"2\r\n{}\r\n0\r\nx-trailer: ")
        for _ in range(20):
            try:
                raw.send(b"y" * 65_536)
            except ConnectionError:
                break
        assert raw.reply().status == 431


@pytest.mark.parametrize(
    "sent",
    [
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: loc",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{",
    ],
)
def test_slow_senders_are_told_and_let_go(broken: Broken, sent: bytes) -> None:
    began = time.monotonic()
    with broken.gateway.raw() as raw:
        raw.send(sent)
        reply = raw.reply()
    assert (reply.status, reply.error["code"]) == (408, "request_timeout")
    # Both timeouts are 1 s here; the rest is for a busy machine and the time in which the refusal can be read.
    assert time.monotonic() - began < 15


def test_a_connection_that_says_nothing_is_closed(broken: Broken) -> None:
    with broken.gateway.raw() as raw:
        assert raw.rest() == b""


@pytest.mark.parametrize("sent", [b"", b"POST /v1", b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"])
def test_a_half_closed_half_request_is_let_go(broken: Broken, sent: bytes) -> None:
    with broken.gateway.raw() as raw:
        raw.send(sent)
        raw.socket.shutdown(socket.SHUT_WR)
        assert raw.rest() == b""


def test_a_client_that_closes_its_half_has_hung_up(broken: Broken) -> None:
    with broken.gateway.raw() as raw:
        raw.post(CHAT, {"model": "long", "stream": True, "messages": HELLO})
        request = raw.until(b'"content"').partition(b"x-nearfar-request: ")[2].partition(b"\r\n")[0].decode()
        raw.socket.shutdown(socket.SHUT_WR)
        raw.rest()
    (entry,) = broken.gateway.attempts(request)
    assert entry.outcome == "cancelled"
    assert broken.seen(entry.attempt).outcome == "cancelled"


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"HELLO\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: many\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: localhost\r\nbad header\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused(broken: Broken, sent: bytes) -> None:
    with broken.gateway.raw() as raw:
        raw.send(sent)
        assert raw.reply().status == 400


def test_an_unknown_model_is_told_the_nearest(broken: Broken) -> None:
    reply = broken.gateway.chat("wel")
    assert (reply.status, reply.error["code"], reply.error["param"]) == (404, "model_not_found", "model")
    assert "well" in reply.error["message"]
    listed = broken.gateway.ask("/v1/models/wel")
    assert (listed.status, listed.error["code"]) == (404, "model_not_found")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", CHAT, 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
        ("GET", "/v1/nothing", 404, "unknown_path"),
        ("POST", "/chat/completions", 404, "unknown_path"),
        ("GET", "/v1/../metrics", 404, "unknown_path"),
        ("GET", "/%2e%2e/etc/passwd", 404, "unknown_path"),
    ],
)
def test_paths_and_methods(broken: Broken, method: str, path: str, status: int, code: str) -> None:
    reply = broken.gateway.ask(path, b"{}" if method == "POST" else None, method=method)
    assert (reply.status, reply.error["code"]) == (status, code)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/v1/v1/chat/completions", "/v1 stands twice"),
        ("/v1/v1/messages", "/v1 stands twice"),
        ("/chat/completions", "OpenAI clients ends with /v1"),
        ("/v1/chat/completions/", "/v1/chat/completions without the last slash"),
        ("//v1/messages", "/v1/messages with one slash"),
        ("/v1/moderations", "HTTP API"),
        ("/v1/messages/batches", "HTTP API"),
    ],
)
def test_a_wrong_path_is_told_what_is_wrong_with_it(broken: Broken, path: str, says: str) -> None:
    reply = broken.gateway.ask(path, b"{}", method="POST")
    assert reply.status == 404
    assert says in reply.error["message"]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example.com", 403),
        ("evil.example.com:8642", 403),
        ("127.0.0.1.evil.example.com", 403),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("[::1]:8642", 200),
        ("gateway.example.org", 200),
        ("gateway.example.org:443", 200),
    ],
)
def test_host_names_of_others(broken: Broken, host: str, status: int) -> None:
    reply = broken.gateway.ask("/livez", headers={"host": host})
    assert reply.status == status
    assert status == 200 or reply.error["code"] == "host_denied"


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://app.example.org", 200),
        ("https://evil.example.org", 403),
        ("http://app.example.org", 403),
        ("https://app.example.org.evil.com", 403),
        ("null", 403),
    ],
)
def test_origins(broken: Broken, origin: str, status: int) -> None:
    reply = broken.gateway.chat("well", headers={"origin": origin})
    assert reply.status == status
    allowed = reply.headers.get("access-control-allow-origin")
    assert allowed == (origin if status == 200 else None)
    asked = {"origin": origin, "access-control-request-method": "POST"}
    preflight = broken.gateway.ask(CHAT, method="OPTIONS", headers=asked)
    assert preflight.status == (204 if status == 200 else 403)
    if status == 200:
        assert "POST" in preflight.headers["access-control-allow-methods"]
        assert "authorization" in preflight.headers["access-control-allow-headers"]


def test_unloading_what_is_not_loaded(broken: Broken) -> None:
    assert broken.gateway.ask("/nearfar/v1/unload", {"model": "well"}).status == 404
    assert broken.gateway.ask("/nearfar/v1/unload", {"modell": "well"}).status == 400
    assert broken.gateway.ask("/nearfar/v1/unload", b"{").status == 400


def test_many_bad_connections_leave_nothing(broken: Broken) -> None:
    gateway = broken.gateway
    process = psutil.Process(gateway.pid)
    _still_well(gateway)
    before = process.num_fds()
    for _ in range(60):
        raws = [Raw(gateway.url) for _ in range(4)]
        raws[0].send(b"POST /v1/chat/completions HTTP/1.1\r\nhost: loc")
        raws[1].send(b"\x00\x01\x02")
        raws[2].post(CHAT, b"{")
        raws[3].post(CHAT, {"model": "long", "stream": True, "messages": HELLO})
        for raw in raws:
            raw.reset()
    # The ledger's and the pool's descriptors may come and go; connections may not pile up.
    eventually(lambda: process.num_fds() <= before + 10)
    _still_well(gateway)


def _still_well(gateway: Gateway) -> None:
    assert gateway.chat("well").status == 200
