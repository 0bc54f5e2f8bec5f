"""The machine that an estimate is made for: devices, their memory, the memory beside them. It detects nothing."""

from __future__ import annotations

import re

import msgspec

from nearfar.catalog.hardware import GIB, Device, called
from nearfar.core.errors import BadRequestError, NotFoundError

_FRACTION_OF_RAM = 0.85
"""Of a machine's memory, what a model may take when nothing else is known."""
_SERVER_GBS = 200
_PAIR = re.compile(r"([a-z_ ]+?)\s*=\s*([^,]+)")
_KEYS = frozenset({"memory", "bandwidth", "tflops", "name", "kind", "ram", "gpus", "watts"})


class Rig(msgspec.Struct, frozen=True, kw_only=True):
    """Devices of one kind, and what is beside them."""

    device: Device
    count: int = 1
    memory: float
    """Bytes of each device; for unified memory, of the machine."""
    ram: float = 0
    """Bytes beside the devices; 0: unknown, or the same memory."""
    ram_gbs: float = 60.0
    """Bandwidth of that memory, in GB/s."""
    note: str = ""

    @property
    def usable(self) -> float:
        """Bytes that models may take on all devices together."""
        if self.device.processor:
            return self.memory * _FRACTION_OF_RAM
        if self.device.unified:
            share = self.device.usable or 0.75
            # Larger Macs give more of it to the graphics unit.
            return self.memory * (max(share, 0.75) if self.memory > 36 * GIB else share)
        return self.memory * self.count

    @property
    def bandwidth(self) -> float:
        """Bytes per second, at the peak, of one device."""
        return self.device.bandwidth_gbs * 1e9

    @property
    def label(self) -> str:
        """For people: ``2x RTX 3090 (24 GiB each)``."""
        size = f"{self.memory / GIB:.0f} GiB{' each' if self.count > 1 else ''}"
        many = f"{self.count}x " if self.count > 1 else ""
        beside = f" + {self.ram / GIB:.0f} GiB RAM" if self.ram and not self.device.unified else ""
        return f"{many}{self.device.name} ({size}){beside}"

    @property
    def speaks_cuda(self) -> bool:
        """Whether a driver of its own takes memory on each device."""
        return self.device.vendor == "NVIDIA"


def named(text: str, *, gpus: int = 0, ram_gb: float = 0) -> Rig:
    """The machine that ``text`` describes: a device's name, or ``memory=24,bandwidth=936,tflops=71``.

    ``gpus`` and ``ram_gb`` override what the text says. Raises NotFoundError or BadRequestError.
    """
    if "=" in text:
        return _described(text, gpus=gpus, ram_gb=ram_gb)
    _check_count(text)
    found = called(text)
    if gpus and found.count not in {1, gpus}:
        raise BadRequestError(
            f"{text!r} says {found.count} devices, and --gpus says {gpus}.",
            code="hardware_malformed",
            param="hardware",
            hint=f"Say it once: --hardware '{gpus}x {found.device.name}'",
        )
    _, plus, beside = text.partition("+")
    said = re.search(r"(\d+(?:\.\d+)?)\s*gi?b", beside, re.IGNORECASE) if plus else None
    ram = ram_gb or (float(said[1]) if said else 0.0)
    memory = found.memory_gb
    if found.device.processor:
        guess = 768.0 if found.device.bandwidth_gbs >= _SERVER_GBS else 64.0
        note = "" if ram or memory else f"its memory was not said: {guess:.0f} GiB are taken (--ram says another size)"
        memory = ram or memory or guess
    else:
        note = f"not understood and passed over: {' '.join(found.ignored)}" if found.ignored else ""
        if len(found.device.memory_gb) > 1 and not re.search(r"\d\s*gi?b", text, re.IGNORECASE):
            sizes = " or ".join(f"{size:g}" for size in found.device.memory_gb)
            note = f"it is sold with {sizes} GB: {memory:g} are taken"
    return Rig(
        device=found.device,
        count=gpus or found.count,
        memory=memory * GIB,
        ram=0.0 if found.device.unified else ram * GIB,
        ram_gbs=_bandwidth_beside(beside),
        note=note,
    )


_MOST = 64
"""Devices of one machine."""


def _check_count(text: str) -> None:
    """A number before an ``x`` is how many there are."""
    found = re.match(r"\s*([+-]?\d+)\s*[x\u00d7]\s", text)
    if found and not 1 <= int(found[1]) <= _MOST:
        raise BadRequestError(
            f"{text!r} says {found[1]} devices.",
            code="hardware_malformed",
            param="hardware",
            hint=f"A machine has 1 to {_MOST}: --hardware '2x RTX 4090'",
        )


def _bandwidth_beside(text: str) -> float:
    """GB/s of the processor named behind a plus; a common desktop's where none is."""
    for part in text.split("+"):
        try:
            device = called(part).device
        except NotFoundError:
            continue
        if not device.processor:
            raise BadRequestError(
                f"{device.name} stands behind a plus, where the machine's processor and memory stand.",
                code="hardware_malformed",
                param="hardware",
                hint="Equal devices are said as '2x RTX 4090'; of unequal ones name those that the model is to run on.",
            )
        return device.bandwidth_gbs
    return 60.0


def _described(text: str, *, gpus: int, ram_gb: float) -> Rig:
    pairs = {key.strip(): value.strip() for key, value in _PAIR.findall(text.lower())}
    try:
        _check_keys(pairs)
        numbers = {key: _number(pairs[key]) for key in pairs if key not in {"name", "kind"}}
    except ValueError as error:
        raise BadRequestError(
            f"{text!r} does not describe a machine: {error}.",
            code="hardware_malformed",
            param="hardware",
            hint="Example: --hardware 'name=My card,memory=24,bandwidth=936,tflops=71' (GiB, GB/s, TFLOPS).",
        ) from error
    device = Device(
        id="described",
        name=pairs.get("name", "described device"),
        vendor="?",
        kind=pairs.get("kind", "described"),
        memory_gb=(numbers["memory"],),
        bandwidth_gbs=numbers["bandwidth"],
        watts=numbers.get("watts", 0),
        fp16_tflops=numbers.get("tflops", 0),
        verified=False,
        source="described by the user",
    )
    return Rig(
        device=device,
        count=gpus or int(numbers.get("gpus", 1)),
        memory=numbers["memory"] * GIB,
        ram=(ram_gb or numbers.get("ram", 0)) * GIB,
    )


def _check_keys(pairs: dict[str, str]) -> None:
    wrong = sorted(pairs.keys() - _KEYS)
    if wrong:
        raise ValueError(f"unknown: {', '.join(wrong)}")
    if "memory" not in pairs or "bandwidth" not in pairs:
        raise ValueError("memory and bandwidth are needed")


def _number(text: str) -> float:
    found = re.match(r"(\d+(?:\.\d+)?)\s*(?:gi?b(?:/s)?|tflops|w)?$", text)
    if not found or float(found[1]) <= 0:
        raise ValueError(f"{text!r} is no positive number")
    return float(found[1])
