"""Machines laid out in a folder: cards, unified memory, WSL, containers, Jetson, Mac."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path

import pytest

from nearfar.advisor.detect import Machine, detect, processor, rig_of, run
from nearfar.catalog.hardware import GIB

MEMINFO = "MemTotal:       33554432 kB\nMemAvailable:   30000000 kB\n"  # 32 GiB


class World:
    """Files under a root, and what programs answer."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.answers: dict[str, str] = {}
        self.file("proc/meminfo", MEMINFO)
        self.file("proc/cpuinfo", "processor : 0\nmodel name\t: 13th Gen Intel(R) Core(TM) i7-13700K\n")
        self.file("proc/sys/kernel/osrelease", "6.1.0-test\n")

    def file(self, path: str, text: str) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def ask(self, command: Sequence[str]) -> str:
        return self.answers.get(Path(command[0]).name, "")

    def look(self, memory: float = 32 * GIB) -> Machine:
        return detect(memory=memory, available=memory, cores=8, root=self.root, ask=self.ask)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_two_cards_of_one_kind(world: World) -> None:
    world.answers["nvidia-smi"] = "NVIDIA GeForce RTX 3090, 24576, 550.54\n" * 2
    machine = world.look()
    assert [gpu.device for gpu in machine.gpus] == ["rtx-3090", "rtx-3090"]
    assert machine.gpus[0].driver == "550.54"
    rig = rig_of(machine)
    assert (rig.device.id, rig.count, rig.memory, rig.ram) == ("rtx-3090", 2, 24 * GIB, 32 * GIB)
    assert rig.ram_gbs == 89.6
    assert rig_of(machine, gpus=1).count == 1


def test_unlike_cards_are_not_summed(world: World) -> None:
    world.answers["nvidia-smi"] = "NVIDIA GeForce RTX 4060, 8188, 1\nNVIDIA RTX A6000, 49140, 1\n"
    rig = rig_of(world.look())
    assert (rig.device.id, rig.count) == ("rtx-a6000", 1)
    assert "RTX 4060" in rig.note


def test_a_card_that_the_driver_does_not_answer_for(world: World) -> None:
    world.file("proc/driver/nvidia/gpus/0000:01:00.0/information", "Model: \t NVIDIA GeForce RTX 4090\nIRQ: 1\n")
    machine = world.look()
    assert machine.gpus[0].memory == 24 * GIB
    assert any("nvidia-smi" in note for note in machine.notes)


def test_a_card_of_amd_by_the_list_of_pci_ids(world: World) -> None:
    world.file("sys/class/drm/card0/device/vendor", "0x1002\n")
    world.file("sys/class/drm/card0/device/device", "0x744c\n")
    world.file("sys/class/drm/card0/device/mem_info_vram_total", str(24 * GIB))
    world.file("sys/class/drm/card0-DP-1/device/vendor", "0x1002\n")
    ids = "1001  Other\n\t744c  Wrong\n1002  AMD\n\t744c  Navi 31 [Radeon RX 7900 XTX/7900 XT]\n\t\t1 x\n8086  Intel\n"
    world.file("usr/share/misc/pci.ids", ids)
    machine = world.look()
    assert [(gpu.name, gpu.device) for gpu in machine.gpus] == [("Radeon RX 7900 XTX", "rx-7900-xtx")]
    assert rig_of(machine).device.id == "rx-7900-xtx"


def test_a_card_of_intel(world: World) -> None:
    world.file("sys/class/drm/card1/device/vendor", "0x8086\n")
    world.file("sys/class/drm/card1/device/product_name", "Intel Arc B580 Graphics\n")
    assert rig_of(world.look()).label == "Arc B580 (12 GiB) + 32 GiB RAM"


def test_a_card_that_is_not_in_the_catalogue(world: World) -> None:
    world.answers["nvidia-smi"] = "NVIDIA Quadro K2000, 2048, 1\n"
    rig = rig_of(world.look())
    assert rig.device.processor
    assert "Quadro K2000" in rig.note
    assert "--hardware" in rig.note


def test_memory_that_is_shared(world: World) -> None:
    world.file("proc/cpuinfo", "model name : AMD RYZEN AI MAX+ 395 w/ Radeon 8060S\n")
    world.file("sys/class/drm/card0/device/vendor", "0x1002\n")
    world.file("sys/class/drm/card0/device/product_name", "Radeon 8060S")
    world.file("sys/class/drm/card0/device/mem_info_vram_total", str(GIB // 2))
    machine = world.look(96 * GIB)
    assert machine.unified
    rig = rig_of(machine)
    assert (rig.device.id, rig.memory, rig.ram) == ("ryzen-ai-max-395", 96 * GIB, 0)


def test_spark_has_no_memory_of_its_own(world: World) -> None:
    world.answers["nvidia-smi"] = "NVIDIA GB10, [N/A], 580\n"
    rig = rig_of(world.look(120 * GIB))
    assert (rig.device.id, rig.memory) == ("gb10-dgx-spark", 120 * GIB)


def test_a_jetson(world: World) -> None:
    world.file("proc/device-tree/model", "NVIDIA Jetson AGX Orin Developer Kit\0")
    rig = rig_of(world.look(30 * GIB))
    assert (rig.device.id, rig.memory) == ("jetson-agx-orin-64gb", 30 * GIB)


def test_windows_below(world: World) -> None:
    world.file("proc/sys/kernel/osrelease", "5.15.90.1-microsoft-standard-WSL2\n")
    machine = world.look()
    assert machine.wsl
    assert any("driver in Windows" in note for note in machine.notes)
    world.answers["nvidia-smi"] = "NVIDIA GeForce RTX 4090, 24564, 1\n"
    assert rig_of(world.look()).device.id == "rtx-4090"


def test_a_limit_of_a_container(world: World) -> None:
    world.file(".dockerenv", "")
    machine = world.look(8 * GIB)
    assert machine.container
    assert any("8.0 GiB holds for us, of 32.0 GiB" in note for note in machine.notes)
    assert rig_of(machine).memory == 8 * GIB


def test_a_processor_alone(world: World) -> None:
    rig = rig_of(world.look())
    assert (rig.device.id, rig.note) == ("cpu-dual-channel-ddr5-5600", "")
    world.file("proc/cpuinfo", "model name : Strange 1\n")
    machine = world.look()
    assert processor(machine).bandwidth_gbs == 51.2
    assert "--calibrate" in rig_of(machine).note
    assert not processor(machine).verified


def test_a_mac(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")

    def ask(command: Sequence[str]) -> str:
        return {"machdep.cpu.brand_string": "Apple M4 Pro\n", "iogpu.wired_limit_mb": "40960\n"}.get(command[2], "")

    machine = detect(memory=48 * GIB, available=40 * GIB, cores=12, ask=ask)
    assert machine.unified
    assert rig_of(machine).device.id == "apple-m4-pro"
    assert any("40960" in note for note in machine.notes)


def test_programs_that_are_not_there() -> None:
    assert run(["nearfar-no-such-program"]) == ""
    assert run(["false"]) == ""
    assert run(["echo", "x"]) == "x\n"
