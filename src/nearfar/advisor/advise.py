"""Local, cloud or both: weighs the options of a case and says why. It reads no file and prints nothing.

What it says are keys of data/words.toml with their numbers, so that every language has the same answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from nearfar.advisor import cost as costs
from nearfar.advisor.assumptions import Box
from nearfar.advisor.breakeven import BreakEven, Flip, against, flips
from nearfar.advisor.near import Near
from nearfar.advisor.options import Case, Option, Way, options
from nearfar.catalog.models import Model
from nearfar.core.money import Price

VOLUMES = (1_000, 3_000, 10_000, 20_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000)
"""Calls per month for which the curves are drawn."""
SPIKY = 8.0
"""From this peak on, a machine for the busiest hour would idle most of the time."""
_LORA_SHARE = 0.01
"""Parameters of adapters, as a share of the model's: rank 16 on all linear layers is about this."""
_TRAINED_BYTES = 16
"""Bytes for a trained parameter: half-precision value and gradient, two moments and a master copy in full precision."""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """A sentence: its key in data/words.toml, and what stands in its gaps."""

    key: str
    values: Mapping[str, str | float] = {}


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """Memory for fine-tuning, in bytes."""

    lora: float
    qlora: float
    full: float
    room: float | None = None
    """Bytes that the machine's devices have; None without a machine."""
    where: str = ""


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """The answer."""

    recommended: Way
    why: tuple[Said, ...]
    runners_up: tuple[tuple[Way, Said], ...]
    """The next two, and why not they."""
    options: dict[Way, Option]
    against_api: BreakEven | None
    """The machine against the same open model's API."""
    against_cloud: BreakEven | None
    flips: tuple[Flip, ...]
    """What moves the break-even against the option it competes with, most first."""
    curves: dict[Way, tuple[tuple[float, float | None], ...]]
    """(calls per month, USD) for each way; None where it cannot serve them."""
    rule_of_thumb: Said
    """Whether "below 100,000 calls a month the cloud is less trouble" holds here."""
    tuning: Tuning | None
    characters: Said | None
    """What Traditional Chinese costs in tokens."""
    licence: tuple[Said, ...]
    notes: tuple[Said, ...]
    preset: str
    """The policy that goes with it."""


def advise(case: Case) -> Advice:
    """Weigh everything."""
    made = options(case)
    way, why = _decide(case, made)
    api, cloud, moving = _break_even(case)
    return Advice(
        recommended=way,
        why=tuple(why),
        runners_up=tuple(_runners_up(case, made, way)),
        options=made,
        against_api=api,
        against_cloud=cloud,
        flips=tuple(moving),
        curves=_curves(case),
        rule_of_thumb=Said(key="rule_not_asked") if case.question.near_only else _rule_of_thumb(api, cloud),
        tuning=_tuning(case),
        characters=_characters(case),
        licence=tuple(_licence(case)),
        notes=tuple(_notes(case)),
        preset=_preset(case, way),
    )


def _decide(case: Case, made: Mapping[Way, Option]) -> tuple[Way, list[Said]]:
    question, work = case.question, case.question.workload
    near = _cheapest(made, ("near", "buy"))
    if question.near_only:
        return _stay(case, made)
    if question.finetune:
        way = near or ("rent" if made["rent"].usd is not None else None)
        if way is not None:
            return way, [Said(key="own_weights"), _costs(made[way])]
    if work.private_share > 0:
        if made["hybrid"].usd is None:
            return _stay(case, made)
        return "hybrid", [Said(key="private_share", values={"share": work.private_share}), _costs(made["hybrid"])]
    if question.prototype and made["near"].usd is None:
        far = _cheapest(made, ("api", "cloud")) or "cloud"
        return far, [Said(key="prototype"), _costs(made[far])]
    if question.quality == "best":
        better = made["cascade"].usd
        if better is not None and better < (made["cloud"].usd or math.inf):
            share = case.rules.cascade.escalated
            return "cascade", [Said(key="best_quality", values={"share": share}), _costs(made["cascade"])]
        return "cloud", [Said(key="best_quality_cloud"), _costs(made["cloud"])]
    if work.peak >= SPIKY and made["hybrid"].usd is not None:
        others = _cheapest(made, ("near", "buy", "api", "cloud"))
        # A machine that is there may cost a little more for its peaks; one that has to be bought must pay.
        margin = case.rules.margin.share
        most = (1 + margin if case.own is not None else 1 - margin) * (_usd(made, others))
        if made["hybrid"].usd <= most:
            share = made["hybrid"].near_share
            return "hybrid", [Said(key="spiky", values={"peak": work.peak, "share": share}), _costs(made["hybrid"])]
    ways: tuple[Way, ...] = ("near", "buy", "rent", "api", "hybrid") if question.operator else ("api",)
    return _simplest(case, made, ways)


