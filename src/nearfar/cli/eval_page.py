"""An evaluation's report as a page of sections, in one language; as text, Markdown or HTML. It asks nobody."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from nearfar.advisor import html
from nearfar.advisor.report import Page, Section, Table, markdown
from nearfar.cli import output
from nearfar.cli.errors import UsageError
from nearfar.core.money import usd
from nearfar.evaluation.comparing import Difference, Pair, Report, Side
from nearfar.evaluation.figures import Interval
from nearfar.evaluation.words import Words
from nearfar.evaluation.words import words as spoken

SUFFIXES = (".md", ".html", ".json")
_SHOWN = 5
"""Differing prompts that a terminal shows; a file shows all of them."""
_SHORT = 26
"""Characters of a prompt and of an answer in a terminal."""


def page(
    report: Report, language: str, labels: Path | None, *, short: bool = False, quote: Callable[[str], str] = str
) -> Page:
    """The page. ``labels``: the file that was written; ``short``: for a terminal; ``quote``: makes answers harmless."""
    words = spoken(language)
    sections = [
        _run(report, words),
        _sides(report, words),
        _paired(report, words),
        _tasks(report, words),
        _differ(report, words, short=short, quote=quote),
        _others(report, words),
        _notes(report, words),
        _next(words, labels),
    ]
    return Page(
        title=f"nearfar: {words('title', source=report.source)}",
        sections=tuple(item for item in sections if item.lines or item.table),
    )


def write(path: Path, report: Report, language: str, labels: Path | None) -> None:
    """Write the report as what the file's name ends with."""
    makers: dict[str, Callable[[], str]] = {
        ".md": lambda: markdown(page(report, language, labels, quote=_code)),
        ".html": lambda: html.render(page(report, language, labels), language),
        ".json": lambda: msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n",
    }
    try:
        path.touch(mode=0o600)  # it quotes prompts and answers
        path.write_text(makers[path.suffix](), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}.") from error


def show(made: Page) -> None:
    """The page on standard output."""
    output.line(made.title)
    for section in made.sections:
        output.line()
        output.line(section.title)
        for text in section.lines:
            output.line(f"  {text}")
        if section.table is not None:
            right = range(1, len(section.table.heads)) if section.table.numbers else ()
            output.table(section.table.heads, section.table.rows, right=tuple(right))


def _run(report: Report, words: Words) -> Section:
    how = ", ".join(f"{name} ({count})" for name, count in sorted(report.how.items()))
    lines = [
        words(
            "what",
            prompts=report.prompts,
            repeat=report.repeat,
            how=how,
            date=report.date,
            where=report.answered_at,
        )
    ]
    if report.stopped:
        lines.append(words("stopped", why=report.stopped))
    return Section(title=words("run"), lines=tuple(lines))


def _sides(report: Report, words: Words) -> Section:
    figures: list[tuple[str, Callable[[Side], str]]] = [
        ("answered_by", lambda side: ", ".join(side.answered_by)),
        ("place", lambda side: side.place),
        ("score", lambda side: words("none") if side.score is None else interval(side.score, words)),
        ("scored", lambda side: words("of", part=side.scored, whole=report.prompts)),
        ("answered", lambda side: words("of", part=side.answered, whole=side.asked)),
        ("errors", lambda side: ", ".join(f"{code} {n}" for code, n in side.errors.items()) or words("none")),
        ("refused", lambda side: str(side.refused)),
        ("cut", lambda side: str(side.cut)),
        ("cost", lambda side: cost(side.cost, side.cost_unknown, side.asked, words)),
        ("tokens", lambda side: _tokens(side, words)),
        ("first", lambda side: _times(side.first_p50, side.first_p95)),
        ("total", lambda side: _times(side.total_p50, side.total_p95)),
    ]
    rows = tuple((words(name), *(make(side) for side in report.sides)) for name, make in figures)
    if all(side.answered_by in ([side.name], []) for side in report.sides):
        rows = rows[1:]  # it says nothing more
    heads = ("", *(side.name for side in report.sides))
    return Section(
        title=words("sides"),
        table=Table(heads=heads, rows=rows, words_last=False),
    )


def interval(found: Interval, words: Words, *, sign: bool = False) -> str:
    """``0.625 (0.50 to 0.75)``."""
    plus = "+" if sign else ""
    low, high = f"{found.low:{plus}.2f}", f"{found.high:{plus}.2f}"
    return words("interval", value=f"{found.value:{plus}.3f}", low=low, high=high)


