"""The copy for queries: on SQLite and PostgreSQL, and bringing the same records twice changes nothing."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from tests.ledger.audits import REFUSED, REPLIED, attempt, audit, chain

from nearfar.ledger.audit_copy import copy
from nearfar.store.database import connect


def test_records_are_brought_once(tmp_path: Path, database_url: str) -> None:
    folder = tmp_path / "audit"
    chain(folder, attempt(class_="restricted", kinds={"medical.x": 2}), REFUSED)
    assert copy(folder, database_url) == 4
    assert copy(folder, database_url) == 0
    made = audit(folder)
    made.submit(attempt(place="cloud", bytes=7)).result(10)
    assert copy(folder, database_url) == 2
    made.close()
    assert copy(folder, database_url) == 1
    with closing(connect(database_url)) as connection:
        rows = connection.rows("SELECT type, class, place, bytes, code, kinds FROM nearfar_audit ORDER BY writer, n")
    assert rows == [
        ("opened", "", "", 0, "", "{}"),
        ("attempt", "restricted", "device", 2, "", '{"medical.x":2}'),
        ("refused", "restricted", "", 0, "pii_blocked", '{"medical.x":1}'),
        ("closed", "", "", 0, "", "{}"),
        ("opened", "", "", 0, "", "{}"),
        ("attempt", "internal", "cloud", 7, "", "{}"),
        ("closed", "", "", 0, "", "{}"),
    ]


def test_what_a_reply_brought_up_is_brought_with_its_deployment(tmp_path: Path) -> None:
    folder, url = tmp_path / "audit", f"sqlite:///{tmp_path / 'copy.db'}"
    chain(folder, attempt(), REPLIED)
    assert copy(folder, url) == 4
    with closing(connect(url)) as connection:
        rows = connection.rows(
            "SELECT attempt, class, deployment, place, host, kinds FROM nearfar_audit WHERE type = 'reply'"
        )
    assert rows == [("att-1-1", "restricted", "far", "cloud", "", '{"email":2}')]


def test_many_records_are_brought_in_groups(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    made = audit(folder)
    for done in [made.submit(attempt(request=f"r{number}")) for number in range(1200)]:
        done.result(10)
    made.close()
    assert copy(folder, f"sqlite:///{tmp_path / 'copy.db'}") == 1202
