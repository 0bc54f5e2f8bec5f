"""Isotonic regression never falls, keeps the mean, and leaves alone what rises already."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.tuning.isotonic import fit


def test_by_hand() -> None:
    steps = fit([1, 2, 3, 4], [0, 1, 0, 1])
    assert steps([1, 2, 3, 4]).tolist() == [0, 0.5, 0.5, 1]
    assert steps([0, 9]).tolist() == [0, 1]
    assert fit([1, 1, 2], [0, 1, 3])([1, 2]).tolist() == [0.5, 3]


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(-1, 1)), min_size=1, max_size=40))
def test_it_never_falls_and_keeps_the_mean(rows: list[tuple[int, float]]) -> None:
    x, y = [float(row[0]) for row in rows], [row[1] for row in rows]
    steps = fit(x, y)
    assert (np.diff(steps.values) >= -1e-9).all()
    assert float(steps(x).mean()) == pytest.approx(float(np.mean(y)), abs=1e-9)


def test_nothing_cannot_be_fitted() -> None:
    with pytest.raises(ValueError, match="at least one"):
        fit([], [])
