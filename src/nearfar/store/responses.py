"""Stored responses: kept for their caller, encrypted, for a while. It knows no wire: what it keeps are bytes.

Each row holds the whole conversation up to it, so that continuing one reads one row, and forgetting one forgets what
it held; others that continued it hold their own copy. Owner, class and times stand in the clear, because they decide
who may read and when a row goes; they are bound to the ciphertext, so nobody can exchange them. A caller that has more
than its share loses its oldest rows; what comes out of a table is used again by what comes next.
"""

from __future__ import annotations

import logging
import threading
import time
import zlib
from collections.abc import Callable
from typing import Protocol, TypeVar

import msgspec

from nearfar.core.errors import StoreUnavailable
from nearfar.core.places import Class
from nearfar.store.connection import Connection, Row
from nearfar.store.database import Migration, connect, migrate, refuse_newer

T = TypeVar("T")

log = logging.getLogger("nearfar.responses")

LOCK_SECONDS = 2.0
"""How long a request waits for somebody else's lock."""
PURGE_SECONDS = 60.0
"""How often rows whose time is over are looked for while responses come, at most."""
IDLE_PURGE_SECONDS = 600.0
"""How often they are looked for while none comes."""
FIRST_PURGE_SECONDS = 5.0
"""After the start: by then others have prepared the database."""
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
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.highest = highest
        self._url = url
        self._cipher = cipher
        self._keep_seconds = keep_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._purge_at = 0.0

    def start(self) -> None:
        """Look for rows whose time is over from now on, also while nobody asks for any."""
        self._thread = threading.Thread(target=self._watch, name="nearfar-responses", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        pause = FIRST_PURGE_SECONDS
        while not self._stop.wait(pause):
            pause = IDLE_PURGE_SECONDS
            try:
                self.purge()
            except StoreUnavailable as error:
                log.warning("responses whose time is over could not be removed: %s", error.text)

    def put(self, *, id: str, owner: str, class_: Class, response: bytes, input: bytes) -> Put:
        """Keep one, in place of the caller's oldest where it has no room. Raises StoreUnavailable."""
        if class_ > self.highest:
            return Put(kept=False)
        now = int(self._clock())
        expires = now + self._keep_seconds
        plain = msgspec.json.encode(_Content(msgspec.Raw(response), msgspec.Raw(input)))
        content = self._cipher.encrypt(zlib.compress(plain, _LEVEL), _beside(id, owner, class_.label, now, expires))
        if 0 < self._most_bytes < len(content):
            return Put(kept=False)
        row = (id, owner, class_.label, now, expires, self._cipher.id, content, len(content))

        def work(connection: Connection) -> Put:
            with connection.transaction():
                if connection.execute(_INSERT, row) != 1:
                    return Put(kept=False)
                return Put(kept=True, removed=self._make_room(connection, id, owner))

        with self._lock:
            self._purge(now)
            return self._run(work)

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
        with self._lock:
            self._purge_at = 0.0
            return self._purge(int(self._clock()))

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
        """Stop, and give the connection back."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
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

    def _purge(self, now: int) -> int:
        if now < self._purge_at:
            return 0
        sql = "DELETE FROM nearfar_responses WHERE expires <= ?"
        removed = self._run(lambda connection: connection.execute(sql, (now,)))
        self._purge_at = now + PURGE_SECONDS
        return removed

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


def sizes(connection: Connection) -> Sizes:
    """How much is kept, over all callers; nothing where the table was never made. Raises StoreUnavailable."""
    if not connection.table_exists("nearfar_responses"):
        return Sizes()
    refuse_newer(connection, "responses", MIGRATIONS)
    ((count, size, callers, largest),) = connection.rows(_SIZES)
    return Sizes(count=int(count), bytes=int(size), callers=int(callers), largest=int(largest))


def _beside(*values: object) -> str:
    return "\0".join(str(value) for value in values)
