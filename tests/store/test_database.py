from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from tests.examples import examples

from nearfar.core.errors import StoreUnavailable
from nearfar.store.connection import Connection, Value
from nearfar.store.database import Migration, connect, migrate

STEPS = (
    Migration(
        name="1", statements=("CREATE TABLE things (name TEXT PRIMARY KEY, size BIGINT, share DOUBLE PRECISION)",)
    ),
    Migration(
        name="2", statements=("ALTER TABLE things ADD COLUMN ok SMALLINT", "CREATE INDEX by_size ON things (size)")
    ),
)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    opened = connect(database_url)
    migrate(opened, "things", STEPS)
    yield opened
    opened.close()


def insert(connection: Connection, *rows: tuple[Value, ...]) -> None:
    connection.insert("INSERT INTO things (name, size, share, ok)", rows)


def test_values_come_back_as_they_went(connection: Connection) -> None:
    rows = [
        ("big", 2**63 - 1, 0.1, 1),
        ("small", -(2**63), -1e300, 0),
        ("nothing", None, None, None),
        ("字 % ? 'x'", 0, 0.0, 1),
    ]
    insert(connection, *rows)
    assert connection.rows("SELECT name, size, share, ok FROM things ORDER BY size IS NULL, size DESC") == [
        rows[0],
        rows[3],
        rows[1],
        rows[2],
    ]
    assert connection.rows("SELECT name FROM things WHERE name LIKE '%s%' AND size = ?", (-(2**63),)) == [("small",)]


def test_many_rows_go_in_at_once_and_conflicts_follow_the_tail(connection: Connection) -> None:
    insert(connection, *((f"n{number}", number, None, 1) for number in range(3000)))
    connection.insert(
        "INSERT INTO things (name, size, share, ok)",
        [(f"n{number}", -1, None, 1) for number in range(2990, 3010)],
        "ON CONFLICT (name) DO UPDATE SET size = excluded.size WHERE things.size < 2995",
    )
    connection.insert("INSERT INTO things (name)", [])
    assert connection.rows("SELECT COUNT(*), SUM(CASE WHEN size = -1 THEN 1 ELSE 0 END) FROM things") == [(3010, 15)]


def test_execute_tells_how_many_rows_changed(connection: Connection) -> None:
    insert(connection, ("a", 1, None, 1), ("b", 1, None, 1), ("c", 2, None, 1))
    assert connection.execute("UPDATE things SET size = 3 WHERE size = ?", (1,)) == 2
    assert connection.execute("DELETE FROM things WHERE size = 9") == 0


def test_a_transaction_is_all_or_nothing(connection: Connection) -> None:
    with suppress(ZeroDivisionError), connection.transaction():
        insert(connection, ("a", 1, None, 1))
        raise ZeroDivisionError
    assert connection.rows("SELECT name FROM things") == []
    with connection.transaction():
        insert(connection, ("b", 1, None, 1))
    assert connection.rows("SELECT name FROM things") == [("b",)]


def test_two_writers_at_once_lose_nothing(database_url: str) -> None:
    first = connect(database_url)
    migrate(first, "things", STEPS)
    insert(first, ("count", 0, None, 1))

    def work() -> None:
        connection = connect(database_url)
        for _ in range(25):
            with connection.transaction():
                connection.exclusive("count")
                ((size,),) = connection.rows("SELECT size FROM things WHERE name = 'count'")
                connection.execute("UPDATE things SET size = ? WHERE name = 'count'", (size + 1,))
        connection.close()

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work) for _ in range(4)]:
            done.result()
    assert first.rows("SELECT size FROM things") == [(100,)]
    first.close()


def test_a_foreign_lock_ends_in_a_clear_error_after_the_wait(database_url: str) -> None:
    holder, other = connect(database_url), connect(database_url, wait=0.05)
    migrate(holder, "things", STEPS)
    with holder.transaction():
        if holder.dialect == "postgresql":
            holder.execute("LOCK TABLE things IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StoreUnavailable, match="lock") as caught, other.transaction():
            insert(other, ("a", 1, None, 1))
    assert caught.value.hint
    insert(other, ("a", 1, None, 1))
    assert holder.rows("SELECT name FROM things") == [("a",)]
    holder.close()
    other.close()


def test_steps_are_applied_once_and_in_order(database_url: str) -> None:
    connection = connect(database_url)
    assert migrate(connection, "things", STEPS[:1]) == ["1"]
    assert migrate(connection, "things", STEPS) == ["2"]
    assert migrate(connection, "things", STEPS) == []
    assert migrate(connection, "others", [Migration(name="1", statements=("CREATE TABLE others (a TEXT)",))]) == ["1"]
    connection.close()


def test_a_failing_step_leaves_nothing_behind(database_url: str) -> None:
    connection = connect(database_url)
    broken = Migration(name="2", statements=("CREATE TABLE more (a TEXT)", "INSERT INTO more VALUES (1, 2, 3)"))
    with pytest.raises(Exception, match="more"):
        migrate(connection, "things", [STEPS[0], broken])
    assert not connection.table_exists("more")
    assert not connection.table_exists("things")
    assert migrate(connection, "things", STEPS) == ["1", "2"]
    connection.close()


def test_a_database_of_a_newer_release_is_refused(database_url: str) -> None:
    connection = connect(database_url)
    migrate(connection, "things", STEPS)
    with pytest.raises(StoreUnavailable, match="newer nearfar"):
        migrate(connection, "things", STEPS[:1])
    connection.close()


def test_many_starting_at_once_apply_each_step_once(database_url: str) -> None:
    ready = threading.Barrier(6)

    def start() -> list[str]:
        ready.wait()
        connection = connect(database_url)
        try:
            return migrate(connection, "things", STEPS)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        applied = [done.result() for done in [pool.submit(start) for _ in range(6)]]
    assert sorted(applied) == [[], [], [], [], [], ["1", "2"]]


@pytest.mark.parametrize(
    "url", ["", "ledger.db", "mysql://host/x", "sqlite:", "sqlite:///", "sqlite://x", "sqlite:///:memory:"]
)
def test_other_addresses_are_refused_with_the_next_step(url: str) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        connect(url)
    assert caught.value.code == "bad_database_url"
    assert "sqlite:///PATH" in caught.value.hint


def test_sqlite_addresses_name_relative_and_absolute_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    connect("sqlite:///here.db").close()
    connect(f"sqlite:///{tmp_path / 'deep' / 'er' / 'there % ?.db'}").close()
    assert (tmp_path / "here.db").is_file()
    assert (tmp_path / "deep" / "er" / "there % ?.db").is_file()


@examples(50, suppress=[HealthCheck.function_scoped_fixture])
@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=50),
    st.integers(-(2**63), 2**63 - 1) | st.none(),
    st.floats(allow_nan=False, allow_infinity=False) | st.none(),
)
def test_any_value_survives(connection: Connection, text: str, number: int | None, share: float | None) -> None:
    connection.execute("DELETE FROM things")
    insert(connection, (text, number, share, 1))
    assert connection.rows("SELECT name, size, share, ok FROM things WHERE name = ?", (text,)) == [
        (text, number, share, 1)
    ]
