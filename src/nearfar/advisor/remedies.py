"""What would make a model fit: fewer bits, less context, a smaller cache, the machine's memory, another device."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from nearfar.advisor.buffers import Run
from nearfar.advisor.constants import Constants
from nearfar.advisor.fit import estimate, gib, needed, room
from nearfar.advisor.quant import BASE, BITS, LADDER
from nearfar.advisor.rig import Rig
from nearfar.advisor.weights import of_model
from nearfar.catalog.models import Model

_SMALLEST_CONTEXT = 2048
_MOST_DEVICES = 16


class Remedy(msgspec.Struct, frozen=True, kw_only=True):
    """One change that would do by itself."""

    kind: str
    """``quant``, ``context``, ``kv-type``, ``offload`` or ``gpus``."""
    flags: str
    """What to add to the command."""
    text: str
    total_bytes: float
    decode_tps: float


def remedies(model: Model, rig: Rig, run: Run, constants: Constants) -> list[Remedy]:
    """Each single change after which ``model`` fits, the least painful first."""
    return list(_all(model, rig, run, constants))


def longest_context(model: Model, rig: Rig, run: Run) -> int:
    """The longest context, in steps of 1024 tokens, that fits, up to what the model was made for; 0 if none does."""
    weights = of_model(model, run.quant)

    def fits(context: int) -> bool:
        return needed(model, rig, msgspec.structs.replace(run, context=context), weights) <= room(rig, run)

    low, high = 0, max(1, model.context // 1024)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle * 1024) else (low, middle - 1)
    return low * 1024


def best_quant(model: Model, rig: Rig, run: Run) -> str:
    """The best type on the ladder that fits; empty if none does. Experts published in few bits have one type alone."""
    for quant in (model.experts_stored,) if model.experts_stored else LADDER:
        if needed(model, rig, msgspec.structs.replace(run, quant=quant)) <= room(rig, run):
            return quant
    return ""


def _all(model: Model, rig: Rig, run: Run, constants: Constants) -> Iterator[Remedy]:
    if run.engine == "llama.cpp" and run.kv in {"f16", "bf16"}:
        smaller = msgspec.structs.replace(run, kv="q8_0")
        if needed(model, rig, smaller) <= room(rig, run):
            yield _remedy("kv-type", "--kv-type q8_0", "keys and values in 8 bits", model, rig, smaller, constants)
    context = longest_context(model, rig, run)
    if _SMALLEST_CONTEXT <= context < run.context:
        shorter = msgspec.structs.replace(run, context=context)
        yield _remedy(
            "context", f"--context {context}", f"a context of {context} tokens", model, rig, shorter, constants
        )
    quant = best_quant(model, rig, run) if run.quant in BASE or run.quant in {"F16", "BF16"} else ""
    if quant and BITS[BASE.get(quant, quant)] < BITS.get(BASE.get(run.quant, run.quant), 16.0):
        coarser = msgspec.structs.replace(run, quant=quant)
        yield _remedy("quant", f"--quant {quant}", f"weights of type {quant}", model, rig, coarser, constants)
    if rig.device.unified:
        return
    if run.engine == "llama.cpp" and not rig.ram:
        yield from _offload(model, rig, run, constants)
    for count in range(rig.count + 1, _MOST_DEVICES + 1):
        more = msgspec.structs.replace(rig, count=count)
        if needed(model, more, run) <= room(more, run):
            yield _remedy("gpus", f"--gpus {count}", f"{count} of these devices", model, more, run, constants)
            return


def _offload(model: Model, rig: Rig, run: Run, constants: Constants) -> Iterator[Remedy]:
    """With as much memory beside as it takes."""
    plenty = msgspec.structs.replace(rig, ram=4e12)
    made = estimate(model, plenty, run, constants)
    if made.verdict != "offload":
        return
    what = "the experts" if model.moe else "the weights"
    yield Remedy(
        kind="offload",
        flags=f"--ram {max(8, round(made.offloaded_bytes / 0.85 / 2**30 + 4))}",
        text=f"{what} of {counted(made.offloaded_layers)} ({gib(made.offloaded_bytes)}) in the machine's memory",
        total_bytes=made.total_bytes.value,
        decode_tps=made.decode_tps.value,
    )


def counted(layers: int) -> str:
    """``1 layer``, ``2 layers``."""
    return "1 layer" if layers == 1 else f"{layers} layers"


def _remedy(kind: str, flags: str, text: str, model: Model, rig: Rig, run: Run, constants: Constants) -> Remedy:
    made = estimate(model, rig, run, constants)
    return Remedy(
        kind=kind, flags=flags, text=text, total_bytes=made.total_bytes.value, decode_tps=made.decode_tps.value
    )
