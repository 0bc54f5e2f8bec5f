"""The thread that fills the database from the journal, off the requests' time. It knows nothing of what entries mean.

It reads this process's own segments as they grow, and those of dead writers that it finds in the folder. Several
processes may do so at once on one folder and one database: a segment is read only by who holds its lock.

When several machines share a PostgreSQL, each has a journal of its own on its own disk. What a machine had not yet
filled when it died, and the attempts it left open, reach the database when nearfar starts there again: until then
those attempts stand as ``open``.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from pathlib import Path

import msgspec

from nearfar.core.errors import StoreUnavailable
from nearfar.ledger import replay, segments
from nearfar.ledger.journal import Journal
from nearfar.ledger.schema import MIGRATIONS
from nearfar.ledger.segments import Segment
from nearfar.store.connection import Connection
from nearfar.store.database import connect, migrate

FLUSH_SECONDS = 0.5
ORPHAN_SECONDS = 5.0
"""How often the folder is searched for segments of dead writers."""
LOCK_SECONDS = 2.0
"""How long one pass waits for somebody else's lock on the database."""
_SLOWEST = 10.0
"""Seconds between tries, at most, while the database cannot be used."""
_LATE = 60.0
"""Seconds without a finished pass after which the filler counts as hung."""


class Filled(msgspec.Struct, frozen=True, kw_only=True):
    """What one pass did."""

    orphans: int = 0
    """Dead writers whose segments were finished."""
    unknown: int = 0
    """Attempts they left without an end."""


