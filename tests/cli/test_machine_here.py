from __future__ import annotations

import datetime as dt
from pathlib import Path

from nearfar.advisor.calibration import made, saved
from nearfar.catalog.hardware import GIB
from nearfar.cli.machine_here import here, measured, rig
from nearfar.settings.load import load


def test_this_machine_and_what_was_measured_on_it(tmp_path: Path) -> None:
    loaded = load(environ={"HOME": str(tmp_path)})
    machine = here()
    assert 0 < machine.available <= machine.memory <= machine.installed * 1.01
    before = rig(loaded, "")
    assert before.usable > 0
    assert measured(loaded, machine) is None
    known = made(
        today=dt.date(2026, 11, 22),
        engine="e",
        processor=machine.processor,
        threads=1,
        read_bytes=1e9,
        operations=2e9,
        probe_bytes=1,
        decode_tps=7.0,
        prefill_tps=7.0,
    )
    saved(known, loaded.folders.state)
    after = rig(loaded, "")
    if before.device.processor:
        assert after.device.bandwidth_gbs == 7.0
        assert after.device.kind == "measured_cpu"
    else:
        assert after.device == before.device


def test_said_is_said(tmp_path: Path) -> None:
    loaded = load(environ={"HOME": str(tmp_path)})
    assert rig(loaded, "RTX 4090", gpus=2, ram=64).label == "2x RTX 4090 (24 GiB each) + 64 GiB RAM"
    here_with = rig(loaded, "", ram=16)
    assert 16 * GIB in {here_with.memory, here_with.ram}
