"""An evaluation from its plan to its report: which questions to whom, their scores. It opens no connection itself."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

import msgspec

from nearfar.cli.eval_asking import Named, Putting
from nearfar.cli.eval_judging import judged, judgements, worths
from nearfar.cli.eval_plan import Plan, check_prices, jobs
from nearfar.core.places import Place
from nearfar.evaluation import comparing
from nearfar.evaluation.comparing import Report
from nearfar.evaluation.prompts import Prompt
from nearfar.evaluation.records import Book, Job, Record
from nearfar.evaluation.running import Crew
from nearfar.evaluation.scores import Score, how, right

_SMALL = 20
"""Prompts below which an interval says little."""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    report: Report
    scores: comparing.Scores
    first: dict[tuple[str, str], Record]
    """By name and prompt: the first answer."""


def work(
    plan: Plan,
    prompts: Sequence[Prompt],
    rows: Mapping[str, Named],
    book: Book,
    putting: Putting,
    *,
    source: str,
    where: str,
    tell: Callable[[str], None] = lambda _: None,
) -> Done:
    """Ask, judge, score, compare. Records come into ``book`` one by one. Raises NearfarError, KeyboardInterrupt."""
    asked = jobs(plan, prompts, rows)
    check_prices(plan, asked, rows)
    stopped = _ask(plan, asked, book, putting, tell)
    ways = {item.id: how(item, plan.score, judge=bool(plan.judge)) for item in prompts}
    verdicts: list[Job] = []
    if plan.judge and not stopped:
        verdicts = judgements(plan, [item for item in prompts if ways[item.id] == "judge"], asked, rows, book)
        check_prices(plan, verdicts, rows)
        stopped = _ask(plan, verdicts, book, putting, tell)
    notes: list[str] = []
    scores = scored(plan, prompts, ways, asked, verdicts, book, notes, tell)
    return _reported(plan, prompts, ways, asked, verdicts, scores, book, notes, stopped, source=source, where=where)


def _ask(plan: Plan, asked: Sequence[Job], book: Book, putting: Putting, tell: Callable[[str], None]) -> str:
    left = sum(book.get(job) is None for job in asked)
    count = 0

    def heard(record: Record) -> None:
        nonlocal count
        count += 1
        if count == left or count * 10 // left > (count - 1) * 10 // left:
            tell(f"{count} of {left} answers{f' ({record.on}: {record.error})' if record.error else ''}")

    async def all_of_them() -> str:
        crew = Crew(putting.ask, book, concurrency=plan.concurrency, ceiling=plan.ceiling, tell=heard)
        await crew.ask(asked)
        return crew.stopped

    return putting.run(all_of_them()) if left else ""


def scored(
    plan: Plan,
    prompts: Sequence[Prompt],
    ways: Mapping[str, Score | None],
    asked: Sequence[Job],
    verdicts: Sequence[Job],
    book: Book,
    notes: list[str],
    tell: Callable[[str], None],
) -> dict[str, dict[str, float]]:
    """Name → prompt → the mean score of its answers, where there is one."""
    known = {item.id: item for item in prompts}
    found: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in plan.on}
    networks: set[str] = set()
    for job in asked:
        record, way = book.get(job), ways[job.id]
        if record is None or record.heard is None or job.role != "answer" or way in {None, "judge"}:
            continue
        prompt = known[job.id]
        if way == "code":
            if plan.run_code:
                from nearfar.cli.eval_code import passes
                from nearfar.server.harden import hide_memory

                hide_memory()  # the code runs as the same user, who could else read the keys in our environment
                tell(f"running the code of {job.on} for {job.id}")
                ran = passes(record.heard.text, prompt.tests)
                networks.add(ran.network)
                found[job.on][job.id].append(float(ran.passed))
            continue
        assert way is not None
        found[job.on][job.id].append(float(right(record.heard.text, prompt, way)))
    for worth in worths(plan, verdicts, book):
        if worth.values is not None:
            found[worth.one][worth.prompt].append(worth.values[0])
            found[worth.other][worth.prompt].append(worth.values[1])
    if "shared" in networks:
        notes.append("code_network")
    return {name: {at: sum(values) / len(values) for at, values in by.items()} for name, by in found.items()}


def _reported(
    plan: Plan,
    prompts: Sequence[Prompt],
    ways: Mapping[str, Score | None],
    asked: Sequence[Job],
    verdicts: Sequence[Job],
    scores: Mapping[str, Mapping[str, float]],
    book: Book,
    notes: list[str],
    stopped: str,
    *,
    source: str,
    where: str,
) -> Done:
    by_name: dict[str, list[Record]] = defaultdict(list)
    first: dict[tuple[str, str], Record] = {}
    for job in asked:
        record = book.records.get(job.key)
        if record is not None:
            by_name[job.on].append(record)
            if job.repeat == 0:
                first[job.on, job.id] = record
    if any(found.heard is not None and found.heard.attempts > 1 for by in by_name.values() for found in by):
        notes.append("again")
    counted: Counter[str] = Counter(way or "none" for way in ways.values())
    if counted["code"] and not plan.run_code:
        notes.append("code_off")
    if counted["none"]:
        notes.append("unscored")
    if 0 < max((len(by) for by in scores.values()), default=0) < _SMALL:
        notes.append("few")
    places = [{item.heard.place for item in by_name[name] if item.heard is not None} - {""} for name in plan.on]
    if len(places) == 2 and all(len(found) == 1 for found in places):
        near, far = (Place.parse(found.pop()) for found in places)
        if near > far:
            notes.append("order")
    report = Report(
        source=source,
        date=dt.datetime.now(dt.UTC).strftime("%Y-%m-%d"),
        answered_at=where,
        prompts=len(prompts),
        repeat=plan.repeat,
        concurrency=plan.concurrency,
        how=dict(counted),
        sides=[comparing.side(name, by_name[name], scores.get(name, {})) for name in plan.on],
        pairs=comparing.compared(plan.on, scores),
        tasks=comparing.tasks(prompts, plan.on, scores),
        differences=comparing.differences(prompts, plan.on, scores, first),
        judge=judged(plan, verdicts, book),
        opinions=[comparing.side(name, by_name[name], {}) for name in plan.opinions],
        spent=book.spent,
        stopped=stopped,
        notes=notes,
    )
    return Done(report=report, scores=scores, first=first)
