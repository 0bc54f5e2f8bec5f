"""Evaluates an order of prompts on labels: by a fitted router, by cross-validation, or by the cascade.

It knows no file and no terminal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from nearfar.policy.cascade import Rules
from nearfar.tuning import metrics, router
from nearfar.tuning.answers import Seen, seen
from nearfar.tuning.labels import Label
from nearfar.tuning.metrics import Array, Interval, Sides

FOLDS = 5


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """How good an order is. Shares are of prompts, or of the cost of always going far; None where not reached."""

    prompts: int
    near: float
    """Mean quality of always staying near."""
    far: float
    apgr: Interval | None
    """None where far is no better than near: there is no gap to recover."""
    apgr_at_tenths: float | None
    """As RouteLLM's tables have it: from eleven points."""
    cpt50: Interval | None
    cpt80: Interval | None
    calls95: Interval | None
    """Share of far calls for 95 % of far's quality."""
    calls98: Interval | None
    cost95: float | None
    cost98: float | None
    oracle: float | None
    """APGR of knowing both answers beforehand."""
    length: float | None
    """APGR of sending longer prompts far: what a router must beat at least."""


def sides(labels: Sequence[Label]) -> Sides:
    """Both sides of the labels; far costs the same everywhere unless every line says what it costs."""
    costs = [label.cloud.cost for label in labels]
    known = [cost for cost in costs if cost is not None]
    return metrics.sides(
        [label.local.score for label in labels],
        [label.cloud.score for label in labels],
        known if len(known) == len(costs) else None,
    )


def report(score: Array, labels: Sequence[Label], *, resamples: int = 300) -> Report:
    """All figures of one order."""
    both = sides(labels)
    gap = bool(both.gap.sum() > 0)
    length = np.array([float(len(label.prompt)) for label in labels])

    def interval(metric: metrics.Metric) -> Interval | None:
        found = metrics.bootstrap(metric, score, both, resamples=resamples) if gap else None
        return None if found is None or math.isnan(found.value) else found

    def plain(value: float) -> float | None:
        return None if math.isnan(value) else value

    return Report(
        prompts=len(labels),
        near=float(both.near.mean()),
        far=float(both.far.mean()),
        apgr=interval(metrics.apgr),
        apgr_at_tenths=plain(metrics.apgr_at_tenths(score, both)),
        cpt50=interval(lambda order, some: metrics.calls_for_gap(order, some, 0.5)),
        cpt80=interval(lambda order, some: metrics.calls_for_gap(order, some, 0.8)),
        calls95=interval(lambda order, some: metrics.calls_for_quality(order, some, 0.95)),
        calls98=interval(lambda order, some: metrics.calls_for_quality(order, some, 0.98)),
        cost95=plain(metrics.cost_for_quality(score, both, 0.95)),
        cost98=plain(metrics.cost_for_quality(score, both, 0.98)),
        oracle=plain(metrics.apgr(both.gap, both)),
        length=plain(metrics.apgr(length, both)),
    )


def embeddings(labels: Sequence[Label]) -> list[list[float]] | None:
    """Their embeddings, where all have one."""
    return [label.embedding for label in labels] if labels and labels[0].embedding else None


def learned(labels: Sequence[Label], judged: Sequence[Seen] | None, models: Sequence[str]) -> router.Router:
    """A router fitted on these labels. Raises ValueError for too few."""
    gap = [label.cloud.score - label.local.score for label in labels]
    prompts = [label.prompt for label in labels]
    named = [label.task for label in labels]
    return router.fit(prompts, gap, named=named, embeddings=embeddings(labels), judged=judged, models=models)


def scores(fitted: router.Router, labels: Sequence[Label], judged: Sequence[Seen] | None = None) -> Array:
    """The expected gap of each prompt; with ``judged``, of its near answer."""
    found = [
        router.score(
            fitted, label.prompt, embedding=label.embedding or None, judged=None if judged is None else judged[at]
        ).gap
        for at, label in enumerate(labels)
    ]
    return np.array(found)


def crossed(
    labels: Sequence[Label], judged: Sequence[Seen] | None = None, models: Sequence[str] = (), *, seed: int = 0
) -> Array:
    """The expected gap of each prompt by a router that has not seen it: five folds."""
    fold = np.random.default_rng(seed).permutation(len(labels)) % FOLDS
    out = np.zeros(len(labels))
    for number in range(FOLDS):
        train, test = np.flatnonzero(fold != number).tolist(), np.flatnonzero(fold == number).tolist()
        fitted = learned([labels[at] for at in train], None if judged is None else [judged[at] for at in train], models)
        out[test] = scores(fitted, [labels[at] for at in test], None if judged is None else [judged[at] for at in test])
    return out


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """What a cascade does and costs at its own threshold."""

    kept: float
    """Share of prompts."""
    quality: float
    opinions: float
    """Asked for each prompt."""
    cost: float | None
    """Near answers, opinions and far answers, as a share of always going far; None where a cost is not known."""


def judged(labels: Sequence[Label], models: Sequence[str], rules: Rules) -> list[Seen]:
    """All prompts as the gateway would judge them."""
    return [seen(label, models, rules) for label in labels]


def spent(labels: Sequence[Label], found: Sequence[Seen], models: Sequence[str], keep: Sequence[bool]) -> Spent:
    """The whole chain's bill: every attempt counts, also of answers that were thrown away."""
    asked = [len(item.opinions) for item in found]
    quality = [label.local.score if kept else label.cloud.score for label, kept in zip(labels, keep, strict=True)]
    return Spent(
        kept=sum(keep) / len(labels),
        quality=sum(quality) / len(labels),
        opinions=sum(asked) / len(labels),
        cost=_bill(labels, asked, models, keep),
    )


def _bill(labels: Sequence[Label], asked: Sequence[int], models: Sequence[str], keep: Sequence[bool]) -> float | None:
    total = always = 0.0
    for label, count, kept in zip(labels, asked, keep, strict=True):
        prices = {item.model: item.cost for item in label.opinions}
        parts = [label.local.cost, *(prices.get(name) for name in models[:count]), 0.0 if kept else label.cloud.cost]
        if label.cloud.cost is None or None in parts:
            return None
        total += sum(part for part in parts if part is not None)
        always += label.cloud.cost
    return total / always if always else None
