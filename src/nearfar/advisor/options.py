"""The ways to run a workload, each with its price of a month and what it can serve. It recommends none of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from nearfar.advisor import cost as costs
from nearfar.advisor.assumptions import Assumptions, Box, Tariff
from nearfar.advisor.constants import Constants
from nearfar.advisor.near import Near, Wanted, choose, suitable
from nearfar.advisor.question import Question
from nearfar.advisor.rig import named
from nearfar.advisor.rules import Rules, shipped, weight
from nearfar.advisor.workload import Workload
from nearfar.catalog import licences
from nearfar.catalog.models import SPEAKS_TRADITIONAL, Model
from nearfar.catalog.names import nearest
from nearfar.catalog.prices import Table, price_for
from nearfar.core.errors import NotFoundError
from nearfar.core.money import Price

Way = Literal["near", "buy", "rent", "api", "cloud", "hybrid", "cascade"]
"""The machine that is there · one to buy · one to rent · the open model at a hoster · a frontier model · near for what
must or can stay, far for the rest · near first, judged, and far when it is not good enough."""

_HERE: frozenset[Way] = frozenset({"near", "buy"})
"""Ways on which nothing leaves the house."""
_AWAY: tuple[Way, ...] = ("rent", "api", "cloud")
"""Ways on which every call leaves it."""
HOSTERS = ("openrouter", "together", "groq", "fireworks", "cerebras", "mistral", "deepseek")
"""Providers that serve open models, as the price table knows them."""


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """One way. ``usd`` is None where it is not possible."""

    way: Way
    usd: float | None
    model: str = ""
    where: str = ""
    capacity: float | None = None
    """Calls per month it can serve; None: as many as anybody wants."""
    parts: Mapping[str, float] = {}
    """The amounts that ``usd`` is the sum of, in USD a month."""
    sums: Mapping[str, str] = {}
    """How each amount is reckoned, in numbers and signs."""
    near_share: float = 0
    """Share of the calls that run near."""
    lacks: str = ""
    """Why it is not possible: a word of data/words.toml."""
    price: str = ""
    """Id of the price row."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A question with everything that was looked up for it."""

    question: Question
    base: Assumptions
    tariff: Tariff
    rules: Rules
    wanted: Wanted
    own: Near | None
    """On the machine that is there."""
    own_box: Box | None
    bought: Near | None
    """On the machine that would be bought."""
    rented: Near | None
    rented_rate: float
    """USD per hour of the rented machine, all its cards."""
    model: Model | None
    """The open model that all ways with one have in common; None: none is suitable."""
    api: Price | None
    """The cheapest hoster of that model."""
    cloud_name: str
    cloud: Price | None
    fitting: tuple[str, ...] = ()
    """Models that can do it and may be used so, whatever machine they need, the best first."""


def case(question: Question, base: Assumptions, models: Sequence[Model], prices: Table, constants: Constants) -> Case:
    """Look up what ``question`` needs. Raises NotFoundError for a cloud whose price is not known."""
    rules = shipped()
    work = question.workload
    wanted = Wanted(
        least=rules.least(question.quality),
        context=question.context,
        vision=question.vision,
        tools=question.tools,
        traditional_chinese=question.traditional_chinese,
        thinking=work.reasoning > 0,
        use=licences.use(question.use) if question.use else licences.Use(),
    )
    own = None if question.rig is None else choose(wanted, question.rig, work, models, constants, rules)
    bought = choose(wanted, question.box_rig, work, models, constants, rules)
    found = own or bought
    rented, rate = _rented(wanted, work, base, models if found is None else [found.model], constants, rules)
    found = found or rented
    fitting = suitable(wanted, models)
    model = found.model if found is not None else min(fitting, key=weight, default=None)
    name = question.cloud or rules.cloud(question.quality)
    provider, _, cloud_model = name.partition("/")
    cloud = price_for(provider, cloud_model, prices)
    if cloud is None:
        near = nearest(name, [f"{each}/{other}" for each, other in prices])
        raise NotFoundError(
            f"The price of {name} is not known.",
            code="price_unknown",
            hint=f"Say --cloud PROVIDER/MODEL, for example {', '.join(near) or rules.cloud('solid')}.",
        )
    return Case(
        question=question,
        base=base,
        tariff=base.tariff_of(question.tariff),
        rules=rules,
        wanted=wanted,
        own=own,
        own_box=None if question.rig is None else _box_of(question),
        bought=bought,
        rented=rented,
        rented_rate=rate,
        model=model,
        api=None if model is None else hosted(model, work, base, prices),
        cloud_name=name,
        cloud=cloud,
        fitting=tuple(each.id for each in sorted(fitting, key=lambda each: (_speaks(each), rules.generation(each)))),
    )


