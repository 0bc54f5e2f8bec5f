"""An evaluation from its plan to its report: which questions to whom, their scores. It opens no connection itself."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from nearfar.cli.errors import UsageError
from nearfar.cli.eval_asking import Named, Putting
from nearfar.core.money import upper_bound
from nearfar.core.places import Class, Place
from nearfar.evaluation import comparing, judging
from nearfar.evaluation.comparing import Judged, Report
from nearfar.evaluation.prompts import Prompt
from nearfar.evaluation.records import Book, Job, Record
from nearfar.evaluation.running import Crew
from nearfar.evaluation.scores import Score, how, right

_OVERHEAD = 64
"""Tokens that a template may put around a message."""
_SMALL = 20
"""Prompts below which an interval says little."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done."""

    on: list[str]
    opinions: list[str] = []
    judge: str = ""
    score: Score = "auto"
    repeat: int = 1
    concurrency: int = 1
    ceiling: int | None = None
    """Nano-USD for all of it."""
    max_tokens: int = 1024
    temperature: float | None = None
    system: str = ""
    class_: str = ""
    run_code: bool = False
    weigh: str = ""
    """The deployment that is asked for log-probabilities; empty for none."""


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
    _check(plan, asked, rows)
    stopped = _ask(plan, asked, book, putting, tell)
    ways = {item.id: how(item, plan.score, judge=bool(plan.judge)) for item in prompts}
    verdicts: list[Job] = []
    if plan.judge and not stopped:
        verdicts = judgements(plan, [item for item in prompts if ways[item.id] == "judge"], asked, rows, book)
        _check(plan, verdicts, rows)
        stopped = _ask(plan, verdicts, book, putting, tell)
    notes: list[str] = []
    scores = scored(plan, prompts, ways, asked, verdicts, book, notes, tell)
    return _reported(plan, prompts, ways, asked, verdicts, scores, book, notes, stopped, source=source, where=where)


def jobs(plan: Plan, prompts: Sequence[Prompt], rows: Mapping[str, Named]) -> list[Job]:
    """Every question, prompt by prompt, so that a run that ends early has whole prompts."""
    made: list[Job] = []
    for prompt in prompts:
        messages: list[dict[str, object]] = [{"role": item.role, "content": item.content} for item in prompt.messages]
        if plan.system and messages[0]["role"] not in {"system", "developer"}:
            messages = [{"role": "system", "content": plan.system}, *messages]
        for repeat in range(plan.repeat):
            made += [
                Job(
                    id=prompt.id,
                    on=name,
                    role="answer" if name in plan.on else "opinion",
                    repeat=repeat,
                    body=_body(name, messages, plan.max_tokens, plan.temperature),
                    class_=plan.class_,
                    bound=_bound(messages, plan.max_tokens, rows[name]),
                    weigh=name == plan.weigh,
                )
                for name in (plan.on if repeat else (*plan.on, *plan.opinions))
            ]
    return made


def judgements(
    plan: Plan, prompts: Sequence[Prompt], asked: Sequence[Job], rows: Mapping[str, Named], book: Book
) -> list[Job]:
    """Every pair of answers for the judge, in both orders; of at least the class that either answer's request had."""
    texts = {(job.on, job.id, job.repeat): found.heard for job in asked if (found := book.get(job)) is not None}
    made = []
    for prompt in prompts:
        for repeat in range(plan.repeat):
            for one, other in judging.pairs(plan.on):
                mine, theirs = texts.get((one, prompt.id, repeat)), texts.get((other, prompt.id, repeat))
                if mine is None or theirs is None:
                    continue
                classes = [Class.parse(name) for name in (plan.class_, mine.class_, theirs.class_) if name]
                for pair, first, second in (((one, other), mine, theirs), ((other, one), theirs, mine)):
                    messages = judging.question(prompt, first.text, second.text)
                    made.append(
                        Job(
                            id=prompt.id,
                            on=plan.judge,
                            role="judge",
                            repeat=repeat,
                            pair=pair,
                            body=_body(plan.judge, messages, judging.MAX_TOKENS, None),
                            class_=max(classes).label if classes else "",
                            bound=_bound(messages, judging.MAX_TOKENS, rows[plan.judge]),
                        )
                    )
    return made


