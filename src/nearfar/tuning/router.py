"""A router learned from labels: the expected gap between far and near, from the prompt alone or with the near answer.

It knows neither deployments nor policy: what may go far is never learned.

The prompt's model is an average of what errs differently: a kernel ridge, for which prompts are alike by their words
(hashed TF-IDF) and by how they are built (ranks of lengths, digits, options), and by their product, which lets a word
mean something else in another kind of prompt; boosted trees over the same ranks; with labels that name their tasks,
the mean of the task that the kernel recognises; with embeddings, the nearest neighbours. The answer's model multiplies
the kernel by how alike two near answers went (checks, agreement of opinions), and learns only what the untrained
confidence leaves unexplained.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearfar.tuning import isotonic, structure, tasks, trees, words
from nearfar.tuning.answers import Seen, numbers
from nearfar.tuning.isotonic import Steps
from nearfar.tuning.tasks import Tasks
from nearfar.tuning.trees import Trees

Floats = NDArray[np.float32]
Array = NDArray[np.float64]

FEWEST: Final = 20
"""Labels without which nothing is fitted."""
TRUSTED: Final = 200
"""Labels from which a router's word counts; below, measured gains are inside the noise."""
CHUNK: Final = 6000
"""Labels that are solved at once; more are solved in parts and averaged, which costs little and bounds memory."""
_RIDGE = 15.0
_ANSWER_RIDGE = 10.0
_TASK_RIDGE = 1.0
"""Far less than for gaps: which task a prompt belongs to is no matter of chance."""
_WORDS_IN_STRUCTURE = 2.0
_NEIGHBOURS = 100
_NEAREST = 10
"""Remembered prompts whose mean likeness says whether a prompt is novel."""
_NOVEL = 0.05
"""Share of its own prompts that a router calls novel."""
_STEPS_FROM = 400
"""Labels at which steps and line count alike."""


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """What was learned about near answers."""

    models: list[str]
    """Whose opinions are asked, in order."""
    signals: Floats
    """A row for each remembered prompt."""
    alpha: Floats
    base: Steps
    """Untrained doubt (1 - confidence) → expected gap."""


class Embedded(msgspec.Struct, frozen=True, kw_only=True):
    """What was learned from embeddings."""

    rows: Floats
    """Unit length, one for each remembered prompt."""
    gap: Floats
    """For each remembered prompt, from -1 to 1."""


class Router(msgspec.Struct, frozen=True, kw_only=True):
    """A fitted router."""

    index: words.Words
    scale: structure.Scale
    ranks: Floats
    squares: Floats
    """Squared length of each row of ranks."""
    alpha: Floats
    mean: float
    lonely: float
    """Likeness to the nearest remembered prompts below which a prompt is novel."""
    trees: Trees
    tasks: Tasks | None = None
    embedded: Embedded | None = None
    answers: Answers | None = None

    @property
    def labels(self) -> int:
        """How many prompts it was fitted on."""
        return self.index.count


class Scored(msgspec.Struct, frozen=True, kw_only=True):
    """What a router says about one prompt."""

    gap: float
    """Expected quality far less quality near, from -1 to 1."""
    novel: bool
    """Whether it is unlike everything remembered: the gap is then a guess."""
    trusted: bool
    """Whether the router may be followed: enough labels, and not novel."""


def squares(rows: Floats) -> Floats:
    """The squared length of each row."""
    found: Floats = (rows**2).sum(1)
    return found


def _prompt_kernel(alike: Floats, one: Floats, other: Floats, lengths: Floats) -> Floats:
    """Likeness of prompts: rows of ``one`` by rows of ``other``, whose squared ``lengths`` are known."""
    apart = squares(one)[:, None] + lengths - 2 * (one @ other.T)
    built = np.exp(np.maximum(apart, 0) * np.float32(-0.5 / one.shape[1]))
    found: Floats = built * (1 + np.float32(_WORDS_IN_STRUCTURE) * alike) + alike
    return found


def _answer_kernel(one: Floats, other: Floats) -> Floats:
    apart = squares(one)[:, None] + squares(other) - 2 * (one @ other.T)
    found: Floats = np.exp(-np.maximum(apart, 0))
    return found


