"""Pairs of answers that are learned from, and their scores: encrypted, for a while, to be forgotten. It judges nothing.

What was said stands encrypted; route, class, times, chances and scores stand in the clear, bound to the pair by the
cipher. Request and caller are kept as keyed hashes alone, so that somebody who names one can have it forgotten
and nobody can read it back. Rows that are removed are overwritten (SQLite, ``secure_delete``); ``scrub`` then empties
the write-ahead log too, or rewrites the table (PostgreSQL).
"""

from __future__ import annotations

import hashlib
import hmac
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Final, Literal

import msgspec

from nearfar.core.errors import StoreUnavailable
from nearfar.core.outcome import Outcome
from nearfar.core.places import Class
from nearfar.store.connection import LOCKED, Connection, Row, Value
from nearfar.store.keeping import Encrypts, Keeping, beside, log_emptied
from nearfar.store.labels_judges import Judge, judges
from nearfar.store.labels_schema import MIGRATIONS, SEALED, Selection, where
from nearfar.store.labels_scores import COLUMNS, Scores, read, seal, seal_older, withdraw

Served = Literal["near", "far"]

HIGHEST: Final = Class.INTERNAL
"""Nothing of a higher class is ever kept to be learned from, whatever the settings say."""
CLAIM_SECONDS = 900
"""How long somebody who judges a pair has for it, before another one may."""
TRIES: Final = 3
"""Judgements of one pair that may come to nothing; then it goes."""
_LEVEL = 3
_PAGE = 200
"""Rows read in one step."""

