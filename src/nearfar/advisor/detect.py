"""What this machine has to run models on: processor, memory, graphics devices. It knows no model and opens no socket.

Files are read under ``root`` and programs are asked through ``ask``, so that a test can lay out another machine.
Names are looked up in the catalogue; what is not there is reported as it was found, with nothing guessed for it.
"""

from __future__ import annotations

import contextlib
import platform
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from nearfar.advisor.rig import Rig
from nearfar.catalog.hardware import GIB, Device, called
from nearfar.core.errors import NotFoundError

ROOT = Path("/")
Ask = Callable[[Sequence[str]], str]
"""Runs a program; its output, or nothing if it is not there or fails."""

_PATIENCE = 5.0
_VENDORS = {"0x10de": "NVIDIA", "0x1002": "AMD", "0x8086": "Intel"}
_PCI_IDS = ("usr/share/misc/pci.ids", "usr/share/hwdata/pci.ids")
_SHARED_VRAM = 4 * GIB
"""Less than this on a processor's own graphics unit is a window into the machine's memory."""
_PER_CORE_GBS = 12.0
_COMMON_GBS = 51.2


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """One graphics device."""

    name: str
    vendor: str
    memory: float
    """Bytes; 0 when it shares the machine's, or nobody says."""
    device: str = ""
    """Its id in the catalogue; empty when it is not there."""
    bandwidth_gbs: float = 0
    driver: str = ""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What was found."""

    system: str
    processor: str
    cores: int
    memory: float
    """Bytes that we may use."""
    available: float
    installed: float
    """Bytes that the machine has; more than ``memory`` in a container with a limit."""
    gpus: tuple[Gpu, ...] = ()
    processor_device: str = ""
    """The catalogue's id of the processor's class."""
    bandwidth_gbs: float = 0
    """Of its memory; 0 when it is not known."""
    unified: bool = False
    container: bool = False
    wsl: bool = False
    notes: tuple[str, ...] = ()


def run(command: Sequence[str]) -> str:
    """Run a program and wait briefly; what it printed, or nothing."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ""
    return done.stdout if done.returncode == 0 else ""


def detect(*, memory: float, available: float, cores: int, root: Path = ROOT, ask: Ask = run) -> Machine:
    """What there is. ``memory``, ``available`` (bytes) and ``cores``: what we may use of the machine."""
    if platform.system() == "Darwin" and root == ROOT:
        return _mac(memory, available, cores, ask)
    release = _text(root / "proc/sys/kernel/osrelease").lower()
    wsl = "microsoft" in release
    installed = _installed(root) or memory
    jetson = _jetson(root)
    gpus = [] if jetson else [*_nvidia(root, ask, wsl=wsl), *_drm(root)]
    processor = jetson or _processor(root)
    found = _look_up(processor)
    unified = bool(jetson) or bool(found and found.unified and found.kind != "cpu")
    unified = unified or any(_shares(gpu) for gpu in gpus)
    return Machine(
        system=f"{platform.system()} {release.split('-')[0]}".strip(),
        processor=processor or platform.machine(),
        cores=cores,
        memory=memory,
        available=available,
        installed=installed,
        gpus=tuple(gpus),
        processor_device=found.id if found else "",
        bandwidth_gbs=found.bandwidth_gbs if found else 0,
        unified=unified,
        container=_in_container(root),
        wsl=wsl,
        notes=tuple(_notes(memory, installed, gpus, wsl=wsl)),
    )


def rig_of(machine: Machine, *, gpus: int = 0) -> Rig:
    """The part of ``machine`` that models run on: its largest group of equal devices, else its processor.

    ``gpus``: how many of the devices; 0: all of them.
    """
    if machine.unified:
        shared = next((gpu.device for gpu in machine.gpus if _shares(gpu)), "") or machine.processor_device
        if shared:
            return Rig(device=called(shared).device, memory=machine.memory)
    groups: dict[str, list[Gpu]] = {}
    for gpu in machine.gpus:
        if gpu.device and gpu.memory:
            groups.setdefault(gpu.device, []).append(gpu)
    if groups:
        best = max(groups.values(), key=lambda group: sum(gpu.memory for gpu in group))
        others = [gpu.name for gpu in machine.gpus if gpu not in best]
        return Rig(
            device=called(best[0].device).device,
            count=gpus or len(best),
            memory=min(gpu.memory for gpu in best),
            ram=machine.memory,
            ram_gbs=machine.bandwidth_gbs or 60.0,
            note=f"not counted: {', '.join(others)}" if others else "",
        )
    return Rig(device=processor(machine), memory=machine.memory, note=_unknown(machine))


def processor(machine: Machine) -> Device:
    """The processor as a device; where the catalogue does not know it, with a guess that says so."""
    if machine.processor_device:
        return called(machine.processor_device).device
    return Device(
        id="processor",
        name=machine.processor,
        vendor="?",
        kind="cpu",
        bandwidth_gbs=min(_COMMON_GBS, _PER_CORE_GBS * max(1, machine.cores)),
        watts=0,
        achievable=0.6,
        verified=False,
        source="a guess: this processor is not in the catalogue",
    )


def _unknown(machine: Machine) -> str:
    strange = [gpu.name for gpu in machine.gpus if not gpu.device]
    notes = []
    if strange:
        notes.append(f"not in the catalogue, so not counted: {', '.join(strange)}; describe it with --hardware")
    if not machine.processor_device:
        notes.append("how fast this processor's memory is was guessed: nearfar fit --calibrate measures it")
    return "; ".join(notes)


