"""Boosted trees over ranks: many small steps, each by the same few questions to every row. It knows no prompt.

Every level of a tree asks one question of all rows, so a tree is a table that is looked up: little to learn by heart,
and all trees answer in one go.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearfar.tuning.structure import SPREAD

Floats = NDArray[np.float32]
Whole = NDArray[np.int64]

COUNT: Final = 150
DEPTH: Final = 4
_STEP = 0.05
"""Share of what a tree finds that is believed."""
_HOLD = 40.0
"""Rows' worth of doubt in every leaf."""
_BINS = 32
_COLUMNS = 0.4
_ROWS, _MOST_ROWS = 0.7, 20_000
"""Shares of columns and rows that a tree sees: trees that see different things err differently."""


class Trees(msgspec.Struct, frozen=True):
    """Fitted trees; what they say is added up."""

    columns: NDArray[np.int32]
    """Which column each level asks about: a row for each tree."""
    cuts: Floats
    """From which value on the answer is yes; of the same shape."""
    values: Floats
    """What each tree says: a row for each tree, a column for each run of answers."""

    def __call__(self, rows: Floats) -> Floats:
        """What they say of each row."""
        powers = 1 << np.arange(self.columns.shape[1])[::-1]
        leaves = (rows[:, self.columns] >= self.cuts) @ powers
        found: Floats = self.values[np.arange(len(self.values)), leaves].sum(1)
        return found


def fit(rows: Floats, wanted: Floats) -> Trees:
    """Trees for values around zero. ``rows`` are ranks, as ``structure.Scale`` gives them."""
    chance = np.random.default_rng(0)
    edges = ((np.arange(1, _BINS) / _BINS - 0.5) * SPREAD).astype(np.float32)
    binned = np.searchsorted(edges, rows, side="right")
    count, width = rows.shape
    some, few = min(_MOST_ROWS, max(1, int(_ROWS * count))), max(1, int(_COLUMNS * width))
    columns = np.zeros((COUNT, DEPTH), np.int32)
    cuts = np.zeros((COUNT, DEPTH), np.float32)
    values = np.zeros((COUNT, 1 << DEPTH), np.float32)
    said = np.zeros(count)
    for tree in range(COUNT):
        seen, asked = chance.permutation(count)[:some], np.sort(chance.permutation(width)[:few])
        left = (wanted - said)[seen]
        leaf, questions = _grown(binned[np.ix_(seen, asked)], left)
        columns[tree] = asked[[column for column, _ in questions]]
        cuts[tree] = edges[[cut for _, cut in questions]]
        sums = np.bincount(leaf, weights=left, minlength=1 << DEPTH)
        values[tree] = _STEP * sums / (np.bincount(leaf, minlength=1 << DEPTH) + _HOLD)
        said += Trees(columns[tree : tree + 1], cuts[tree : tree + 1], values[tree : tree + 1])(rows)
    return Trees(columns, cuts, values)


def _grown(binned: Whole, left: NDArray[np.float64]) -> tuple[Whole, list[tuple[int, int]]]:
    """Where each row ends, and the (column, cut) of each level that explain most of what is left."""
    count, width = binned.shape
    place = binned + np.arange(width) * _BINS
    repeated = np.repeat(left, width)
    leaf = np.zeros(count, np.int64)
    questions = []
    for level in range(DEPTH):
        shape, cells = (1 << level, width, _BINS), (1 << level) * width * _BINS
        at = (place + (leaf * width * _BINS)[:, None]).ravel()
        sums = np.bincount(at, weights=repeated, minlength=cells)
        sizes = np.bincount(at, minlength=cells)
        below, fewer = sums.reshape(shape).cumsum(2), sizes.reshape(shape).cumsum(2)
        above, more = below[:, :, -1:] - below, fewer[:, :, -1:] - fewer
        gain = (below**2 / (fewer + _HOLD) + above**2 / (more + _HOLD)).sum(0)[:, :-1]
        column, cut = divmod(int(np.argmax(gain)), _BINS - 1)
        questions.append((column, cut))
        leaf = leaf * 2 + (binned[:, column] > cut)
    return leaf, questions