class Filler:
    """Fills one database from one folder."""

    def __init__(
        self,
        url: str,
        folder: Path,
        journal: Journal | None = None,
        *,
        flush_seconds: float = FLUSH_SECONDS,
        orphan_seconds: float = ORPHAN_SECONDS,
        lock_seconds: float = LOCK_SECONDS,
    ) -> None:
        self.reason = ""
        """Why the database is not being filled; empty while it is."""
        self.damaged = 0
        """Lines that could not be read: skipped and counted."""
        self._url = url
        self._folder = folder
        self._journal = journal
        self._flush_seconds = flush_seconds
        self._orphan_seconds = orphan_seconds
        self._lock_seconds = lock_seconds
        self._search_at = 0.0
        self._positions: dict[str, int] = {}
        self._inherited: list[Connection] = []
        self._reset()
        weak = weakref.ref(self)

        def forget() -> None:
            filler = weak()
            if filler is not None:
                filler._after_fork()  # noqa: SLF001 - its own object, reached weakly

        os.register_at_fork(after_in_child=forget)

    def _reset(self) -> None:
        self._connection: Connection | None = None
        self._pass = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._done_at = time.monotonic()

    def start(self) -> None:
        """Fill in the background until ``stop``. Reaching the database is left to the thread: it may come up later."""
        if self._thread is None:
            self._done_at = time.monotonic()
            self._thread = threading.Thread(target=self._run, name="nearfar-ledger", daemon=True)
            self._thread.start()

    def stop(self, timeout: float) -> bool:
        """End the thread; False when it was still busy after ``timeout`` seconds."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout)
            if self._thread.is_alive():
                return False
            self._thread = None
        return True

    def _run(self) -> None:
        pause = 0.0
        while not self._stop.wait(pause):
            try:
                self.fill()
                pause = self._flush_seconds
            except StoreUnavailable:
                pause = min(_SLOWEST, max(pause, self._flush_seconds) * 2)
            except Exception as error:  # noqa: BLE001 - a ledger's sink: it reports, and tries again
                self.reason = f"The ledger cannot be filled: {type(error).__name__}: {error}."
                pause = _SLOWEST

    def fill(self) -> Filled:
        """One pass: all that the journal holds now goes to the database.

        Raises StoreUnavailable; what was not stored is still in the journal, and nothing is stored twice.
        """
        with self._pass:
            try:
                done = self._fill()
            except StoreUnavailable as error:
                self.reason = error.text
                self._disconnect()
                raise
            except OSError as error:
                self.reason = f"The journal in {self._folder} cannot be read: {error.strerror or error}."
                raise StoreUnavailable(self.reason) from error
            except BaseException:
                self._disconnect()
                raise
            self.reason = ""
            self._done_at = time.monotonic()
            return done

    def _fill(self) -> Filled:
        if self._journal is not None:
            self._journal.tend()  # first: the journal must get well also while the database is not
        connection = self._connected()
        if self._journal is not None:
            self._fill_own(connection, self._journal)
        done = Filled()
        if time.monotonic() >= self._search_at:
            done = self._fill_orphans(connection)
            self._search_at = time.monotonic() + self._orphan_seconds
        return done

    def _fill_own(self, connection: Connection, journal: Journal) -> None:
        for segment in journal.segments():
            self._drain(connection, segment, journal.writer)
        if journal.waiting:  # refused by the journal's disk: the database's may be another
            mark, lines = journal.queued()
            self.damaged += replay.store(connection, lines, journal.writer)
            journal.forget(mark)
        # The newest stays, even when ended: a writer without a segment could not be settled after its death.
        for segment in journal.segments()[:-1]:
            if self._positions.get(segment.name) == segment.size:
                self._drop(connection, journal, segment)

    def _fill_orphans(self, connection: Connection) -> Filled:
        orphans = unknown = 0
        own = self._journal.writer if self._journal is not None else ""
        for writer in segments.listing(self._folder):
            if writer == own:
                continue
            claimed = segments.claim_writer(self._folder, writer)
            if not claimed:
                continue
            try:
                for segment in claimed:
                    self._drain(connection, segment, writer)
                unknown += replay.settle(connection, writer)
                orphans += 1
                for segment in claimed:
                    segment.remove()
                    self._positions.pop(segment.name, None)
                    replay.forget(connection, segment.name)
            finally:
                for segment in claimed:
                    segment.close()
        return Filled(orphans=orphans, unknown=unknown)

    def finish(self) -> None:
        """Our own journal is closed: store the rest, settle what stayed open, leave no segment. Raises as ``fill``."""
        self.fill()
        journal = self._journal
        if journal is None:
            return
        with self._pass:
            connection = self._connected()
            replay.settle(connection, journal.writer)
            for segment in journal.segments():
                self._drop(connection, journal, segment)

    def close(self) -> None:
        """Give the connection back. The thread must have stopped."""
        with self._pass:
            self._disconnect()

    def _drain(self, connection: Connection, segment: Segment, writer: str) -> None:
        """Store every whole line of ``segment``."""
        name = segment.name
        start = self._positions.get(name, -1)
        if start < 0:
            start = replay.position(connection, name)
        while start < segment.size:
            try:
                stop, damaged = replay.advance(connection, segment, writer, start)
            except replay.Moved:
                start = replay.position(connection, name)
                continue
            self.damaged += damaged
            if stop == start:  # a torn line: its writer died in the middle, before it could act on it
                break
            start = self._positions[name] = stop
        self._positions[name] = start

    def _drop(self, connection: Connection, journal: Journal, segment: Segment) -> None:
        journal.drop(segment)
        self._positions.pop(segment.name, None)
        replay.forget(connection, segment.name)

    @property
    def backlog(self) -> int:
        """Bytes of our own journal that are not in the database yet."""
        if self._journal is None:
            return 0
        return sum(segment.size - self._positions.get(segment.name, 0) for segment in self._journal.segments())

    @property
    def late(self) -> float:
        """Seconds since the last finished pass, when the thread runs and that is suspiciously long; else 0."""
        waited = time.monotonic() - self._done_at
        return waited if self._thread is not None and waited > max(_LATE, 10 * self._flush_seconds) else 0.0

    def _connected(self) -> Connection:
        if self._connection is None:
            connection = connect(self._url, wait=self._lock_seconds)
            try:
                migrate(connection, "ledger", MIGRATIONS)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _disconnect(self) -> None:
        self._positions.clear()
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()

    def _after_fork(self) -> None:
        """In the child: the connection is the parent's and must not even be closed here; the thread does not exist."""
        if self._connection is not None:
            self._inherited.append(self._connection)
        self._positions.clear()
        self._reset()
