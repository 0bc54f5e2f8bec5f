"""Advice as a page: sections of sentences, tables and curves, in one language. It knows no terminal and no browser."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from nearfar.advisor.advise import Advice
from nearfar.advisor.breakeven import BreakEven
from nearfar.advisor.options import Case
from nearfar.advisor.setup import configuration
from nearfar.advisor.words import Words
from nearfar.catalog.prices import Source
from nearfar.catalog.second import Second

GIB = 1 << 30


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Heads and rows; all columns but the first are numbers where ``numbers`` says so."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: bool = True
    words_last: bool = True
    """Whether the last column is words all the same: a reason, a sum, a model."""


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """Lines over calls per month, both axes logarithmic; None is a gap."""

    title: str
    lines: tuple[tuple[str, tuple[tuple[float, float | None], ...]], ...]
    at: float
    """The owner's volume."""


class Bars(msgspec.Struct, frozen=True, kw_only=True):
    """Parts of one whole, against a limit, in GiB."""

    title: str
    parts: tuple[tuple[str, float], ...]
    limit: float


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A heading and what stands under it."""

    title: str
    lines: tuple[str, ...] = ()
    table: Table | None = None
    chart: Chart | None = None
    bars: Bars | None = None
    code: str = ""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """The whole report."""

    title: str
    sections: tuple[Section, ...]
    tail: str = ""
    """What else the command does."""


def page(case: Case, advice: Advice, words: Words, source: Source, second: Second) -> Page:
    """The report of ``advice`` in the language of ``words``; prices are from ``source``, compared with ``second``."""
    sections = [
        _recommended(advice, words),
        _runners_up(advice, words),
        _options(advice, words),
        _arithmetic(advice, words),
        _break_even(advice, words),
        _flips(advice, words),
        _tuning(advice, words),
        _licence(advice, words),
        _notes(case, advice, words, source, second),
        Section(
            title=words("curves"),
            chart=Chart(
                title=words("curves"),
                lines=tuple(
                    (words(f"way_{way}"), points)
                    for way, points in advice.curves.items()
                    if any(usd is not None for _, usd in points)
                ),
                at=case.question.workload.calls,
            ),
        ),
        _memory(case, words),
        Section(title=words("configuration"), code=configuration(case, advice)),
        Section(title="TWD", lines=(_twd(case, advice, words),)),
    ]
    shown = tuple(each for each in sections if _says(each))
    return Page(title=f"nearfar: {words('title')}", sections=shown, tail=words("tail"))


def _says(section: Section) -> bool:
    return bool(section.lines or section.table or section.chart or section.bars or section.code)


def _recommended(advice: Advice, words: Words) -> Section:
    name = words(f"way_{advice.recommended}")
    return Section(
        title=f"{words('recommended')}{words('colon')}{name}", lines=tuple(words.say(said) for said in advice.why)
    )


def _runners_up(advice: Advice, words: Words) -> Section:
    lines = []
    for way, said in advice.runners_up:
        text = f"{words(f'way_{way}')}{words('colon')}{words.say(said)}"
        option = advice.options[way]
        if way == "hybrid" and option.usd is not None:
            text = f"{text} {words('split', share=option.near_share)}".strip()
        lines.append(text)
    return Section(title=words("runners_up"), lines=tuple(lines))


def _options(advice: Advice, words: Words) -> Section:
    rows = []
    for way, option in advice.options.items():
        usd = words(f"lacks_{option.lacks}") if option.usd is None else f"{option.usd:,.0f}"
        most = "" if option.capacity is None else f"{option.capacity:,.0f}"
        rows.append((words(f"way_{way}"), usd, most, option.model))
    heads = ("", "USD", words("most"), words("model"))
    return Section(title=words("options"), table=Table(heads=heads, rows=tuple(rows)))


def _arithmetic(advice: Advice, words: Words) -> Section:
    option = advice.options[advice.recommended]
    shown = {name: usd for name, usd in option.parts.items() if usd}
    rows = tuple((words(f"part_{name}"), f"{usd:,.2f}", option.sums.get(name, "")) for name, usd in shown.items())
    if not rows:
        return Section(title=words("arithmetic"))
    total = (words("part_total"), f"{sum(option.parts.values()):,.2f}", "")
    return Section(title=words("arithmetic"), table=Table(heads=("", "USD", words("reckoned")), rows=(*rows, total)))


def _break_even(advice: Advice, words: Words) -> Section:
    def line(key: str, answer: BreakEven | None) -> str:
        if answer is None:
            return ""
        found = words("never") if answer.calls is None else words("calls_a_month", calls=answer.calls)
        numbers = {"fixed": answer.fixed, "capacity": answer.capacity, "money": answer.money or 0.0}
        numbers |= {"each": answer.each, "power": answer.power}
        why = "electricity" if answer.money is None else "short" if answer.calls is None else "served"
        return f"{words(key)}{words('colon')}{found}{words('stop')}{words(f'even_{why}', **numbers)}"

    lines = [line("against_api", advice.against_api), line("against_cloud", advice.against_cloud)]
    shown = [each for each in lines if each]
    return Section(title=words("break_even"), lines=(*shown, words.say(advice.rule_of_thumb)))


def _flips(advice: Advice, words: Words) -> Section:
    if not advice.flips:
        return Section(title=words("sensitivity"))

    def shown(answer: BreakEven) -> str:
        if answer.money is None:
            return words("never")
        return words("not_served", money=answer.money) if answer.calls is None else f"{answer.calls:,.0f}"

    rows = tuple(
        (words(f"flip_{flip.name}"), shown(flip.low), shown(flip.high), words("decides") if flip.answer_changes else "")
        for flip in advice.flips
        if flip.low.money != flip.high.money  # what a machine that is there once cost moves nothing
    )
    if not rows:
        return Section(title=words("sensitivity"), lines=(words("nothing_flips"),))
    return Section(title=words("sensitivity"), table=Table(heads=("", words("half"), words("twice"), ""), rows=rows))


def _tuning(advice: Advice, words: Words) -> Section:
    found = advice.tuning
    if found is None:
        return Section(title=words("tuning"))

    def fits(need: float) -> str:
        if found.room is None:
            return ""
        key = "tuning_fits" if need <= found.room else "tuning_short"
        return words(key, room=found.room / GIB, where=found.where)

    lines = (
        words("tuning_lora", gib=found.lora / GIB) + fits(found.lora),
        words("tuning_qlora", gib=found.qlora / GIB) + fits(found.qlora),
        words("tuning_full", gib=found.full / GIB) + fits(found.full),
        words("tuning_note"),
    )
    return Section(title=words("tuning"), lines=lines)


def _licence(advice: Advice, words: Words) -> Section:
    return Section(title=words("licence"), lines=tuple(words.say(said) for said in advice.licence))


def _notes(case: Case, advice: Advice, words: Words, source: Source, second: Second) -> Section:
    base, tariff = case.base, case.tariff
    assumed = words(
        "assumptions",
        date=str(base.date),
        tariff=tariff.id,
        per_kwh=tariff.per_kwh,
        currency=tariff.currency,
        since=str(tariff.since),
        wage=base.labour.usd_per_hour,
        months=base.own.months,
        resale=base.own.resale,
        interest=base.money.capital_rate,
    )
    said = [words.say(each) for each in (*advice.notes, *([advice.characters] if advice.characters else []))]
    # Where nothing may leave, nothing was bought from anybody.
    priced = () if case.question.near_only else (words("prices", source=source.source), *compared(case, words, second))
    return Section(title=words("notes"), lines=(*said, *priced, assumed))


def compared(case: Case, words: Words, second: Second) -> tuple[str, ...]:
    """What the second source says of the prices that were reckoned with: differences first."""
    names = [case.cloud_name, *([case.api.id.partition("@")[0]] if case.api else [])]
    found = {name: second.on(name.partition("/")[0], name.partition("/")[2]) for name in dict.fromkeys(names)}
    doubts = [
        words("second_rate", name=name, rate=words(f"rate_{each.rate}"), here=f"{each.here:f}", there=f"{each.there:f}")
        for name, several in found.items()
        for each in several or ()
    ]
    agreed = [name for name, several in found.items() if several == ()]
    silent = [name for name, several in found.items() if several is None]
    where = {"source": second.source, "date": str(second.date)}
    return (
        *([words("second_differs", rates="; ".join(doubts), **where)] if doubts else []),
        *([words("second_agrees", names=", ".join(agreed), **where)] if agreed else []),
        *([words("second_silent", names=", ".join(silent), **where)] if silent else []),
    )


def _memory(case: Case, words: Words) -> Section:
    near = case.own or case.bought
    if near is None:
        return Section(title=words("memory"))
    found = near.estimate
    parts = (
        (words("memory_weights"), found.weights_bytes.value / GIB),
        (words("memory_cache"), found.kv_cache_bytes.value / GIB),
        (
            words("memory_compute"),
            (found.compute_bytes.value + found.overhead_bytes.value + found.state_bytes.value) / GIB,
        ),
    )
    bars = Bars(title=f"{near.model.id} {near.quant}, {near.rig.label}", parts=parts, limit=found.usable_bytes / GIB)
    return Section(title=words("memory"), bars=bars)


def _twd(case: Case, advice: Advice, words: Words) -> str:
    usd = advice.options[advice.recommended].usd
    if usd is None:
        return ""
    rate = case.base.money.twd_per_usd
    return words("twd", usd=usd, twd=usd * rate, rate=rate)


def markdown(made: Page) -> str:
    """The page as Markdown."""
    lines = [f"# {made.title}", ""]
    for section in made.sections:
        lines += [f"## {section.title}", ""]
        lines += [f"* {line}" for line in section.lines if line]
        if section.table is not None:
            lines += _rows(section.table)
        if section.chart is not None:
            lines += _rows(_as_table(section.chart))
        if section.bars is not None:
            lines += [f"{section.bars.title} ({section.bars.limit:.1f} GiB)", ""]
            lines += [f"* {name}: {size:.2f} GiB" for name, size in section.bars.parts]
        if section.code:
            lines += ["```toml", section.code.rstrip(), "```"]
        lines.append("")
    return "\n".join(lines)


def _rows(table: Table) -> list[str]:
    def row(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"

    aligned = ["---", *("---:" if table.numbers else "---" for _ in table.heads[1:])]
    return [row(table.heads), f"|{'|'.join(aligned)}|", *(row(cells) for cells in table.rows)]


def _as_table(chart: Chart) -> Table:
    volumes = [calls for calls, _ in chart.lines[0][1]]
    rows = tuple((name, *("—" if usd is None else f"{usd:,.0f}" for _, usd in points)) for name, points in chart.lines)
    return Table(heads=("", *(f"{calls:,.0f}" for calls in volumes)), rows=rows)
