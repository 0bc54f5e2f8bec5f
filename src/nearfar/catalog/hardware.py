"""Devices that models run on, as dated data: memory, bandwidth, compute. It looks at no machine; see advisor.detect."""

from __future__ import annotations

import datetime as dt
import functools
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from nearfar.catalog.names import Match, find, nearest, tokens
from nearfar.core.data import decode
from nearfar.core.errors import NotFoundError

GIB = 1 << 30

_MUST = re.compile(r"ti|super|xtx?|gre|ada|pro|max|ultra|sxm|pcie|nano|nx|agx|laptop|mobile|d|nvl|v|m|\d+[dm]")
"""Words that make another device of it, so that they may not be passed over."""
_COUNT = re.compile(r"^\s*(\d{1,2})\s*[x\u00d7*]\s*(?=\D|\d{3,})|\s[x\u00d7*]\s?(\d{1,2})\b(?!\s*gi?b)", re.IGNORECASE)
_MEMORY = re.compile(r"\b(\d+(?:\.\d+)?)\s*gi?b\b", re.IGNORECASE)


class Device(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of device. Figures are the maker's: what of them is reached, ``advisor`` knows."""

    id: str
    name: str
    aliases: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    """Regular expressions for the names that systems report, lower case."""
    vendor: str
    kind: str
    """The family whose devices behave alike: ``geforce_ada``, ``apple``, ``cpu``, …"""
    memory_gb: tuple[float, ...] = ()
    """The sizes it is sold with, in GiB; empty for processors, which use the machine's memory."""
    bandwidth_gbs: float
    """Theoretical peak, in 10⁹ bytes per second."""
    watts: float
    idle_w: float = 0
    year: int = 0
    shader_tflops: float = 0
    """Half precision without matrix units."""
    fp16_tflops: float = 0
    fp16_fast_tflops: float = 0
    """With accumulation in half precision, where that is faster."""
    fp8_tflops: float = 0
    fp4_tflops: float = 0
    usable: float = 0
    """Share of a unified memory that the graphics unit may use; 0 where it has its own."""
    achievable: float = 0
    """Share of a processor's bandwidth that is reached."""
    verified: bool
    """Whether the bandwidth was read in a source, not computed or remembered."""
    source: str
    note: str = ""

    @property
    def unified(self) -> bool:
        """Whether it shares the machine's memory."""
        return self.kind in {"apple", "jetson", "pro_unified", "amd_apu"} or self.processor

    @property
    def processor(self) -> bool:
        """Whether it is a processor; ``measured_cpu`` is one that was measured here."""
        return self.kind in {"cpu", "measured_cpu"}


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """What a person's ``2x RTX 3090 24GB`` means."""

    device: Device
    count: int
    memory_gb: float
    """Of each; 0 when it was not said and the device has none of its own."""
    ignored: tuple[str, ...] = ()


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    date: dt.date
    source: str
    device: list[Device]


def load(text: bytes) -> dict[str, Device]:
    """Read a table of devices strictly; ValueError says what is wrong."""
    file = decode(text, _File, "not a table of devices")
    devices: dict[str, Device] = {}
    for device in file.device:
        if device.id in devices:
            raise ValueError(f"{device.id} is there twice")
        if device.bandwidth_gbs <= 0 or any(size <= 0 for size in device.memory_gb):
            raise ValueError(f"{device.id}: impossible figures")
        devices[device.id] = device
    return devices


@functools.cache
def shipped() -> dict[str, Device]:
    """The table that comes with nearfar: data/hardware.toml, read once."""
    return load((Path(__file__).parent / "data" / "hardware.toml").read_bytes())


def called(text: str, devices: Mapping[str, Device] | None = None) -> Named:
    """The devices that ``text`` names, such as ``2x RTX 3090`` or ``Apple M2 Ultra 192GB``. Raises NotFoundError."""
    known = shipped() if devices is None else devices
    # What stands behind a plus (a processor, its memory) belongs to the machine, not to the device.
    first = re.sub(r"\b[Aa]\b(?! ?\d)", " ", text.partition("+")[0])
    said, rest = _COUNT.search(first), _COUNT.sub(" ", first)
    count = int(said[1] or said[2]) if said else 1
    memory = _MEMORY.search(rest)
    size = float(memory[1]) if memory else 0.0
    low = " ".join(re.sub(r"\((?:r|tm)\)", "", rest.lower()).split())
    by_pattern = [key for key, each in known.items() if any(re.search(pattern, low) for pattern in each.patterns)]
    match = (
        Match(key=by_pattern[0], exact=True)
        if len(by_pattern) == 1
        else find(rest, _names(known), must=_MUST) or find(_MEMORY.sub(" ", rest), _names(known), must=_MUST)
    )
    device = known[match.key] if match else None
    if device is None or not 1 <= count <= 64:
        near = nearest(text, [name for each in known.values() for name in (each.name, each.id)])
        raise NotFoundError(
            f"There is no device {text.strip()!r} in the table.",
            code="device_not_found",
            hint=(f"Did you mean {', '.join(near)}? " if near else "")
            + "All of them: nearfar hardware --list. Or describe it: --hardware 'memory=24,bandwidth=936,tflops=71'",
        )
    ignored = match.ignored if match else ()
    return Named(
        device=device,
        count=count,
        memory_gb=_size(device, size),
        ignored=tuple(word for word in ignored if not _MEMORY.fullmatch(word)),
    )


def _size(device: Device, said: float) -> float:
    if not said:
        sizes = device.memory_gb
        return (sorted(sizes)[len(sizes) // 2] if device.unified else sizes[0]) if sizes else 0.0
    # Systems report a little less than the box says: 11.94 of 12, 79.2 of 80.
    near = [size for size in device.memory_gb if abs(size - said) <= 0.06 * size]
    return near[0] if near and said != int(said) else said


def _names(devices: Mapping[str, Device]) -> dict[str, tuple[str, ...]]:
    return {key: _all_names(device) for key, device in devices.items()}


def _all_names(device: Device) -> tuple[str, ...]:
    plain = _MEMORY.sub("", re.sub(r"\(.*?\)", "", device.name)).strip()
    names = [device.id, device.name, plain, *device.aliases]
    short = re.sub(r"^(?:RTX|GTX|RX|Apple)\s+", "", plain)
    # "4000 Ada" says enough; "5000" would not.
    if short != plain and tokens(short):
        names.append(short)
    return tuple(names)
