"""The real engine measures a small model of noise; too little room is said before anything is written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from nearfar.cli import calibrate as calibration
from nearfar.cli.calibrate import calibrate
from nearfar.core.errors import BadRequestError
from nearfar.engine.probe_model import Probe

SMALL = Probe(layers=2, hidden=256, ffn=512, heads=4, kv_heads=2, context=256)


def test_measured_with_the_embedded_engine(tmp_path: Path) -> None:
    known = calibrate(runtime=tmp_path / "run", environ=os.environ, processor="p", threads=1, probe=SMALL)
    assert known.decode_gbs > 0
    assert known.prefill_gflops > 0
    assert known.engine.startswith("the embedded engine (")
    assert not list((tmp_path / "run").glob("*.sock"))


def test_too_little_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 1000))
    with pytest.raises(BadRequestError) as caught:
        calibrate(runtime=tmp_path, environ=os.environ, processor="p", probe=SMALL)
    assert caught.value.code == "calibration_no_room"
    assert calibration.ROUNDS > 1
