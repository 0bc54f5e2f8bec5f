"""Trees find steps and what two columns make together, say nothing of noise, and answer one row as they answer all."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from nearfar.tuning import structure, trees
from nearfar.tuning.trees import Trees

Floats = NDArray[np.float32]


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "COUNT", 60)


def ranked(count: int, width: int = 8) -> tuple[Floats, NDArray[np.float64]]:
    raw = np.random.default_rng(0).normal(size=(count, width))
    return structure.scale(raw.tolist()).ranks(raw.tolist()), raw


def test_they_find_what_two_columns_make_together() -> None:
    ranks, raw = ranked(1200)
    wanted = np.where((raw[:, 0] > 0) & (raw[:, 2] > 0), 0.6, -0.2).astype(np.float32)
    found = trees.fit(ranks[:800], wanted[:800])(ranks[800:])
    assert np.corrcoef(found, wanted[800:])[0, 1] > 0.75


def test_of_noise_they_say_little() -> None:
    ranks, _ = ranked(600)
    noise = np.random.default_rng(1).choice([-0.5, 0.5], 600).astype(np.float32)
    fitted = trees.fit(ranks[:400], noise[:400])
    assert float(fitted(ranks[400:]).std()) < 0.2


def test_one_row_is_answered_like_all() -> None:
    ranks, raw = ranked(60)
    fitted = trees.fit(ranks, raw[:, 1].astype(np.float32))
    together = fitted(ranks)
    assert [float(fitted(ranks[at : at + 1])[0]) for at in range(60)] == pytest.approx(together.tolist(), abs=1e-6)
    again = trees.fit(ranks, raw[:, 1].astype(np.float32))
    assert (again.values == fitted.values).all()


def test_by_hand() -> None:
    made = Trees(
        np.array([[0, 1], [1, 0]], np.int32),
        np.array([[0, 1], [0, 0]], np.float32),
        np.array([[1, 2, 4, 8], [10, 20, 40, 80]], np.float32),
    )
    # First tree: is column 0 at least 0, is column 1 at least 1? Second: column 1 at least 0, column 0 at least 0?
    assert made(np.array([[0, 0.5], [-1, 2]], np.float32)).tolist() == [4 + 80, 2 + 40]
