"""The machine that a command reckons for: the one that was named, else this one, with what was measured on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from nearfar.cli.errors import UsageError
from nearfar.settings.load import Loaded

if TYPE_CHECKING:  # the rooms are only needed when a command runs
    from nearfar.advisor.calibration import Calibration
    from nearfar.advisor.detect import Machine
    from nearfar.advisor.rig import Rig

Hardware = Annotated[
    str,
    typer.Option(
        "--hardware",
        "-H",
        metavar="TEXT",
        help="A device instead of this machine: 'RTX 4090', '2x RTX 3090 + 64GB', 'memory=24,bandwidth=936,tflops=71'.",
    ),
]
Ram = Annotated[float, typer.Option("--ram", metavar="GIB", min=0, help="Memory beside the devices.")]
Gpus = Annotated[int, typer.Option("--gpus", metavar="N", min=0, max=64, help="How many of the devices.")]


_MOST_GIB = 65536.0


def here() -> Machine:
    """What this machine has, within the limits that hold for us."""
    from nearfar.advisor.detect import detect
    from nearfar.engine import machine

    memory = machine.memory()
    return detect(memory=memory.limit, available=memory.available, cores=machine.default_threads() + 1)


def rig(loaded: Loaded, text: str, *, ram: float = 0, gpus: int = 0) -> Rig:
    """The machine to reckon for. Raises NotFoundError or BadRequestError for one that is not understood."""
    from nearfar.advisor.detect import rig_of
    from nearfar.advisor.rig import named
    from nearfar.catalog.hardware import GIB

    if not 0 <= ram <= _MOST_GIB:
        raise UsageError(f"--ram {ram:g} is no size of a memory.", hint="It is in GiB: --ram 64")
    if text:
        return named(text, gpus=gpus, ram_gb=ram)
    found = here()
    made = rig_of(found, gpus=gpus)
    known = measured(loaded, found)
    if made.device.processor and known is not None:
        made = calibrated(made, known)
    if gpus and (made.device.processor or made.device.unified):
        passed = "--gpus is passed over: this machine has no graphics devices of their own memory to count"
        made = msgspec.structs.replace(made, note="; ".join(each for each in (made.note, passed) if each))
    if ram:
        made = msgspec.structs.replace(made, **{"memory" if made.device.unified else "ram": ram * GIB})
    return made


def measured(loaded: Loaded, machine: Machine) -> Calibration | None:
    """What ``nearfar fit --calibrate`` measured here."""
    from nearfar.advisor.calibration import kept

    return kept(loaded.folders.state, machine.processor)


def calibrated(made: Rig, known: Calibration) -> Rig:
    """``made``, a processor, with what was measured on it."""
    from nearfar.advisor.calibration import applied

    return msgspec.structs.replace(made, device=applied(made.device, known), note="")
