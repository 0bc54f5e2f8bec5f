"""What follows from the gap that a learned router expects: which side it leans to, and whether that decides. Pure.

It is asked only about who goes first among deployments that are allowed anyway, and knows neither of them.
"""

from __future__ import annotations

from nearfar.core.learned import Gain
from nearfar.core.routing import Lean

OBSERVED = "observed only"
REST = "not among the canaries"


def leaning(
    expected: Gain | None, threshold: float | None, *, mode: str, share: float, draw: float, why: str = ""
) -> Lean:
    """The lean of one request.

    ``expected``: what the router said, None where it was not asked or failed, which ``why`` explains. ``threshold``:
    the gap up to which near goes first, None where nothing may stay near. ``draw``: from 0 up to 1, the same for all
    requests of a conversation; those below ``share`` are decided in the mode ``canary``.
    """
    odds = {"observe": 0.0, "canary": share}.get(mode, 1.0)
    if expected is None or expected.novel or not expected.trusted:
        if expected is not None:
            why = "the prompt is unlike its labels" if expected.novel else "it has too few labels"
        return Lean(side="", follows=False, mode=mode, share=odds, threshold=threshold, why=why)
    far = threshold is None or expected.gap > threshold
    follows = draw < odds
    return Lean(
        side="far" if far else "near",
        follows=follows,
        mode=mode,
        share=odds,
        gap=expected.gap,
        threshold=threshold,
        why="" if follows else OBSERVED if mode == "observe" else REST,
    )


def told(lean: Lean) -> str:
    """In a few words, for headers, the ledger and people."""
    if not lean.side:
        return f"router not followed: {lean.why}"
    bound = "nothing stays near" if lean.threshold is None else f"{lean.threshold:.2f}"
    gap = lean.gap or 0.0
    sign = ">" if lean.side == "far" else "<="
    how = f"gap {gap:+.2f} {sign} {bound}" if lean.threshold is not None else f"gap {gap:+.2f}, {bound}"
    canary = f", canary {lean.share:g}" if lean.mode == "canary" else ""
    if lean.follows:
        return f"router: {lean.side} first, {how}{canary}"
    return f"router: {lean.side} first, {how}; {lean.why}{canary}"