def _body(name: str, messages: list[dict[str, object]], limit: int, temperature: float | None) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": name,
        "messages": messages,
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": limit,
    }
    return body if temperature is None else {**body, "temperature": temperature}


def _bound(messages: Sequence[Mapping[str, object]], limit: int, row: Named) -> int | None:
    """The most that it can cost if everybody behind the name is asked once: a token is at least a byte long."""
    tokens = sum(len(str(item["content"]).encode()) + _OVERHEAD for item in messages)
    bounds = [upper_bound(price, tokens, limit) for price in row.prices]
    known = [bound for bound in bounds if bound is not None]
    return sum(known) if len(known) == len(bounds) else None


def _check(plan: Plan, asked: Sequence[Job], rows: Mapping[str, Named]) -> None:
    """A ceiling can only be held where every price is known."""
    if plan.ceiling is None:
        return
    for name in dict.fromkeys(job.on for job in asked if job.bound is None):
        lacking = next(item.name for item in rows[name].behind if item.price is None)
        raise UsageError(
            f"--max-cost: no price is known for {lacking}, so no ceiling could be kept.",
            hint=f"Say it in the configuration: [deployments.{lacking}] price = {{ input = 2.5, output = 10 }}",
        )


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

                tell(f"running the code of {job.on} for {job.id}")
                ran = passes(record.heard.text, prompt.tests)
                networks.add(ran.network)
                found[job.on][job.id].append(float(ran.passed))
            continue
        assert way is not None
        found[job.on][job.id].append(float(right(record.heard.text, prompt, way)))
    for one, other, prompt_id, worth in settled(verdicts, book):
        found[one][prompt_id].append(worth)
        found[other][prompt_id].append(1 - worth)
    if "shared" in networks:
        notes.append("code_network")
    return {name: {at: sum(values) / len(values) for at, values in by.items()} for name, by in found.items()}


def settled(verdicts: Sequence[Job], book: Book) -> list[tuple[str, str, str, float]]:
    """(one, other, prompt, what the first gets) for each pair that was judged readably in both orders."""
    said = _said(verdicts, book)
    made = []
    for (prompt, repeat, one, other), verdict in said.items():
        back = said.get((prompt, repeat, other, one))
        worth = judging.settled(verdict, back)
        if worth is not None and _first(verdicts, one, other):
            made.append((one, other, prompt, worth))
    return made


def _first(verdicts: Sequence[Job], one: str, other: str) -> bool:
    """Whether this is the order in which the pair was named: each pair counts once."""
    return next(job.pair for job in verdicts if set(job.pair) == {one, other}) == (one, other)


def _said(verdicts: Sequence[Job], book: Book) -> dict[tuple[str, int, str, str], judging.Verdict | None]:
    return {
        (job.id, job.repeat, *job.pair): judging.verdict(found.heard.text)
        for job in verdicts
        if (found := book.get(job)) is not None and found.heard is not None
    }


def _judged(plan: Plan, verdicts: Sequence[Job], book: Book) -> Judged | None:
    if not plan.judge:
        return None
    said = _said(verdicts, book)
    costs = [book.records[job.key].heard for job in verdicts if job.key in book.records]
    known = [heard.cost for heard in costs if heard is not None and heard.cost is not None]
    turned = {
        frozenset((one, other, prompt, str(repeat)))
        for (prompt, repeat, one, other), verdict in said.items()
        if verdict in {"A", "B"} and said.get((prompt, repeat, other, one)) == verdict
    }
    return Judged(
        name=plan.judge,
        verdicts=len(said),
        unreadable=sum(verdict is None for verdict in said.values()),
        turned=len(turned),
        cost=sum(known),
        cost_unknown=len(costs) - len(known),
    )


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
        judge=_judged(plan, verdicts, book),
        opinions=[comparing.side(name, by_name[name], {}) for name in plan.opinions],
        spent=book.spent,
        stopped=stopped,
        notes=notes,
    )
    return Done(report=report, scores=scores, first=first)
