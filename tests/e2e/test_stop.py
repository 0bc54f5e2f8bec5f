"""The polite end: running streams finish, nobody new is let in, nothing is left, and the exit code is 0."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

import psutil
import pytest
from tests import running, stand_in
from tests.running import HELLO, Gateway, eventually

LONG = {"model": "long", "stream": True, "messages": HELLO}


def _config(cloud: str) -> str:
    return running.far("long", cloud, behaviour={"chunks": 60, "chunk_ms": 20}) + running.far(
        "endless", cloud, behaviour={"chunks": 100_000, "chunk_ms": 20}
    )


def _refuses(gateway: Gateway) -> bool:
    where = urlsplit(gateway.url)
    try:
        socket.create_connection((where.hostname, where.port), 5).close()
    except ConnectionError:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_running_streams_finish(
    gateway: Callable[..., Gateway], stand_in: stand_in.Running, workers: int, number: signal.Signals
) -> None:
    started = gateway(_config(stand_in.url), arguments=("--workers", str(workers)))
    family = started.children()
    with started.raw() as stream, started.raw() as idle, started.raw() as plain:
        idle.send(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n")
        idle.until(b'"ok"}')
        stream.post("/v1/chat/completions", LONG)
        plain.post("/v1/chat/completions", {"model": "long", "messages": HELLO})
        stream.until(b'"content"')
        started.process.send_signal(number)
        eventually(lambda: _refuses(started))
        assert stream.rest().endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        assert b"HTTP/1.1 200" in plain.rest()
        assert idle.rest().count(b"HTTP/1.1") == 1
    assert started.process.wait(running.WAIT) == 0
    assert not [process for process in family if process.is_running()]
    assert "Traceback" not in started.words()
    assert {entry.outcome for entry in running.read_ledger(started.ledger_url)} == {"ok"}
    journal = started.state / "journal"
    assert list(journal.iterdir()) == [], "an orderly end leaves nothing to be read again"


def test_a_stream_that_does_not_end_is_cut_after_the_grace(
    gateway: Callable[..., Gateway], stand_in: stand_in.Running
) -> None:
    started = gateway(_config(stand_in.url) + "[server]\nshutdown_grace = 0.3\n")
    with started.raw() as stream:
        stream.post("/v1/chat/completions", {**LONG, "model": "endless"})
        stream.until(b'"content"')
        started.process.send_signal(signal.SIGTERM)
        assert not stream.rest().endswith(b"0\r\n\r\n")
    assert started.process.wait(running.WAIT) == 0
    assert stand_in.ended().outcome == "cancelled"
    assert [entry.outcome for entry in running.read_ledger(started.ledger_url)] == ["cancelled"]
    assert "Traceback" not in started.words()


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_nobody_connects_during_the_grace_and_a_second_signal_ends_it(
    gateway: Callable[..., Gateway], stand_in: stand_in.Running, workers: int
) -> None:
    started = gateway(_config(stand_in.url) + "[server]\nshutdown_grace = 600\n", arguments=("--workers", str(workers)))
    family = started.children()
    with started.raw() as stream:
        stream.post("/v1/chat/completions", {**LONG, "model": "endless"})
        stream.until(b'"content"')
        started.process.send_signal(signal.SIGINT)
        eventually(lambda: _refuses(started))
        for _ in range(5):
            stream.received = b""
            stream.until(b'"content"')
        assert started.process.poll() is None
        started.process.send_signal(signal.SIGINT)
        assert started.process.wait(running.WAIT) == 0
    assert not [process for process in family if process.is_running()]
    assert "Traceback" not in started.words()
    if workers == 1:
        assert [entry.outcome for entry in running.read_ledger(started.ledger_url)] == ["cancelled"]


def test_no_worker_is_replaced_after_stop(gateway: Callable[..., Gateway], stand_in: stand_in.Running) -> None:
    started = gateway(_config(stand_in.url), arguments=("--workers", "2"))
    with started.raw() as stream:
        stream.post("/v1/chat/completions", {**LONG, "model": "endless"})
        stream.until(b'"content"')
        started.process.send_signal(signal.SIGTERM)
        eventually(lambda: _refuses(started))
        for worker in started.children():
            with suppress(psutil.NoSuchProcess):
                worker.kill()
        assert started.process.wait(running.WAIT) == 0
    assert "is replaced" not in started.words()
    assert "Traceback" not in started.words()
