"""The table of calculators: ours against what was measured, theirs as they answer, and one that cannot be run."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from bench import sizing_peers
from bench.sizing_peers import POINTS, ask, config, report
from nearfar.catalog.models import shipped


def test_ours_is_near_every_measured_cache() -> None:
    rows = report({"twice": {point.model: 2 * point.mib * 2**20 for point in POINTS[1:]}})
    assert len(rows) == 10
    assert all(abs(float(str(row["nearfar"])) - 1) < 0.03 for row in rows)
    assert [row["twice"] for row in rows] == [None, *[2.0] * 9]


def test_sizes_in_the_words_of_a_configuration() -> None:
    made = config(shipped()["gpt-oss-20b"])
    assert made["head_dim"] == 64
    assert made["layer_types"] == ["full_attention"] * 12 + ["sliding_attention"] * 12
    assert "head_dim" not in config(shipped()["deepseek-r1"])


def test_another_interpreter_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child = tmp_path / "child.py"  # stands for the calculators
    child.write_text("import json, sys\nprint(json.dumps({'x 1': {q['id']: 1.0 for q in json.load(sys.stdin)}}))\n")
    monkeypatch.setattr(sizing_peers, "CHILD", child)
    answers = ask(sys.executable)
    assert set(answers["x 1"]) == {point.model for point in POINTS}
    assert json.dumps(report(answers))
    child.write_text("raise SystemExit('no such calculator')")
    with pytest.raises(SystemExit, match="no such calculator"):
        ask(sys.executable)
