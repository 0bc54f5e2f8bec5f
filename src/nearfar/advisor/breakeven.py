"""From how many calls an own machine is cheaper than a cloud, whether it could serve them, and what would flip it.

It knows amounts and capacities, and neither models nor vendors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import msgspec

from nearfar.advisor import cost as costs
from nearfar.advisor.assumptions import Assumptions, Box, Tariff
from nearfar.advisor.cost import Speeds
from nearfar.advisor.workload import Workload
from nearfar.core.money import Price


class BreakEven(msgspec.Struct, frozen=True, kw_only=True):
    """The answer. ``calls`` is None where the machine is never cheaper."""

    calls: float | None
    """Per month."""
    money: float | None
    """Calls per month at which the amounts are equal, whether or not the machine can serve them."""
    capacity: float
    """Calls per month that the machine can serve."""
    fixed: float
    """USD that the machine costs a month without a single call."""
    each: float = 0
    """USD that the cloud takes for a call."""
    power: float = 0
    """USD of electricity that the machine takes for a call."""

    @property
    def never(self) -> bool:
        """Whether no number of calls makes the machine cheaper."""
        return self.calls is None


class Flip(msgspec.Struct, frozen=True, kw_only=True):
    """How far one input moves the answer."""

    name: str
    low: BreakEven
    """The answer with half of it."""
    high: BreakEven
    """The answer with twice as much."""
    answer_changes: bool
    """Whether the recommendation at the owner's volume differs between the two."""


def against(price: Price, box: Box, speeds: Speeds, workload: Workload, tariff: Tariff, base: Assumptions) -> BreakEven:
    """When ``box`` becomes cheaper than a cloud at ``price`` for calls such as these."""
    each = costs.per_call(price, workload, base) * (1 + workload.retries)
    mine = costs.own(box, speeds, workload, tariff, base)
    power = mine.power_per_call * (1 + workload.retries)
    spared = each - power
    most = costs.capacity(speeds, workload)
    if spared <= 0:
        # Electricity alone costs more for each call than the cloud does.
        return BreakEven(calls=None, money=None, capacity=most, fixed=mine.fixed, each=each, power=power)
    money = mine.fixed / spared
    calls = money if money <= most else None
    return BreakEven(calls=calls, money=money, capacity=most, fixed=mine.fixed, each=each, power=power)


def flips(price: Price, box: Box, speeds: Speeds, workload: Workload, tariff: Tariff, base: Assumptions) -> list[Flip]:
    """Each input halved and doubled, those first that move the answer most."""
    found = []
    for name, changed in _inputs(price, box, speeds, workload, tariff, base).items():
        low, high = (against(*changed(factor)) for factor in (0.5, 2.0))
        found.append(
            Flip(
                name=name,
                low=low,
                high=high,
                answer_changes=_cheaper(low, workload) != _cheaper(high, workload),
            )
        )
    return sorted(found, key=_swing, reverse=True)


_Case = tuple[Price, Box, Speeds, Workload, Tariff, Assumptions]


def _inputs(
    price: Price, box: Box, speeds: Speeds, workload: Workload, tariff: Tariff, base: Assumptions
) -> Mapping[str, Callable[[float], _Case]]:
    replace = msgspec.structs.replace

    def hardware(factor: float) -> _Case:
        return price, replace(box, capex_usd=box.capex_usd * factor), speeds, workload, tariff, base

    def labour(factor: float) -> _Case:
        return price, replace(box, labour_hours=box.labour_hours * factor), speeds, workload, tariff, base

    def lifetime(factor: float) -> _Case:
        terms = replace(base.own, months=max(1, round(base.own.months * factor)))
        return price, box, speeds, workload, tariff, replace(base, own=terms)

    def electricity(factor: float) -> _Case:
        return price, box, speeds, workload, replace(tariff, per_kwh=tariff.per_kwh * factor), base

    def tokens(factor: float) -> _Case:
        sized = replace(
            workload,
            input=workload.input * factor,
            output=workload.output * factor,
            reasoning=workload.reasoning * factor,
        )
        return price, box, speeds, sized, tariff, base

    def rates(factor: float) -> _Case:
        return scaled(price, factor), box, speeds, workload, tariff, base

    def speed(factor: float) -> _Case:
        faster = Speeds(prefill=speeds.prefill * factor, decode=speeds.decode * factor, batched=speeds.batched * factor)
        return price, box, faster, workload, tariff, base

    return {
        "cloud_price": rates,
        "tokens": tokens,
        "hardware": hardware,
        "lifetime": lifetime,
        "labour": labour,
        "electricity": electricity,
        "speed": speed,
    }


def scaled(price: Price, factor: float) -> Price:
    """All rates of ``price`` times ``factor``."""

    def times(rate: int | None) -> int | None:
        return None if rate is None else round(rate * factor)

    return msgspec.structs.replace(
        price,
        input=round(price.input * factor),
        output=round(price.output * factor),
        cached_input=times(price.cached_input),
        cache_write=times(price.cache_write),
        long=None if price.long is None else scaled(price.long, factor),
    )


def _cheaper(answer: BreakEven, workload: Workload) -> bool:
    return answer.calls is not None and answer.calls <= workload.calls <= answer.capacity


def _swing(flip: Flip) -> float:
    """How many times the larger is the smaller, in money: never is farther than any number."""
    low, high = (math.inf if each.money is None else max(each.money, 1.0) for each in (flip.low, flip.high))
    if low == high:
        return 1.0
    return max(low, high) / min(low, high)