def _speaks(model: Model) -> int:
    """How well it speaks Traditional Chinese: a place in a row, the best first."""
    known = SPEAKS_TRADITIONAL
    return known.index(model.traditional_chinese) if model.traditional_chinese in known else len(known)


def _box_of(question: Question) -> Box:
    """The machine that is there: bought for something else, it costs power at work and an hour of care."""
    rig = question.rig
    assert rig is not None
    return Box(
        id="there",
        name=rig.label,
        device=rig.device.id,
        count=rig.count,
        capex_usd=0,
        watts_load=rig.device.watts * rig.count + 100,
        watts_idle=0,
        labour_hours=1,
    )


def _rented(
    wanted: Wanted, work: Workload, base: Assumptions, models: Sequence[Model], constants: Constants, rules: Rules
) -> tuple[Near | None, float]:
    """The cheapest rented machine on which a suitable model runs and that can serve all calls."""
    best: tuple[Near | None, float] = (None, 0.0)
    for each in sorted(base.rental, key=lambda rental: rental.usd_per_hour[1]):
        for count in (1, 2, 4):
            near = choose(wanted, named(each.device, gpus=count), work, models, constants, rules)
            if near is None:
                continue
            found = (near, each.usd_per_hour[1] * count)
            if costs.capacity(near.speeds, work) >= work.calls:
                return found
            best = best if best[0] is not None else found
    return best


def hosted(model: Model, work: Workload, base: Assumptions, prices: Table) -> Price | None:
    """The cheapest hoster's price of ``model`` for such calls; None when nobody in the table serves it."""
    names = {model.repo.lower(), model.repo.lower().rpartition("/")[2]}
    names |= {name.removesuffix("-instruct") for name in names}
    found = [
        price
        for (provider, name), price in prices.items()
        if provider in HOSTERS and {name.lower(), name.lower().rpartition("/")[2]} & names
    ]
    return min(found, key=lambda price: costs.per_call(price, work, base), default=None)


def options(case: Case, workload: Workload | None = None) -> dict[Way, Option]:
    """Every way for ``case``, also at another volume than it asks about."""
    work = workload or case.question.workload
    made: dict[Way, Option] = {
        "near": _own("near", case, case.own, case.own_box, work),
        "buy": _own("buy", case, case.bought, case.question.box, work),
        "rent": _rent(case, work),
        "api": _far("api", case, work),
        "cloud": _far("cloud", case, work),
    }
    made["hybrid"] = _hybrid(case, work, made)
    made["cascade"] = _cascade(case, work, made)
    if not case.question.near_only:
        if work.private_share:
            made |= {way: msgspec.structs.replace(made[way], usd=None, lacks="leaves") for way in _AWAY}
        return made
    why = "no_network" if case.question.offline else "leaves"
    return {
        way: each if way in _HERE else msgspec.structs.replace(each, usd=None, lacks=why) for way, each in made.items()
    }


_ALL = 0.9995
"""Share from which on nothing is left for a cloud."""


def _own(way: Way, case: Case, near: Near | None, box: Box | None, work: Workload) -> Option:
    if box is None:
        return Option(way=way, usd=None, lacks="no_machine")
    if near is None:
        return Option(way=way, usd=None, where=box.name, lacks="nothing_fits")
    month = costs.own(box, near.speeds, work, case.tariff, case.base)
    most = costs.capacity(near.speeds, work)
    parts = {
        "hardware": month.hardware,
        "capital": month.capital,
        "labour": month.labour,
        "spares": month.spares,
        "electricity": month.idle_power + month.power_per_call * work.asked,
    }
    short = most < work.calls
    return Option(
        way=way,
        usd=None if short else sum(parts.values()),
        model=f"{near.model.id} {near.quant}",
        where=box.name,
        capacity=most,
        parts=parts,
        sums=costs.own_sums(box, near.speeds, work, case.tariff, case.base),
        near_share=1,
        lacks="too_slow" if short else "",
    )


def _rent(case: Case, work: Workload) -> Option:
    near = case.rented
    if near is None:
        return Option(way="rent", usd=None, lacks="nothing_fits")
    most = costs.capacity(near.speeds, work)
    usd = costs.rental(case.rented_rate, work, near.speeds, case.base)
    labour = case.base.labour.usd_per_hour * 2
    short = most < work.calls
    return Option(
        way="rent",
        usd=None if short else usd + labour,
        model=f"{near.model.id} {near.quant}",
        where=near.rig.label,
        capacity=most,
        parts={"rent": usd, "labour": labour},
        sums={
            "rent": costs.rental_sum(case.rented_rate, work, near.speeds, case.base),
            "labour": f"2 h * {case.base.labour.usd_per_hour:g}",
        },
        lacks="too_slow" if short else "",
    )


