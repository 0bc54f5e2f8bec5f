"""What a month costs in the cloud, on an own machine and on a rented one. It looks up no price and decides nothing.

Amounts are floats of USD: they rest on estimates. What was really charged is in the ledger, in integers.
"""

from __future__ import annotations

import math
from decimal import Decimal

import msgspec

from nearfar.advisor.assumptions import Assumptions, Box, Tariff
from nearfar.advisor.workload import HOURS, Workload
from nearfar.core.chat import Usage
from nearfar.core.money import NANO, Price, cost

RENTAL_EXTRAS = (0.3, 0.5)
"""What storage, traffic and idle hours add to a rented machine's rate, low and high."""


def digits(number: float) -> str:
    """``number`` with three digits that count, however small it is, and without an exponent: for a calculator."""
    return format(Decimal(f"{number:.3g}"), "f")


def counted(number: float) -> str:
    """``number`` as a whole one, where that makes no difference."""
    return f"{number:,.0f}" if number >= 1000 or number == round(number) else f"{number:.4g}"


class Speeds(msgspec.Struct, frozen=True, kw_only=True):
    """How fast a machine serves one model, in tokens per second."""

    prefill: float
    """Of a prompt, alone."""
    decode: float
    """Of an answer, alone."""
    batched: float = 0
    """Of all answers together when many are served at once; 0 where calls are served one after the other."""

    def seconds(self, workload: Workload) -> float:
        """Machine time of one call when calls come one after the other."""
        return _over(workload.input, self.prefill) + _over(workload.generated, self.decode)

    def busy_seconds(self, workload: Workload) -> float:
        """Machine time that one call uses up at full load."""
        if not self.batched:
            return self.seconds(workload)
        # A batch reads the weights once for all answers; prompts are computed one after the other all the same.
        return min(
            self.seconds(workload), _over(workload.input, self.prefill) + _over(workload.generated, self.batched)
        )


class Own(msgspec.Struct, frozen=True, kw_only=True):
    """A month of an own machine, in USD."""

    hardware: float
    """Price less resale, spread over its months."""
    capital: float
    labour: float
    spares: float
    idle_power: float
    """Electricity that is drawn whether anybody asks or not."""
    power_per_call: float
    """Electricity that one call adds."""

    @property
    def fixed(self) -> float:
        """What it costs without a single call."""
        return self.hardware + self.capital + self.labour + self.spares + self.idle_power

    def total(self, asked: float) -> float:
        """What it costs with ``asked`` calls."""
        return self.fixed + self.power_per_call * asked


def per_call(price: Price, workload: Workload, assumptions: Assumptions) -> float:
    """USD for one call of this size: the rates of *this* prompt's length, what comes from the cache, what may wait."""
    usage = Usage(
        input=math.ceil(workload.input),
        output=math.ceil(workload.generated),
        cached=math.floor(workload.input * workload.cached_share),
    )
    nano = cost(price, usage)
    assert nano is not None, "counts are given"
    batched = 1 - workload.batch_share * assumptions.batch.discount
    return nano / NANO * batched * (1 + assumptions.money.vat)


def cloud(price: Price, workload: Workload, assumptions: Assumptions) -> float:
    """USD for a month."""
    return per_call(price, workload, assumptions) * workload.asked


def own(box: Box, speeds: Speeds, workload: Workload, tariff: Tariff, assumptions: Assumptions) -> Own:
    """What a month of ``box`` costs when it serves such calls."""
    terms = assumptions.own
    kwh = assumptions.usd_per_kwh(tariff) * (terms.pue if box.pue is None else box.pue)
    tied = box.capex_usd * (1 + terms.resale) / 2
    return Own(
        hardware=box.capex_usd * (1 - terms.resale) / terms.months,
        capital=tied * assumptions.money.capital_rate / 12,
        labour=box.labour_hours * assumptions.labour.usd_per_hour,
        spares=box.capex_usd * terms.spares_per_year / 12,
        idle_power=box.watts_idle / 1000 * HOURS * kwh,
        power_per_call=(box.watts_load - box.watts_idle) / 1000 * speeds.busy_seconds(workload) / 3600 * kwh,
    )


