"""``nearfar hardware``: what this machine has to run models on, and the devices that the catalogue knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from nearfar.cli import output
from nearfar.cli.machine_here import Gpus, Hardware, Ram, here, measured, rig
from nearfar.cli.state import ConfigFile, Json, Quiet, Sets, of
from nearfar.settings.load import Loaded

if TYPE_CHECKING:  # the rooms are only needed when a command runs
    from nearfar.advisor.rig import Rig


def hardware(
    ctx: typer.Context,
    device: Annotated[str, typer.Argument(metavar="[DEVICE]", help="As --hardware: 'RTX 4090'.")] = "",
    text: Hardware = "",
    ram: Ram = 0,
    gpus: Gpus = 0,
    listed: Annotated[bool, typer.Option("--list", help="The devices of the catalogue.")] = False,
    config: ConfigFile = None,
    sets: Sets = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show processor, memory and graphics devices, and what of them models can use.

    Where it looks wrong, --hardware says it better, here and in `nearfar fit`.
    """
    if listed:
        _list(json=json, quiet=quiet)
        return
    text = text or device
    loaded = of(ctx).load(config, sets)
    made = rig(loaded, text, ram=ram, gpus=gpus)
    if quiet:
        output.line(made.device.id)
    elif json:
        output.json({**described(made), **({} if text else {"machine": here(), "measured": measured(loaded, here())})})
    else:
        if not text:
            _print_machine(loaded)
        _print_rig(made)


def described(made: Rig) -> dict[str, object]:
    """The part that models run on, as one stable object."""
    return {
        "label": made.label,
        "device": made.device,
        "count": made.count,
        "memory_bytes": made.memory,
        "usable_bytes": made.usable,
        "ram_bytes": made.ram,
        "ram_gbs": made.ram_gbs,
        "unified": made.device.unified,
        "note": made.note,
    }


def _print_machine(loaded: Loaded) -> None:
    found = here()
    size = f"{found.memory / 2**30:.1f} GiB of memory, {found.available / 2**30:.1f} GiB free"
    where = "".join(f", {word}" for word, there in (("in a container", found.container), ("WSL", found.wsl)) if there)
    output.line(f"{found.processor}: {found.cores} cores, {size} ({found.system}{where})")
    for gpu in found.gpus:
        memory = f"{gpu.memory / 2**30:.1f} GiB" if gpu.memory else "the machine's memory"
        speed = f", {gpu.bandwidth_gbs:g} GB/s" if gpu.bandwidth_gbs else ", not in the catalogue"
        driver = f", driver {gpu.driver}" if gpu.driver else ""
        output.line(f"{gpu.vendor} {gpu.name}: {memory}{speed}{driver}")
    if not found.gpus and not found.unified:
        output.line("No graphics device was found.")
    for note in found.notes:
        output.note(note)
    known = measured(loaded, found)
    if known is not None:
        output.line(known.text)


def _print_rig(made: Rig) -> None:
    device = made.device
    output.line(f"Models run on: {made.label}, {made.usable / 2**30:.1f} GiB for them")
    checked = "" if device.verified else ", not verified"
    output.line(f"Bandwidth {device.bandwidth_gbs:g} GB/s ({device.source}{checked})")
    if made.note:
        output.note(made.note)


def _list(*, json: bool, quiet: bool) -> None:
    from nearfar.catalog.hardware import shipped

    devices = list(shipped().values())
    if json:
        output.json({"devices": devices})
    elif quiet:
        for device in devices:
            output.line(device.id)
    else:
        rows = [
            (
                device.name,
                device.vendor,
                "/".join(f"{size:g}" for size in device.memory_gb),
                f"{device.bandwidth_gbs:g}",
                f"{device.fp16_tflops or device.shader_tflops or 0:g}",
                f"{device.watts:g}",
                "yes" if device.verified else "no",
            )
            for device in devices
        ]
        output.table(
            ("NAME", "VENDOR", "GB", "GB/S", "TFLOPS", "WATTS", "VERIFIED"),
            rows,
            right=(2, 3, 4, 5),
            drop=("WATTS", "VERIFIED", "VENDOR"),
        )
