"""Tasks that labels name are told apart, the small ones cautiously, and what far gains in each is remembered."""

from __future__ import annotations

import numpy as np
import pytest

from nearfar.tuning import tasks
from nearfar.tuning.tasks import Tasks


def test_who_belongs_where() -> None:
    found = tasks.shown(["law", "law", None, "law", "maths", "maths", "maths", "rare", ""])
    assert found is not None
    assert found.sum(0).tolist() == [3, 3]
    assert found.sum(1).tolist() == [1, 1, 0, 1, 1, 1, 1, 0, 0]
    assert tasks.shown([None] * 9) is None
    assert tasks.shown(["one"] * 9) is None
    many = tasks.shown([f"t{at % 200}" for at in range(1000)])
    assert many is not None
    assert many.shape == (1000, tasks.MOST)


def test_small_tasks_lie_near_the_mean_of_all() -> None:
    belongs = np.zeros((110, 2), np.float32)
    belongs[:100, 0] = belongs[100:, 1] = 1
    assert tasks.means(belongs, np.full(110, 0.5, np.float32)).tolist() == pytest.approx([0.5 * 100 / 110, 0.25])


def test_the_likely_task_counts_most() -> None:
    made = Tasks(alpha=np.eye(2, dtype=np.float32), gap=np.array([0.4, -0.2], np.float32))
    assert made.expect(np.array([1, 0], np.float32)) == pytest.approx(0.4)
    assert made.expect(np.array([3, 1], np.float32)) == pytest.approx((9 * 0.4 - 0.2) / 10)
    assert made.expect(np.array([0, -1], np.float32)) == 0
