"""Stored responses: kept for their caller, encrypted, for a while. It knows no wire: what it keeps are bytes.

Each row holds the whole conversation up to it, so that continuing one reads one row, and forgetting one forgets what
it held; others that continued it hold their own copy. Owner, class and times stand in the clear, because they decide
who may read and when a row goes; they are bound to the ciphertext, so nobody can exchange them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

import msgspec

from nearfar.core.errors import StoreUnavailable
from nearfar.core.places import Class
from nearfar.store.connection import Connection, Row
from nearfar.store.database import Migration, connect, migrate

T = TypeVar("T")

LOCK_SECONDS = 2.0
"""How long a request waits for somebody else's lock."""
PURGE_SECONDS = 60.0
"""How often rows whose time is over are looked for, at most."""

MIGRATIONS = (
    Migration(
        name="1-responses",
        statements=(
            """
            CREATE TABLE nearfar_responses (
                id TEXT PRIMARY KEY,
                owner TEXT NOT NULL,
                class TEXT NOT NULL,
                created BIGINT NOT NULL,
                expires BIGINT NOT NULL,
                key TEXT NOT NULL,
                content TEXT NOT NULL
            )
            """,
            "CREATE INDEX nearfar_responses_expires ON nearfar_responses (expires)",
        ),
    ),
)

_INSERT = """
INSERT INTO nearfar_responses (id, owner, class, created, expires, key, content)
VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
_SELECT = """
SELECT id, owner, class, created, expires, key, content
FROM nearfar_responses WHERE id = ? AND owner = ? AND expires > ?
"""


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """One response with the conversation that led to it. Times are seconds since the epoch."""

    id: str
    owner: str
    """Id of the caller's key; empty where the gateway runs without keys."""
    class_: Class
    created: int
    expires: int
    response: msgspec.Raw
    """The response object as the client got it."""
    input: msgspec.Raw
    """All items before it, a JSON array."""


class _Content(msgspec.Struct):
    response: msgspec.Raw
    input: msgspec.Raw


class Encrypts(Protocol):
    """What makes the content unreadable: ``cipher.Cipher``, which needs an extra."""

    id: str

    def encrypt(self, plain: bytes, beside: str) -> str:
        """``plain`` as text that can be read only beside the same words."""
        ...

    def decrypt(self, text: str, beside: str) -> bytes:
        """The inverse; raises StoreUnavailable for anything else."""
        ...


class Responses:
    """Keeps responses in the database. Every call may block: call it from another thread than the event loop's."""

    def __init__(
        self, url: str, cipher: Encrypts, *, keep_seconds: int, highest: Class, clock: Callable[[], float] = time.time
    ) -> None:
        """``highest``: responses of a higher class are not kept."""
        self.highest = highest
        self._url = url
        self._cipher = cipher
        self._keep_seconds = keep_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._purge_at = 0.0

    def put(self, *, id: str, owner: str, class_: Class, response: bytes, input: bytes) -> bool:
        """Keep one; False when its class is too high, or its id is taken. Raises StoreUnavailable."""
        if class_ > self.highest:
            return False
        now = int(self._clock())
        expires = now + self._keep_seconds
        plain = msgspec.json.encode(_Content(msgspec.Raw(response), msgspec.Raw(input)))
        content = self._cipher.encrypt(plain, _beside(id, owner, class_.label, now, expires))
        row = (id, owner, class_.label, now, expires, self._cipher.id, content)
        with self._lock:
            self._purge(now)
            return self._run(lambda connection: connection.execute(_INSERT, row)) == 1

    def get(self, id: str, owner: str) -> Stored | None:
        """The response with this id, if it is ``owner``'s and its time is not over. Raises StoreUnavailable."""
        params = (id, owner, int(self._clock()))
        with self._lock:
            rows = self._run(lambda connection: connection.rows(_SELECT, params))
        return self._stored(rows[0]) if rows else None

    def delete(self, id: str, owner: str) -> bool:
        """Forget one; False when ``owner`` has none of this id. Raises StoreUnavailable."""
        sql = "DELETE FROM nearfar_responses WHERE id = ? AND owner = ? AND expires > ?"
        params = (id, owner, int(self._clock()))
        with self._lock:
            return self._run(lambda connection: connection.execute(sql, params)) == 1

    def close(self) -> None:
        """Give the connection back."""
        with self._lock:
            self._disconnect()

    def _stored(self, row: Row) -> Stored:
        id_, owner, class_, created, expires, key, content = row
        if key != self._cipher.id:
            raise StoreUnavailable(
                "The response was stored with another key.",
                code="cipher_mismatch",
                hint="Gateways that share a database need the same responses.key.",
            )
        plain = self._cipher.decrypt(content, _beside(id_, owner, class_, created, expires))
        found = msgspec.json.decode(plain, type=_Content)
        return Stored(
            id=id_,
            owner=owner,
            class_=Class.parse(class_),
            created=created,
            expires=expires,
            response=found.response,
            input=found.input,
        )

    def _purge(self, now: int) -> None:
        if now < self._purge_at:
            return
        self._run(lambda connection: connection.execute("DELETE FROM nearfar_responses WHERE expires <= ?", (now,)))
        self._purge_at = now + PURGE_SECONDS

    def _run(self, work: Callable[[Connection], T]) -> T:
        try:
            if self._connection is None:
                connection = connect(self._url, wait=LOCK_SECONDS)
                try:
                    migrate(connection, "responses", MIGRATIONS)
                except BaseException:
                    connection.close()
                    raise
                self._connection = connection
            return work(self._connection)
        except StoreUnavailable:
            self._disconnect()
            raise

    def _disconnect(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()


def _beside(*values: object) -> str:
    return "\0".join(str(value) for value in values)
