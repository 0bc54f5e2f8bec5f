"""A fitted router in use on one route: it scores prompts, and watches its promise together with all other processes.

It decides nothing and knows no deployment. Its promise stands in the state database, so that it outlasts restarts.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime

import msgspec

from nearfar.core.errors import StoreUnavailable
from nearfar.core.learned import Gain, Standing
from nearfar.core.outcome import Outcome
from nearfar.store import promises
from nearfar.store.connection import Connection
from nearfar.tuning import promise, router
from nearfar.tuning.certified import Certified
from nearfar.tuning.promise import State
from nearfar.tuning.router import Router
from nearfar.tuning.watch import Mode


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """How a route uses its router."""

    route: str
    mode: Mode
    share: float
    """How likely it decides a conversation in the mode ``canary``."""
    threshold: float
    certified: Certified | None = None
    """Whose threshold it is; None: it is the owner's own, and promises nothing."""
    digest: str
    """SHA-256 of the router's file."""


class Online:
    """A router in use; see ``core.learned.Learned``."""

    def __init__(
        self,
        fitted: Router,
        use: Use,
        connect: Callable[[], Connection | None],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``connect`` opens the state database; None where there is none yet and none may be made."""
        self.mode: str = use.mode
        self.share = use.share
        self.embeds = 0 if fitted.embedded is None else fitted.embedded.rows.shape[1]
        self._router = fitted
        self._use = use
        self._connect = connect
        self._clock = clock
        promised = use.certified
        self._begun = promise.begin(use.threshold, None if promised is None else promised.loss)
        self._state = self._begun
        told = "none" if promised is None else f"{promised.loss!r} {promised.confidence!r} {promised.date}"
        self._lock = threading.Lock()
        """Whoever reads or writes the promise holds it, so that an older reading never comes after a newer one."""
        self._subject = f"{use.digest} {use.threshold!r} {told}"

    def expect(self, prompt: str, embedding: Sequence[float] | None = None) -> Gain:
        """What going far is expected to gain. Raises ValueError for an embedding of another size."""
        found = router.score(self._router, prompt, embedding=embedding)
        return Gain(gap=found.gap, novel=found.novel, trusted=found.trusted)

    @property
    def threshold(self) -> float | None:
        """The gap up to which near goes first, as last read; None: nothing stays near."""
        return self._state.threshold

    def refresh(self) -> None:
        """Read again what all processes have learned about the promise. Raises StoreUnavailable."""
        with self._lock:
            connection = self._connect()
            if connection is None:
                return
            with closing(connection):
                self._state = self._read(promises.load(connection, self._use.route, self._subject))

    def hear(self, outcome: Outcome) -> bool:
        """Take one judged request into account, for good; whether it raised an alarm. Raises StoreUnavailable."""
        if not promise.counts(outcome):
            return False
        with self._lock:
            return self._heard(outcome)

    def _heard(self, outcome: Outcome) -> bool:
        connection = self._connect()
        if connection is None:
            return False
        before = after = self._begun

        def how(text: str) -> str:
            nonlocal before, after
            before = self._read(text)
            after = promise.heard(before, outcome, now=int(self._clock()))
            return msgspec.json.encode(after).decode()

        with closing(connection):
            promises.change(connection, self._use.route, self._subject, how)
        self._state = after
        return after.alarms > before.alarms

    def _read(self, text: str) -> State:
        if not text:
            return self._begun
        try:
            return msgspec.json.decode(text, type=State)
        except msgspec.MsgspecError as error:
            raise StoreUnavailable(
                f"What is kept about the promise of route {self._use.route!r} cannot be read: {error}.",
                code="promise_unreadable",
                hint="A newer nearfar may have written it: upgrade this one.",
            ) from error

    def standing(self) -> Standing:
        """How it does, as last read."""
        state, use = self._state, self._use
        watch, promised = state.watch, use.certified
        return Standing(
            route=use.route,
            mode=use.mode,
            share={"observe": 0.0, "canary": use.share}.get(use.mode, 1.0),
            labels=self._router.labels,
            trusted=self._router.labels >= router.TRUSTED,
            threshold=state.threshold,
            begun=use.threshold,
            loss=None if promised is None else promised.loss,
            confidence=None if promised is None else promised.confidence,
            certified="" if promised is None else promised.date,
            seen=state.seen,
            kept=state.kept,
            lost=state.loss,
            evidence=1.0 if watch is None else watch.evidence,
            alarm_at=0.0 if watch is None else 1 / watch.alpha,
            alarms=state.alarms,
            alarmed=datetime.fromtimestamp(state.alarmed_at, UTC).isoformat() if state.alarmed_at else "",
            recommended=promise.recommended(state, use.mode),
        )
