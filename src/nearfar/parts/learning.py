"""What is kept to learn from, by whom it is judged, and who hears of it. It knows no request.

Everything that only somebody who learns needs is imported where the settings keep something.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from nearfar.core.outcome import Outcome
from nearfar.core.places import Class
from nearfar.gateway.attempt import Attempts
from nearfar.gateway.decider import Decider
from nearfar.gateway.purse import Purse
from nearfar.gateway.slots import Slots
from nearfar.parts import content
from nearfar.parts.basis import Basis
from nearfar.parts.state import own_key
from nearfar.settings import secrets
from nearfar.settings.load import Loaded
from nearfar.settings.model import Settings
from nearfar.store.keyfile import read_key

if TYPE_CHECKING:
    from nearfar.gateway.guard import Guard
    from nearfar.gateway.judge_anchors import Anchor
    from nearfar.gateway.learning import Learner
    from nearfar.store.labels import Labels

_DAY = 24 * 60 * 60


def labels(loaded: Loaded, url: str) -> Labels:
    """The pairs in the database at ``url``, for whoever has the key. Raises StoreUnavailable."""
    from nearfar.store.cipher import Cipher  # it needs an extra
    from nearfar.store.labels import Labels

    setting = loaded.settings.learning
    if setting.key:
        key = read_key(secrets.resolve(setting.key, loaded.environ).reveal(), "learning.key")
    else:
        key = own_key(loaded, "learning")
    return Labels(url, Cipher(key), key, keep_seconds=round(setting.retention_days * _DAY))


def learner(
    loaded: Loaded,
    base: Basis,
    *,
    attempts: Attempts,
    decider: Decider,
    slots: Slots,
    purse: Purse,
    guard: Guard | None,
    outcomes: Sequence[Callable[[Outcome], None]],
) -> Learner | None:
    """Who keeps pairs of answers; None where nothing is kept, or no route asks twice.

    ``outcomes`` hear of their scores. Raises StoreUnavailable, and BadAnchors for a file that is none.
    """
    settings = loaded.settings
    setting = settings.learning
    if not setting.keep or all(route.shadow is None for route in settings.routes.values()):
        return None
    from nearfar.gateway.learning import Learner

    guard = _looking(settings, base, guard)
    kept = labels(loaded, base.url)
    made = Learner(
        labels=kept,
        keep=[Class.parse(name) for name in setting.keep],
        decider=decider,
        metrics=base.metrics,
        label_id=lambda: base.ids.new("lbl-"),
        outcomes=outcomes,
        guard=guard,
        share_judged=setting.share_judged,
    )
    if not setting.judge or not setting.share_judged:
        return made
    from nearfar.gateway.judge import Judge
    from nearfar.gateway.judge_prompts import shipped
    from nearfar.gateway.learning_judging import Judging

    judge = Judge(
        setting.judge,
        decider=decider,
        fleet=base.fleet,
        attempts=attempts,
        purse=purse,
        prompts=shipped(),
        guard=guard,
        slots=slots,
    )
    found, class_ = anchors(setting.anchors)
    made.judging = Judging(
        judge,
        kept,
        base.metrics,
        scored=made.scored,
        anchors=found,
        anchors_class=class_,
        agreement=setting.agreement,
        request_id=lambda: base.ids.new("req-"),
    )
    return made


def _looking(settings: Settings, base: Basis, guard: Guard | None) -> Guard | None:
    """Who looks at what would be kept, or shown to a judge: also where the policy does not want requests looked at.

    Only the owner's plain word (``policy.detect = false``) is followed here too.
    """
    if guard is not None or settings.policy.detect is False:
        return guard
    policy = msgspec.structs.replace(settings.policy, detect=True)
    return content.guard(msgspec.structs.replace(settings, policy=policy), base.rules)


def anchors(path: str) -> tuple[Sequence[Anchor], Class]:
    """What a judge is tried on, and its class: the owner's own words count as internal. Raises BadAnchors."""
    from nearfar.gateway import judge_anchors

    return (judge_anchors.read(Path(path)), Class.INTERNAL) if path else (judge_anchors.shipped(), Class.PUBLIC)
