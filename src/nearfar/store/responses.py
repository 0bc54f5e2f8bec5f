"""Stored responses: kept for their caller, encrypted, for a while. It knows no wire: what it keeps are bytes.

Each row holds the whole conversation up to it, so that continuing one reads one row, and forgetting one forgets what
it held; others that continued it hold their own copy. Owner, class and times stand in the clear, because they decide
who may read and when a row goes; they are bound to the ciphertext, so nobody can exchange them. A caller that has more
than its share loses its oldest rows; what comes out of a table is used again by what comes next.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable

import msgspec

from nearfar.core.errors import StoreUnavailable
from nearfar.core.places import Class
from nearfar.store.connection import Connection, Row
from nearfar.store.database import Migration, refuse_newer
from nearfar.store.keeping import Encrypts, Keeping, beside

_LEVEL = 3
"""zlib's: conversations shrink to about a third, in about 10 ms per MB."""
_OLDEST = 100
"""Rows looked at in one step while room is made."""

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
    Migration(
        name="2-bytes",
        statements=(
            "ALTER TABLE nearfar_responses ADD COLUMN bytes BIGINT NOT NULL DEFAULT 0",
            "UPDATE nearfar_responses SET bytes = LENGTH(content)",
            "CREATE INDEX nearfar_responses_owner ON nearfar_responses (owner, created)",
        ),
    ),
)

_INSERT = """
INSERT INTO nearfar_responses (id, owner, class, created, expires, key, content, bytes)
VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
_SELECT = """
SELECT id, owner, class, created, expires, key, content
FROM nearfar_responses WHERE id = ? AND owner = ? AND expires > ?
"""


_SHARE = "SELECT COUNT(*), COALESCE(SUM(bytes), 0) FROM nearfar_responses WHERE owner = ?"
_FIRST = "SELECT id, bytes FROM nearfar_responses WHERE owner = ? AND id <> ? ORDER BY created, id LIMIT ?"
_SIZES = """
SELECT COALESCE(SUM(n), 0), COALESCE(SUM(b), 0), COUNT(*), COALESCE(MAX(b), 0)
FROM (SELECT COUNT(*) AS n, SUM(LENGTH(content)) AS b FROM nearfar_responses GROUP BY owner) AS callers
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


class Put(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a response that was to be kept."""

    kept: bool
    """False when its class is too high, its id is taken, or it alone is more than a caller may have."""
    removed: int = 0
    """How many of the same caller's oldest had to go for it."""


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept, for people to read."""

    count: int = 0
    bytes: int = 0
    """As they lie in the table: compressed and encrypted."""
    callers: int = 0
    largest: int = 0
    """Bytes of the caller that has most."""


class Responses:
    """Keeps responses in the database. Every call may block: call it from another thread than the event loop's."""

    def __init__(
        self,
        url: str,
        cipher: Encrypts,
        *,
        keep_seconds: int,
        highest: Class,
        most: int = 0,
        most_bytes: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``highest``: responses of a higher class are not kept. ``most`` and ``most_bytes``: of one caller; 0: any."""
        self._most = most
        self._most_bytes = most_bytes
        self.highest = highest
        self._cipher = cipher
        self._keep_seconds = keep_seconds
        self._clock = clock
        self._keeping = Keeping(url, "responses", MIGRATIONS, purge=self._over)

    def start(self) -> None:
        """Look for rows whose time is over from now on."""
        self._keeping.start()

    def close(self) -> None:
        """Stop, and give the connection back."""
        self._keeping.close()

    def put(self, *, id: str, owner: str, class_: Class, response: bytes, input: bytes) -> Put:
        """Keep one, in place of the caller's oldest where it has no room. Raises StoreUnavailable."""
        if class_ > self.highest:
            return Put(kept=False)
        now = int(self._clock())
        expires = now + self._keep_seconds
        plain = msgspec.json.encode(_Content(msgspec.Raw(response), msgspec.Raw(input)))
        content = self._cipher.encrypt(zlib.compress(plain, _LEVEL), beside(id, owner, class_.label, now, expires))
        if 0 < self._most_bytes < len(content):
            return Put(kept=False)
        row = (id, owner, class_.label, now, expires, self._cipher.id, content, len(content))

        def work(connection: Connection) -> Put:
            with connection.transaction():
                if connection.execute(_INSERT, row) != 1:
                    return Put(kept=False)
                return Put(kept=True, removed=self._make_room(connection, id, owner))

        put = self._keeping.do(work)
        self._keeping.removed(put.removed)
        return put

    def _make_room(self, connection: Connection, new: str, owner: str) -> int:
        """Remove ``owner``'s oldest rows until what is left is its share; returns how many. ``new`` stays."""
        removed = 0
        while True:
            ((count, size),) = connection.rows(_SHARE, (owner,))
            count, size = int(count), int(size)
            if not self._beyond(count, size):
                return removed
            for id_, bytes_ in connection.rows(_FIRST, (owner, new, _OLDEST)):
                if not self._beyond(count, size):
                    break
                removed += connection.execute("DELETE FROM nearfar_responses WHERE id = ?", (id_,))
                count, size = count - 1, size - int(bytes_)

    def _beyond(self, count: int, size: int) -> bool:
        return 0 < self._most < count or 0 < self._most_bytes < size

    def purge(self) -> int:
        """Remove the rows whose time is over; returns how many. Raises StoreUnavailable."""
        return self._keeping.purge()

    def get(self, id: str, owner: str) -> Stored | None:
        """The response with this id, if it is ``owner``'s and its time is not over. Raises StoreUnavailable."""
        params = (id, owner, int(self._clock()))
        rows = self._keeping.do(lambda connection: connection.rows(_SELECT, params))
        return self._stored(rows[0]) if rows else None

    def delete(self, id: str, owner: str) -> bool:
        """Forget one; False when ``owner`` has none of this id. Raises StoreUnavailable."""
        sql = "DELETE FROM nearfar_responses WHERE id = ? AND owner = ? AND expires > ?"
        params = (id, owner, int(self._clock()))
        return self._keeping.remove(lambda connection: connection.execute(sql, params)) == 1

    def _stored(self, row: Row) -> Stored:
        id_, owner, class_, created, expires, key, content = row
        if key != self._cipher.id:
            raise StoreUnavailable(
                "The response was stored with another key.",
                code="cipher_mismatch",
                hint="Gateways that share a database need the same responses.key.",
            )
        plain = self._cipher.decrypt(content, beside(id_, owner, class_, created, expires))
        if plain[:1] != b"{":  # rows from before they were compressed begin with their JSON
            plain = zlib.decompress(plain)
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

    def _over(self, connection: Connection) -> int:
        return connection.execute("DELETE FROM nearfar_responses WHERE expires <= ?", (int(self._clock()),))


def sizes(connection: Connection) -> Sizes:
    """How much is kept, over all callers; nothing where the table was never made. Raises StoreUnavailable."""
    if not connection.table_exists("nearfar_responses"):
        return Sizes()
    refuse_newer(connection, "responses", MIGRATIONS)
    ((count, size, callers, largest),) = connection.rows(_SIZES)
    return Sizes(count=int(count), bytes=int(size), callers=int(callers), largest=int(largest))