def capacity(speeds: Speeds, workload: Workload) -> float:
    """Calls per month that a machine can serve when they come as these do: the busiest hour must fit into an hour."""
    seconds = speeds.busy_seconds(workload)
    if not seconds:
        return math.inf
    in_busiest_hour = 3600 / seconds
    return in_busiest_hour / workload.peak * workload.hours / (1 + workload.retries)


def duty(speeds: Speeds, workload: Workload) -> float:
    """Share of a month's time in which the machine works; above 1 it cannot do it."""
    return workload.asked * speeds.busy_seconds(workload) / (HOURS * 3600)


def rental(rate: float, workload: Workload, speeds: Speeds, assumptions: Assumptions, *, count: int = 1) -> float:
    """USD for a month of ``count`` rented cards that run while calls come and are given back otherwise."""
    extras = 1 + sum(RENTAL_EXTRAS) / 2
    hours = max(workload.hours, workload.asked * speeds.busy_seconds(workload) / 3600)
    return rate * count * hours * extras * (1 + assumptions.money.vat)


def own_sums(box: Box, speeds: Speeds, workload: Workload, tariff: Tariff, assumptions: Assumptions) -> dict[str, str]:
    """The terms of ``own`` as somebody would type them into a calculator; amounts are USD."""
    terms, money = assumptions.own, assumptions.money
    mine = own(box, speeds, workload, tariff, assumptions)
    power = f"{digits(mine.power_per_call)} * {counted(workload.asked)}"
    if box.watts_idle:
        kwh = assumptions.usd_per_kwh(tariff) * (terms.pue if box.pue is None else box.pue)
        power = f"{box.watts_idle:g} W * {HOURS:g} h * {kwh:.4f} / 1,000 + {power}"
    if not box.capex_usd:
        return {"labour": f"{box.labour_hours:g} h * {assumptions.labour.usd_per_hour:g}", "electricity": power}
    return {
        "hardware": f"{box.capex_usd:,.0f} * (1 - {terms.resale:g}) / {terms.months:g}",
        "capital": f"{box.capex_usd:,.0f} * (1 + {terms.resale:g}) / 2 * {money.capital_rate:g} / 12",
        "labour": f"{box.labour_hours:g} h * {assumptions.labour.usd_per_hour:g}",
        "spares": f"{box.capex_usd:,.0f} * {terms.spares_per_year:g} / 12",
        "electricity": power,
    }


def fixed_sum(mine: Own) -> str:
    """The fixed costs of ``mine`` in the order of its parts."""
    return " + ".join(
        f"{usd:.2f}" for usd in (mine.hardware, mine.capital, mine.labour, mine.spares, mine.idle_power) if usd
    )


def power_sum(mine: Own, workload: Workload, share: float) -> str:
    """Electricity of the ``share`` of the calls that run near."""
    return f"{digits(mine.power_per_call)} * {counted(workload.asked)} * {digits(100 * share)}%"


def cloud_sum(price: Price, workload: Workload, assumptions: Assumptions) -> str:
    """What ``cloud`` reckons: calls, tokens, and the rates that hold at this length, in USD per million tokens."""
    usage = math.ceil(workload.input)
    held = price.long if price.long is not None and price.above is not None and usage > price.above else price
    cached = math.floor(workload.input * workload.cached_share)
    tokens = [(usage - cached, held.input), (cached, held.input if held.cached_input is None else held.cached_input)]
    tokens.append((math.ceil(workload.generated), held.output))
    sizes = " + ".join(f"{count:,} * {rate / NANO:g}" for count, rate in tokens if count)
    extras = "" if not workload.batch_share else f" * {1 - workload.batch_share * assumptions.batch.discount:g}"
    extras += "" if not assumptions.money.vat else f" * {1 + assumptions.money.vat:g}"
    return f"{counted(workload.asked)} * ({sizes}) / 1,000,000{extras}"


def rental_sum(rate: float, workload: Workload, speeds: Speeds, assumptions: Assumptions) -> str:
    """What ``rental`` reckons."""
    hours = max(workload.hours, workload.asked * speeds.busy_seconds(workload) / 3600)
    extras = "" if not assumptions.money.vat else f" * {1 + assumptions.money.vat:g}"
    return f"{rate:g} * {counted(hours)} h * {1 + sum(RENTAL_EXTRAS) / 2:g}{extras}"


def _over(tokens: float, speed: float) -> float:
    if not tokens:
        return 0.0
    return tokens / speed if speed > 0 else math.inf
