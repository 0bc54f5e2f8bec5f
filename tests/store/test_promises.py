"""Promises in the database, on SQLite and PostgreSQL alike."""

from __future__ import annotations

import threading
from contextlib import closing

from nearfar.store.database import connect
from nearfar.store.promises import change, load


def test_what_is_written_stands_for_its_route_and_subject(database_url: str) -> None:
    with closing(connect(database_url)) as connection:
        assert load(connection, "r", "s") == "", "nobody has written: no table is no error"
        assert change(connection, "r", "s", lambda text: text + "a") == "a"
        assert change(connection, "r", "s", lambda text: text + "b") == "ab"
        assert change(connection, "r", "other", lambda text: text + "c") == "c"
        assert [load(connection, "r", "s"), load(connection, "r", "other"), load(connection, "q", "s")] == [
            "ab",
            "c",
            "",
        ]


def test_changes_of_several_processes_do_not_get_lost(database_url: str) -> None:
    def add() -> None:
        with closing(connect(database_url)) as connection:
            for _ in range(10):
                change(connection, "r", "s", lambda text: str(int(text or "0") + 1))

    threads = [threading.Thread(target=add) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with closing(connect(database_url)) as connection:
        assert load(connection, "r", "s") == "30"
