"""Tells a day's purse what was spent on that day before this process came: a restart is no new day.

It reads the ledger once, at the start, and knows no request.
"""

from __future__ import annotations

import logging
import threading
from contextlib import closing
from pathlib import Path
from typing import Final

from nearfar.core.errors import StoreUnavailable
from nearfar.gateway.purse import Purse
from nearfar.ledger.ledger import drain
from nearfar.ledger.query import open_ledger, spent

PURPOSES: Final = ("shadow", "judge")
SOON_SECONDS = 0.1
"""Before the second try: several processes that start on a new database are in each other's way for a moment."""
AGAIN_SECONDS = 10.0
_DAY_NS = 86_400 * 10**9

log = logging.getLogger("nearfar.spending")


class Spending:
    """Opens one purse."""

    def __init__(self, url: str, journal: Path, purse: Purse, *, workers: int) -> None:
        """``workers`` share a purse equally, and what was spent as well."""
        self._url = url
        self._journal = journal
        self._purse = purse
        self._workers = max(1, workers)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Read now, or, where that does not work, again and again: while nobody knows what was spent, nothing is."""
        try:
            self.read()
        except StoreUnavailable as error:
            log.debug("not yet: %s", error.text)
        else:
            return
        self._thread = threading.Thread(target=self._run, name="nearfar-spending", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        pause = SOON_SECONDS
        while not self._stop.wait(pause):
            try:
                self.read()
            except StoreUnavailable as error:
                if pause < AGAIN_SECONDS <= pause * 3:  # once
                    log.warning("shadows wait until the ledger says what they have cost today: %s", error.text)
                pause = min(AGAIN_SECONDS, pause * 3)
            else:
                return

    def read(self) -> None:
        """Bring in what dead processes left, and open the purse. Blocks; raises StoreUnavailable."""
        drain(self._url, self._journal)
        day = self._purse.today
        with closing(open_ledger(self._url)) as connection:
            gone = spent(connection, PURPOSES, since=day * _DAY_NS)
        self._purse.resume(day, -(-gone // self._workers))

    def close(self) -> None:
        """Stop trying."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
