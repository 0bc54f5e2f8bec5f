from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from tests.examples import examples

from nearfar.core.errors import StoreUnavailable
from nearfar.core.places import Class
from nearfar.store import keys
from nearfar.store.connection import LOCKED, Connection
from nearfar.store.database import connect
from nearfar.store.keyring import Caller, KeyRing

PATIENCE = 20.0


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    opened = connect(database_url)
    keys.prepare(opened)
    yield opened
    opened.close()


@pytest.fixture
def ring(database_url: str) -> Iterator[KeyRing]:
    made = KeyRing(database_url, refresh_seconds=0.01)
    yield made
    made.close()


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether a background thread brings it about, however slow the machine is today."""
    tick = threading.Event()
    give_up = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > give_up:
            return False
        tick.wait(0.005)
    return True


def test_a_key_is_found_by_its_secret(connection: Connection, ring: KeyRing) -> None:
    key, secret = keys.new(connection, "Radiology", floor=Class.RESTRICTED)
    plain, plain_secret = keys.new(connection, "plain")
    ring.refresh()
    assert ring.lookup(secret) == Caller(id=key.id, name="Radiology", floor=Class.RESTRICTED)
    assert ring.lookup(plain_secret) == Caller(id=plain.id, name="plain")
    assert len(ring) == 2


@examples(200, suppress=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=250) | st.binary(max_size=80).map(lambda raw: raw.decode("latin-1")))
def test_nothing_else_is_found(connection: Connection, ring: KeyRing, text: str) -> None:
    if not ring.exists:
        _, secret = keys.new(connection, "only")
        ring.refresh()
        assert ring.lookup(secret) is not None
        for wrong in (secret[:-1], secret + " ", secret.upper(), f"nf-{secret}", keys.digest(secret).hex()):
            assert ring.lookup(wrong) is None
    assert ring.lookup(text) is None
    assert ring.lookup("nf-" + text) is None


def test_keys_made_and_revoked_elsewhere_are_noticed_in_the_background(connection: Connection, ring: KeyRing) -> None:
    ring.start()
    assert not ring.exists
    key, secret = keys.new(connection, "app")
    assert eventually(lambda: ring.lookup(secret) is not None)
    keys.revoke(connection, key.id)
    assert eventually(lambda: ring.lookup(secret) is None)
    assert len(ring) == 0
    assert ring.exists, "a revoked key must keep the door closed"


def test_nothing_is_read_again_without_a_change(connection: Connection, ring: KeyRing) -> None:
    keys.new(connection, "app")
    assert ring.refresh()
    assert not ring.refresh()
    keys.revoke(connection, "app")
    assert ring.refresh()


def test_use_reaches_the_database(connection: Connection, ring: KeyRing) -> None:
    _, secret = keys.new(connection, "app")
    keys.new(connection, "idle")
    ring.refresh()
    ring.lookup(secret)
    ring.refresh()
    used, idle = keys.ls(connection)
    assert used.last_used is not None
    assert idle.last_used is None


def test_a_database_that_others_write_to_delays_no_revocation(
    connection: Connection, ring: KeyRing, database_url: str
) -> None:
    key, secret = keys.new(connection, "app")
    _, other = keys.new(connection, "other")
    ring.refresh()
    assert ring.lookup(secret) is not None
    assert ring.lookup(other) is not None
    keys.revoke(connection, key.id)
    with connection.transaction():
        connection.execute("UPDATE nearfar_keys SET name = name")
        assert ring.refresh()
        assert ring.lookup(secret) is None
        assert ring.reason == ""
    ring.refresh()
    assert all(seen.last_used is not None for seen in keys.ls(connection)), "use was forgotten while others wrote"


def test_while_the_database_is_gone_keys_stand_as_last_read(
    connection: Connection, ring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, secret = keys.new(connection, "app")
    ring.start()
    assert ring.reason == ""
    with monkeypatch.context() as patch:
        # The address, not the database: another one would be a fake, and this is how a moved server looks.
        patch.setattr(ring, "_url", "postgresql://test@127.0.0.1:1/gone")
        with ring._lock:
            ring._disconnect()
        assert eventually(lambda: "as they were last read" in ring.reason)
        assert ring.lookup(secret) is not None
    assert eventually(lambda: ring.reason == "")
    keys.revoke(connection, "app")
    assert eventually(lambda: ring.lookup(secret) is None)


def test_a_database_that_cannot_be_reached_at_the_start_is_an_error() -> None:
    ring = KeyRing("postgresql://test@127.0.0.1:1/gone")
    with pytest.raises(StoreUnavailable):
        ring.start()
    ring.close()


def test_closing_ends_the_thread(ring: KeyRing) -> None:
    ring.start()
    ring.close()
    assert "nearfar-keys" not in {thread.name for thread in threading.enumerate()}
    ring.close()


@pytest.mark.parametrize(("code", "answers"), [(LOCKED, True), (None, False)])
def test_a_file_that_others_prepare_at_the_start_is_asked_again(
    code: str | None, answers: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite says "locked" at once, without its own waiting, while a new file is being switched to its log."""
    refusals = iter([StoreUnavailable("locked", code=code)] * 3)

    def busy(url: str, *, wait: float) -> Connection:
        for refusal in refusals:
            raise refusal
        return connect(url, wait=wait)

    monkeypatch.setattr("nearfar.store.keyring.connect", busy)
    ring = KeyRing(f"sqlite:///{tmp_path / 'keys.db'}")
    with nullcontext() if answers else pytest.raises(StoreUnavailable):
        ring.start()
    assert (ring.reason == "") is answers
    ring.close()
