"""Which task a prompt belongs to, learned from labels that name theirs, and what far gains there on average.

A task's mean is far less noisy than what became of a single prompt. It knows no kernel but the likeness it is given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

MOST: Final = 64
"""Tasks that are told apart: the largest."""
_FEWEST = 3
"""Labels that make a task."""
_HOLD = 10.0
"""Labels' worth of doubt in a task's mean."""


class Tasks(msgspec.Struct, frozen=True):
    """What was learned about tasks."""

    alpha: Floats
    """How much each remembered prompt speaks for each task: a row for each prompt."""
    gap: Floats
    """How far each task's mean gap lies from the mean of all."""

    def expect(self, kernel: Floats) -> float:
        """What the prompt's task adds to the mean gap; ``kernel``: its likeness to each remembered prompt."""
        found = np.maximum(kernel @ self.alpha, 0) ** 2  # squared: the likely ones count, the many others hardly
        total = float(found.sum())
        return float(found @ self.gap) / total if total > 0 else 0.0


def shown(names: Sequence[str | None]) -> Floats | None:
    """A row for each prompt, a column for each task, 1 where it belongs; None where there are not even two tasks."""
    counted = Counter(name for name in names if name)
    known = [name for name, count in counted.most_common(MOST) if count >= _FEWEST]
    if len(known) < 2:
        return None
    column = {name: at for at, name in enumerate(known)}
    found = np.zeros((len(names), len(known)), np.float32)
    for row, name in enumerate(names):
        if name in column:
            found[row, column[name]] = 1
    return found


def means(belongs: Floats, left: Floats) -> Floats:
    """How far each task's mean lies from the mean of all; small tasks lie nearer. ``left``: gaps less their mean."""
    found: Floats = (belongs.T @ left) / (belongs.sum(0) + np.float32(_HOLD))
    return found
