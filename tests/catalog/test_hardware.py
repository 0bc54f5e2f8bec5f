"""Devices by the names of boxes, drivers and processors."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.catalog.hardware import called, load, shipped
from nearfar.core.errors import NotFoundError


def test_ninety_devices_of_every_maker() -> None:
    devices = shipped()
    assert len(devices) >= 90
    assert {"NVIDIA", "AMD", "Apple", "Intel"} <= {device.vendor for device in devices.values()}
    assert {"jetson", "amd_apu", "apple", "cpu", "datacenter_hopper"} <= {device.kind for device in devices.values()}
    assert all(device.source for device in devices.values())


@pytest.mark.parametrize(
    ("text", "id", "count", "memory"),
    [
        ("RTX 4090", "rtx-4090", 1, 24),
        ("4090 24GB", "rtx-4090", 1, 24),
        ("NVIDIA GeForce RTX 5070 11.94GB x1 via llamacpp", "rtx-5070", 1, 12),
        ("AMD Radeon RX 7900 XT 19.98GB", "rx-7900-xt", 1, 20),
        ("3080 Ti", "rtx-3080-ti", 1, 12),
        ("2x RTX 3090", "rtx-3090", 2, 24),
        ("8 \u00d7 NVIDIA H200 SXM GPUs on a single node", "h200-sxm-141gb", 8, 141),
        ("3090 24GB * 2", "rtx-3090", 2, 24),
        ("RTX 4090 \u00d7 4", "rtx-4090", 4, 24),
        ("H100 x4", "h100-sxm-80gb", 4, 80),
        ("A100 80GB", "a100-sxm-80gb", 1, 80),
        ("A100 PCIe 40GB", "a100-pcie-40gb", 1, 40),
        ("Apple M2 Ultra 192GB", "apple-m2-ultra", 1, 192),
        ("AMD EPYC 9554 64-Core Processor", "epyc-9004-12-ch-ddr5-4800", 1, 0),
        ("13th Gen Intel(R) Core(TM) i7-13700K", "cpu-dual-channel-ddr5-5600", 1, 0),
        ("RTX 3090 + Ryzen 9 5950X + 64 GB RAM", "rtx-3090", 1, 24),
        ("DGX Spark", "gb10-dgx-spark", 1, 128),
        ("Jetson Orin Nano", "jetson-orin-nano-8gb", 1, 8),
    ],
)
def test_called(text: str, id: str, count: int, memory: float) -> None:
    found = called(text)
    assert (found.device.id, found.count, found.memory_gb) == (id, count, memory)


def test_every_id_and_name_finds_its_device() -> None:
    for device in shipped().values():
        assert called(device.id).device is device
        assert called(device.name).device is device


@pytest.mark.parametrize("text", ["RTX 9999", "", "a toaster", "RTX 3080 Super Ultra"])
def test_unknown_devices_get_the_next_command(text: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        called(text)
    assert "nearfar hardware --list" in caught.value.hint
    assert "memory=24" in caught.value.hint


@given(st.text(max_size=50))
def test_any_text_is_found_or_refused(text: str) -> None:
    with contextlib.suppress(NotFoundError):
        assert called(text).count >= 1


@pytest.mark.parametrize(("old", "new"), [("bandwidth_gbs = 112", "bandwidth_gbs = 0"), ("kind", "sort")])
def test_a_broken_table_is_refused(old: str, new: str) -> None:
    good = (
        'date = 2026-11-22\nsource = "t"\n[[device]]\nid = "x"\nname = "X"\nvendor = "V"\nkind = "k"\nmemory_gb = [4]\n'
        'bandwidth_gbs = 112\nwatts = 75\nverified = true\nsource = "s"\n'
    )
    assert load(good.encode())["x"].name == "X"
    with pytest.raises(ValueError, match=r"x|device"):
        load(good.replace(old, new).encode())
