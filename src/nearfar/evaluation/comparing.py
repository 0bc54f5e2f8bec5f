"""Makes figures of records and scores: each side, each pair, each task, where they differ most. It asks nobody."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations

import msgspec

from nearfar.evaluation.figures import Interval, mean, percentile
from nearfar.evaluation.prompts import Prompt
from nearfar.evaluation.records import UNSENT, Record
from nearfar.policy.cascade_checks import refuses

Scores = Mapping[str, Mapping[str, float]]
"""Name → prompt's id → score from 0 to 1, the mean over repeats. A prompt without a score is not there."""
MOST_DIFFERENT = 10
_EXCERPT = 400
"""Characters of a prompt or an answer in a report."""


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """How one deployment did. Times are in milliseconds, money in nano-USD."""

    name: str
    answered_by: list[str]
    place: str
    """Furthest and nearest are told where there were several."""
    asked: int
    answered: int
    errors: dict[str, int]
    """Code → how often."""
    refused: int
    cut: int
    """Answers that ended at the output limit."""
    again: int
    """Answers that took more than one attempt."""
    scored: int
    """Prompts with a score."""
    score: Interval | None
    cost: int
    """Of all answers whose cost is known."""
    cost_unknown: int
    """Attempts without a known cost: their money is missing from ``cost``."""
    input_tokens: int
    output_tokens: int
    tokens_unknown: int
    first_p50: float | None
    first_p95: float | None
    total_p50: float | None
    total_p95: float | None


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """Two deployments on the prompts that both have a score for."""

    one: str
    other: str
    prompts: int
    difference: Interval | None
    """The score of ``one`` less that of ``other``."""
    resolved: bool
    better: int
    same: int
    worse: int
    """Prompts on which ``one`` is better, the same, worse."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """The prompts of one task."""

    task: str
    prompts: int
    scores: dict[str, float | None]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt on which the deployments differ."""

    id: str
    task: str
    prompt: str
    right: str
    scores: dict[str, float | None]
    answers: dict[str, str]


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What the judge did."""

    name: str
    verdicts: int
    unreadable: int
    turned: int
    """Pairs on which it hung on the order who was better."""
    cost: int
    cost_unknown: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """An evaluation. Money is in nano-USD."""

    source: str
    date: str
    answered_at: str
    prompts: int
    repeat: int
    concurrency: int
    how: dict[str, int]
    """How answers were scored → prompts; ``none`` for those that nothing is known to score by."""
    sides: list[Side]
    pairs: list[Pair]
    tasks: list[Task]
    differences: list[Difference]
    judge: Judged | None
    opinions: list[Side]
    spent: int
    """All of it, opinions, judge and failed attempts too; those of unknown cost at the most they can have cost."""
    stopped: str
    """Why it is not complete; empty when it is."""
    notes: list[str]


def side(name: str, records: Sequence[Record], scores: Mapping[str, float]) -> Side:
    """The figures of one deployment from its records."""
    heard = [item.heard for item in records if item.heard is not None]
    costs = [
        (0 if item.error in UNSENT else None) if item.heard is None else item.heard.cost  # what never left is free
        for item in records
    ]
    firsts = sorted(item.first_ms for item in heard if item.first_ms is not None)
    totals = sorted(item.total_ms for item in heard)
    counted = [(item.input, item.output) for item in heard]
    return Side(
        name=name,
        answered_by=sorted({item.deployment for item in heard if item.deployment}),
        place=", ".join(sorted({item.place for item in heard if item.place})),
        asked=len(records),
        answered=len(heard),
        errors=dict(Counter(item.error for item in records if item.heard is None).most_common()),
        refused=sum(refuses(item.text) for item in heard),
        cut=sum(item.finish == "length" for item in heard),
        again=sum(item.attempts > 1 for item in heard),
        scored=len(scores),
        score=mean(list(scores.values()), least=0, most=1),
        cost=sum(cost for cost in costs if cost is not None),
        cost_unknown=sum(cost is None for cost in costs),
        input_tokens=sum(given or 0 for given, _ in counted),
        output_tokens=sum(made or 0 for _, made in counted),
        tokens_unknown=sum(given is None or made is None for given, made in counted),
        first_p50=percentile(firsts, 0.5) if firsts else None,
        first_p95=percentile(firsts, 0.95) if firsts else None,
        total_p50=percentile(totals, 0.5) if totals else None,
        total_p95=percentile(totals, 0.95) if totals else None,
    )


def pair(one: str, other: str, scores: Scores) -> Pair:
    """One against the other, prompt by prompt."""
    mine, theirs = scores.get(one, {}), scores.get(other, {})
    gaps = [mine[at] - theirs[at] for at in mine if at in theirs]
    difference = mean(gaps, least=-1, most=1)
    return Pair(
        one=one,
        other=other,
        prompts=len(gaps),
        difference=difference,
        resolved=difference is not None and difference.resolved,
        better=sum(gap > 0 for gap in gaps),
        same=sum(gap == 0 for gap in gaps),
        worse=sum(gap < 0 for gap in gaps),
    )


def compared(names: Sequence[str], scores: Scores) -> list[Pair]:
    """Everybody against everybody."""
    return [pair(one, other, scores) for one, other in combinations(names, 2)]


def tasks(prompts: Sequence[Prompt], names: Sequence[str], scores: Scores) -> list[Task]:
    """Mean scores by task, where any prompt names one."""
    if not any(item.task for item in prompts):
        return []
    groups: dict[str, list[str]] = defaultdict(list)
    for item in prompts:
        groups[item.task].append(item.id)
    return [
        Task(
            task=task,
            prompts=len(ids),
            scores={name: _mean([scores.get(name, {}).get(at) for at in ids]) for name in names},
        )
        for task, ids in sorted(groups.items())
    ]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def differences(
    prompts: Sequence[Prompt], names: Sequence[str], scores: Scores, records: Mapping[tuple[str, str], Record]
) -> list[Difference]:
    """The prompts on which the scores lie furthest apart, in the order of the file where they are equal.

    ``records``: by name and prompt's id, the first answer.
    """
    found = []
    for item in prompts:
        given = {name: scores.get(name, {}).get(item.id) for name in names}
        known = [value for value in given.values() if value is not None]
        if len(known) > 1 and max(known) > min(known):
            found.append((max(known) - min(known), item, given))
    found.sort(key=lambda row: -row[0])
    return [
        Difference(
            id=item.id,
            task=item.task,
            prompt=excerpt(item.text),
            right=excerpt(" / ".join(item.answers)),
            scores=given,
            answers={name: _said(records.get((name, item.id))) for name in names},
        )
        for _, item, given in found[:MOST_DIFFERENT]
    ]


def _said(record: Record | None) -> str:
    return "" if record is None or record.heard is None else excerpt(record.heard.text)


def excerpt(text: str) -> str:
    """The end of a long text as well as its beginning: answers end with what counts."""
    text = " ".join(text.split())
    half = _EXCERPT // 2
    return text if len(text) <= _EXCERPT else f"{text[:half]} … {text[-half:]}"
