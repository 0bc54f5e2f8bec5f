from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from nearfar.advisor.buffers import Run
from nearfar.advisor.calibration import FILE, Calibration, applied, kept, made, saved
from nearfar.advisor.constants import shipped as constants
from nearfar.advisor.rig import named
from nearfar.advisor.speed import decode, prefill
from nearfar.advisor.weights import of_model
from nearfar.catalog.models import shipped
from nearfar.core.errors import BadRequestError


def measured(decode_tps: float = 10.0, prefill_tps: float = 50.0) -> Calibration:
    return made(
        today=dt.date(2026, 11, 22),
        engine="an engine",
        processor="a processor",
        threads=4,
        read_bytes=2e9,
        operations=4e9,
        probe_bytes=3,
        decode_tps=decode_tps,
        prefill_tps=prefill_tps,
    )


def test_what_follows_from_a_measurement() -> None:
    known = measured()
    assert (known.decode_gbs, known.prefill_gflops) == (20.0, 200.0)
    assert "20.0 GB/s" in known.text
    with pytest.raises(BadRequestError):
        measured(decode_tps=0)


def test_it_replaces_what_the_maker_says_and_narrows_the_range() -> None:
    model, run = shipped()["llama-3.1-8b"], Run(context=4096)
    weights = of_model(model, "Q4_K_M")
    rig = named("i7-13700K")
    here = named("i7-13700K").__class__(device=applied(rig.device, measured()), memory=rig.memory)
    before = decode(model, weights, run, rig, constants(), depth=1)
    after = decode(model, weights, run, here, constants(), depth=1)
    assert after.value == pytest.approx(20e9 / weights.read(), rel=0.01)
    assert after.high / after.low < before.high / before.low
    assert "measured here" in after.basis
    assert prefill(model, run, here, constants(), tokens=512).value == pytest.approx(200 / 15.0, rel=0.1)


def test_kept_for_this_processor_alone(tmp_path: Path) -> None:
    assert kept(tmp_path, "a processor") is None
    saved(measured(), tmp_path / "new")
    assert kept(tmp_path / "new", "a processor") == measured()
    assert kept(tmp_path / "new", "another") is None
    (tmp_path / "new" / FILE).write_text("{", encoding="utf-8")
    assert kept(tmp_path / "new", "a processor") is None
    with pytest.raises(BadRequestError, match="cannot be written"):
        saved(measured(), tmp_path / "new" / FILE)
