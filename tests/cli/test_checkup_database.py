"""What the doctor says of a database that another version of nearfar wrote."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from tests.cli.conftest import Cli

from nearfar.cli.checkup import Check
from nearfar.cli.checkup_database import database
from nearfar.ledger import schema
from nearfar.settings.load import load
from nearfar.store import keys
from nearfar.store.database import Migration, connect, migrate

LATER = Migration(name="9-later", statements=("CREATE TABLE nearfar_later (a TEXT)",))


def checked(cli: Cli) -> list[Check]:
    path = cli.write("")
    return list(database(load(config=Path(path), environ=cli.environ)))


def prepared(cli: Cli, room: str, migrations: tuple[Migration, ...]) -> None:
    path = cli.write("")
    with closing(connect(load(config=Path(path), environ=cli.environ).ledger_url)) as connection:
        migrate(connection, room, migrations)


def test_a_database_that_is_not_there_is_not_made(cli: Cli) -> None:
    assert checked(cli) == []
    assert not list(cli.home.rglob("*.db"))


def test_ours_is_fine(cli: Cli) -> None:
    prepared(cli, "ledger", schema.MIGRATIONS)
    assert [check.state for check in checked(cli)] == ["ok"]


def test_a_newer_one_fails_and_says_which(cli: Cli) -> None:
    prepared(cli, "ledger", schema.MIGRATIONS)
    prepared(cli, "keys", (*keys.MIGRATIONS, LATER))
    (check,) = checked(cli)
    assert check.state == "fail"
    assert "newer nearfar (keys: 9-later)" in check.detail
    assert "Upgrade" in check.next


def test_an_older_one_is_told_and_left_alone(cli: Cli) -> None:
    prepared(cli, "keys", keys.MIGRATIONS[:1])
    for _ in range(2):
        (check,) = checked(cli)
        assert check.state == "ok"
        assert "keys: 2-operator" in check.detail
