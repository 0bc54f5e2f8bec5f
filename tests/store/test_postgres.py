from __future__ import annotations

import re
import subprocess
import sys
import traceback
from contextlib import closing

import psycopg
import pytest

from nearfar.core.errors import StoreUnavailable
from nearfar.store import keys
from nearfar.store.database import connect
from nearfar.store.postgres import PostgresConnection


def test_it_is_a_real_postgresql(postgres_url: str) -> None:
    connection = PostgresConnection(postgres_url, wait=1)
    ((version,),) = connection.rows("SELECT version()")
    assert version.startswith("PostgreSQL 18")
    connection.close()


def test_a_server_that_is_not_there_is_named_without_the_password() -> None:
    with pytest.raises(StoreUnavailable, match=r"postgresql://bo@127\.0\.0\.1:1/ledger cannot be used") as caught:
        PostgresConnection("postgresql://bo:s3cret@127.0.0.1:1/ledger", wait=1)
    assert "s3cret" not in caught.value.text


def test_a_lost_session_is_an_outage_and_closing_it_is_not(postgres_url: str) -> None:
    connection = PostgresConnection(postgres_url, wait=1)
    ((pid,),) = connection.rows("SELECT pg_backend_pid()")
    with psycopg.connect(postgres_url) as killer:
        killer.execute("SELECT pg_terminate_backend(%s)", (pid,))
    with pytest.raises(StoreUnavailable), connection.transaction():
        connection.execute("SELECT 1")
    connection.close()
    connection.close()


def test_use_after_close_is_a_store_error(postgres_url: str) -> None:
    connection = PostgresConnection(postgres_url, wait=1)
    connection.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        connection.rows("SELECT 1")


def test_missing_rights_say_what_to_grant(postgres_url: str) -> None:
    owner = PostgresConnection(postgres_url, wait=1)
    owner.execute("CREATE ROLE guest LOGIN")
    guest = PostgresConnection(postgres_url.replace("test@", "guest@"), wait=1)
    with pytest.raises(StoreUnavailable, match="permission denied") as caught:
        guest.execute("CREATE TABLE mine (a TEXT)")
    assert "Grant" in caught.value.hint
    guest.close()
    owner.execute("DROP ROLE guest")
    owner.close()


def test_a_schema_that_is_not_there_says_what_to_create(postgres_url: str) -> None:
    mark = "&" if "?" in postgres_url else "?"
    url = f"{postgres_url}{mark}options=-csearch_path%3Dnowhere"
    with (
        closing(connect(url)) as connection,
        pytest.raises(StoreUnavailable, match="no schema has been selected") as caught,
    ):
        keys.prepare(connection)
    assert "CREATE SCHEMA" in caught.value.hint


def test_tables_of_somebody_else_are_said_to_be_that(postgres_url: str) -> None:
    connection = PostgresConnection(postgres_url, wait=1)
    connection.execute("CREATE TABLE nearfar_migrations (strange TEXT)")
    with pytest.raises(StoreUnavailable, match="does not exist") as caught:
        keys.prepare(connection)
    assert "of its own" in caught.value.hint
    connection.close()


def test_a_database_that_is_not_there(postgres_url: str) -> None:
    url = re.sub(r"(/)[^/?]+(\?|$)", r"\1no_such_database\2", postgres_url, count=0)
    with pytest.raises(StoreUnavailable, match="no_such_database") as caught:
        PostgresConnection(url, wait=1)
    assert "exists" in caught.value.hint


@pytest.mark.parametrize("rest", ["bo:s3cret%zz@127.0.0.1/x", "bo:s3cret@[::1/x", "bo:s3cret@127.0.0.1/x?nonsense=1"])
def test_an_address_that_is_none_is_not_repeated(rest: str) -> None:
    with pytest.raises(StoreUnavailable, match="address is not one") as caught:
        PostgresConnection(f"postgresql://{rest}", wait=1)
    shown = "".join(traceback.format_exception(caught.value))
    assert "s3cret" not in shown.replace(rest, "")


def test_without_the_driver_the_error_says_what_to_install() -> None:
    program = """
import sys
sys.modules["psycopg"] = None
from nearfar.core import install
from nearfar.core.errors import StoreUnavailable
from nearfar.store.database import connect
try:
    connect("postgresql://localhost/ledger")
except StoreUnavailable as error:
    assert error.code == "postgres_missing", error.code
    assert install.command("postgres") in error.hint, error.hint
else:
    sys.exit("no error")
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_sqlite_users_do_not_pay_for_the_driver() -> None:
    program = """
import sys
import nearfar.store.database, nearfar.store.sqlite
assert "psycopg" not in sys.modules
assert "nearfar.store.postgres" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
