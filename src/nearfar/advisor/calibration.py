"""What was measured on this machine, and the device that follows from it. It measures nothing: see cli.calibrate."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import msgspec

from nearfar.catalog.hardware import Device
from nearfar.core.errors import BadRequestError

FILE = "calibration.json"


class Calibration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The embedded engine on this processor."""

    measured_on: dt.date
    engine: str
    """Name and version."""
    processor: str
    threads: int
    decode_gbs: float
    """GB of weights read per second while it writes."""
    prefill_gflops: float
    """10⁹ operations per second while it reads a prompt."""
    probe_bytes: int
    """Size of the model that it was measured with."""

    @property
    def text(self) -> str:
        """For people."""
        return (
            f"measured on {self.measured_on} with {self.engine}, threads: {self.threads}; "
            f"{self.decode_gbs:.1f} GB/s, {self.prefill_gflops:.0f} GFLOPS"
        )


def made(
    *,
    today: dt.date,
    engine: str,
    processor: str,
    threads: int,
    read_bytes: float,
    operations: float,
    probe_bytes: int,
    decode_tps: float,
    prefill_tps: float,
) -> Calibration:
    """The calibration that follows from a model whose token reads ``read_bytes`` and takes ``operations``."""
    if decode_tps <= 0 or prefill_tps <= 0:
        raise BadRequestError("The engine reported no speed.", code="calibration_failed", hint="Try it again.")
    return Calibration(
        measured_on=today,
        engine=engine,
        processor=processor,
        threads=threads,
        decode_gbs=read_bytes * decode_tps / 1e9,
        prefill_gflops=operations * prefill_tps / 1e9,
        probe_bytes=probe_bytes,
    )


def applied(device: Device, known: Calibration) -> Device:
    """``device``, a processor, with what was measured instead of what its maker says."""
    return msgspec.structs.replace(
        device,
        kind="measured_cpu",
        bandwidth_gbs=known.decode_gbs,
        fp16_tflops=known.prefill_gflops / 1000,
        achievable=1.0,
        verified=True,
        source=known.text,
    )


def saved(known: Calibration, folder: Path) -> Path:
    """Keep it in ``folder``. Raises BadRequestError."""
    path = folder / FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(known)) + b"\n")
    except OSError as error:
        raise BadRequestError(
            f"{path} cannot be written: {error.strerror}.",
            code="calibration_unwritable",
            hint="Mend its permissions, or choose another state_dir.",
        ) from error
    return path


def kept(folder: Path, processor: str) -> Calibration | None:
    """What was measured earlier on ``processor``; None without it, and when the machine is another one now."""
    try:
        known = msgspec.json.decode((folder / FILE).read_bytes(), type=Calibration)
    except (OSError, msgspec.DecodeError):
        return None
    return known if known.processor == processor else None
