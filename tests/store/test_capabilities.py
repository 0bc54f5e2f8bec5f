"""Findings of probes, on SQLite and PostgreSQL alike."""

from __future__ import annotations

from contextlib import closing

from nearfar.store.capabilities import Finding, forget, load, prepare, save
from nearfar.store.database import connect


def finding(what: str, can: bool | None, deployment: str = "a") -> Finding:
    return Finding(deployment=deployment, target="p m u", what=what, can=can, detail="seen", date="2026-11-22")


def test_what_is_saved_is_loaded_and_a_new_probe_replaces_the_old(database_url: str) -> None:
    with closing(connect(database_url)) as connection:
        assert load(connection) == [], "nobody has probed: no table is no error"
        prepare(connection)
        prepare(connection)
        assert load(connection) == []
        first = [finding("streaming", True), finding("tools", False), finding("cancel", None)]
        save(connection, "a", first)
        save(connection, "b", [finding("tools", True, "b")])
        assert load(connection) == [first[2], first[0], first[1], finding("tools", True, "b")]
        save(connection, "a", [finding("tools", True)])
        assert load(connection) == [finding("tools", True), finding("tools", True, "b")]
        save(connection, "a", [])
        assert load(connection) == [finding("tools", True, "b")]
        assert forget(connection, "a") == 0
        assert forget(connection, "b") == 1
        assert load(connection) == []


def test_where_nobody_probed_there_is_nothing_to_forget(database_url: str) -> None:
    with closing(connect(database_url)) as connection:
        assert forget(connection, "a") == 0
