"""Which side a learned router leans to, whether that decides, and how it is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.learned import Gain
from nearfar.core.routing import Lean
from nearfar.policy.lean import leaning, told


def gain(gap: float, *, novel: bool = False, trusted: bool = True) -> Gain:
    return Gain(gap=gap, novel=novel, trusted=trusted and not novel)


def leans(gap: float, threshold: float | None = 0.2, *, mode: str = "on", draw: float = 0.5) -> Lean:
    return leaning(gain(gap), threshold, mode=mode, share=0.05, draw=draw)


@pytest.mark.parametrize(
    ("gap", "threshold", "side"),
    [(0.3, 0.2, "far"), (0.2, 0.2, "near"), (-0.4, -0.5, "far"), (-0.9, None, "far"), (0.1, 0.2, "near")],
)
def test_above_the_threshold_far_goes_first(gap: float, threshold: float | None, side: str) -> None:
    lean = leans(gap, threshold)
    assert (lean.side, lean.follows, lean.gap, lean.share) == (side, True, gap, 1.0)


def test_what_is_observed_decides_nothing() -> None:
    lean = leans(0.3, mode="observe")
    assert (lean.side, lean.follows, lean.share) == ("far", False, 0.0)
    assert told(lean) == "router: far first, gap +0.30 > 0.20; observed only"


@pytest.mark.parametrize(("draw", "follows"), [(0.0, True), (0.049, True), (0.05, False), (0.9, False)])
def test_canaries_are_a_share(draw: float, follows: bool) -> None:
    lean = leans(0.1, mode="canary", draw=draw)
    assert (lean.follows, lean.share) == (follows, 0.05)
    assert told(lean).endswith("canary 0.05")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (gain(0.9, novel=True), "the prompt is unlike its labels"),
        (gain(0.9, trusted=False), "it has too few labels"),
        (None, "somebody's reason"),
    ],
)
def test_whom_it_cannot_judge_it_leaves_to_the_strategy(said: Gain | None, why: str) -> None:
    lean = leaning(said, 0.2, mode="on", share=1.0, draw=0.0, why="somebody's reason")
    assert (lean.side, lean.follows, lean.gap, lean.why) == ("", False, None, why)
    assert told(lean) == f"router not followed: {why}"


def test_it_is_told_in_ascii() -> None:
    assert told(leans(0.314)) == "router: far first, gap +0.31 > 0.20"
    assert told(leans(-0.1)) == "router: near first, gap -0.10 <= 0.20"
    assert told(leans(-0.1, None)) == "router: far first, gap -0.10, nothing stays near"


@given(st.floats(-1, 1), st.none() | st.floats(-1, 1), st.sampled_from(["observe", "canary", "on"]), st.floats(0, 0.99))
def test_a_lean_that_decides_has_a_side_and_a_gap(gap: float, threshold: float | None, mode: str, draw: float) -> None:
    lean = leaning(gain(gap), threshold, mode=mode, share=0.3, draw=draw)
    assert lean.side in {"near", "far"}
    assert lean.follows is (draw < lean.share)
    assert bool(lean.why) is not lean.follows
    assert told(lean).isascii()
