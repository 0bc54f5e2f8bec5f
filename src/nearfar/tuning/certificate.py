"""A promise with a certificate: "keeping answers near loses at most ε against far, with confidence 1 - δ".

Learn-then-test with exact binomial tests (Clopper-Pearson), for scores that are shares with Hoeffding-Bentkus
(arXiv 2110.01052). A prompt is *lost* if it is kept near and far would have done better; what near does better is not
set off against it. It knows no router: only a doubt for each prompt, and prompts are kept near up to a threshold.

Thresholds are tested from the safest on, and the first failure ends it. The sets of kept prompts are nested, so this
one sequence needs no correction, however fine it is: to be wrong, it must pass the threshold at which the true loss
is ε, and that happens with probability δ at most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from nearfar.tuning import isotonic


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """What can be promised for one policy group."""

    group: str
    loss: float
    """ε: the promised share of lost quality."""
    confidence: float
    """1 - δ."""
    pairs: int
    """Calibration prompts."""
    certified: bool
    threshold: float | None = None
    """Doubt up to which answers are kept near; None where nothing can be promised: everything goes far."""
    bound: float | None = None
    """Upper confidence bound of the loss at this threshold."""
    observed: float | None = None
    """The loss on the calibration prompts."""
    local_share: float = 0.0
    expected: float | None = None
    """Isotonic estimate of what a prompt right at the threshold would lose."""
    reason: str = ""


def certify(
    doubt: Sequence[float], lost: Sequence[float], *, loss: float, confidence: float, group: str = ""
) -> Certificate:
    """The largest share kept near that can be promised.

    ``doubt`` orders the prompts (least first), ``lost`` is what each loses when kept near, 0 to 1. The prompts must
    be unknown to whatever made ``doubt``. Raises ValueError for limits outside 0 to 1.
    """
    if not (0 < loss < 1 and 0 < confidence < 1) or len(doubt) != len(lost):
        raise ValueError("loss and confidence lie between 0 and 1, and every prompt has a doubt and a loss")
    count, delta = len(doubt), 1 - confidence
    common = {"group": group, "loss": loss, "confidence": confidence, "pairs": count}
    fewest = math.ceil(math.log(delta) / math.log1p(-loss))
    if count < fewest:
        why = f"{count} pairs are too few: without a single loss it takes {fewest}"
        return Certificate(certified=False, reason=why, **common)  # type: ignore[arg-type]  # the four named above
    pairs = sorted(zip(doubt, lost, strict=True))
    whole = all(one in {0, 1} for one in lost)
    total = kept_loss = 0.0
    kept, at, threshold = 0, 0, None
    while at < count:
        end = at
        while end < count and pairs[end][0] == pairs[at][0]:  # equal doubts stay or go together
            total += pairs[end][1]
            end += 1
        if _p_value(total, count, loss, whole=whole) > delta:
            break
        kept, threshold, kept_loss, at = end, pairs[at][0], total, end
    if threshold is None:
        why = "already the answers with the least doubt lose too much"
        return Certificate(certified=False, reason=why, **common)  # type: ignore[arg-type]  # the four named above
    steps = isotonic.fit([one for one, _ in pairs], [one for _, one in pairs])
    return Certificate(
        certified=True,
        threshold=threshold,
        bound=upper_bound(kept_loss, count, delta, whole=whole),
        observed=kept_loss / count,
        local_share=kept / count,
        expected=float(steps([threshold])[0]),
        **common,  # type: ignore[arg-type]  # the four named above
    )


def upper_bound(total: float, count: int, delta: float, *, whole: bool = True) -> float:
    """The largest mean loss that ``total`` lost among ``count`` does not refute at level ``delta``."""
    low, high = total / count, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if _p_value(total, count, middle, whole=whole) <= delta else (middle, high)
    return high


def _p_value(total: float, count: int, loss: float, *, whole: bool) -> float:
    """How probable so little loss would be if the true mean were ``loss``; ``whole``: every loss is 0 or 1."""
    if loss >= 1:
        return 0.0 if total < count else 1.0
    if whole:
        return binomial(round(total), count, loss)
    bentkus = math.e * binomial(math.ceil(total - 1e-9), count, loss)
    return min(1.0, bentkus, math.exp(-count * _divergence(min(total / count, loss), loss)))


def _divergence(one: float, other: float) -> float:
    left = one * math.log(one / other) if one else 0.0
    return left + (1 - one) * math.log((1 - one) / (1 - other))


def binomial(most: int, count: int, chance: float) -> float:
    """Probability of at most ``most`` hits among ``count``."""
    if most < 0:
        return 0.0
    if most >= count or chance <= 0:
        return 1.0
    if chance >= 1:
        return 0.0
    log_hit, log_miss = math.log(chance), math.log1p(-chance)
    start = math.lgamma(count + 1)
    terms = [
        start - math.lgamma(hits + 1) - math.lgamma(count - hits + 1) + hits * log_hit + (count - hits) * log_miss
        for hits in range(most + 1)
    ]
    largest = max(terms)
    return min(1.0, math.exp(largest) * math.fsum(math.exp(term - largest) for term in terms))
