"""The ledger as the gateway sees it: begin, end, health. It knows neither prices nor why an attempt was made.

The cost of an attempt is the caller's computation; the ledger stores it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from nearfar.core.attempts import Begin, End
from nearfar.core.errors import StoreUnavailable
from nearfar.ledger.filler import FLUSH_SECONDS, Filler
from nearfar.ledger.journal import Journal
from nearfar.store.ids import Ids

_STOP_SECONDS = 5.0


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How the ledger is."""

    healthy: bool
    """The journal can be written and the database is being filled."""
    reason: str
    """What is wrong and what to do, in a sentence or two; empty when healthy."""
    accepting: bool
    """Whether another attempt can be journalled, be it in memory: false means that requests are refused."""
    waiting: int
    """Records in memory because the journal's disk refuses them: they die with the process."""
    backlog: int
    """Bytes in this process's journal that are not in the database yet: they survive the process."""
    damaged: int
    """Journal lines that could not be read since the start; each may be an attempt not accounted for."""


class Ledger:
    """One per process: a journal of its own and a thread that fills the database."""

    def __init__(self, url: str, folder: Path, *, flush_seconds: float = FLUSH_SECONDS, ids: Ids | None = None) -> None:
        self._journal = Journal(folder, ids or Ids())
        self._filler = Filler(url, folder, self._journal, flush_seconds=flush_seconds)
        self.begin: Callable[[Begin], None] = self._journal.begin
        """``begin(Begin)``, before bytes leave: see Journal.begin."""
        self.end: Callable[[End], None] = self._journal.end
        """``end(End)``, once and always: see Journal.end."""
        self.hold = self._journal.hold
        """``hold(soon)``: records wait for ``write`` from now on: see Journal.hold."""
        self.write = self._journal.flush
        """Write the records that are held to the journal."""

    def start(self) -> None:
        """Open the journal and start filling. Never fails: what does not work yet shows in ``health``."""
        self._journal.tend()
        self._filler.start()

    def health(self) -> Health:
        """How the ledger is, from memory: cheap, and it never waits."""
        reasons = [self._journal.reason, self._filler.reason]
        if late := self._filler.late:
            reasons.append(f"The database has not answered for {late:.0f} seconds.")
        reason = " ".join(filter(None, reasons))
        return Health(
            healthy=not reason,
            reason=reason,
            accepting=self._journal.accepting,
            waiting=self._journal.waiting,
            backlog=self._filler.backlog,
            damaged=self._filler.damaged,
        )

    def flush(self) -> None:
        """Bring everything journalled so far into the database now. Blocks; raises StoreUnavailable."""
        self._journal.flush()
        self._filler.fill()

    def close(self) -> bool:
        """Stop: what was journalled goes to the database, and no segment is left. Blocks for seconds at most.

        False when that did not work: then the journal stays, and the next start fills from it.
        """
        self._journal.close()
        if not self._filler.stop(_STOP_SECONDS):
            return False  # the thread still reads the segments; the process's end gives them up
        try:
            self._filler.finish()
        except (StoreUnavailable, OSError):
            self._journal.release()
            return False
        finally:
            self._filler.close()
        return True


def drain(url: str, folder: Path) -> None:
    """Bring into the database what dead processes left in the journal; those alive fill it themselves.

    For commands that read the ledger. Raises StoreUnavailable.
    """
    filler = Filler(url, folder)
    try:
        filler.fill()
    finally:
        filler.close()
