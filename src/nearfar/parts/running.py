"""The running parts of one process: started, closed, and what operators are told of them. It answers no request."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

import msgspec

from nearfar.gateway.decider import Decider
from nearfar.gateway.exposition import Snapshot
from nearfar.gateway.health import CoolDown
from nearfar.gateway.pipeline import Pipeline
from nearfar.parts.basis import Basis
from nearfar.parts.content import NOT_ENFORCED
from nearfar.parts.keys import Keys, forced
from nearfar.parts.state import responses
from nearfar.settings.load import Loaded

if TYPE_CHECKING:
    from nearfar.gateway.learning import Learner
    from nearfar.gateway.observing import Observer
    from nearfar.gateway.routers import Routers
    from nearfar.gateway.shadow import Shadows
    from nearfar.ledger.audit import Audit
    from nearfar.parts.spending import Spending


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One line of ``/readyz``."""

    name: str
    ok: bool
    detail: str = ""
    partly: bool = False
    """Whether others than those it speaks of are answered although it is not ok."""


class Gateway:
    """The running parts of one process, as the endpoints and the terminal use them."""

    def __init__(
        self,
        loaded: Loaded,
        basis: Basis,
        *,
        decider: Decider,
        pipeline: Pipeline,
        audit: Audit | None,
        observer: Observer | None,
        shadows: Shadows | None,
        learner: Learner | None,
        routers: Routers | None,
        spending: Spending | None = None,
        other_metrics: Callable[[], Awaitable[list[Snapshot]]] | None,
    ) -> None:
        self.settings = loaded.settings
        self.digest = loaded.digest
        """Stands for the configuration files it was started with."""
        self.decider = decider
        self.fleet = basis.fleet
        self.survey = basis.survey
        self.pipeline = pipeline
        self.keys = Keys(basis.ring, force=forced(loaded.settings))
        self.metrics = basis.metrics
        self.engines = basis.engines
        self.lives = basis.lives
        self.loads = basis.loads
        """What is under way at each deployment, and how fast it has been."""
        self.health = basis.health
        self.ids = basis.ids
        self.responses = responses(loaded, basis.url)
        """Where responses are kept; None when they are not."""
        self._audit = audit
        self.observer = observer
        """Tries out the policy that is only observed; None where the chosen one holds."""
        self.routers = routers
        """What has learned which side should go first; None where no route has a router."""
        self.burst = basis.burst
        """What leaves for upstreams and clients goes through it, after the records that speak of it."""
        self.started_at = int(time.time())
        self._shadows = shadows
        self._learner = learner
        self._spending = spending
        self._other_metrics = other_metrics
        self._transport = basis.transport
        self._ledger = basis.ledger
        self._ring = basis.ring

    def start(self) -> None:
        """Begin to fill the ledger and to watch the keys. Opens no network connection but a configured database's."""
        # The keys first: they prepare the database in this thread, before the ledger's thread comes to it.
        self._ring.start()
        if self._spending is not None:
            self._spending.start()
        self._ledger.start()
        if self._audit is not None:
            self._audit.start()
        if self.responses is not None:
            self.responses.start()
        if self._learner is not None:
            self._learner.start()

    async def close(self) -> None:
        """Stop what runs; the ledger last, so that every attempt's end is in it."""
        if self._shadows is not None:
            await self._shadows.close()
        if self._learner is not None:
            await self._learner.close()
        if self.routers is not None:
            await self.routers.close()
        await self.lives.close()
        await self._transport.close()
        if self.engines is not None:
            await self.engines.close()
        if self.responses is not None:
            self.responses.close()
        self._ring.close()
        if self._spending is not None:
            self._spending.close()
        if self._audit is not None:
            self._audit.close()
        self._ledger.close()

    def readiness(self) -> list[Check]:
        """What has to be true for requests to be answered and accounted for."""
        ledger = self._ledger.health()
        deployments = len(self.fleet.snapshot.targets)
        # Anybody may ask whether the gateway is ready: how many is told, and which ones and why only to callers.
        unusable = len(self.fleet.snapshot.unusable)
        policy = [] if self.observer is None else [Check(name="policy", ok=True, detail=NOT_ENFORCED)]
        return [
            *policy,
            *self._audit_check(),
            *self._routers_check(),
            Check(name="ledger", ok=ledger.accepting, detail=ledger.reason),
            Check(
                name="deployments",
                # Discovery waits for the first request that needs it, so "none yet" is not "none".
                ok=bool(deployments) or self.settings.discovery.loopback,
                detail=f"{deployments} usable" + (f", {unusable} not: see `nearfar route ls`" if unusable else ""),
            ),
        ]

    def _audit_check(self) -> list[Check]:
        """Whether records can be written, where the policy demands them before bytes leave."""
        audit = self._audit
        if audit is None or audit.demanded == "never":
            return []
        if not audit.trouble:
            return [Check(name="audit", ok=True)]
        audit.retry()  # nobody else might, if no request comes any more
        near = any(target.deployment.place.near for target in self.fleet.snapshot.targets.values())
        # Anybody may ask: which folder it is, the log and `nearfar doctor` say.
        told = f"no record can be written, so what is {audit.demanded} or higher "
        return [Check(name="audit", ok=False, detail=told + ("stays near" if near else "is refused"), partly=near)]

    def _routers_check(self) -> list[Check]:
        """Whether a router has lost more than was promised; its threshold was tightened then, so all are answered."""
        if self.routers is None:
            return []
        alarmed = sum(standing.alarms > 0 for standing in self.routers.standings())
        # Anybody may ask: which route it is, the log and `nearfar router status` say.
        told = f"{alarmed} lost more than promised and keep less near: see `nearfar router status`" if alarmed else ""
        return [Check(name="routers", ok=True, detail=told)]

    async def metrics_text(self) -> bytes:
        """Prometheus exposition over all workers."""
        others = [] if self._other_metrics is None else await self._other_metrics()
        self._look_up()
        return self.metrics.text(*others)

    def counted(self) -> Snapshot:
        """What this process has counted, with its deployments' state as it is now."""
        self._look_up()
        return self.metrics.snapshot()

    def _look_up(self) -> None:
        if self.routers is not None:
            self.routers.count()
        for name in self.fleet.snapshot.targets:
            self.metrics.up(name, cooling=bool(self.health.cooling(name)[0]))
            load = self.loads.find(name)
            if load is not None and load.slots is not None:
                self.metrics.depth(name, len(load.line.waiting))

    def cooling(self) -> Iterable[tuple[CoolDown, float]]:
        """Deployments that rest, with the seconds left."""
        for rest in self.health.snapshot():
            yield rest, self.health.cooling(rest.deployment)[0]
