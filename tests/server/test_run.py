"""Opening and closing the edge; whole processes are the subject of tests/e2e."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import ssl
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
import trustme
import uvloop
from tests import running
from tests.running import Gateway
from tests.server.served import loaded

from nearfar import build
from nearfar.core.errors import NearfarError, PermissionDeniedError
from nearfar.server import run as run_module
from nearfar.server.control import Hub
from nearfar.server.run import Signals, address, bind, check_bind, limits, run_edge, serve, tls
from nearfar.settings.load import Loaded
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
def test_signals_ask_to_stop_and_the_second_one_at_once(number: signal.Signals) -> None:
    async def scenario() -> None:
        signals = Signals()
        os.kill(os.getpid(), number)
        await asyncio.wait_for(signals.stop.wait(), 10)
        assert not signals.at_once.is_set()
        os.kill(os.getpid(), number)
        await asyncio.wait_for(signals.at_once.wait(), 10)

    uvloop.run(scenario())


def _refused(settings: Loaded) -> NearfarError:
    """The error that ``serve`` ends with before anybody was told that it is ready."""
    told: list[str] = []
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with pytest.raises(NearfarError) as refused:
        serve(settings, ready=told.append)
    assert told == []
    # Fixtures of other tests in this process may have servers of their own.
    left = {child.pid for child in psutil.Process().children(recursive=True)} - before
    assert not left, "nothing is left running"
    return refused.value


def test_nobody_is_told_ready_before_it_is(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.pem").write_text("no certificate")
    bad = {"server__tls_cert": str(tmp_path / "bad.pem"), "server__tls_key": str(tmp_path / "bad.pem")}
    assert _refused(loaded(tmp_path, **bad)).code == "bad_certificate"
    assert _refused(loaded(tmp_path, server__host="0.0.0.0")).code == "wide_bind_without_key"
    with bind(Server(port=0)) as taken:
        busy = str(taken.getsockname()[1])
        assert _refused(loaded(tmp_path, server__port=busy)).code == "bind_failed"
    assert capfd.readouterr().err == ""
    # Workers fail for themselves: the parent ends, and their own message stands above.
    assert _refused(loaded(tmp_path, server__workers="2", **bad)).code == "worker_failed"
    assert "certificate cannot be used" in capfd.readouterr().err


def test_workers_that_can_no_longer_be_replaced_end_the_gateway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    lives = 0

    async def worker(*given: Any) -> int:
        nonlocal lives
        lives += 1
        if lives > 2:
            raise BlockingIOError("Resource temporarily unavailable")
        given[-1].set()
        while not told or lives == 1:
            await asyncio.sleep(0)
        if given[0] == 1:
            await asyncio.Event().wait()
        return 1

    monkeypatch.setattr(run_module, "_run_worker", worker)
    monkeypatch.setattr(run_module, "RESTART_SECONDS", 0.0)
    with pytest.raises(BlockingIOError):
        serve(loaded(tmp_path, server__workers="2"), ready=told.append)
    assert len(told) == 1


def test_two_workers_share_and_one_that_dies_is_replaced(tmp_path: Path, gateway: Callable[..., Gateway]) -> None:
    config = running.far("down", "http://127.0.0.1:9")
    started = gateway(config, arguments=("--workers", "2"))

    def workers() -> set[int]:
        found = set()
        for child in started.children():
            with suppress(psutil.NoSuchProcess):
                if "nearfar.server.worker" in child.cmdline():
                    found.add(child.pid)
        return found

    assert len(workers()) == 2
    for _ in range(6):  # longer and longer cool-downs
        started.chat("down")
    running.eventually(lambda: all("down" in started.cooling() for _ in range(8)))
    running.eventually(lambda: {started.metric("nearfar_attempts_total", outcome="error") for _ in range(8)} == {6.0})
    before = workers()
    os.kill(min(before), signal.SIGKILL)
    running.eventually(lambda: len(workers()) == 2 and min(before) not in workers())
    running.eventually(lambda: all("down" in started.cooling() for _ in range(8)))


def test_a_worker_that_dies_before_it_was_told_anything_is_just_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its standard input is closed by then, and its channel reset; neither may end its keeper."""
    monkeypatch.setattr(sys, "executable", "/bin/true")

    async def scenario() -> None:
        settings = loaded(tmp_path, server__workers="2", engine__enabled="false")
        started = asyncio.Event()
        with bind(settings.settings.server) as listener:
            hub = Hub(build.supervisor(settings))
            for _ in range(5):
                assert await run_module._run_worker(0, settings, listener, hub, started) > 0
        assert not started.is_set()

    uvloop.run(scenario())


def test_what_the_first_requests_left_behind_is_taken_out_of_collections_a_few_times() -> None:
    settling = run_module._Settling()
    before = gc.get_freeze_count()
    try:
        settling("start", {"generation": 1})
        settling("stop", {"generation": 0})
        assert gc.get_freeze_count() == before
        for _ in range(20):
            settling("stop", {"generation": 1})
        assert gc.get_freeze_count() > before
    finally:
        gc.unfreeze()
    settling("stop", {"generation": 1})
    assert gc.get_freeze_count() == 0