def _nvidia(root: Path, ask: Ask, *, wsl: bool) -> Iterator[Gpu]:
    program = str(root / "usr/lib/wsl/lib/nvidia-smi") if wsl else "nvidia-smi"
    asked = ["--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits"]
    lines = (ask([program, *asked]) or (ask(["nvidia-smi", *asked]) if wsl else "")).splitlines()
    for line in lines:
        name, _, rest = line.partition(",")
        size, _, driver = rest.partition(",")
        if name.strip():
            yield _gpu(name.strip(), "NVIDIA", _mib(size), driver.strip())
    if lines:
        return
    for file in sorted((root / "proc/driver/nvidia/gpus").glob("*/information")):
        named = re.search(r"^Model:\s*(.+)$", _text(file), re.MULTILINE)
        if named:
            yield _gpu(named[1].strip(), "NVIDIA", 0)


def _drm(root: Path) -> Iterator[Gpu]:
    """Devices of AMD and Intel, as the kernel lists them."""
    for folder in sorted((root / "sys/class/drm").glob("card[0-9]*")):
        if not re.fullmatch(r"card\d+", folder.name):
            continue
        vendor = _VENDORS.get(_text(folder / "device/vendor").strip(), "")
        if vendor not in {"AMD", "Intel"}:
            continue
        name = _text(folder / "device/product_name").strip() or _pci_name(root, folder / "device")
        size = _text(folder / "device/mem_info_vram_total").strip()
        yield _gpu(name or f"{vendor} graphics", vendor, float(size) if size.isdecimal() else 0.0)


def _gpu(name: str, vendor: str, memory: float, driver: str = "") -> Gpu:
    device = _look_up(f"{name} {memory / GIB:.1f}GB" if memory else name) or _look_up(name)
    if device is None:
        return Gpu(name=name, vendor=vendor, memory=memory, driver=driver)
    if not memory and device.memory_gb and not device.unified:
        memory = device.memory_gb[0] * GIB
    return Gpu(
        name=name, vendor=vendor, memory=memory, device=device.id, bandwidth_gbs=device.bandwidth_gbs, driver=driver
    )


def _shares(gpu: Gpu) -> bool:
    return bool(gpu.device) and called(gpu.device).device.unified and gpu.memory < _SHARED_VRAM


def _pci_name(root: Path, folder: Path) -> str:
    """The name of a device in the system's list of PCI ids."""
    vendor, device = (_text(folder / name).strip().removeprefix("0x") for name in ("vendor", "device"))
    if not re.fullmatch(r"[0-9a-f]{4}", vendor) or not re.fullmatch(r"[0-9a-f]{4}", device):
        return ""
    for place in _PCI_IDS:
        block = re.search(rf"^{vendor}\s.*\n((?:[\t#].*\n|\n)*)", _text(root / place), re.MULTILINE)
        named = re.search(rf"^\t{device}\s+(.+)$", block[1], re.MULTILINE) if block else None
        if named:
            inner = re.search(r"\[(.+)\]", named[1])
            # A name such as ``Navi 31 [Radeon RX 7900 XT/7900 XTX]`` stands for several: the memory tells which.
            return (inner[1] if inner else named[1]).split("/")[0].strip()
    return ""


def _jetson(root: Path) -> str:
    model = _text(root / "proc/device-tree/model").replace("\0", "").strip()
    return re.sub(r"Developer Kit|NVIDIA", "", model).strip() if "jetson" in model.lower() else ""


def _processor(root: Path) -> str:
    found = re.search(r"^(?:model name|Model|Hardware)\s*:\s*(.+)$", _text(root / "proc/cpuinfo"), re.MULTILINE)
    return " ".join(found[1].split()) if found else ""


def _look_up(name: str) -> Device | None:
    try:
        return called(name).device if name else None
    except NotFoundError:
        return None


def _mac(memory: float, available: float, cores: int, ask: Ask) -> Machine:
    name = ask(["sysctl", "-n", "machdep.cpu.brand_string"]).strip() or "Apple"
    limit = ask(["sysctl", "-n", "iogpu.wired_limit_mb"]).strip()
    device = _look_up(name)
    notes = [f"iogpu.wired_limit_mb is {limit}: the graphics unit may take as much"] if limit not in {"", "0"} else []
    return Machine(
        system=f"macOS {platform.mac_ver()[0]}",
        processor=name,
        cores=cores,
        memory=memory,
        available=available,
        installed=memory,
        processor_device=device.id if device else "",
        bandwidth_gbs=device.bandwidth_gbs if device else 0,
        unified=device is not None and device.kind == "apple",
        notes=tuple(notes),
    )


def _notes(memory: float, installed: float, gpus: Sequence[Gpu], *, wsl: bool) -> Iterator[str]:
    if memory < 0.98 * installed:
        yield f"a limit of {memory / GIB:.1f} GiB holds for us, of {installed / GIB:.1f} GiB that the machine has"
    if wsl:
        yield "WSL: Windows gives it half of the machine's memory unless .wslconfig says otherwise"
        if not gpus:
            yield "WSL without nvidia-smi: install the NVIDIA driver in Windows, not in WSL"
    if any(gpu.vendor == "NVIDIA" and not gpu.driver for gpu in gpus):
        yield "nvidia-smi did not answer: sizes of memory are the catalogue's"


def _in_container(root: Path) -> bool:
    marks = (root / ".dockerenv", root / "run/.containerenv")
    return any(mark.exists() for mark in marks) or "container=" in _text(root / "proc/1/environ")


def _installed(root: Path) -> float:
    found = re.search(r"^MemTotal:\s*(\d+)\s*kB", _text(root / "proc/meminfo"), re.MULTILINE)
    return float(found[1]) * 1024 if found else 0.0


def _mib(text: str) -> float:
    with contextlib.suppress(ValueError):
        return float(text.strip()) * 2**20
    return 0.0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
