"""The ledger's disk fills up, its database is locked: requests are answered, health says so, and nothing is lost."""

from __future__ import annotations

import contextlib
import resource
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests import load, running
from tests.running import HELLO, Gateway, eventually

BODIES: list[dict[str, Any]] = [
    {"model": "far", "messages": HELLO},
    {"model": "far", "messages": HELLO, "stream": True},
]


@contextlib.contextmanager
def _locked(gateway: Gateway) -> Iterator[None]:
    connection = sqlite3.connect(gateway.state / "ledger.db", isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()


@contextlib.contextmanager
def _full(gateway: Gateway) -> Iterator[None]:
    """No file of the gateway may grow: to it, every disk is full."""
    process = psutil.Process(gateway.pid)
    soft, hard = process.rlimit(resource.RLIMIT_FSIZE)
    process.rlimit(resource.RLIMIT_FSIZE, (1, hard))
    yield
    process.rlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _detail(gateway: Gateway) -> str:
    reply = gateway.ask("/readyz")
    assert reply.status == 200, "requests can still be answered and accounted for"
    checks = {check["name"]: check for check in reply.json["checks"]}
    return str(checks["ledger"]["detail"])


@pytest.mark.slow
@pytest.mark.parametrize("trouble", [_locked, _full])
def test_trouble_during_load(tmp_path: Path, trouble: Any) -> None:
    with load.cloud(tmp_path) as (url, invoices), running.gateway(tmp_path, running.far("far", url)) as gateway:
        with load.Clients(lambda: gateway.url, BODIES, count=3) as clients:
            clients.after(50)
            assert _detail(gateway) == ""
            with trouble(gateway):
                told = eventually(lambda: _detail(gateway))
                clients.after(100)
            eventually(lambda: _detail(gateway) == "")
            clients.after(20)
        assert set(clients.ended) == {"whole"}, clients.ended
        assert len(load.settle(gateway, url, invoices)) == clients.total()
        assert "ledger" in told or "database" in told or "journal" in told


@pytest.mark.slow
def test_what_waits_in_the_journal_outlives_the_process(tmp_path: Path) -> None:
    """The database is locked, the gateway killed and started again: what the journal holds is entered then."""
    with load.cloud(tmp_path) as (url, invoices):
        config = running.far("far", url)
        with running.gateway(tmp_path, config) as gateway, _locked(gateway):
            with load.Clients(lambda: gateway.url, BODIES, count=3) as clients:
                clients.after(60)
            gateway.kill()
        with running.gateway(tmp_path, config) as again:
            eventually(lambda: len(again.entries()) == clients.total())
            load.settle(again, url, invoices)
