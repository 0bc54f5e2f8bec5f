from __future__ import annotations

from nearfar.ledger.schema import COLUMNS, MIGRATIONS
from nearfar.store.database import connect, migrate


def test_the_columns_are_the_tables_in_the_same_order(database_url: str) -> None:
    connection = connect(database_url)
    assert migrate(connection, "ledger", MIGRATIONS) == [migration.name for migration in MIGRATIONS]
    if connection.dialect == "sqlite":
        names = [row[1] for row in connection.rows("PRAGMA table_info(nearfar_entries)")]
    else:
        sql = "SELECT attname FROM pg_attribute WHERE attrelid = 'nearfar_entries'::regclass AND attnum > 0"
        names = [row[0] for row in connection.rows(f"{sql} ORDER BY attnum")]
    assert names == list(COLUMNS)
    connection.close()


def test_settling_the_dead_uses_the_index_of_open_entries(database_url: str) -> None:
    connection = connect(database_url)
    migrate(connection, "ledger", MIGRATIONS)
    explain = "EXPLAIN QUERY PLAN" if connection.dialect == "sqlite" else "EXPLAIN"
    sql = f"{explain} UPDATE nearfar_entries SET cost = bound WHERE writer = 'w' AND outcome = 'open'"
    assert "nearfar_entries_open" in str(connection.rows(sql))
    connection.close()