def _far(way: Way, case: Case, work: Workload) -> Option:
    price = case.api if way == "api" else case.cloud
    if price is None:
        return Option(way=way, usd=None, lacks="no_price")
    name = price.id.rpartition("@")[0]
    usd = costs.cloud(price, work, case.base)
    sums = {"calls": costs.cloud_sum(price, work, case.base)}
    where = name.partition("/")[0]
    return Option(way=way, usd=usd, model=name, where=where, parts={"calls": usd}, sums=sums, price=price.id)


def _hybrid(case: Case, work: Workload, made: Mapping[Way, Option]) -> Option:
    """Near serves what may not leave and as much of the rest as it can; peaks go far."""
    near, box, base = _nearest(case)
    far = _rest(case, made)
    if near is None or box is None:
        return Option(way="hybrid", usd=None, lacks="no_machine" if box is None else "nothing_fits")
    if far.usd is None:
        return Option(way="hybrid", usd=None, lacks="no_price")
    mine = costs.own(box, near.speeds, work, case.tariff, case.base)
    share = max(work.private_share, near_share(case, near, work))
    if work.private_share and mine.power_per_call * work.asked > far.usd:
        share = work.private_share  # for what may leave, the electricity alone is dearer than the cloud
    if share >= _ALL:
        return Option(way="hybrid", usd=None, lacks="no_rest", near_share=1)
    if work.private_share * work.calls > costs.capacity(near.speeds, work):
        # They cannot go elsewhere when the busiest hour comes.
        return Option(way="hybrid", usd=None, lacks="too_slow", near_share=share)
    fixed = mine.fixed
    power = mine.power_per_call * work.asked * share
    calls = far.usd * (1 - share)
    return Option(
        way="hybrid",
        usd=fixed + power + calls,
        model=f"{near.model.id} {near.quant} + {far.model}",
        where=f"{base} + {far.where}",
        parts={"machine": fixed, "electricity": power, "calls": calls},
        sums={
            "machine": costs.fixed_sum(mine),
            "electricity": costs.power_sum(mine, work, share),
            "calls": f"{costs.digits(100 * (1 - share))}% * ({far.sums['calls']})",
        },
        near_share=share,
        price=far.price,
    )


def _cascade(case: Case, work: Workload, made: Mapping[Way, Option]) -> Option:
    """Near answers first; what is not good enough is asked again, far."""
    near, box, base = _nearest(case)
    far = made["cloud"]
    if near is None or box is None:
        return Option(way="cascade", usd=None, lacks="no_machine" if box is None else "nothing_fits")
    if far.usd is None:
        return Option(way="cascade", usd=None, lacks="no_price")
    most = costs.capacity(near.speeds, work)
    tried = min(1.0, most / work.calls) if work.calls else 1.0
    gone = case.rules.cascade.escalated
    mine = costs.own(box, near.speeds, work, case.tariff, case.base)
    power = mine.power_per_call * work.asked * tried
    calls = far.usd * (1 - tried * (1 - gone))
    return Option(
        way="cascade",
        usd=mine.fixed + power + calls,
        model=f"{near.model.id} {near.quant} → {far.model}",
        where=f"{base} → {far.where}",
        parts={"machine": mine.fixed, "electricity": power, "calls": calls},
        sums={
            "machine": costs.fixed_sum(mine),
            "electricity": costs.power_sum(mine, work, tried),
            "calls": f"{costs.digits(100 * (1 - tried * (1 - gone)))}% * ({far.sums['calls']})",
        },
        near_share=tried * (1 - gone),
        price=far.price,
    )


def near_share(case: Case, near: Near, work: Workload) -> float:
    """Share of the calls that ``near`` can serve when a tenth of the hours are as busy as the busiest one."""
    hour = 3600 / max(near.speeds.busy_seconds(work), 1e-9)
    busy = case.rules.peaks.share
    mean = work.asked / work.hours
    if not mean:
        return 1.0
    peak = mean * work.peak
    calm = max(0.0, mean * (1 - busy * work.peak) / (1 - busy))
    return (min(hour, peak) * busy + min(hour, calm) * (1 - busy)) / (peak * busy + calm * (1 - busy))


def _nearest(case: Case) -> tuple[Near | None, Box | None, str]:
    if case.own is not None and case.own_box is not None:
        return case.own, case.own_box, case.own_box.name
    return case.bought, case.question.box, case.question.box.name


def _rest(case: Case, made: Mapping[Way, Option]) -> Option:
    """Where calls go that do not run near: as good as near, or better where that was asked for."""
    if case.question.quality == "best" or made["api"].usd is None:
        return made["cloud"]
    return made["api"]
