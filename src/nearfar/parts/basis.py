"""What everything else of a process stands on: its accounts, the ways out, who is there and how they fare.

It knows the policy that holds, no request and nothing of what content says.
"""

from __future__ import annotations

import secrets as randomness
from collections.abc import Callable, Sequence

import msgspec

from nearfar.core.engines import Engines
from nearfar.core.places import Class
from nearfar.gateway.burst import Burst
from nearfar.gateway.fleet import Fleet
from nearfar.gateway.health import CoolDown, Health
from nearfar.gateway.life import Lives
from nearfar.gateway.limits import Limits
from nearfar.gateway.load import Loads
from nearfar.gateway.metrics import Metrics
from nearfar.gateway.survey import Survey
from nearfar.gateway.transport import Transport
from nearfar.ledger.ledger import Ledger
from nearfar.parts import upstreams
from nearfar.parts.models import supervisor
from nearfar.parts.state import findings, ledger_places
from nearfar.policy import presets
from nearfar.policy.rules import Rules
from nearfar.policy.seal import Sealer
from nearfar.providers import registry as providers
from nearfar.settings.load import Loaded
from nearfar.store.capabilities import Finding
from nearfar.store.ids import Ids
from nearfar.store.keyring import KeyRing


class Basis(msgspec.Struct, frozen=True, kw_only=True):
    """The parts that hold for every request; none of them is started."""

    rules: Rules
    """The policy that requests are held to."""
    observed: Rules | None
    """The policy that is only tried out, if one is."""
    ids: Ids
    sealer: Sealer
    url: str
    """The database of the ledger, the keys and the stored responses."""
    ledger: Ledger
    burst: Burst
    """What leaves goes through it, after the records that speak of it."""
    transport: Transport
    health: Health
    limits: Limits
    engines: Engines | None
    survey: Survey
    fleet: Fleet
    ring: KeyRing
    metrics: Metrics
    lives: Lives
    loads: Loads


def basis(
    loaded: Loaded,
    *,
    engines: Engines | None,
    publish: Callable[[CoolDown], None] | None,
    probed: Callable[[], Sequence[Finding]] | None,
) -> Basis:
    """Arguments as ``build.gateway``."""
    settings = loaded.settings
    ids = Ids()
    sealer = Sealer(randomness.token_bytes(32))
    url, journal = ledger_places(loaded)
    ledger = Ledger(url, journal, flush_seconds=settings.ledger.flush_seconds)
    # Records are written in groups: no byte leaves but through the burst, which writes them first.
    burst = Burst(before=ledger.write)
    ledger.hold(burst.soon)
    transport = upstreams.transport(loaded, sealer, burst)
    health = Health(publish=publish)
    rules = presets.enforced(settings)
    observed = presets.observed(settings)
    if engines is None and settings.engine.enabled:
        engines = supervisor(loaded)
    known = providers.load_all()
    survey = upstreams.survey(loaded, known, transport, sealer, probed or findings(loaded))
    fleet = Fleet(
        survey.snapshot(),
        health,
        fixed=frozenset((*settings.routes, *settings.deployments)),
        renew=survey.renew,
        reread=survey.reread,
    )
    lives = Lives(
        fleet=fleet,
        providers=known,
        engines=engines,
        transport=transport,
        sealer=sealer,
        reach=rules.reach(Class.PUBLIC),
    )
    return Basis(
        rules=rules,
        observed=observed,
        ids=ids,
        sealer=sealer,
        url=url,
        ledger=ledger,
        burst=burst,
        transport=transport,
        health=health,
        limits=Limits(health),
        engines=engines,
        survey=survey,
        fleet=fleet,
        ring=KeyRing(url),
        metrics=Metrics(),
        lives=lives,
        loads=Loads(share=settings.server.workers),
    )
