from __future__ import annotations

import hashlib
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.errors import BadRequestError, ConflictError, NotFoundError
from nearfar.core.places import Class
from nearfar.store import keys
from nearfar.store.connection import Connection
from nearfar.store.database import connect, migrate


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    opened = connect(database_url)
    keys.prepare(opened)
    yield opened
    opened.close()


def test_a_new_key_shows_its_secret_once_and_stores_a_digest(connection: Connection) -> None:
    key, secret = keys.new(connection, "Radiology", floor=Class.CONFIDENTIAL)
    assert secret.startswith("nf-")
    assert len(secret) == 3 + 43, "256 bits in base 64"
    assert key.last4 == secret[-4:]
    assert key.class_ == "confidential"
    ((stored,),) = connection.rows("SELECT digest FROM nearfar_keys")
    assert stored == hashlib.sha256(secret.encode()).hexdigest()
    everything = str(connection.rows("SELECT * FROM nearfar_keys"))
    assert secret not in everything
    assert secret[3:20] not in everything
    assert keys.ls(connection) == [key]


def test_secrets_and_ids_differ(connection: Connection) -> None:
    made = [keys.new(connection, "same name") for _ in range(20)]
    assert len({secret for _, secret in made}) == 20
    assert len({key.id for key, _ in made}) == 20
    assert [key.id for key in keys.ls(connection)] == [key.id for key, _ in made]


def test_revoking_by_id_or_by_a_name_that_only_one_has(connection: Connection) -> None:
    first, _ = keys.new(connection, "app")
    second, _ = keys.new(connection, "app")
    other, _ = keys.new(connection, "other")
    with pytest.raises(ConflictError, match="2 keys are named 'app'") as caught:
        keys.revoke(connection, "app")
    assert first.id in caught.value.hint
    revoked = keys.revoke(connection, first.id)
    assert revoked.revoked is not None
    assert msgspec.structs.replace(revoked, revoked=None) == first
    assert keys.revoke(connection, "app").id == second.id
    assert keys.ls(connection) == [other]
    assert [key.id for key in keys.ls(connection, revoked=True)] == [first.id, second.id, other.id]


def test_revoking_twice_keeps_the_first_time_and_counts_as_no_change(connection: Connection) -> None:
    key, _ = keys.new(connection, "app")
    once = keys.revoke(connection, key.id)
    version = keys.version(connection)
    assert keys.revoke(connection, key.id) == once
    assert keys.version(connection) == version


def test_revoking_what_is_not_there_says_where_to_look(connection: Connection) -> None:
    with pytest.raises(NotFoundError, match="no key 'ghost'") as caught:
        keys.revoke(connection, "ghost")
    assert "keys ls" in caught.value.hint


@pytest.mark.parametrize("name", ["", "   ", "a\nb", "\x1b[31mred", "x" * 101])
def test_names_that_would_confuse_a_terminal_are_refused(connection: Connection, name: str) -> None:
    with pytest.raises(BadRequestError, match="name"):
        keys.new(connection, name)
    assert keys.ls(connection) == []


def test_every_change_counts_the_version_up(connection: Connection) -> None:
    versions = [keys.version(connection)]
    key, _ = keys.new(connection, "放射科")
    versions.append(keys.version(connection))
    keys.touch(connection, [key.id])
    assert keys.version(connection) == versions[-1], "being used is no change"
    keys.revoke(connection, "放射科")
    versions.append(keys.version(connection))
    assert versions == [versions[0], versions[0] + 1, versions[0] + 2]


def test_use_is_noted(connection: Connection) -> None:
    key, _ = keys.new(connection, "app")
    assert key.last_used is None
    keys.touch(connection, [key.id, "gone"])
    (seen,) = keys.ls(connection)
    assert seen.last_used is not None
    assert seen.last_used >= key.created


@given(st.text(max_size=60))
def test_any_text_has_a_digest(secret: str) -> None:
    assert len(keys.digest(secret)) == 32


def test_an_operators_key_says_so_and_others_do_not(connection: Connection) -> None:
    plain, _ = keys.new(connection, "app")
    operator, _ = keys.new(connection, "ops", operator=True)
    assert [key.operator for key in keys.ls(connection)] == [False, True] == [plain.operator, operator.operator]


def test_keys_from_before_there_were_operators_stay_and_are_none(database_url: str) -> None:
    connection = connect(database_url)
    try:
        migrate(connection, "keys", keys.MIGRATIONS[:1])
        connection.insert(
            "INSERT INTO nearfar_keys (id, name, digest, last4, class, created)",
            [("key_1", "old", keys.digest("nf-old").hex(), "-old", "", 1)],
        )
        keys.prepare(connection)
        ((digest, key),) = keys.digests(connection)
        assert (digest, key.name, key.operator) == (keys.digest("nf-old"), "old", False)
        assert keys.new(connection, "ops", operator=True)[0] in keys.ls(connection)
    finally:
        connection.close()
