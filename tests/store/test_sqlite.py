from __future__ import annotations

import resource
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from nearfar.core.errors import StoreUnavailable
from nearfar.store.sqlite import SqliteConnection


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.db"


@pytest.fixture
def connection(path: Path) -> Iterator[SqliteConnection]:
    opened = SqliteConnection(path, wait=0.05)
    yield opened
    opened.close()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_file_folder_and_side_files_are_the_owners_alone(connection: SqliteConnection, path: Path) -> None:
    connection.execute("CREATE TABLE t (a TEXT)")
    assert mode(path.parent) == 0o700
    assert {child.name: mode(child) for child in path.parent.iterdir()} == {
        "ledger.db": 0o600,
        "ledger.db-wal": 0o600,
        "ledger.db-shm": 0o600,
    }


def test_wal_and_its_settings_are_on(connection: SqliteConnection) -> None:
    assert connection.rows("PRAGMA journal_mode") == [("wal",)]
    assert connection.rows("PRAGMA synchronous") == [(1,)]
    assert connection.rows("PRAGMA foreign_keys") == [(1,)]
    assert connection.rows("PRAGMA busy_timeout") == [(50,)]


def test_readers_do_not_wait_for_the_writer(connection: SqliteConnection, path: Path) -> None:
    connection.execute("CREATE TABLE t (a TEXT)")
    reader = SqliteConnection(path, wait=0)
    with connection.transaction():
        connection.execute("INSERT INTO t VALUES ('new')")
        assert reader.rows("SELECT * FROM t") == []
    assert reader.rows("SELECT * FROM t") == [("new",)]
    reader.close()


def test_a_file_that_is_no_database_is_named(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("this is a shopping list, not a database\n" * 50)
    with pytest.raises(StoreUnavailable, match="cannot be used: file is not a database") as caught:
        SqliteConnection(path, wait=0)
    assert "something else" in caught.value.hint
    assert isinstance(caught.value.__cause__, sqlite3.DatabaseError)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="file") as caught:
        SqliteConnection(tmp_path / "file" / "ledger.db", wait=0)
    assert "folder" in caught.value.hint


def test_use_after_close_is_a_store_error_and_closing_twice_is_none(path: Path) -> None:
    connection = SqliteConnection(path, wait=0)
    connection.close()
    connection.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        connection.execute("SELECT 1")


def test_a_broken_rule_of_a_table_is_not_hidden_as_an_outage(connection: SqliteConnection) -> None:
    connection.execute("CREATE TABLE t (a TEXT PRIMARY KEY)")
    connection.execute("INSERT INTO t VALUES ('x')")
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute("INSERT INTO t VALUES ('x')")


def test_a_disk_without_room_fails_clearly_and_keeps_what_was_there(path: Path) -> None:
    """The limit on file size is the kernel's own: writes beyond it fail as on a full disk."""
    program = f"""
import resource, sys
from pathlib import Path
from nearfar.core.errors import StoreUnavailable
from nearfar.store.sqlite import SqliteConnection
connection = SqliteConnection(Path({str(path)!r}), wait=1)
connection.execute("CREATE TABLE t (a TEXT)")
connection.execute("INSERT INTO t VALUES ('kept')")
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, {resource.RLIM_INFINITY}))
try:
    for _ in range(100):
        with connection.transaction():
            connection.insert("INSERT INTO t (a)", [("x" * 10_000,)] * 3)
except StoreUnavailable as error:
    print(error.text)
else:
    sys.exit("the limit did not hold")
resource.setrlimit(resource.RLIMIT_FSIZE, ({resource.RLIM_INFINITY}, {resource.RLIM_INFINITY}))
with connection.transaction():
    connection.execute("INSERT INTO t VALUES ('after')")
counts = dict(connection.rows("SELECT substr(a, 1, 5), COUNT(*) FROM t GROUP BY 1"))
assert counts.pop("kept") == counts.pop("after") == 1, counts
assert all(count % 3 == 0 for count in counts.values()), counts
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "ledger.db cannot be used" in done.stdout


def test_a_second_connection_keeps_the_locks_of_the_first(tmp_path: Path) -> None:
    """POSIX locks die with any closed descriptor of the file: a passing process would then delete the log we use."""
    path = tmp_path / "shared.db"
    with closing(SqliteConnection(path, wait=1.0)) as first:
        first.execute("CREATE TABLE t (x INTEGER)")
        first.execute("INSERT INTO t VALUES (1)")
        with closing(SqliteConnection(path, wait=1.0)) as second:
            assert second.rows("SELECT x FROM t") == [(1,)]
            passing = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); "
            passing += "c.execute('INSERT INTO t VALUES (2)'); c.close()"
            subprocess.run([sys.executable, "-c", passing, str(path)], check=True)
            assert path.with_name("shared.db-wal").exists()
            assert second.rows("SELECT x FROM t ORDER BY x") == [(1,), (2,)]
