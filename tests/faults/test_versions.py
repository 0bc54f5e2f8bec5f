"""A database that a newer nearfar wrote: nobody reads or writes it, everybody says why, and nothing is lost meanwhile.

An older one is brought up to date with what is in it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests import running
from tests import stand_in as stand_ins
from tests.attempts import begin, end

from nearfar.core.errors import StoreUnavailable
from nearfar.core.places import Class
from nearfar.ledger import audit_copy, query, schema
from nearfar.ledger.ledger import Ledger, drain
from nearfar.store import capabilities, keys, labels, labels_judges, labels_schema, promises, responses
from nearfar.store.cipher import Cipher
from nearfar.store.connection import Connection
from nearfar.store.database import Migration, connect, migrate
from nearfar.store.keyring import KeyRing

LATER = Migration(name="999-later", statements=("CREATE TABLE nearfar_later (a TEXT)",))
KEY = bytes(range(32))
ROOMS = {
    "ledger": schema.MIGRATIONS,
    "keys": keys.MIGRATIONS,
    "labels": labels_schema.MIGRATIONS,
    "responses": responses.MIGRATIONS,
    "capabilities": capabilities.MIGRATIONS,
    "promises": promises.MIGRATIONS,
    "audit": audit_copy.MIGRATIONS,
}
PAIR = labels.Pair(
    id="lbl_1",
    route="main",
    class_=Class.INTERNAL,
    propensity=0.02,
    expected=None,
    served="near",
    caller="",
    content=labels.Content(
        request="req_1",
        parent="att_1",
        attempts=1,
        prompt="why",
        conversation="why",
        near=labels.Side(deployment="n", text="a"),
        far=labels.Side(deployment="f", text="b"),
        kind="text",
    ),
)
FINDING = capabilities.Finding(deployment="far", target="t", what="tools", can=True, date="2026-11-22")


def _labels(url: str) -> labels.Labels:
    return labels.Labels(url, Cipher(KEY), KEY, keep_seconds=60)


def _responses(url: str) -> responses.Responses:
    return responses.Responses(url, Cipher(KEY), keep_seconds=60, highest=Class.INTERNAL)


def _with(url: str, work: Callable[[Connection], object]) -> object:
    with closing(connect(url)) as connection:
        return work(connection)


USES: dict[str, list[Callable[[str, Path], object]]] = {
    "ledger": [
        lambda url, _: query.open_ledger(url),
        lambda url, folder: drain(url, folder / "journal"),
    ],
    "keys": [
        lambda url, _: KeyRing(url).start(),
        lambda url, _: _with(url, keys.prepare),
    ],
    "labels": [
        lambda url, _: _labels(url).put(PAIR),
        lambda url, _: _labels(url).claim(),
        lambda url, _: _with(url, labels_judges.counted),
    ],
    "responses": [
        lambda url, _: _responses(url).put(id="r", owner="", class_=Class.PUBLIC, response=b"{}", input=b"[]"),
        lambda url, _: _responses(url).get("r", ""),
        lambda url, _: _with(url, responses.sizes),
    ],
    "capabilities": [
        lambda url, _: _with(url, capabilities.prepare),
        lambda url, _: _with(url, capabilities.load),
        lambda url, _: _with(url, lambda connection: capabilities.forget(connection, "far")),
    ],
    "promises": [
        lambda url, _: _with(url, lambda connection: promises.load(connection, "r", "s")),
        lambda url, _: _with(url, lambda connection: promises.change(connection, "r", "s", str)),
    ],
    "audit": [lambda url, folder: audit_copy.copy(folder / "audit", url)],
}
"""Room → all that touches its tables."""


def contents(url: str) -> dict[str, list[str]]:
    """Every row of every table."""
    with closing(connect(url)) as connection:
        listing = (
            "SELECT name FROM sqlite_master WHERE type = 'table'"
            if connection.dialect == "sqlite"
            else "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
        )
        names = [name for (name,) in connection.rows(listing)]
        return {name: sorted(map(repr, connection.rows(f'SELECT * FROM "{name}"'))) for name in names}


def newer(url: str, room: str) -> None:
    """A newer nearfar was here."""
    with closing(connect(url)) as connection:
        migrate(connection, room, (*ROOMS[room], LATER))


def upgraded(url: str, room: str) -> None:
    """The newer one is installed: what it wrote is no secret any more."""
    with closing(connect(url)) as connection:
        connection.execute("DELETE FROM nearfar_migrations WHERE room = ? AND name = ?", (room, LATER.name))


@pytest.mark.parametrize("room", ROOMS)
def test_what_a_newer_one_wrote_is_refused_and_left_as_it_is(database_url: str, tmp_path: Path, room: str) -> None:
    newer(database_url, room)
    before = contents(database_url)
    for use in USES[room]:
        with pytest.raises(StoreUnavailable, match=f"newer nearfar \\({room}: 999-later\\)") as caught:
            use(database_url, tmp_path)
        assert caught.value.code == "database_too_new"
        assert "Upgrade" in caught.value.hint
    assert contents(database_url) == before


@pytest.mark.parametrize("room", ROOMS)
def test_other_rooms_of_the_same_database_go_on(database_url: str, room: str) -> None:
    other = next(name for name in ROOMS if name != room)
    newer(database_url, other)
    with closing(connect(database_url)) as connection:
        assert migrate(connection, room, ROOMS[room])


def test_what_is_asked_meanwhile_waits_in_the_journal(database_url: str, tmp_path: Path) -> None:
    newer(database_url, "ledger")
    before = contents(database_url)
    ledger = Ledger(database_url, tmp_path / "journal", flush_seconds=60)
    ledger.begin(begin("ended"))
    ledger.end(end("ended", cost=3))
    ledger.begin(begin("open"))
    with pytest.raises(StoreUnavailable, match="newer"):
        ledger.flush()
    health = ledger.health()
    assert (health.healthy, health.accepting) == (False, True)
    assert "newer nearfar" in health.reason
    assert not ledger.close(), "what could not be brought into the database is kept"
    assert contents(database_url) == before
    upgraded(database_url, "ledger")
    drain(database_url, tmp_path / "journal")
    with closing(query.open_ledger(database_url)) as connection:
        found = {entry.attempt: (entry.outcome, entry.cost) for entry in query.entries(connection)}
    assert found == {"ended": ("ok", 3), "open": ("unknown", 1000)}


@pytest.mark.parametrize("room", [name for name, found in ROOMS.items() if len(found) > 1])
def test_an_older_one_is_brought_up_to_date_step_by_step(database_url: str, room: str) -> None:
    migrations = ROOMS[room]
    with closing(connect(database_url)) as connection:
        for count in range(1, len(migrations) + 1):
            assert migrate(connection, room, migrations[:count]) == [migrations[count - 1].name]
        assert migrate(connection, room, migrations) == []


def test_what_lay_in_an_older_one_is_still_there(database_url: str) -> None:
    with closing(connect(database_url)) as connection:
        migrate(connection, "keys", keys.MIGRATIONS[:1])
        secret = "nf-" + os.urandom(8).hex()
        connection.insert(
            "INSERT INTO nearfar_keys (id, name, digest, last4, class, created)",
            [("key_1", "clinic", keys.digest(secret).hex(), secret[-4:], "confidential", 1)],
        )
    ring = KeyRing(database_url)
    ring.start()
    caller = ring.lookup(secret)
    ring.close()
    assert caller is not None
    assert (caller.name, caller.floor, caller.operator) == ("clinic", Class.CONFIDENTIAL, False)


def _detail(gateway: running.Gateway) -> str:
    checks = {check["name"]: check for check in gateway.ask("/readyz").json["checks"]}
    return str(checks["ledger"]["detail"])


@pytest.mark.slow
def test_a_gateway_on_a_newer_ledger_says_so_and_loses_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    newer(url, "ledger")
    before = contents(url)["nearfar_entries"]
    with stand_ins.running(invoices=tmp_path / "invoices.jsonl") as far:
        with running.gateway(tmp_path, running.far("far", far.url), ledger_url=url) as gateway:
            told = running.eventually(lambda: _detail(gateway))
            assert "newer nearfar (ledger: 999-later)" in told
            reply = gateway.chat("far")
            assert reply.status == 200, "who asks is answered: the journal has it"
            doctor = running.command(tmp_path, "doctor", "--json")
            checks = {item["name"]: item for item in json.loads(doctor.stdout)["checks"]}
            assert checks["database"]["state"] == "fail"
            usage = running.command(tmp_path, "usage")
            assert usage.returncode == 1
            assert "newer nearfar" in usage.stderr
            assert "Traceback" not in usage.stderr
        assert contents(url)["nearfar_entries"] == before
        upgraded(url, "ledger")
        assert running.command(tmp_path, "usage").returncode == 0
    with closing(query.open_ledger(url)) as connection:
        (entry,) = query.entries(connection)
    (invoice,) = stand_ins.read_invoices(tmp_path / "invoices.jsonl")
    assert (entry.attempt, entry.cost) == (invoice.request, invoice.nano_usd)


@pytest.mark.slow
def test_a_gateway_does_not_start_on_newer_keys(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    newer(url, "keys")
    before = contents(url)
    running.configure(tmp_path, "", ledger_url=url)
    told = running.command(tmp_path, "serve", "--port", "0")
    assert told.returncode == 1
    assert "newer nearfar (keys: 999-later)" in told.stderr
    assert "Upgrade nearfar" in told.stderr
    assert "Traceback" not in told.stderr
    assert contents(url)["nearfar_keys"] == before["nearfar_keys"], "who may ask is not guessed"
