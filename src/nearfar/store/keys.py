"""Callers' keys in the database: make, list, revoke. It knows no request; see ``keyring`` for looking them up.

A secret is ``nf-`` and 256 random bits, shown once. Only its SHA-256 is stored. A slow, salted hash protects secrets
that people choose, because those can be guessed; nobody guesses 256 random bits, however quick the hash is.
"""

from __future__ import annotations

import hashlib
import secrets
import time

import msgspec

from nearfar.core.errors import BadRequestError, ConflictError, NotFoundError
from nearfar.core.places import Class
from nearfar.store.connection import Connection, Row
from nearfar.store.database import Migration, migrate
from nearfar.store.ids import Ids

PREFIX = "nf-"
_LONGEST_NAME = 100

MIGRATIONS = (
    Migration(
        name="1-keys",
        statements=(
            """
            CREATE TABLE nearfar_keys (
                id TEXT PRIMARY KEY,
                name TEXT NOT NULL,
                digest TEXT NOT NULL UNIQUE,
                last4 TEXT NOT NULL,
                class TEXT NOT NULL,
                created BIGINT NOT NULL,
                last_used BIGINT,
                revoked BIGINT
            )
            """,
            # One row that every change counts up: how other processes notice.
            "CREATE TABLE nearfar_keys_version (version BIGINT NOT NULL)",
            "INSERT INTO nearfar_keys_version (version) VALUES (1)",
        ),
    ),
    # Keys that were there before may no longer load and unload models: nobody said that they should.
    Migration(
        name="2-operator", statements=("ALTER TABLE nearfar_keys ADD COLUMN operator BIGINT NOT NULL DEFAULT 0",)
    ),
)


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A caller's key, without its secret. Times are nanoseconds since the epoch."""

    id: str
    name: str
    last4: str
    """The secret's last characters, to tell keys apart."""
    class_: str = msgspec.field(name="class", default="")
    """Requests with this key are at least this sensitive; empty when the key says nothing."""
    created: int
    last_used: int | None = None
    """When a gateway last saw it, to about a minute."""
    revoked: int | None = None
    operator: bool = False
    """Whether it may change what runs: load and unload models."""


def prepare(connection: Connection) -> None:
    """Make the tables where they are missing."""
    migrate(connection, "keys", MIGRATIONS)


def new(
    connection: Connection, name: str, *, floor: Class | None = None, operator: bool = False, ids: Ids | None = None
) -> tuple[Key, str]:
    """A new key and its secret, which is nowhere to be had again."""
    if not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable():
        raise BadRequestError(
            f"{name!r} cannot be the name of a key.",
            param="name",
            hint=f"Use 1 to {_LONGEST_NAME} printable characters, for example the caller's.",
        )
    secret = PREFIX + secrets.token_urlsafe(32)
    key = Key(
        id=(ids or Ids()).new("key_"),
        name=name.strip(),
        last4=secret[-4:],
        class_=floor.label if floor is not None else "",
        created=time.time_ns(),
        operator=operator,
    )
    with connection.transaction():
        connection.insert(
            "INSERT INTO nearfar_keys (id, name, digest, last4, class, created, operator)",
            [(key.id, key.name, digest(secret).hex(), key.last4, key.class_, key.created, int(operator))],
        )
        _changed(connection)
    return key, secret


def ls(connection: Connection, *, revoked: bool = False) -> list[Key]:
    """The keys, oldest first; with ``revoked``, those that work no more, too."""
    condition = "1 = 1" if revoked else "revoked IS NULL"
    return _keys(connection, f"WHERE {condition} ORDER BY created, id", ())


def revoke(connection: Connection, which: str) -> Key:
    """Make the key with this id, or this name if only one has it, unusable everywhere within a second.

    Raises NotFoundError, and ConflictError when several working keys have the name. Revoking twice changes nothing.
    """
    with connection.transaction():
        found = _keys(connection, "WHERE id = ?", (which,))
        found = found or _keys(connection, "WHERE name = ? AND revoked IS NULL ORDER BY created, id", (which,))
        if not found:
            raise NotFoundError(f"There is no key {which!r}.", hint="See `nearfar keys ls`.")
        if len(found) > 1:
            ids = ", ".join(key.id for key in found)
            raise ConflictError(f"{len(found)} keys are named {which!r}.", hint=f"Name one by its id: {ids}.")
        (key,) = found
        if key.revoked is not None:
            return key
        now = time.time_ns()
        connection.execute("UPDATE nearfar_keys SET revoked = ? WHERE id = ? AND revoked IS NULL", (now, key.id))
        _changed(connection)
        return msgspec.structs.replace(key, revoked=now)


def version(connection: Connection) -> int:
    """A number that grows with every key made or revoked."""
    ((number,),) = connection.rows("SELECT version FROM nearfar_keys_version")
    return int(number)


def digest(secret: str) -> bytes:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def digests(connection: Connection) -> list[tuple[bytes, Key]]:
    """All keys, revoked ones too, each with its secret's digest."""
    rows = connection.rows(f"SELECT digest, {_COLUMNS} FROM nearfar_keys")  # noqa: S608 - column names
    return [(bytes.fromhex(row[0]), _key(row[1:])) for row in rows]


def touch(connection: Connection, ids: list[str]) -> None:
    """These keys have just been used."""
    now = time.time_ns()
    with connection.transaction():
        for one in sorted(ids):  # one order for everybody, so that two gateways never wait for each other
            connection.execute("UPDATE nearfar_keys SET last_used = ? WHERE id = ?", (now, one))


_COLUMNS = "id, name, last4, class, created, last_used, revoked, operator"


def _keys(connection: Connection, rest: str, params: tuple[str, ...]) -> list[Key]:
    return [_key(row) for row in connection.rows(f"SELECT {_COLUMNS} FROM nearfar_keys {rest}", params)]  # noqa: S608 - column names


def _key(row: Row) -> Key:
    return Key(
        id=row[0],
        name=row[1],
        last4=row[2],
        class_=row[3],
        created=row[4],
        last_used=row[5],
        revoked=row[6],
        operator=bool(row[7]),
    )


def _changed(connection: Connection) -> None:
    connection.execute("UPDATE nearfar_keys_version SET version = version + 1")
