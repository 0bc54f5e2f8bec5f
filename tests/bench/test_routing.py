"""The bench of routing: its baseline, its promise, and what it says when the data are absent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.tuning import made

from bench import routing


def test_the_baseline_counts_who_disagrees() -> None:
    labels = made.labels(50, answers=True)
    both, one = routing.agreement(labels, ["alpha", "beta"]), routing.agreement(labels, ["alpha"])
    assert set(both) <= {0.0, -1.0, -2.0}
    assert set(one) <= {0.0, -1.0}
    assert routing.gain(both, both, labels) == [0, 0, 0]
    assert routing.figures(both, labels)["apgr"] > 0.5


def test_the_promise_is_tried_on_prompts_it_has_not_seen() -> None:
    labels = made.labels(1200)
    chance = np.random.default_rng(0)
    score = np.array([label.cloud.score - label.local.score for label in labels]) + chance.normal(0, 0.5, 1200)
    found = routing.promise(score, labels)
    assert found["broken"] <= found["allowed"]
    assert found["local_share"] > 0.2


def test_absent_data_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routing, "BESIDE", tmp_path / "none")
    assert routing.main([]) == 0
    assert "absent: no recorded answers" in capsys.readouterr().err
    assert routing.main([str(tmp_path)]) == 2


def test_each_side_pays_for_its_opinions() -> None:
    labels = made.labels(50, answers=True)
    both = routing.agreement(labels, ["alpha", "beta"])
    assert routing.gain_charged(both, 0.03, both, 0.03, labels) == [0, 0, 0]
    more, least, most = routing.gain_charged(both, 0.03, both, 0.06, labels)
    assert 0 < least <= more <= most
    assert more == pytest.approx(0.03, abs=0.02)
