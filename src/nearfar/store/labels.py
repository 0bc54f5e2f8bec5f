"""Pairs of answers that are learned from, and their scores: encrypted, for a while, to be forgotten. It judges nothing.

What was said stands encrypted; route, class, times, chances and scores stand in the clear and the former are bound to
the ciphertext. Request and caller are kept as keyed hashes alone, so that somebody who names one can have it forgotten
and nobody can read it back. Rows that are removed are overwritten (SQLite, ``secure_delete``); ``scrub`` then empties
the write-ahead log too, or rewrites the table (PostgreSQL).
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Final, Literal, TypeVar

import msgspec

from nearfar.core.errors import StoreUnavailable
from nearfar.core.outcome import Outcome
from nearfar.core.places import Class
from nearfar.store.connection import LOCKED, Connection, Row, Value
from nearfar.store.database import connect, migrate
from nearfar.store.labels_judges import Judge, judges
from nearfar.store.labels_schema import MIGRATIONS, Selection, where
from nearfar.store.responses import Encrypts

T = TypeVar("T")
Served = Literal["near", "far"]

log = logging.getLogger("nearfar.labels")

HIGHEST: Final = Class.INTERNAL
"""Nothing of a higher class is ever kept to be learned from, whatever the settings say."""
LOCK_SECONDS = 2.0
FIRST_PURGE_SECONDS = 5.0
IDLE_PURGE_SECONDS = 600.0
CLAIM_SECONDS = 900
"""How long somebody who judges a pair has for it, before another one may."""
TRIES: Final = 3
"""Judgements of one pair that may come to nothing; then it goes."""
_LEVEL = 3
_PAGE = 200
"""Rows read in one step."""

_COLUMNS = "id, route, class, created, expires, propensity, expected, served, tries, near, far, judge, trusted, content"
_SELECT = f"SELECT {_COLUMNS} FROM nearfar_labels"  # noqa: S608 - column names
_AFTER = "AND expires > ? AND (created > ? OR created = ? AND id > ?) ORDER BY created, id LIMIT ?"
_NEXT = f"""
{_SELECT} WHERE judge = '' AND key = ? AND expires > ? AND claimed <= ? ORDER BY created, id LIMIT 1
"""
_REMOVE = "DELETE FROM nearfar_labels WHERE "


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One of two answers to the same."""

    deployment: str
    text: str


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What nobody without the key may read."""

    request: str
    parent: str
    """The attempt that a judgement follows."""
    attempts: int
    """How many attempts there were: the numbers of further ones begin after them."""
    prompt: str
    """What the user asked, as routers read it."""
    conversation: str
    """The whole of it, as a judge reads it."""
    near: Side
    far: Side
    kind: str
    """How answers are read and compared: ``text``, ``number``, …"""


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be kept."""

    id: str
    route: str
    class_: Class
    propensity: float
    expected: float | None
    """The gap that the learned router expected, when it was decided."""
    served: Served
    caller: str
    """Id of the caller's key; only its keyed hash is kept."""
    content: Content

    def outcome(self, scores: Scores) -> Outcome:
        """How it was scored, without what was said."""
        return _outcome(self, scores)


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """What both answers are worth, 0 to 1, and who says so."""

    near: float
    far: float
    judge: str
    """A judge's name; ``checks`` where comparing sufficed."""
    trusted: bool = True


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A row. Times are seconds since the epoch."""

    id: str
    route: str
    class_: Class
    created: int
    propensity: float
    expected: float | None
    served: Served
    tries: int
    content: Content
    scores: Scores | None

    def outcome(self, scores: Scores) -> Outcome:
        """How it was scored, without what was said."""
        return _outcome(self, scores)


class Labels:
    """Keeps pairs in the database. Every call may block: call it from another thread than the event loop's."""

    def __init__(
        self, url: str, cipher: Encrypts, key: bytes, *, keep_seconds: int, clock: Callable[[], float] = time.time
    ) -> None:
        """``key``: of the hashes of requests and callers; the cipher's own will do."""
        self._url = url
        self._cipher = cipher
        self._key = hmac.digest(key, b"nearfar learning hashes", "sha256")
        self._keep_seconds = keep_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Remove rows whose time is over from now on."""
        self._thread = threading.Thread(target=self._watch, name="nearfar-labels", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop, and give the connection back."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        with self._lock:
            self._disconnect()

    def put(self, pair: Pair, scores: Scores | None = None) -> bool:
        """Keep a pair, scored already or to be judged; False when its class is too high. Raises StoreUnavailable."""
        if pair.class_ > HIGHEST:
            return False
        now = int(self._clock())
        expires = now + self._keep_seconds
        beside = _beside(
            pair.id, pair.route, pair.class_.label, now, expires, pair.propensity, pair.expected, pair.served
        )
        content = self._cipher.encrypt(zlib.compress(msgspec.json.encode(pair.content), _LEVEL), beside)
        row: dict[str, Value] = {
            "id": pair.id,
            "route": pair.route,
            "class": pair.class_.label,
            "created": now,
            "expires": expires,
            "propensity": pair.propensity,
            "expected": pair.expected,
            "served": pair.served,
            "request": self.hashed("request", pair.content.request),
            "caller": self.hashed("caller", pair.caller),
            "key": self._cipher.id,
            "content": content,
        }
        if scores is not None:
            row |= {"near": scores.near, "far": scores.far, "judge": scores.judge}
            row |= {"trusted": int(scores.trusted), "judged": now}
        head = f"INSERT INTO nearfar_labels ({', '.join(row)})"
        self._do(lambda connection: connection.insert(head, [tuple(row.values())]))
        return True

    def hashed(self, kind: str, value: str) -> str:
        """What stands in the table for a request or a caller."""
        return hmac.new(self._key, f"{kind}\0{value}".encode(), hashlib.sha256).hexdigest()[:32]

    def claim(self) -> Kept | None:
        """The oldest pair that waits for a judge, for a while nobody else's. Raises StoreUnavailable."""
        now = int(self._clock())
        take = "UPDATE nearfar_labels SET claimed = ?, tries = tries + 1 WHERE id = ? AND judge = '' AND claimed <= ?"
        free = now - CLAIM_SECONDS

        def work(connection: Connection) -> Row | None:
            with connection.transaction():
                rows = connection.rows(_NEXT, (self._cipher.id, now, free))
                if not rows or connection.execute(take, (now, rows[0][0], free)) != 1:
                    return None
                return rows[0]

        row = self._do(work)
        return None if row is None else self._kept(row)

    def release(self, id: str) -> None:
        """It was not judged after all: anybody may, and this was no try."""
        sql = "UPDATE nearfar_labels SET claimed = 0, tries = tries - 1 WHERE id = ? AND judge = ''"
        self._do(lambda connection: connection.execute(sql, (id,)))

    def score(self, id: str, scores: Scores) -> bool:
        """Write what the answers are worth; False when it was forgotten meanwhile. Raises StoreUnavailable."""
        sql = "UPDATE nearfar_labels SET near = ?, far = ?, judge = ?, trusted = ?, judged = ? WHERE id = ?"
        values = (scores.near, scores.far, scores.judge, int(scores.trusted), int(self._clock()), id)
        return self._do(lambda connection: connection.execute(sql, values)) == 1

    def drop(self, id: str) -> None:
        """Remove one that cannot be judged."""
        self._do(lambda connection: connection.execute("DELETE FROM nearfar_labels WHERE id = ?", (id,)))

    def purge(self) -> int:
        """Remove the rows whose time is over; returns how many. Raises StoreUnavailable."""
        sql, now = "DELETE FROM nearfar_labels WHERE expires <= ?", int(self._clock())
        return self._do(lambda connection: connection.execute(sql, (now,)))

    def selected(self, selection: Selection) -> Iterator[Kept]:
        """Rows that are not over, oldest first. Raises StoreUnavailable."""
        condition, params = where(selection, self.hashed)
        sql = f"{_SELECT} WHERE {condition} {_AFTER}"
        now, at, last = int(self._clock()), 0, ""
        while True:
            values = (*params, now, at, at, last, _PAGE)
            rows = self._do(lambda connection, values=values: connection.rows(sql, values))  # type: ignore[misc]  # a default binds the loop's value
            for row in rows:
                yield self._kept(row)
            if len(rows) < _PAGE:
                return
            at, last = int(rows[-1][3]), str(rows[-1][0])

    def forget(self, selection: Selection) -> int:
        """Remove rows; returns how many. ``scrub`` afterwards. Raises StoreUnavailable."""
        condition, params = where(selection, self.hashed)
        return self._do(lambda connection: connection.execute(_REMOVE + condition, params))

    def scrub(self) -> bool:
        """Leave nothing of removed rows in the database's own files; False when others' locks were in the way."""

        def work(connection: Connection) -> bool:
            if connection.dialect == "sqlite":
                # Removed rows are overwritten with zeros in their pages; older copies of those stand in the log.
                return bool(connection.rows("PRAGMA wal_checkpoint(TRUNCATE)")[0][0] == 0)
            connection.execute("VACUUM FULL nearfar_labels")
            return True

        try:
            return self._do(work)
        except StoreUnavailable as error:
            if error.code == LOCKED or "lock" in str(error.__cause__):
                return False
            raise

    # Judges, and files that labels were written to

    def judge(self, name: str) -> Judge | None:
        """How a judge did when it was last tried; None: it never was. Raises StoreUnavailable."""
        return self._do(lambda connection: next((item for item in judges(connection) if item.judge == name), None))

    def tried(self, state: Judge) -> None:
        """A judge was tried on the anchors. Where it failed, what it said since it last passed is not trusted."""

        def work(connection: Connection) -> None:
            with connection.transaction():
                before = next((item for item in judges(connection) if item.judge == state.judge), None)
                connection.execute("DELETE FROM nearfar_judges WHERE judge = ?", (state.judge,))
                connection.insert(
                    "INSERT INTO nearfar_judges (judge, at, agreement, pairs, trusted, anchors)",
                    [(state.judge, state.at, state.agreement, state.pairs, int(state.trusted), state.anchors)],
                )
                if not state.trusted:
                    since = before.at if before is not None and before.trusted else 0
                    sql = "UPDATE nearfar_labels SET trusted = 0 WHERE judge = ? AND judged >= ?"
                    connection.execute(sql, (state.judge, since))

        self._do(work)

    def exported(self, path: str, count: int) -> None:
        """Labels were written to a file, in the clear: remembered, so that forgetting can name it."""

        def work(connection: Connection) -> None:
            with connection.transaction():
                connection.execute("DELETE FROM nearfar_label_files WHERE path = ?", (path,))
                row = (path, int(self._clock()), count)
                connection.insert("INSERT INTO nearfar_label_files (path, at, labels)", [row])

        self._do(work)

    def files(self) -> list[str]:
        """Paths of the files that labels were written to."""
        sql = "SELECT path FROM nearfar_label_files ORDER BY at, path"
        return [str(path) for (path,) in self._do(lambda connection: connection.rows(sql))]

    # What all of them need

    def _kept(self, row: Row) -> Kept:
        id_, route, class_, created, expires, propensity, expected, served, tries, near, far, judge, trusted, text = row
        beside = _beside(id_, route, class_, created, expires, propensity, expected, served)
        try:
            plain = self._cipher.decrypt(text, beside)
        except StoreUnavailable as error:
            raise StoreUnavailable(
                "A kept pair of answers cannot be read: it was changed, or written with another key.",
                code="cipher_mismatch",
                hint="Gateways that share a database need the same learning.key.",
            ) from error
        return Kept(
            id=id_,
            route=route,
            class_=Class.parse(class_),
            created=created,
            propensity=propensity,
            expected=expected,
            served=served,
            tries=tries,
            content=msgspec.json.decode(zlib.decompress(plain), type=Content),
            scores=Scores(near=near, far=far, judge=judge, trusted=bool(trusted)) if judge else None,
        )

    def _watch(self) -> None:
        pause = FIRST_PURGE_SECONDS
        while not self._stop.wait(pause):
            pause = IDLE_PURGE_SECONDS
            try:
                self.purge()
            except StoreUnavailable as error:
                log.warning("pairs whose time is over could not be removed: %s", error.text)

    def _do(self, work: Callable[[Connection], T]) -> T:
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = _opened(self._url)
                return work(self._connection)
            except StoreUnavailable:
                self._disconnect()
                raise

    def _disconnect(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()


def _opened(url: str) -> Connection:
    connection = connect(url, wait=LOCK_SECONDS)
    try:
        if connection.dialect == "sqlite":
            connection.execute("PRAGMA secure_delete = ON")
        migrate(connection, "labels", MIGRATIONS)
    except BaseException:
        connection.close()
        raise
    return connection


def _outcome(pair: Pair | Kept, scores: Scores) -> Outcome:
    return Outcome(
        request=pair.content.request,
        route=pair.route,
        privacy=pair.class_.label,
        near=scores.near,
        far=scores.far,
        propensity=pair.propensity,
        score=pair.expected,
        served=pair.served,
        trusted=scores.trusted,
    )


def _beside(*values: object) -> str:
    return "\0".join(str(value) for value in values)
