"""Who looks at content and what follows from it: detection, masks, rewriting, replies, a policy that is tried out.

It knows which parts a policy wants and no word of what they see. Each is imported only where it is wanted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nearfar.gateway.decider import Decider
from nearfar.gateway.slots import Slots
from nearfar.parts.basis import Basis
from nearfar.parts.state import audit, own_key
from nearfar.policy import presets
from nearfar.policy.rules import Rules
from nearfar.settings.load import Loaded
from nearfar.settings.model import Settings

if TYPE_CHECKING:
    from nearfar.gateway.guard import Guard
    from nearfar.gateway.masking import Masking
    from nearfar.gateway.observing import Observer
    from nearfar.gateway.reply_guard import ReplyGuard
    from nearfar.gateway.rewriting import Rewriting
    from nearfar.ledger.audit import Audit
    from nearfar.privacy.engines import Later
    from nearfar.privacy.findings import Detector


NOT_ENFORCED = "NOT ENFORCED: policy.mode is observe, so the chosen policy is told of and holds nothing back"
"""What start, readiness, doctor and policy say while a policy is only tried out."""


def rules_from(settings: Settings) -> Rules:
    """The policy that requests are held to, as rules."""
    return presets.enforced(settings)


def guard(settings: Settings, rules: Rules) -> Guard | None:
    """Who looks at what requests say; None where the policy does not want that. Loads its rules at once."""
    policy = settings.policy
    wanted = policy.detect
    if wanted is None:
        wanted = bool(policy.file) or policy.preset != "default" or bool(settings.detectors)
    if not wanted:
        return None
    from nearfar.gateway.guard import Guard
    from nearfar.privacy.scan import Memo, Scanner

    memo = Memo()
    detectors = _detectors(settings)
    made = Guard(
        rules,
        lambda harmless: Scanner(detectors=detectors, harmless=harmless, memo=memo),
        deadline=policy.detect_deadline if settings.detectors else 0.0,
    )
    made.version  # noqa: B018 - loads the rules now and not while the first client waits
    return made


def _detectors(settings: Settings) -> tuple[Detector, ...]:
    """The embedded names, and what the owner has installed besides."""
    from nearfar.privacy.names import Names

    if not settings.detectors:
        return (Names.shipped(),)
    from nearfar.privacy.engines import Together

    return (Names.shipped(), Together(further_detectors(settings), settings.policy.detect_deadline))


def further_detectors(settings: Settings) -> list[Later]:
    """The detectors of the owner's choice. Each is made when it is first asked."""
    if not settings.detectors:
        return []
    from nearfar.privacy import engines

    return [
        engines.later(
            name,
            each.engine,
            model=each.model,
            labels=each.labels,
            threshold=each.threshold,
            language=each.language,
        )
        for name, each in settings.detectors.items()
    ]


def replies(rules: Rules) -> ReplyGuard | None:
    """Who looks at what replies bring up, with the same rules as for requests; None where the policy lets them pass."""
    if rules.replies == "pass":
        return None
    from nearfar.gateway.reply_guard import ReplyGuard
    from nearfar.privacy.names import KIND, Names
    from nearfar.privacy.scan import Scanner

    detectors = (Names.shipped(),) if rules.watches(KIND) else ()  # names only where they matter
    return ReplyGuard(rules, lambda harmless: Scanner(detectors=detectors, harmless=harmless))


def masking(loaded: Loaded, guard: Guard, rules: Rules) -> Masking:
    """Masks with a key that every process of this gateway shares, so that each can answer the next turn."""
    from nearfar.gateway.masking import Masking

    return Masking(guard, rules, own_key(loaded, "masks"))


def rewriting(base: Basis, decider: Decider, slots: Slots, masking: Masking | None) -> Rewriting | None:
    """Questions without private facts, where the policy lets a class go further in that form."""
    rules = base.rules
    if masking is None or not rules.rewrites:
        return None
    from nearfar.gateway.rewriting import Rewriting
    from nearfar.gateway.rewriting_prompts import shipped

    return Rewriting(
        decider=decider,
        fleet=base.fleet,
        masking=masking,
        metrics=base.metrics,
        rules=rules,
        prompts=shipped(),
        slots=slots,
    )


def trying_out(loaded: Loaded, base: Basis) -> tuple[Observer | None, Audit | None]:
    """Tries the observed policy out beside the one that holds, and the chain where it wants that told; None without."""
    rules = base.observed
    if rules is None:
        return None, None
    from nearfar.gateway.observing import Observer

    watching = guard(loaded.settings, rules)
    chain = None
    if rules.audit is not None:
        chain = audit(loaded, rules, base.ids, watching.version if watching else "", demanded="never")
    deciding = Decider(base.fleet, base.health, rules, masks=watching is not None)
    return Observer(deciding, base.metrics, guard=watching, audit=chain), chain
