"""Watches a promise while it is in use: an e-process that may be looked at after every label, and what an alarm does.

It draws no samples and asks no judge: it is told the losses of sampled prompts. If the true loss never rises above
the promise, the probability that it ever raises an alarm is at most ``alpha`` (Ville's inequality; betting as in
arXiv 2010.09686). Rolling tests have no such bound: looked at often enough, they alarm without a cause.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

Mode = Literal["observe", "canary", "on"]
"""What a learned threshold may do: nothing but be recorded, decide a small share, decide."""

_BETS: Final = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7)
"""Shares of the largest bet that cannot go bankrupt; their mean is as valid as each, whatever the true loss is."""


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one promise; every observation makes a new one."""

    loss: float
    """The promised mean loss of the observed prompts, between 0 and 1."""
    alpha: float = 0.05
    """Probability of a false alarm, ever."""
    logs: tuple[float, ...] = (0.0,) * len(_BETS)
    """Logarithm of what each bet has become."""
    seen: int = 0
    alarmed: bool = False
    """Whether the evidence has ever sufficed. It stays so: begin a new watch after acting on it."""

    @property
    def evidence(self) -> float:
        """The e-value: above 1 / alpha it is an alarm."""
        largest = max(self.logs)
        mean = math.fsum(math.exp(value - largest) for value in self.logs) / len(self.logs)
        return math.exp(min(700.0, largest + math.log(mean)))

    def observe(self, lost: float, *, propensity: float = 1.0, usual: float = 1.0) -> Watch:
        """After one judged prompt that lost ``lost`` (0 to 1).

        ``propensity`` is the logged probability with which it was sampled, ``usual`` the mean of that over all
        prompts: whoever samples more near the threshold still watches the mean of all. Raises ValueError otherwise.
        """
        if not (0 <= lost <= 1 and 0 < propensity <= 1 and 0 < usual <= 1 and 0 < self.loss < 1):
            raise ValueError("losses lie between 0 and 1, and sampling probabilities above 0")
        value = lost * usual / propensity
        logs = tuple(
            log + math.log1p(share * (value / self.loss - 1)) for log, share in zip(self.logs, _BETS, strict=True)
        )
        after = msgspec.structs.replace(self, logs=logs, seen=self.seen + 1)
        return msgspec.structs.replace(after, alarmed=self.alarmed or after.evidence >= 1 / self.alpha)


def tightened(threshold: float, doubts: Sequence[float]) -> float | None:
    """The threshold after an alarm: half of the prompts that are kept near stay so. None: nothing stays.

    ``doubts`` are those of recent prompts. A refit and a new certificate come later; this acts at once.
    """
    kept = sorted(doubt for doubt in doubts if doubt <= threshold)
    half = len(kept) // 2
    if not half:
        return None
    lower = kept[half - 1]
    # Equal doubts stay or go together: where they reach over the middle, they go.
    return lower if lower < kept[half] else next((doubt for doubt in reversed(kept[:half]) if doubt < lower), None)


def after_label(mode: Mode, watch: Watch, *, enough: int) -> Mode:
    """The mode after a label: one step on when ``enough`` labels gave no alarm, back to observing on an alarm."""
    if watch.alarmed:
        return "observe"
    if watch.seen < enough:
        return mode
    return "canary" if mode == "observe" else "on"