_SIMPLE: tuple[Way, ...] = ("cloud", "api", "near", "rent", "buy", "hybrid")
"""The simplest first: nothing to look after, a machine that is there, one for hours, one for years, two at once."""


def _simplest(case: Case, made: Mapping[Way, Option], ways: tuple[Way, ...]) -> tuple[Way, list[Said]]:
    """The cheapest way, or a simpler one that costs so little more that nobody can tell."""
    cheapest = _cheapest(made, (*ways, "cloud"))
    if cheapest is None:
        return "cloud", [Said(key="cheapest_cloud"), _costs(made["cloud"])]
    margin = case.rules.margin.share
    most = _usd(made, cheapest) * (1 + margin)
    best = next(way for way in _SIMPLE if way in {*ways, "cloud"} and _usd(made, way) <= most)
    if best == cheapest:
        why = [Said(key=f"cheapest_{best}"), _costs(made[best])]
    else:
        why = [Said(key="simplest", values={"margin": margin}), _costs(made[best])]
    if best == "hybrid":
        why.append(Said(key="split", values={"share": made[best].near_share}))
    return best, why


def _usd(made: Mapping[Way, Option], way: Way | None) -> float:
    """What a way costs; without one, more than anything."""
    usd = None if way is None else made[way].usd
    return math.inf if usd is None else usd


def _stay(case: Case, made: Mapping[Way, Option]) -> tuple[Way, list[Said]]:
    """Nothing may leave: near, even if it is dearer or slower than a cloud."""
    share = case.question.workload.private_share
    key = "offline" if case.question.offline else "may_not_leave" if case.question.near_only else "private_near"
    why = [Said(key=key, values={"share": share})]
    near = _cheapest(made, ("near", "buy"))
    if near is not None:
        return near, [*why, _costs(made[near])]
    way: Way = "near" if made["near"].model else "buy"
    short = made[way]
    if short.capacity is not None:
        why.append(Said(key="near_short", values={"capacity": short.capacity, "calls": case.question.workload.calls}))
    else:
        why.append(Said(key="near_nothing_fits"))
    return way, why


def _cheapest(made: Mapping[Way, Option], ways: tuple[Way, ...]) -> Way | None:
    known = [(made[way].usd, way) for way in ways]
    return min(((usd, way) for usd, way in known if usd is not None), default=(0.0, None), key=lambda each: each[0])[1]


def _costs(option: Option) -> Said:
    if option.usd is None:
        return Said(key=f"lacks_{option.lacks}")
    return Said(key="costs", values={"usd": option.usd, "model": option.model, "where": option.where})


def _runners_up(case: Case, made: Mapping[Way, Option], best: Way) -> list[tuple[Way, Said]]:
    mine = made[best].usd
    allowed = [way for way in made if way != best and made[way].lacks not in {"no_machine", "no_rest"}]
    ranked = sorted(allowed, key=lambda way: (made[way].usd is None, made[way].usd or 0.0))
    found = []
    for way in ranked[:2]:
        option = made[way]
        if option.usd is None:
            said = Said(key=f"lacks_{option.lacks}")
        elif mine is None:
            said = Said(key="other_reasons", values={"usd": option.usd})
        elif option.usd >= mine:
            said = Said(key="dearer", values={"usd": option.usd, "more": option.usd - mine})
        elif option.usd > mine * (1 - case.rules.margin.share) and best in _SIMPLE and way in _SIMPLE:
            said = Said(key="no_simpler", values={"usd": option.usd, "less": mine - option.usd})
        else:
            said = Said(key="cheaper_but", values={"usd": option.usd, "less": mine - option.usd})
        found.append((way, said))
    return found


def _machine(case: Case) -> tuple[Near, Box] | None:
    if case.own is not None and case.own_box is not None:
        return case.own, case.own_box
    return None if case.bought is None else (case.bought, case.question.box)


