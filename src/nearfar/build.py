"""The composition root: the only place that knows everyone. It joins what ``parts`` makes and adds no logic."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from nearfar.core.engines import Engines
from nearfar.gateway.attempt import Attempts
from nearfar.gateway.decider import Decider
from nearfar.gateway.exposition import Snapshot
from nearfar.gateway.health import CoolDown
from nearfar.gateway.holding import Holding
from nearfar.gateway.pipeline import Pipeline
from nearfar.gateway.retries import Patience
from nearfar.gateway.slots import Slots
from nearfar.gateway.witness import Witness
from nearfar.parts import content, learning, state, strategies
from nearfar.parts.basis import Basis, basis
from nearfar.parts.content import NOT_ENFORCED, further_detectors, guard, rules_from
from nearfar.parts.keys import Keys, has_keys, is_loopback
from nearfar.parts.keys import needed as needs_key
from nearfar.parts.models import library, supervisor
from nearfar.parts.routers import routers
from nearfar.parts.running import Check, Gateway
from nearfar.parts.state import findings, ledger_places
from nearfar.settings.load import Loaded
from nearfar.store.capabilities import Finding

if TYPE_CHECKING:
    from nearfar.gateway.masking import Masking

__all__ = [
    "NOT_ENFORCED",
    "Check",
    "Gateway",
    "Keys",
    "findings",
    "further_detectors",
    "gateway",
    "guard",
    "has_keys",
    "is_loopback",
    "ledger_places",
    "library",
    "needs_key",
    "rules_from",
    "supervisor",
]


def gateway(
    loaded: Loaded,
    *,
    engines: Engines | None = None,
    publish: Callable[[CoolDown], None] | None = None,
    other_metrics: Callable[[], Awaitable[list[Snapshot]]] | None = None,
    probed: Callable[[], Sequence[Finding]] | None = None,
    promised: str = "",
) -> Gateway:
    """Everything one process needs to answer requests.

    ``engines``: the parent's engines in a worker; unset, this process runs its own. ``publish`` tells other workers
    of cool-downs; ``other_metrics`` asks what they have counted. ``probed``: what earlier probes found out; unset, what
    the state database knows of it. ``promised``: the database that knows how routers' promises stand; unset, its own.
    """
    settings = loaded.settings
    base = basis(loaded, engines=engines, publish=publish, probed=probed)
    # A policy that is only observed looks at content for itself, and nothing here is held to what it sees.
    looking = guard(settings, base.rules) if base.observed is None else None
    detectors = looking.version if looking else ""
    audit = None if base.rules.audit is None else state.audit(loaded, base.rules, base.ids, detectors)
    masking = None if looking is None else content.masking(loaded, looking, base.rules)
    witness = Witness(audit, detectors)
    decider = _decider(loaded, base, masks=masking is not None)
    slots = Slots(base.loads, base.metrics, longest=settings.queue.longest, seconds=settings.queue.seconds)
    attempts = _attempts(loaded, base, decider, slots, witness, masking)
    observer, told = content.trying_out(loaded, base)
    learned = routers(loaded, base, decider, attempts, promised)
    purse = strategies.purse(settings)
    learner = learning.learner(
        loaded,
        base,
        attempts=attempts,
        decider=decider,
        slots=slots,
        purse=purse,
        guard=looking,
        outcomes=[] if learned is None else [learned.hear],
    )
    shadows = strategies.shadows(settings, attempts, base.metrics, purse, learner)
    pipeline = Pipeline(
        fleet=base.fleet,
        decider=decider,
        attempts=strategies.around(settings, base, attempts, decider, slots, learner),
        metrics=base.metrics,
        lives=base.lives,
        guard=looking,
        witness=witness,
        observer=observer,
        patience=Patience(base.health, base.limits, settings.retries),
        slots=slots,
        shadows=shadows,
        routers=learned,
    )
    return Gateway(
        loaded,
        base,
        decider=decider,
        pipeline=pipeline,
        audit=told or audit,
        observer=observer,
        shadows=shadows,
        learner=learner,
        routers=learned,
        spending=strategies.spending(loaded, base, purse),
        other_metrics=other_metrics,
    )


def _decider(loaded: Loaded, base: Basis, *, masks: bool) -> Decider:
    """Decides with the policy that holds. Conversations are told apart by a key where a route keeps them together."""
    kept = any(route.affinity for route in loaded.settings.routes.values())
    return Decider(
        base.fleet,
        base.health,
        base.rules,
        masks=masks,
        loads=base.loads,
        limits=base.limits,
        key=state.own_key(loaded, "conversations") if kept else b"",
    )


def _attempts(
    loaded: Loaded, base: Basis, decider: Decider, slots: Slots, witness: Witness, masking: Masking | None
) -> Attempts:
    """Runs single attempts."""
    return Attempts(
        sealer=base.sealer,
        transport=base.transport,
        ledger=base.ledger,
        health=base.health,
        metrics=base.metrics,
        engines=base.engines,
        lives=base.lives,
        loads=base.loads,
        witness=witness,
        masking=masking,
        replies=content.replies(base.rules),
        rewriting=content.rewriting(base, decider, slots, masking),
        limits=base.limits,
        holding=Holding(loaded.settings.server.max_reply_bytes),
    )
