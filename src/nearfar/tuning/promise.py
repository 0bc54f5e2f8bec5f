"""What becomes of a promise while it is in use, judged request by judged request. Plain values; it stores nothing.

Every request that the router could judge counts, also those that it would send far: the promise is a mean over all of
them, and those lose nothing. What it would have kept near counts with its loss whoever really answered, so that a
router which is only observed is tested just like one that decides.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

from nearfar.core.outcome import Outcome
from nearfar.tuning.watch import Mode, Watch, after_label, tightened

ENOUGH: Final = 200
"""Judged requests without an alarm after which the next mode is recommended."""
RECENT: Final = 400
"""Gaps that are remembered, to know what a tighter threshold would keep."""


class State(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A promise as it stands."""

    threshold: float | None
    """The gap up to which prompts stay near; None: none does any more."""
    watch: Watch | None = None
    """The evidence since the last alarm; None where nothing is promised."""
    seen: int = 0
    kept: int = 0
    lost: float = 0.0
    """Sum of losses, each divided by its propensity."""
    drawn: float = 0.0
    """Sum of one divided by propensity."""
    alarms: int = 0
    alarmed_at: int = 0
    """Seconds since the epoch; 0: never."""
    recent: tuple[float, ...] = ()
    """Gaps of the last ones that counted."""

    @property
    def loss(self) -> float | None:
        """The mean loss of all that counted; None while there are none."""
        return self.lost / self.drawn if self.drawn else None


def begin(threshold: float, loss: float | None) -> State:
    """A promise of a mean ``loss`` with this threshold; None: nothing is promised."""
    return State(threshold=threshold, watch=None if loss is None else Watch(loss=loss))


def counts(outcome: Outcome) -> bool:
    """Whether an outcome says something about the promise: judged well, by a router that trusted itself."""
    values = (outcome.near, outcome.far)
    sound = all(0 <= value <= 1 for value in values) and 0 < outcome.propensity <= 1
    return outcome.trusted and sound and outcome.score is not None and math.isfinite(outcome.score)


def heard(state: State, outcome: Outcome, *, now: int) -> State:
    """After one more outcome. ``now``: seconds since the epoch. An alarm tightens the threshold at once."""
    if not counts(outcome) or outcome.score is None:
        return state
    kept = state.threshold is not None and outcome.score <= state.threshold
    lost = max(0.0, outcome.far - outcome.near) if kept else 0.0
    # The mean propensity over all requests, from those before this one: known before it was drawn.
    usual = state.seen / state.drawn if state.drawn else outcome.propensity
    after = msgspec.structs.replace(
        state,
        watch=None if state.watch is None else state.watch.observe(lost, propensity=outcome.propensity, usual=usual),
        seen=state.seen + 1,
        kept=state.kept + kept,
        lost=state.lost + lost / outcome.propensity,
        drawn=state.drawn + 1 / outcome.propensity,
        recent=(*state.recent, outcome.score)[-RECENT:],
    )
    if after.watch is None or not after.watch.alarmed:
        return after
    return msgspec.structs.replace(
        after,
        threshold=None if after.threshold is None else tightened(after.threshold, after.recent),
        watch=Watch(loss=after.watch.loss, alpha=after.watch.alpha),
        alarms=after.alarms + 1,
        alarmed_at=now,
    )


def recommended(state: State, mode: Mode) -> Mode:
    """The mode that the evidence speaks for; the owner decides."""
    if state.alarms:
        return "observe"
    return mode if state.watch is None else after_label(mode, state.watch, enough=ENOUGH)
