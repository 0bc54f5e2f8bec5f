"""Structure is numbers of fixed length for any prompt, and ranks keep outliers in their place."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nearfar.tuning.structure import described, scale


@given(st.text(max_size=300))
def test_any_prompt_has_the_same_count_of_finite_numbers(text: str) -> None:
    found = described(text)
    assert len(found) == len(described("x"))
    assert all(map(math.isfinite, found))


def test_options_and_digits_are_seen() -> None:
    plain = described("What is a cat?")
    options = described("What is 2 + 2?\nA. 3\nB. 4\nC. all of the above\nAnswer:")
    assert sum(one != other for one, other in zip(plain, options, strict=True)) > 10


def test_ranks() -> None:
    rows = [[float(value), 0.0] for value in range(100)]
    ranked = scale(rows)
    low, middle, high, beyond = ranked.ranks([[0, 0], [49.5, 0], [99, 0], [1e12, 0]])
    assert low[0] < middle[0] < high[0] <= beyond[0] < 1.8
    assert abs(float(middle[0])) < 0.05
    assert np.ptp([low[1], middle[1], high[1]]) == 0