def _parts(count: int) -> list[NDArray[np.intp]]:
    """Which labels are solved together."""
    order = np.random.default_rng(0).permutation(count)
    return np.array_split(order, max(1, -(-count // CHUNK)))


def _solved(kernel: Floats, wanted: Floats, ridge: float) -> Floats:
    """Weights of the remembered prompts."""
    square = kernel.copy()
    square[np.diag_indices_from(square)] += np.float32(ridge)
    found: Floats = np.linalg.solve(square, wanted)
    return found


def _lonely(table: Floats) -> float:
    """The likeness below which the most unlike of the remembered prompts lie, each without itself."""
    np.fill_diagonal(table, -np.inf)
    nearest = min(_NEAREST, len(table) - 1)
    top = np.partition(table, -nearest, axis=1)[:, -nearest:]
    return float(np.quantile(top.mean(1), _NOVEL))


def _unit(rows: Floats) -> Floats:
    found: Floats = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)
    return found


def fit(
    prompts: Sequence[str],
    gap: Sequence[float] | Array,
    *,
    named: Sequence[str | None] | None = None,
    embeddings: Sequence[Sequence[float]] | None = None,
    judged: Sequence[Seen] | None = None,
    models: Sequence[str] = (),
) -> Router:
    """Learn from prompts and their gaps (far less near, -1 to 1).

    ``named`` tells the tasks of prompts, where known; ``judged`` adds the model of near answers, ``embeddings`` the
    neighbours. Raises ValueError for too few prompts.
    """
    wanted = np.asarray(gap, np.float32)
    if len(prompts) < FEWEST or len(prompts) != len(wanted):
        raise ValueError(f"a router needs at least {FEWEST} labelled prompts, there are {len(prompts)}")
    index = words.remember(prompts)
    rows = [structure.described(text) for text in prompts]
    scale = structure.scale(rows)
    ranks = scale.ranks(rows)
    lengths = squares(ranks)
    mean = float(wanted.mean())
    around = wanted - np.float32(mean)
    vectors = None if embeddings is None else _unit(np.asarray(embeddings, np.float32))
    alpha, after = np.zeros(len(wanted), np.float32), np.zeros(len(wanted), np.float32)
    base, seen, left = _untrained(judged, wanted)
    belongs = None if named is None else tasks.shown(named)
    speaks = None if belongs is None else np.zeros_like(belongs)
    lonely = []
    parts = _parts(len(wanted))
    for part in parts:
        alike = words.gram(index, part)
        kernel = _prompt_kernel(alike, ranks[part], ranks[part], lengths[part])
        alpha[part] = _solved(kernel, around[part], _RIDGE) / len(parts)
        if belongs is not None and speaks is not None:
            speaks[part] = _solved(kernel, belongs[part], _TASK_RIDGE) / len(parts)
        lonely.append(_lonely(alike if vectors is None else vectors[part] @ vectors[part].T))
        if base is not None:
            kernel = _answer_kernel(seen[part], seen[part]) * (1 + kernel)
            after[part] = _solved(kernel, left[part], _ANSWER_RIDGE) / len(parts)
    return Router(
        index=index,
        scale=scale,
        ranks=ranks,
        squares=lengths,
        alpha=alpha,
        mean=mean,
        lonely=sum(lonely) / len(lonely),
        trees=trees.fit(ranks, around),
        tasks=None if belongs is None or speaks is None else Tasks(alpha=speaks, gap=tasks.means(belongs, around)),
        embedded=None if vectors is None else Embedded(rows=vectors, gap=wanted),
        answers=None if base is None else Answers(models=list(models), signals=seen, alpha=after, base=base),
    )


def _untrained(judged: Sequence[Seen] | None, gap: Floats) -> tuple[Steps | None, Floats, Floats]:
    """What the untrained confidence says of the gap, the numbers of the answers, and the gap that is left."""
    if judged is None:
        return None, gap, gap
    doubt = 1 - np.array([item.confidence for item in judged])
    base = _base(doubt, gap.astype(float))
    seen = np.asarray([numbers(item) for item in judged], np.float32)
    return base, seen, (gap - base(doubt)).astype(np.float32)


def _base(doubt: Array, gap: Array) -> Steps:
    """Untrained doubt → expected gap: steps, and where labels are few rather a line, which no chance flattens."""
    steps = isotonic.fit(doubt, gap)
    around = doubt - doubt.mean()
    slope = max(0.0, float(around @ (gap - gap.mean())) / max(float(around @ around), 1e-12))
    line = gap.mean() + slope * (steps.at - doubt.mean())
    share = len(gap) / (len(gap) + _STEPS_FROM)
    return Steps(at=steps.at, values=share * steps.values + (1 - share) * line)


def score(
    router: Router, prompt: str, *, embedding: Sequence[float] | None = None, judged: Seen | None = None
) -> Scored:
    """The expected gap of one prompt; with ``judged``, of what its near answer turned out to be.

    Raises ValueError where the embedding's size is another than at fitting, or answers were not learned.
    """
    alike = router.index.alike(prompt)
    ranks = router.scale.ranks([structure.described(prompt)])
    kernel = _prompt_kernel(alike[None, :], ranks, router.ranks, router.squares)[0]
    vector = _vector(router, embedding)
    likeness = alike if vector is None or router.embedded is None else router.embedded.rows @ vector
    nearest = min(_NEAREST, router.labels - 1)
    novel = float(np.partition(likeness, -nearest)[-nearest:].mean()) < router.lonely
    if judged is not None:
        gap = _after(router, kernel, judged)
    else:
        said = [float(kernel @ router.alpha), float(router.trees(ranks)[0])]
        if router.tasks is not None:
            said.append(router.tasks.expect(kernel))
        if router.embedded is not None:
            said.append(_neighbours(router.embedded, likeness) - router.mean)
        gap = router.mean + sum(said) / len(said)
    return Scored(gap=max(-1.0, min(1.0, gap)), novel=novel, trusted=not novel and router.labels >= TRUSTED)


def _vector(router: Router, embedding: Sequence[float] | None) -> Floats | None:
    if router.embedded is None:
        return None
    if embedding is None or len(embedding) != router.embedded.rows.shape[1]:
        size = router.embedded.rows.shape[1]
        raise ValueError(f"the router was fitted with embeddings of {size} numbers: give the prompt's")
    return _unit(np.asarray(embedding, np.float32))


def _neighbours(embedded: Embedded, likeness: Floats) -> float:
    count = max(5, min(_NEIGHBOURS, len(likeness) // 10))
    near = np.argpartition(-likeness, min(count, len(likeness) - 1))[:count]
    return float(embedded.gap[near].mean())


def _after(router: Router, kernel: Floats, judged: Seen) -> float:
    if router.answers is None:
        raise ValueError("the router was fitted without near answers")
    seen = np.asarray([numbers(judged)], np.float32)
    both = _answer_kernel(seen, router.answers.signals)[0] * (1 + kernel)
    return float(router.answers.base([1 - judged.confidence])[0]) + float(both @ router.answers.alpha)
