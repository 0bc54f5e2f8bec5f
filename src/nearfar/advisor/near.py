"""Which open model to run on a machine, and how fast it is there. It knows no price of a cloud."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from nearfar.advisor.buffers import Run
from nearfar.advisor.constants import Constants
from nearfar.advisor.cost import Speeds, capacity
from nearfar.advisor.fit import Estimate, estimate
from nearfar.advisor.remedies import best_quant
from nearfar.advisor.rig import Rig
from nearfar.advisor.rules import Rules, weight
from nearfar.advisor.serving import Load
from nearfar.advisor.workload import Workload
from nearfar.catalog import licences
from nearfar.catalog.licences import Use
from nearfar.catalog.models import SPEAKS_TRADITIONAL, Model

_ENOUGH_BITS = frozenset({"Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "MXFP4", "BF16", "F16"})
"""Types of weights that lose little."""


ALWAYS_THINKS = frozenset({"DeepSeek R1", "DeepSeek R1 distill"})
"""Families that write pages of thinking before each answer and cannot leave it out (their model cards, 2025-01)."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a model must be able to do."""

    least: float
    """Parameters, as ``rules.weight`` counts them."""
    context: int
    vision: bool = False
    tools: bool = False
    traditional_chinese: bool = False
    thinking: bool = False
    """The answers' thinking is reckoned with; models that always think are no choice without it."""
    use: Use = Use()


class Near(msgspec.Struct, frozen=True, kw_only=True):
    """A model on a machine."""

    model: Model
    quant: str
    rig: Rig
    estimate: Estimate
    speeds: Speeds
    licence: licences.Answer


def suitable(wanted: Wanted, models: Iterable[Model]) -> list[Model]:
    """The models that can do what is wanted and may be used so, the largest first, whatever machine they need."""
    found = [
        model
        for model in models
        if weight(model) >= wanted.least
        and model.context >= wanted.context
        and (not wanted.vision or model.vision)
        and (not wanted.tools or model.tools)
        and (not wanted.traditional_chinese or model.traditional_chinese in SPEAKS_TRADITIONAL)
        and (wanted.thinking or model.family not in ALWAYS_THINKS)
        and licences.judge(model, wanted.use).verdict != "no"
    ]
    if wanted.traditional_chinese:
        return sorted(found, key=lambda model: (SPEAKS_TRADITIONAL.index(model.traditional_chinese), -weight(model)))
    return sorted(found, key=weight, reverse=True)


def choose(
    wanted: Wanted, rig: Rig, workload: Workload, models: Iterable[Model], constants: Constants, rules: Rules
) -> Near | None:
    """The best model of ``models`` that fits ``rig`` with weights that lose little and is fast enough to read along.

    Best is the newest of those at least half as large as the largest that fits, and of equals the one of which most
    is verified; those that can serve all calls go before those that cannot.
    """
    found = [
        near
        for model in suitable(wanted, models)
        if (near := _on(model, rig, wanted.context, workload, constants, wanted.use)) is not None
        and near.speeds.decode >= rules.interactive.tokens_per_second
    ]
    if not found:
        return None
    if wanted.traditional_chinese:
        best = min(SPEAKS_TRADITIONAL.index(near.model.traditional_chinese) for near in found)
        found = [near for near in found if SPEAKS_TRADITIONAL.index(near.model.traditional_chinese) == best]
    found = [near for near in found if capacity(near.speeds, workload) >= workload.calls] or found
    half = max(weight(near.model) for near in found) / 2
    return min(
        (near for near in found if weight(near.model) >= half),
        key=lambda near: (rules.generation(near.model), -weight(near.model), len(near.model.unverified)),
    )


def _on(model: Model, rig: Rig, context: int, workload: Workload, constants: Constants, use: Use) -> Near | None:
    prompt = max(1, round(workload.input))
    run = Run(context=context, prompt=prompt)
    quant = best_quant(model, rig, run)
    if quant not in _ENOUGH_BITS:
        return None
    load = Load(prompt=prompt, answer=max(1, round(workload.generated)))
    found = estimate(model, rig, msgspec.structs.replace(run, quant=quant), constants, load=load)
    if found.verdict not in {"fits", "tight"}:
        return None
    # The low end: a promise of capacity that breaks is worse than a machine that could do more. Only engines on
    # graphics cards gain much from serving many at once.
    batched = found.serving.out_tps.low if found.serving is not None and rig.speaks_cuda else 0.0
    return Near(
        model=model,
        quant=quant,
        rig=rig,
        estimate=found,
        speeds=Speeds(
            prefill=found.prefill_tps.value,
            decode=found.decode_tps.value,
            batched=batched if batched > found.decode_tps.value else 0.0,
        ),
        licence=licences.judge(model, use),
    )
