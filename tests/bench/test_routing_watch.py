"""The bench of promises in use: kept ones are quiet, broken ones are not, absent data are said."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.tuning import made

from bench import routing_watch


def test_a_kept_promise_is_quiet_and_a_broken_one_is_not() -> None:
    found = routing_watch.draw(made.labels(900), 1, fit=240, pairs=300)
    assert found["certified"]
    assert found["alarms"] == 0
    assert found["worse"]["alarms"] > 0
    begun, now = found["worse"]["threshold"]
    assert now is None or now < begun


def test_draws_are_summed_up() -> None:
    worse = {"first_alarm": 70, "alarms": 1, "threshold": [0.1, None]}
    kept = {"certified": True, "local_share": 0.3, "loss": 0.04, "alarms": 0, "worse": worse}
    found = routing_watch.summary([kept, {**kept, "loss": 0.06, "alarms": 1}, {"certified": False}, kept])
    assert (found["certified"], found["broken"], found["broken_share"], found["false_alarms"]) == (3, 1, 0.25, 0)
    assert found["allowed"] == 0.4
    assert found["worse_noticed"] == 3


def test_absent_data_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routing_watch, "BESIDE", tmp_path / "none")
    assert routing_watch.main([]) == 0
    assert "absent: no recorded answers" in capsys.readouterr().err
    assert routing_watch.main([str(tmp_path)]) == 2
