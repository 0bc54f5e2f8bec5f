from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.advisor.rig import named
from nearfar.catalog.hardware import GIB
from nearfar.core.errors import BadRequestError, NearfarError, NotFoundError


def test_cards_and_what_is_beside_them() -> None:
    rig = named("2x RTX 3090 + Ryzen 5800X + 64 GB DDR4")
    assert (rig.device.id, rig.count, rig.memory, rig.ram) == ("rtx-3090", 2, 24 * GIB, 64 * GIB)
    assert rig.usable == 48 * GIB
    assert rig.label == "2x RTX 3090 (24 GiB each) + 64 GiB RAM"
    assert rig.speaks_cuda
    assert named("RTX 3090 + EPYC 7343").ram_gbs == 204.8
    assert named("RTX 3090", gpus=4, ram_gb=32).count == 4


@pytest.mark.parametrize(
    ("text", "gpus", "told"),
    [
        ("-2x RTX 4090", 0, "says -2 devices"),
        ("0x RTX 4090", 0, "says 0 devices"),
        ("99999x RTX 4090", 0, "says 99999 devices"),
        ("2x RTX 4090", 3, "says 2 devices, and --gpus says 3"),
        ("RTX 4090 + RTX 3090", 0, "RTX 3090 stands behind a plus"),
    ],
)
def test_what_cannot_be_counted_is_not_guessed_at(text: str, gpus: int, told: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        named(text, gpus=gpus)
    assert told in caught.value.message
    assert "--hardware" in caught.value.hint or "2x RTX 4090" in caught.value.hint


def test_said_twice_alike_is_said() -> None:
    assert named("2x RTX 4090", gpus=2).count == 2


def test_unified_memory_is_not_all_for_the_model() -> None:
    small, large = named("Apple M4 16GB"), named("Apple M4 Max 64GB")
    assert small.usable == pytest.approx(0.70 * 16 * GIB)
    assert large.usable == pytest.approx(0.75 * 64 * GIB)
    assert named("Apple M4 Max 64GB", ram_gb=32).ram == 0


def test_what_was_not_said_is_taken_and_told() -> None:
    assert "64 GiB are taken" in named("i7-13700K").note
    assert named("i7-13700K", ram_gb=32).memory == 32 * GIB
    assert "16 or 8" in named("RTX 5060 Ti").note
    assert "passed over: vulkan" in named("RX 9070 XT Vulkan").note


def test_described_by_hand() -> None:
    rig = named("name=mine, memory=24 GB, bandwidth=936 GB/s, tflops=71, ram=64")
    assert (rig.device.name, rig.memory, rig.bandwidth, rig.ram) == ("mine", 24 * GIB, 936e9, 64 * GIB)


@pytest.mark.parametrize(
    "text", ["memory=24", "memory=0,bandwidth=5", "memory=x,bandwidth=5", "memory=1,bandwidth=1,colour=2"]
)
def test_a_bad_description(text: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        named(text)
    assert "bandwidth=936" in caught.value.hint


def test_an_unknown_device() -> None:
    with pytest.raises(NotFoundError):
        named("RTX 9999")


@given(st.text(max_size=50))
def test_any_text(text: str) -> None:
    try:
        rig = named(text)
    except NearfarError as error:
        assert error.hint  # noqa: PT017 (either outcome is right, and each has its own claim)
    else:
        assert rig.usable > 0
