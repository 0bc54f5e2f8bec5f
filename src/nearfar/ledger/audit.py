"""The audit's writer: one hash chain per process, on the disk before bytes leave. It knows no policy and no request.

Unlike the journal it keeps nothing back: a record that is not on the disk (written and synced) within ``wait`` seconds
is a failure, and whoever asked must answer near or refuse. Records of many requests share one write and one sync.
"""

from __future__ import annotations

import asyncio
import errno
import os
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue

import msgspec

from nearfar.core.errors import AuditUnavailable
from nearfar.ledger import segments
from nearfar.ledger.audit_read import heads
from nearfar.ledger.audit_records import GENESIS, Body, Closed, Entry, Head, Opened, Resumed, to_line
from nearfar.ledger.segments import Segment
from nearfar.store.ids import Ids

SEGMENT_BYTES = 64 * 1024 * 1024
AT_ONCE = 512
"""Records that share one write and one sync at most."""
WAITING = 4096
"""Records that may wait for a slow disk; more are failures at once. Nothing is kept for later: only the ledger does."""
_HINT = "Make room on that disk, or set audit.folder to a folder that can be written; near deployments still answer."

Done = Future[Head]


class _Wanted(msgspec.Struct, frozen=True):
    body: Body
    done: Done


class Audit:
    """Appends records to the chain of this process. Safe for several threads."""

    def __init__(
        self,
        folder: Path,
        ids: Ids,
        opened: Opened,
        *,
        wait: float = 5.0,
        segment_bytes: int = SEGMENT_BYTES,
        sync: Callable[[int], None] = os.fsync,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """``opened``: what the first record says; the heads of the other chains are filled in here."""
        self._folder = folder
        self._ids = ids
        self._opened = opened
        self._wait = wait
        self._segment_bytes = segment_bytes
        self._sync = sync
        self._clock = clock
        self._reset()
        weak = weakref.ref(self)

        def forget() -> None:
            audit = weak()
            if audit is not None:
                audit._after_fork()  # noqa: SLF001 - its own object, reached weakly

        os.register_at_fork(after_in_child=forget)

    def _reset(self) -> None:
        self.writer = self._ids.new()
        """Names the chain."""
        self.reason = ""
        """Why records cannot be written now; empty when they can."""
        self.missed = 0
        """Records that could not be written and that no record tells of yet."""
        self._queue: SimpleQueue[_Wanted | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._segment: Segment | None = None
        self._number = 0
        self._next = 0
        self._prev = GENESIS
        self._closed = False
        self._writing = 0.0
        """Since when a batch is being written, in monotonic seconds; 0 when none is."""

    def start(self) -> None:
        """Open the chain now, so that a time without requests is a time of which the chain speaks. Never raises."""
        # What goes wrong is in ``reason``, and every record tries again.
        with suppress(AuditUnavailable):
            self._wanted(None).result(timeout=self._wait)

    def submit(self, body: Body) -> Done:
        """Write ``body`` soon. The future is done when it is on the disk, or raises AuditUnavailable."""
        return self._wanted(body)

    async def durable(self, body: Body) -> Head:
        """Come back when ``body`` is on the disk. Raises AuditUnavailable after ``wait`` seconds, or at once.

        A record that comes late is written all the same: then the chain says more than what left, never less.
        """
        done = asyncio.wrap_future(self._wanted(body))
        done.add_done_callback(
            lambda late: late.cancelled() or late.exception()
        )  # read, though nobody may wait any more
        try:
            return await asyncio.wait_for(asyncio.shield(done), self._wait)
        except TimeoutError as error:
            self._miss(1)
            raise AuditUnavailable(
                f"The audit's disk did not answer within {self._wait:g} s, so nothing left.", hint=_HINT
            ) from error

    def close(self) -> None:
        """End the chain in order. Later records are refused."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            thread = self._thread
            if thread is not None:
                self._queue.put(None)
        if thread is not None:
            thread.join(timeout=self._wait)

    @property
    def demanded(self) -> str:
        """The class from which on a record must stand before bytes leave; ``never`` where none has to."""
        return self._opened.demanded

    @property
    def trouble(self) -> str:
        """Why the next record would not be written as far as is known; empty when it would."""
        if self._closed:
            return "The audit is closed: nearfar is shutting down."
        since = self._writing
        if since and time.monotonic() - since > self._wait:
            return f"The audit's disk has not answered for more than {self._wait:g} s."
        return self.reason

    @property
    def accepting(self) -> bool:
        """Whether the last record could be written, and no other one hangs."""
        return not self.trouble

    def retry(self) -> None:
        """Try again soon, without a record: what failed once may have been mended."""
        if self._queue.empty() and not self._writing:
            self._wanted(None)

    def _miss(self, count: int) -> None:
        with self._lock:  # the writer's thread counts too
            self.missed += count

    def _wanted(self, body: Body | None) -> Done:
        done: Done = Future()
        with self._lock:
            if self._closed:
                done.set_exception(AuditUnavailable("The audit is closed: nearfar is shutting down."))
                return done
            if self._queue.qsize() >= WAITING:
                self.missed += 1
                why = f"{WAITING} records wait for the audit's disk. Nothing left."
                done.set_exception(AuditUnavailable(why, hint=_HINT))
                return done
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="nearfar-audit", daemon=True)
                self._thread.start()
            self._queue.put(_Wanted(self._opened if body is None else body, done))
        return done

    def _run(self) -> None:
        queue, running = self._queue, True
        while running:
            wanted: list[_Wanted] = []
            first = queue.get()
            batch = [first]
            with suppress(Empty):
                while len(batch) < AT_ONCE:
                    batch.append(queue.get_nowait())
            running = None not in batch
            wanted = [item for item in batch if item is not None]
            if wanted:
                self._append(wanted)
        self._end()

    def _append(self, wanted: list[_Wanted]) -> None:
        """Write a batch; every future of it is done afterwards."""
        try:
            self._writing = time.monotonic()
            heads_ = self._write([item.body for item in wanted])
        except Exception as error:  # noqa: BLE001 - a sink: whatever happens, somebody waits for an answer
            why = (error.strerror if isinstance(error, OSError) else "") or str(error)
            self.reason = f"The audit in {self._folder} cannot be written: {why}."
            self._miss(sum(not isinstance(item.body, Opened) for item in wanted))
            self._leave()
            for item in wanted:
                item.done.set_exception(AuditUnavailable(f"{self.reason} Nothing left.", hint=_HINT))
        else:
            self.reason = ""
            for item, head in zip(wanted, heads_, strict=True):
                item.done.set_result(head)
        finally:
            self._writing = 0.0

    def _write(self, bodies: list[Body]) -> list[Head]:
        """One write and one sync for ``bodies``, after what must stand before them. The state moves on only then."""
        if self._segment is not None and self._segment.vanished():
            self._leave()
        segment = self._segment or self._open()
        ahead: list[Body] = []
        if self._next == 0:
            ahead.append(msgspec.structs.replace(self._opened, heads=heads(self._folder, besides=self.writer)))
        told = self.missed
        if told or self.reason:
            ahead.append(Resumed(why=self.reason or "a record came too late", missed=told))
        following, prev = self._next, self._prev
        lines: list[bytes] = []
        made: list[Head] = []
        # ``start`` asks for the chain to be open and adds nothing to it.
        rest = [body for body in bodies if not isinstance(body, Opened)]
        for body in (*ahead, *rest):
            line, hash_ = to_line(Entry(n=following, at=self._clock(), prev=prev, body=body))
            lines.append(line)
            made.append(Head(n=following, hash=hash_))
            following, prev = following + 1, hash_
        data = b"".join(lines)
        written = 0
        while written < len(data):  # a full disk takes a part; asking for the rest tells the reason
            written += os.write(segment.fd, data[written:])
        self._sync(segment.fd)
        if segment.vanished():
            raise OSError(errno.ENOENT, "somebody removed its file")
        segment.size += len(data)
        self._next, self._prev = following, prev
        self._miss(-told)
        if segment.size >= self._segment_bytes:
            self._segment = None
            segment.close()
        own = iter(made[len(ahead) :])
        last = Head(n=following - 1, hash=prev)
        return [last if isinstance(body, Opened) else next(own) for body in bodies]

    def _open(self) -> Segment:
        segment, self._number = segments.create(self._folder, self.writer, self._number + 1)
        try:
            folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                self._sync(folder)  # a file that a power cut takes with it was not durable
            finally:
                os.close(folder)
        except OSError:
            segment.remove()
            self._number -= 1
            raise
        self._segment = segment
        return segment

    def _leave(self) -> None:
        """Go on in another file: what stands at the end of this one, nobody knows. Cut it off if that is possible."""
        segment, self._segment = self._segment, None
        if segment is None:
            return
        with suppress(OSError):
            os.ftruncate(segment.fd, segment.size)
        if segment.size:
            segment.close()
        else:
            with suppress(OSError):
                segment.remove()
            self._number -= 1

    def _end(self) -> None:
        if self._next:
            # A chain that cannot be closed in order looks like one whose process was killed, which is what is known.
            with suppress(OSError, ValueError):
                self._write([Closed()])
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    def _after_fork(self) -> None:
        """In the child: chain, lock and thread are the parent's."""
        if self._segment is not None:
            self._segment.close()
        self._reset()