def _break_even(case: Case) -> tuple[BreakEven | None, BreakEven | None, list[Flip]]:
    """Against the same open model's API first: only then is it a question of the machine and not of the model."""
    machine = _machine(case)
    if machine is None or case.question.near_only:
        return None, None, []
    near, box = machine
    work = case.question.workload

    def compare(price: Price | None) -> BreakEven | None:
        return None if price is None else against(price, box, near.speeds, work, case.tariff, case.base)

    rival = case.api or case.cloud
    moving = [] if rival is None else flips(rival, box, near.speeds, work, case.tariff, case.base)
    return compare(case.api), compare(case.cloud), moving


def _curves(case: Case) -> dict[Way, tuple[tuple[float, float | None], ...]]:
    volumes = sorted({*VOLUMES, case.question.workload.calls})
    drawn: dict[Way, list[tuple[float, float | None]]] = {}
    for calls in volumes:
        for way, option in options(case, case.question.workload.at(calls)).items():
            drawn.setdefault(way, []).append((calls, option.usd))
    return {way: tuple(points) for way, points in drawn.items()}


def _rule_of_thumb(api: BreakEven | None, cloud: BreakEven | None) -> Said:
    """The rule goes by calls alone, and what decides is tokens times price."""
    answer = api or cloud
    if answer is None:
        return Said(key="rule_unknown")
    if answer.calls is None:
        return Said(key="rule_holds_never")
    key = "rule_holds" if answer.calls >= 100_000 else "rule_fails"
    return Said(key=key, values={"calls": answer.calls})


def tuning(model: Model) -> Tuning:
    """Memory to fine-tune ``model``: formulas of the bytes that must be kept, not measured here."""
    shape = model.shape
    adapters = model.parameters * _LORA_SHARE * _TRAINED_BYTES
    # One sequence of 2048 tokens with recomputation: the input of each layer, and one layer's intermediate values.
    values = 2048 * shape.hidden * (2 * shape.layers + 34)
    return Tuning(
        lora=2 * model.parameters + adapters + values,
        qlora=model.parameters * 4.5 / 8 + adapters + values,
        full=model.parameters * _TRAINED_BYTES + values,
    )


def _tuning(case: Case) -> Tuning | None:
    if not case.question.finetune or case.model is None:
        return None
    machine = _machine(case)
    if machine is None:
        return tuning(case.model)
    near, box = machine
    return msgspec.structs.replace(tuning(case.model), room=near.rig.usable, where=box.name)


def _characters(case: Case) -> Said | None:
    if not case.question.traditional_chinese or case.model is None:
        return None
    found = case.rules.tokens_per_character(case.model)
    values: dict[str, str | float] = {"model": case.model.id, "level": case.model.traditional_chinese}
    if found is None:
        return Said(key="characters_unknown", values=values)
    return Said(key="characters", values={**values, "low": found.low, "high": found.high})


def _licence(case: Case) -> list[Said]:
    machine = _machine(case)
    if machine is None:
        return []
    answer = machine[0].licence
    return [
        Said(key=f"licence_{answer.verdict}", values={"model": answer.repo}),
        *(Said(key="licence_reason", values={"licence": each.licence, "text": each.text}) for each in answer.reasons),
        *(Said(key="licence_unverified", values={"text": each}) for each in answer.unverified),
    ]


def _notes(case: Case) -> list[Said]:
    question = case.question
    notes = [Said(key="size_is_not_quality")]
    if question.near_only and not question.offline:
        notes.append(Said(key="beyond_near"))
    machine = _machine(case)
    if machine is not None:
        found = machine[0].estimate
        notes.append(
            Said(
                key="speed",
                values={
                    "model": f"{machine[0].model.id} {machine[0].quant}",
                    "where": machine[1].name,
                    "low": found.decode_tps.low,
                    "high": found.decode_tps.high,
                    "wait": found.first_token_seconds.value,
                },
            )
        )
        duty = costs.duty(machine[0].speeds, question.workload)
        notes.append(Said(key="duty", values={"share": min(1.0, duty)}))
    if not question.operator:
        notes.append(Said(key="no_operator"))
    if question.traditional_chinese and case.fitting:
        notes.append(Said(key="speakers", values={"models": ", ".join(case.fitting[:_SHOWN])}))
    return notes


_SHOWN = 6
"""Models that are named."""


def _preset(case: Case, way: Way) -> str:
    if case.question.offline:
        return "offline"
    if case.question.near_only:
        return "government"
    return "team" if case.question.workload.private_share or way in {"hybrid", "cascade"} else "developer"
