"""Puts questions to deployments, some at a time, under a ceiling of cost. It opens no connection itself."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final

from nearfar.core.errors import APIConnectionError, AuthenticationError, NearfarError, NotFoundError
from nearfar.core.money import usd
from nearfar.evaluation.records import UNSENT, Book, Heard, Job, Record

Ask = Callable[[Job], Awaitable[Heard]]
"""Puts one question. Raises NearfarError."""
_PATIENCE: Final = 3
"""Failures one after the other, before any answer, after which a deployment counts as out of reach."""


class Crew:
    """Asks with ``ask``, at most ``concurrency`` at a time; writes into ``book``."""

    def __init__(
        self,
        ask: Ask,
        book: Book,
        *,
        concurrency: int = 1,
        ceiling: int | None = None,
        tell: Callable[[Record], None] = lambda _: None,
    ) -> None:
        """``ceiling``: nano-USD for the whole book. ``tell`` hears of every record as it comes."""
        self.stopped = ""
        """Why not everything was asked; empty when it was."""
        self._ask = ask
        self._book = book
        self._concurrency = concurrency
        self._ceiling = ceiling
        self._tell = tell
        self._reserved = 0
        self._landed = asyncio.Event()
        self._answered: set[str] = set()
        self._failures: Counter[str] = Counter()
        self._jobs: Counter[str] = Counter()

    async def ask(self, jobs: Sequence[Job]) -> None:
        """Put all that is not answered yet, in order. Raises the error of a deployment that is out of reach."""
        waiting = [job for job in jobs if self._book.get(job) is None]
        self._answered |= {job.on for job in jobs if self._book.get(job) is not None}
        self._jobs = Counter(job.on for job in waiting)
        queue = iter(waiting)
        tasks = [asyncio.create_task(self._work(queue)) for _ in range(min(self._concurrency, len(waiting)))]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self, queue: Iterator[Job]) -> None:
        for job in queue:
            if not await self._admitted(job):
                return
            try:
                self._tell(await self._put(job))
            finally:
                self._reserved -= job.bound or 0
                self._landed.set()
                self._landed = asyncio.Event()

    async def _admitted(self, job: Job) -> bool:
        """Wait until ``job`` surely fits below the ceiling; False when it does not, and nothing more is asked."""
        bound = job.bound or 0
        while not self.stopped:
            if self._ceiling is None or self._book.spent + self._reserved + bound <= self._ceiling:
                self._reserved += bound
                return True
            if self._reserved:
                await self._landed.wait()  # it may have cost less than it could have
                continue
            self.stopped = (
                f"{usd(self._book.spent)} are spent, and the next question could cost {usd(bound)}: "
                f"more than the ceiling of {usd(self._ceiling)}"
            )
        return False

    async def _put(self, job: Job) -> Record:
        try:
            heard = await self._ask(job)
        except asyncio.CancelledError:
            # Something was sent: what it cost is nobody's to know any more.
            self._book.add(_failed(job, "cancelled", "nobody waited for the answer"))
            raise
        except NearfarError as error:
            record = _failed(job, error.code, error.message)
            self._book.add(record)
            self._lost(job, error)
            return record
        self._answered.add(job.on)
        spent = (job.bound or 0) if heard.cost is None else heard.cost
        record = Record(
            key=job.key, id=job.id, on=job.on, role=job.role, repeat=job.repeat, pair=job.pair, heard=heard, spent=spent
        )
        self._book.add(record)
        return record

    def _lost(self, job: Job, error: NearfarError) -> None:
        """Give up on everything where a deployment cannot be reached at all: nothing could be compared."""
        away = isinstance(error, APIConnectionError | AuthenticationError | NotFoundError) or error.status >= 500
        if not away or job.on in self._answered:
            return
        self._failures[job.on] += 1
        if self._failures[job.on] >= min(_PATIENCE, self._jobs[job.on]):
            raise type(error)(
                f"{job.on} does not answer: {error.message}",
                code=error.code,
                hint=error.hint or f"Look at it: nearfar providers test {job.on}",
            ) from error


def _failed(job: Job, code: str, message: str) -> Record:
    return Record(
        key=job.key,
        id=job.id,
        on=job.on,
        role=job.role,
        repeat=job.repeat,
        pair=job.pair,
        error=code,
        message=message,
        spent=0 if code in UNSENT else job.bound or 0,
    )
