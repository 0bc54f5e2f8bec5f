"""Isotonic regression: the non-decreasing steps that lie nearest to noisy values. It knows no meaning of them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Steps(msgspec.Struct, frozen=True):
    """A non-decreasing function: ``values[i]`` from ``at[i]`` on, straight between, level beyond both ends."""

    at: Array
    values: Array

    def __call__(self, x: Array | Sequence[float]) -> Array:
        """The function's values."""
        found: Array = np.interp(np.asarray(x, float), self.at, self.values)
        return found


def fit(x: Sequence[float] | Array, y: Sequence[float] | Array) -> Steps:
    """Pool adjacent violators. Equal ``x`` share their mean. Raises ValueError for nothing or for unequal lengths."""
    given, wanted = np.asarray(x, float), np.asarray(y, float)
    if not len(given) or given.shape != wanted.shape:
        raise ValueError("isotonic regression needs as many values as places, and at least one")
    at, inverse, sizes = np.unique(given, return_inverse=True, return_counts=True)
    means = np.bincount(inverse, weights=wanted) / sizes
    blocks: list[list[float]] = []
    for mean, size in zip(means.tolist(), sizes.tolist(), strict=True):
        blocks.append([mean, size, 1])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            last = blocks.pop()
            total = blocks[-1][1] + last[1]
            blocks[-1] = [(blocks[-1][0] * blocks[-1][1] + last[0] * last[1]) / total, total, blocks[-1][2] + last[2]]
    return Steps(at=at, values=np.repeat([block[0] for block in blocks], [int(block[2]) for block in blocks]))
