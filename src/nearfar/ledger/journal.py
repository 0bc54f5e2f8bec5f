"""The journal's writer: a record before an attempt's bytes leave and one at its end. It knows no database.

Records are written one by one, or held until ``flush`` by somebody who promises that no bytes leave before it.

What one write gave to the kernel survives any death of this process (the power cut of the machine is another matter:
nothing is synced to the disk). When the disk refuses, records wait in memory, in order, and each later record and
each ``tend`` tries again; nothing is raised into a request until ``limit`` records wait.
"""

from __future__ import annotations

import errno
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from pathlib import Path

from nearfar.core.attempts import Begin, End
from nearfar.core.errors import LedgerUnavailable
from nearfar.ledger import segments
from nearfar.ledger.records import to_line
from nearfar.ledger.segments import Segment
from nearfar.store.ids import Ids

SEGMENT_BYTES = 8 * 1024 * 1024
QUEUE_LIMIT = 10_000
"""Records kept in memory while the journal cannot be written: about 4 MB."""
_RETRY_SECONDS = 0.1
_AT_ONCE = 200
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


class Journal:
    """Appends records to segments that this process owns. Safe for several threads."""

    def __init__(
        self,
        folder: Path,
        ids: Ids,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        limit: int = QUEUE_LIMIT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.reason = ""
        """Why the journal cannot be written now; empty when it can."""
        self._folder = folder
        self._ids = ids
        self._segment_bytes = segment_bytes
        self._limit = limit
        self._clock = clock
        self._reset()
        weak = weakref.ref(self)

        def forget() -> None:
            journal = weak()
            if journal is not None:
                journal._after_fork()  # noqa: SLF001 - its own object, reached weakly

        os.register_at_fork(after_in_child=forget)

    def _reset(self) -> None:
        self.writer = self._ids.new()
        """Names this journal in its segments and entries."""
        self._lock = threading.Lock()
        self._segments: list[Segment] = []
        self._current: Segment | None = None
        self._number = 0
        self._rotate_at = self._segment_bytes
        self._held: list[bytes] = []
        self._soon: Callable[[], None] | None = None
        self._queue: deque[bytes] = deque()
        self._taken = 0
        self._retry_at = 0.0
        self._closed = False

    def hold(self, soon: Callable[[], None]) -> None:
        """From now on records wait for ``flush``, and ``soon`` is called when the first one does.

        The caller must flush before the bytes of an attempt leave.
        """
        self._soon = soon

    def flush(self) -> None:
        """Write the records that are held, with one write. Never raises: what the disk refuses waits in memory."""
        if self._held:
            with self._lock:
                self._let_go()

    def _let_go(self) -> None:
        held, self._held = self._held, []
        if held and (self._queue or not self._append(b"".join(held))):
            self._queue.extend(held)

    def begin(self, record: Begin) -> None:
        """Journal an attempt before its bytes leave.

        Raises LedgerUnavailable only when nothing can be kept any more (the journal cannot be written and ``limit``
        records wait in memory already, or it is closed): a request that nobody would account for is refused.
        """
        line = to_line(record)
        with self._lock:
            if self._closed:
                raise LedgerUnavailable("The ledger is closed: nearfar is shutting down.", hint="Ask again shortly.")
            if self._must_wait() and len(self._queue) >= self._limit:
                raise LedgerUnavailable(
                    f"{self.reason} {len(self._queue)} records wait in memory, and no more are taken.",
                    hint="Make room on that disk, or set ledger.journal to a folder that can be written.",
                )
            self._write(line)

    def end(self, record: End) -> None:
        """Journal how an attempt ended. Never raises: the attempt was admitted, so there is room for its end.

        After ``close`` the record goes to a segment of its own, which the next start finds.
        """
        line = to_line(record)
        with self._lock:
            self._must_wait()
            self._write(line)
            if self._closed and self._current is not None:
                self._segments.remove(self._current)
                self._current.close()
                self._current = None

    def _must_wait(self) -> bool:
        """Whether earlier records still wait, after trying to write them."""
        if self._queue and self._clock() >= self._retry_at:
            self._work_off()
        return bool(self._queue)

    def _write(self, line: bytes) -> None:
        if self._soon is not None and not self._closed:
            if not self._held:
                self._soon()
            self._held.append(line)
        elif self._queue or not self._append(line):
            self._queue.append(line)

    def _work_off(self) -> None:
        """Write some of what waits: not all at once, a request may be standing behind this."""
        for _ in range(_AT_ONCE):
            if not self._queue or not self._append(self._queue[0]):
                return
            self._queue.popleft()
            self._taken += 1

    def _append(self, line: bytes) -> bool:
        """One write of whole lines; False (and ``reason``) when it did not go in whole."""
        segment = None
        written = 0
        try:
            segment = self._current or self._open()
            written = os.write(segment.fd, line)
            while written < len(line):  # the disk filled up in the middle; asking for the rest tells the reason
                written += os.write(segment.fd, line[written:])
        except OSError as error:
            if segment is not None and written:
                self._heal(segment)
            self._failed(error)
            return False
        if self.reason:
            self.reason = ""
        segment.size += len(line)
        if segment.size >= self._rotate_at:
            self._rotate(segment)
        return True

    def _open(self) -> Segment:
        segment, self._number = segments.create(self._folder, self.writer, self._number + 1)
        self._segments.append(segment)
        self._current = segment
        self._rotate_at = self._segment_bytes
        return segment

    def _rotate(self, segment: Segment) -> None:
        """Go on in a new segment; the old one stays ours until its lines are in the database."""
        try:
            self._open()
        except OSError:
            self._rotate_at = segment.size + self._segment_bytes // 8
        else:
            segment.ended = True

    def _heal(self, segment: Segment) -> None:
        """Cut a torn line off. Where that fails, go on elsewhere: readers skip a last line without its end."""
        try:
            os.ftruncate(segment.fd, segment.size)
        except OSError:
            self._leave(segment)

    def _failed(self, error: OSError) -> None:
        self.reason = f"The journal in {self._folder} cannot be written: {error.strerror or error}."
        self._retry_at = self._clock() + _RETRY_SECONDS
        if self._current is not None and error.errno not in _NO_ROOM:
            self._leave(self._current)  # another file may do better

    def _leave(self, segment: Segment) -> None:
        segment.ended = True
        self._current = None
        if segment.size == 0:
            self._segments.remove(segment)
            segment.remove()

    def tend(self) -> None:
        """Write what waits, find out whether the disk is well again, replace a segment that somebody removed.

        For a background thread.
        """
        with self._lock:
            if self._closed:
                return
            if self._current is not None and self._current.vanished():
                self._leave(self._current)
            if self._current is None:
                try:
                    self._open()
                except OSError as error:
                    self._failed(error)
                    return
            if self.reason and not self._queue:
                self._append(b"\n")  # nobody else would find out that the disk takes records again
        while True:
            with self._lock:  # given up now and then, for the requests
                self._work_off()
                if not self._queue or self.reason:
                    return

    @property
    def accepting(self) -> bool:
        """Whether ``begin`` would take another record."""
        return not self._closed and len(self._queue) < self._limit

    @property
    def waiting(self) -> int:
        """Records in memory that the disk refused."""
        return len(self._queue)

    def queued(self) -> tuple[int, bytes]:
        """All lines that wait, oldest first, and the mark to ``forget`` them by."""
        with self._lock:
            return self._taken + len(self._queue), b"".join(self._queue)

    def forget(self, mark: int) -> None:
        """The lines up to ``mark`` are safe elsewhere."""
        with self._lock:
            while self._queue and self._taken < mark:
                self._queue.popleft()
                self._taken += 1

    def segments(self) -> list[Segment]:
        """Our segments, oldest first. Their ``size`` grows while this process writes."""
        with self._lock:
            return list(self._segments)

    def drop(self, segment: Segment) -> None:
        """Remove an ended segment: all its lines are in the database."""
        with self._lock:
            self._segments.remove(segment)
        segment.remove()

    def close(self) -> None:
        """Take no more attempts. The segments stay ours until they are dropped or released."""
        with self._lock:
            self._let_go()
            self._closed = True
            if self._queue:
                self._work_off()
            for segment in self._segments:
                segment.ended = True
            self._current = None

    def release(self) -> None:
        """Leave the segments as they are to whoever fills the database next."""
        with self._lock:
            for segment in self._segments:
                segment.close()
            self._segments.clear()
            self._current = None

    def _after_fork(self) -> None:
        """In the child: the segments, their locks and the waiting records are the parent's."""
        for segment in self._segments:
            segment.close()
        self._reset()
