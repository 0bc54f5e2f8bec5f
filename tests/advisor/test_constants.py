from __future__ import annotations

import msgspec
import pytest

from nearfar.advisor.constants import load, shipped
from nearfar.catalog.hardware import shipped as devices


def test_every_device_has_rates_and_every_range_holds_its_value() -> None:
    known = shipped()
    for device in devices().values():
        rates = known.rates(device, "llama.cpp")
        assert 0 < rates.eta <= 1
        assert rates.low <= 1 <= rates.high
        assert rates.id != "unified" or device.kind in {"pro_unified", "amd_apu"}, device.id


def test_an_id_goes_before_a_kind_and_an_engine_before_both() -> None:
    known = shipped()
    assert known.rates(devices()["apple-m1-max"], "llama.cpp").id == "apple-m1"
    assert known.rates(devices()["a40"], "llama.cpp").id == "gddr-ecc"
    assert known.rates(devices()["a40"], "vllm").id == "vllm"
    strange = msgspec.structs.replace(devices()["a40"], id="x", kind="described")
    assert known.rates(strange, "llama.cpp").id == "unified"


def test_a_broken_file_is_refused() -> None:
    with pytest.raises(ValueError, match="speed constants"):
        load(b"date = 2026-11-22")