def cost(known: int, unknown: int, asked: int, words: Words) -> str:
    """Money with what is missing from it."""
    if not unknown:
        return usd(known)
    return words("unknown") if unknown == asked else words("and_unknown", cost=usd(known), count=unknown)


def _tokens(side: Side, words: Words) -> str:
    if side.answered and side.tokens_unknown == side.answered:
        return words("unknown")
    more = f" + {side.tokens_unknown} ?" if side.tokens_unknown else ""
    return f"{side.input_tokens:,}, {side.output_tokens:,}{more}"


def _times(half: float | None, most: float | None) -> str:
    return "" if half is None or most is None else f"{_duration(half)} / {_duration(most)}"


def _duration(milliseconds: float) -> str:
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"


def _paired(report: Report, words: Words) -> Section:
    def said(pair: Pair) -> str:
        if pair.difference is None:
            return words("pair_none", one=pair.one, other=pair.other)
        told = words(
            "pair",
            one=pair.one,
            other=pair.other,
            difference=interval(pair.difference, words, sign=True),
            prompts=pair.prompts,
            better=pair.better,
            same=pair.same,
            worse=pair.worse,
        )
        return f"{told} {words('resolved' if pair.resolved else 'unresolved')}"

    return Section(title=words("paired"), lines=tuple(said(pair) for pair in report.pairs))


def _tasks(report: Report, words: Words) -> Section:
    if not report.tasks:
        return Section(title=words("tasks"))
    names = [side.name for side in report.sides]
    rows = tuple(
        (item.task or words("untold"), str(item.prompts), *(_plain(item.scores.get(name)) for name in names))
        for item in report.tasks
    )
    return Section(title=words("tasks"), table=Table(heads=("", words("prompts"), *names), rows=rows, words_last=False))


def _plain(score: float | None) -> str:
    return "" if score is None else f"{score:.2f}"


def _differ(report: Report, words: Words, *, short: bool, quote: Callable[[str], str]) -> Section:
    if not report.differences:
        return Section(title=words("differ"))
    names = [side.name for side in report.sides]
    chosen = report.differences[:_SHOWN] if short else report.differences

    def row(item: Difference) -> tuple[str, ...]:
        if short:
            return item.id, *(_plain(item.scores.get(name)) for name in names), _cut(item.prompt), _cut(item.right)
        answers = (f"{_plain(item.scores.get(name))}: {quote(item.answers.get(name, ''))}" for name in names)
        return item.id, quote(item.prompt), quote(item.right), *answers

    ends = (words("prompt"), words("right"))
    heads = ("id", *names, *ends) if short else ("id", *ends, *names)
    return Section(
        title=words("differ"), table=Table(heads=heads, rows=tuple(row(item) for item in chosen), numbers=False)
    )


def _code(text: str) -> str:
    """In Markdown a model's words are code: else they could bring pictures and pages from anywhere into the report."""
    return f"`{text.replace('`', chr(0x2019))}`" if text.strip() else ""


def _cut(text: str) -> str:
    return text if len(text) <= _SHORT else f"{text[: _SHORT - 1]}…"


def _others(report: Report, words: Words) -> Section:
    lines = []
    if report.judge is not None:
        judge = report.judge
        lines.append(
            words(
                "judged",
                name=judge.name,
                verdicts=judge.verdicts,
                unreadable=judge.unreadable,
                turned=judge.turned,
                cost=cost(judge.cost, judge.cost_unknown, judge.verdicts, words),
            )
        )
    lines += [
        words(
            "opinion",
            name=item.name,
            answered=item.answered,
            asked=item.asked,
            cost=cost(item.cost, item.cost_unknown, item.asked, words),
        )
        for item in report.opinions
    ]
    lines.append(words("bill", spent=usd(report.spent)))
    return Section(title=words("spent"), lines=tuple(lines))


def _notes(report: Report, words: Words) -> Section:
    gaps: dict[str, object] = {
        "code": report.how.get("code", 0),
        "none": report.how.get("none", 0),
        "again": sum(side.again for side in (*report.sides, *report.opinions)),
        "near": report.sides[0].name,
        "far": report.sides[-1].name,
    }
    times = words("times", concurrency=report.concurrency)
    return Section(title=words("notes"), lines=(times, *(words(note, **gaps) for note in report.notes)))


def _next(words: Words, labels: Path | None) -> Section:
    if labels is None:
        return Section(title=words("next"), lines=(words("unlabelled"),))
    return Section(title=words("next"), lines=(words("eval", labels=labels), words("cascade", labels=labels)))
