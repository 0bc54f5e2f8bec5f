"""What the commands of ``nearfar router`` read: their notes, and what a router has seen before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.tuning import made

from nearfar.cli.errors import UsageError
from nearfar.cli.router_files import answered, names, unseen
from nearfar.tuning import evaluate
from nearfar.tuning.saved import Kept, marks


def test_names() -> None:
    assert names(" a, b ,") == ["a", "b"]
    assert names("") == []


def test_answers_are_there_or_not() -> None:
    assert answered(made.labels(4, answers=True))
    assert not answered(made.labels(4))
    assert answered([*made.labels(4, answers=True), *made.labels(1, seed=1)])


def test_what_a_router_was_fitted_on_is_left_out(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    del tmp_path
    labels = made.labels(40)
    kept = Kept(evaluate.learned(labels, None, []), marks([label.prompt for label in labels]))
    fresh = made.labels(4, seed=1)
    assert unseen(kept, [*labels[:3], *fresh]) == fresh
    assert "3 of 7 prompts are left out" in capsys.readouterr().err
    with pytest.raises(UsageError, match="fitted on all"):
        unseen(kept, labels)
    assert np.isin(marks(["x"]), kept.known).tolist() == [False]
