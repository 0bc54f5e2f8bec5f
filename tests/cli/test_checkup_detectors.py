"""What the doctor says of detectors of the owner's choice."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.privacy.test_engines import fake_gliner

from nearfar.cli.checkup_detectors import detectors
from nearfar.settings.load import Loaded, load


def loaded(tmp_path: Path, text: str) -> Loaded:
    config = tmp_path / "config.toml"
    config.write_text(text)
    return load(config=config, environ={"HOME": str(tmp_path)})


def test_without_any_there_is_no_line(tmp_path: Path) -> None:
    assert list(detectors(loaded(tmp_path, ""))) == []


def test_one_that_cannot_be_made_and_one_that_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = loaded(tmp_path, f'[detectors.names]\nengine = "gliner"\nmodel = "{tmp_path}"\n')
    monkeypatch.setitem(sys.modules, "gliner", None)
    [check] = detectors(given)
    assert (check.name, check.state) == ("detector names", "fail")
    assert "not installed" in check.detail
    monkeypatch.setitem(sys.modules, "gliner", fake_gliner())
    [check] = detectors(given)
    assert (check.state, check.detail) == ("ok", "answers; in a test sentence it found person")
