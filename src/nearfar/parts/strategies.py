"""What routes want beyond one attempt after the other: hedges, continuing, cascades, shadows.

It knows which routes want what, and no request. Each is imported only where a route wants it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nearfar.core.money import NANO
from nearfar.gateway.attempt import Attempts
from nearfar.gateway.decider import Decider
from nearfar.gateway.metrics import Metrics
from nearfar.gateway.purse import Purse
from nearfar.gateway.slots import Slots
from nearfar.parts.basis import Basis
from nearfar.settings.load import Loaded
from nearfar.settings.model import Settings

if TYPE_CHECKING:
    from nearfar.gateway.hedge import Runs
    from nearfar.gateway.learning import Learner
    from nearfar.gateway.shadow import Shadows
    from nearfar.parts.spending import Spending


def around(
    settings: Settings, base: Basis, attempts: Attempts, decider: Decider, slots: Slots, learner: Learner | None = None
) -> Runs:
    """``attempts`` inside everything that some route wants; where none does, ``attempts`` as it is.

    ``learner``: who learns from requests that were answered on both sides.
    """
    routes = settings.routes.values()
    running: Runs = attempts
    if any(route.hedge_after is not None for route in routes):  # a second attempt beside a slow one
        from nearfar.gateway.hedge import Hedge

        running = Hedge(running, fleet=base.fleet, health=base.health, metrics=base.metrics)
    if any(route.continues for route in routes):  # another deployment for the rest of a stream that broke off
        from nearfar.gateway.continuing import Continuing

        running = Continuing(running, fleet=base.fleet, health=base.health, metrics=base.metrics)
    if any(route.strategy == "cascade" for route in routes):  # near answers that are judged
        from nearfar.gateway.cascade import Cascades

        running = Cascades(
            attempts,
            straight=running,
            decider=decider,
            fleet=base.fleet,
            metrics=base.metrics,
            slots=slots,
            learner=learner,
        )
    return running


def purse(settings: Settings) -> Purse:
    """What may be spent on each day on what clients do not see: shadows, and judges of their answers."""
    daily = round(settings.shadow.daily_usd * NANO / max(1, settings.server.workers))
    return Purse(daily, closed=any(route.shadow is not None for route in settings.routes.values()))


def spending(loaded: Loaded, base: Basis, money: Purse) -> Spending | None:
    """Who tells ``money`` what it had spent before a restart; None where nobody spends any."""
    if all(route.shadow is None for route in loaded.settings.routes.values()):
        return None
    from nearfar.parts.spending import Spending

    return Spending(base.url, loaded.journal, money, workers=loaded.settings.server.workers)


def shadows(
    settings: Settings, attempts: Attempts, metrics: Metrics, money: Purse, learner: Learner | None = None
) -> Shadows | None:
    """Who is asked after the reply; None where no route wants that."""
    if all(route.shadow is None for route in settings.routes.values()):
        return None
    from nearfar.gateway.shadow import Shadows

    return Shadows(attempts, metrics, most=settings.shadow.most, purse=money, learner=learner)
