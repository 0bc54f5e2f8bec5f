"""Opening and closing the edge; whole processes are the subject of tests/e2e."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
import trustme
import uvloop
from tests import running
from tests.server.served import loaded

from nearfar import build
from nearfar.core.errors import NearfarError, PermissionDeniedError
from nearfar.server.run import address, bind, check_bind, limits, run_edge, stop_on_signals, tls
from nearfar.settings.model import Server
from nearfar.store import keys
from nearfar.store.database import connect


def test_loopback_needs_no_key_and_all_else_does(tmp_path: Path) -> None:
    for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost"):
        check_bind(loaded(tmp_path, "", server__host=host))
    wide = loaded(tmp_path, "", server__host="0.0.0.0")
    with pytest.raises(PermissionDeniedError, match="at least one key") as refused:
        check_bind(wide)
    assert "nearfar keys new" in refused.value.hint
    with closing(connect(wide.ledger_url)) as connection:
        keys.prepare(connection)
        key, _ = keys.new(connection, "anna")
        check_bind(wide)
        with pytest.raises(PermissionDeniedError, match="without keys"):
            check_bind(loaded(tmp_path, "", server__host="0.0.0.0", server__require_key="false"))
        keys.revoke(connection, key.id)
    with pytest.raises(PermissionDeniedError):
        check_bind(wide)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_bind_and_address(host: str) -> None:
    server = Server(host=host, port=0)
    with bind(server) as listener:
        url = address(server, listener)
        port = listener.getsockname()[1]
        assert url == (f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
        assert address(msgspec.structs.replace(server, tls_cert="x"), listener).startswith("https://")
        with pytest.raises(NearfarError, match=str(port)) as taken:
            bind(Server(host=host, port=port))
        assert taken.value.code == "bind_failed"


def test_limits_follow_the_settings() -> None:
    found = limits(Server(max_body_bytes=5000, max_header_bytes=2000, header_timeout=1.5))
    assert (found.body_bytes, found.header_bytes, found.header_timeout) == (5000, 2000, 1.5)
    assert found.buffered_bytes >= found.body_bytes


def test_a_certificate_that_is_none_is_said(tmp_path: Path) -> None:
    assert tls(Server()) is None
    (tmp_path / "cert.pem").write_text("no certificate")
    with pytest.raises(NearfarError, match="certificate") as refused:
        tls(Server(tls_cert=str(tmp_path / "cert.pem"), tls_key=str(tmp_path / "absent")))
    assert "tls_cert" in refused.value.hint


def test_https(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    settings = loaded(
        tmp_path, "", server__tls_cert=str(tmp_path / "cert.pem"), server__tls_key=str(tmp_path / "key.pem")
    )

    def ask(port: int) -> bytes:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        with (
            socket.create_connection(("127.0.0.1", port)) as raw,
            context.wrap_socket(raw, server_hostname="localhost") as secure,
        ):
            secure.sendall(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            found = b""
            while piece := secure.recv(4096):
                found += piece
            return found

    async def scenario() -> None:
        listener = bind(settings.settings.server)
        port = listener.getsockname()[1]
        stop, ready = asyncio.Event(), asyncio.Event()
        gateway = build.gateway(settings)
        serving = asyncio.create_task(run_edge(gateway, listener, stop, port=port, ready=ready.set))
        await ready.wait()
        assert b'{"status":"ok"}' in await asyncio.to_thread(ask, port)
        with pytest.raises((ConnectionError, OSError)):
            await asyncio.to_thread(running.ask, f"http://127.0.0.1:{port}", "/livez")
        stop.set()
        await serving

    uvloop.run(scenario())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_ask_to_stop(number: signal.Signals) -> None:
    async def scenario() -> None:
        stop = stop_on_signals()
        os.kill(os.getpid(), number)
        await asyncio.wait_for(stop.wait(), 10)

    uvloop.run(scenario())