_CLEAR = "route, class, created, expires, propensity, expected, served"
"""What content is bound to, after the id."""
_SELECT = f"SELECT id, tries, content, {_CLEAR}, {COLUMNS} FROM nearfar_labels"  # noqa: S608 - column names
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
        self._cipher = cipher
        self._key = hmac.digest(key, b"nearfar learning hashes", "sha256")
        self._keep_seconds = keep_seconds
        self._clock = clock
        self._keeping = Keeping(url, "labels", MIGRATIONS, purge=self._over, migrated=self._migrated)

    def start(self) -> None:
        """Remove rows whose time is over from now on."""
        self._keeping.start()

    def close(self) -> None:
        """Stop, and give the connection back."""
        self._keeping.close()

    def put(self, pair: Pair, scores: Scores | None = None) -> bool:
        """Keep a pair, scored already or to be judged; False when its class is too high. Raises StoreUnavailable."""
        if pair.class_ > HIGHEST:
            return False
        now = int(self._clock())
        expires = now + self._keep_seconds
        clear = (pair.route, pair.class_.label, now, expires, pair.propensity, pair.expected, pair.served)
        plain = zlib.compress(msgspec.json.encode(pair.content), _LEVEL)
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
            "content": self._cipher.encrypt(plain, beside(pair.id, *clear)),
        }
        if scores is not None:
            row |= self._scored(pair.id, scores)
        head = f"INSERT INTO nearfar_labels ({', '.join(row)})"
        self._keeping.do(lambda connection: connection.insert(head, [tuple(row.values())]))
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

        row = self._keeping.do(work)
        return None if row is None else self._kept(row)

    def release(self, id: str) -> None:
        """It was not judged after all: anybody may, and this was no try."""
        sql = "UPDATE nearfar_labels SET claimed = 0, tries = tries - 1 WHERE id = ? AND judge = ''"
        self._keeping.do(lambda connection: connection.execute(sql, (id,)))

    def score(self, id: str, scores: Scores) -> bool:
        """Write what the answers are worth; False when it was forgotten meanwhile. Raises StoreUnavailable."""
        row = self._scored(id, scores)
        columns = ", ".join(f"{column} = ?" for column in row)
        sql = f"UPDATE nearfar_labels SET {columns} WHERE id = ?"  # noqa: S608 - column names
        return self._keeping.do(lambda connection: connection.execute(sql, (*row.values(), id))) == 1

    def _scored(self, id: str, scores: Scores) -> dict[str, Value]:
        """The columns of ``scores``."""
        judged = int(self._clock())
        values = (scores.near, scores.far, scores.judge, int(scores.trusted), judged)
        return dict(zip(COLUMNS.split(", "), (*values, seal(self._cipher, id, judged, scores)), strict=True))

    def drop(self, id: str) -> None:
        """Remove one that cannot be judged."""
        self._keeping.remove(lambda connection: connection.execute("DELETE FROM nearfar_labels WHERE id = ?", (id,)))

    def purge(self) -> int:
        """Remove the rows whose time is over; returns how many. Raises StoreUnavailable."""
        return self._keeping.purge()

    def selected(self, selection: Selection) -> Iterator[Kept]:
        """Rows that are not over, oldest first. Raises StoreUnavailable."""
        condition, params = where(selection, self.hashed)
        sql = f"{_SELECT} WHERE {condition} {_AFTER}"
        now, at, last = int(self._clock()), 0, ""
        while True:
            values = (*params, now, at, at, last, _PAGE)
            rows = self._keeping.do(lambda connection, values=values: connection.rows(sql, values))  # type: ignore[misc]  # a default binds the loop's value
            for row in rows:
                yield self._kept(row)
            if len(rows) < _PAGE:
                return
            at, last = int(rows[-1][5]), str(rows[-1][0])

    def forget(self, selection: Selection) -> int:
        """Remove rows; returns how many. ``scrub`` afterwards. Raises StoreUnavailable."""
        condition, params = where(selection, self.hashed)
        return self._keeping.remove(lambda connection: connection.execute(_REMOVE + condition, params))

    def scrub(self) -> bool:
        """Leave nothing of removed rows in the database's own files; False when others' locks were in the way."""

        def work(connection: Connection) -> bool:
            if connection.dialect == "sqlite":
                return log_emptied(connection)
            connection.execute("VACUUM FULL nearfar_labels")
            return True

        try:
            return self._keeping.do(work)
        except StoreUnavailable as error:
            if error.code == LOCKED or "lock" in str(error.__cause__):
                return False
            raise

    # Judges, and files that labels were written to

    def judge(self, name: str) -> Judge | None:
        """How a judge did when it was last tried; None: it never was. Raises StoreUnavailable."""
        states = self._keeping.do(judges)
        return next((state for state in states if state.judge == name), None)

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
                    withdraw(connection, self._cipher, state.judge, since)

        self._keeping.do(work)

    def exported(self, path: str, count: int) -> None:
        """Labels were written to a file, in the clear: remembered, so that forgetting can name it."""

        def work(connection: Connection) -> None:
            with connection.transaction():
                connection.execute("DELETE FROM nearfar_label_files WHERE path = ?", (path,))
                row = (path, int(self._clock()), count)
                connection.insert("INSERT INTO nearfar_label_files (path, at, labels)", [row])

        self._keeping.do(work)

    def files(self) -> list[str]:
        """Paths of the files that labels were written to."""
        sql = "SELECT path FROM nearfar_label_files ORDER BY at, path"
        return [str(path) for (path,) in self._keeping.do(lambda connection: connection.rows(sql))]

    # What all of them need

    def _kept(self, row: Row) -> Kept:
        id_, tries, text, route, class_, created, expires, propensity, expected, served, *scored = row
        clear = (route, class_, created, expires, propensity, expected, served)
        try:
            plain = self._cipher.decrypt(text, beside(id_, *clear))
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
            scores=read(self._cipher, id_, tuple(scored)),
        )

    def _over(self, connection: Connection) -> int:
        return connection.execute("DELETE FROM nearfar_labels WHERE expires <= ?", (int(self._clock()),))

    def _migrated(self, connection: Connection, applied: list[str]) -> None:
        if SEALED in applied:
            seal_older(connection, self._cipher)


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
