"""A router learns what labels show, says when it cannot be trusted, and leaves alone what answers already explain."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from tests.tuning import made

from nearfar.policy.cascade import Rules
from nearfar.tuning import evaluate, metrics, router
from nearfar.tuning.answers import seen
from nearfar.tuning.labels import Label


def fitted(labels: list[Label], *, answers: bool = False) -> router.Router:
    judged = [seen(label, ["alpha", "beta"], Rules()) for label in labels] if answers else None
    return evaluate.learned(labels, judged, ["alpha", "beta"])


def test_it_learns_which_prompts_need_far() -> None:
    learned = fitted(made.labels(300))
    easy = router.score(learned, "What about the cat dog bird fish, number 3 of 4?")
    hard = router.score(learned, "What about the matrix lemma proof tensor, number 3 of 4?")
    assert hard.gap > easy.gap + 0.05
    assert hard.trusted
    assert not hard.novel


def test_unseen_prompts_are_ordered_far_better_than_by_lot() -> None:
    learned, fresh = fitted(made.labels(300)), made.labels(300, seed=1)
    found = metrics.bootstrap(metrics.apgr, evaluate.scores(learned, fresh), evaluate.sides(fresh), resamples=100)
    assert found.low > 0.55


def test_a_novel_prompt_or_few_labels_are_not_trusted() -> None:
    learned = fitted(made.labels(300))
    novel = router.score(learned, "Écrivez une élégie sur les étoiles lointaines")
    assert novel.novel
    assert not novel.trusted
    few = router.score(fitted(made.labels(60)), "What about the cat dog bird fish?")
    assert not few.trusted
    with pytest.raises(ValueError, match="at least 20"):
        fitted(made.labels(10))


def test_answers_add_to_the_prompt() -> None:
    labels, fresh = made.labels(300, answers=True), made.labels(300, seed=1, answers=True)
    learned, both = fitted(labels, answers=True), evaluate.sides(fresh)
    judged = [seen(label, ["alpha", "beta"], Rules()) for label in fresh]
    after, before = evaluate.scores(learned, fresh, judged), evaluate.scores(learned, fresh)
    untrained = 1 - np.array([item.confidence for item in judged])
    assert metrics.paired(metrics.apgr, after, before, both, resamples=100).low > 0
    assert metrics.apgr(after, both) > metrics.apgr(untrained, both) - 0.02
    with pytest.raises(ValueError, match="without near answers"):
        router.score(fitted(made.labels(60)), "x", judged=judged[0])


def test_embeddings_are_averaged_in() -> None:
    labels = made.labels(200)
    gap = [label.cloud.score - label.local.score for label in labels]
    chance = np.random.default_rng(0)
    vectors = [
        (np.array([number % 2, 1 - number % 2, 1.0]) + chance.normal(0, 0.1, 3)).tolist() for number in range(200)
    ]
    learned = router.fit([f"same words {number}" for number in range(200)], gap, embeddings=vectors)
    hard = router.score(learned, "same words", embedding=[1, 0, 1]).gap
    easy = router.score(learned, "same words", embedding=[0, 1, 1]).gap
    assert hard > easy + 0.1
    with pytest.raises(ValueError, match="embeddings of 3 numbers"):
        router.score(learned, "same words")


def test_named_tasks_are_averaged_in() -> None:
    labels, fresh = made.labels(200), made.labels(200, seed=1)
    named = [
        msgspec.structs.replace(label, task="hard" if number % 2 else "easy") for number, label in enumerate(labels)
    ]
    learned, both = fitted(named), evaluate.sides(fresh)
    assert learned.tasks is not None
    assert fitted(labels).tasks is None
    easy, hard = sorted(learned.tasks.gap.tolist())
    assert easy < -0.2
    assert hard > 0.2
    with_them, without = (evaluate.scores(one, fresh) for one in (learned, fitted(labels)))
    assert metrics.apgr(with_them, both) > metrics.apgr(without, both) - 0.01


def test_many_labels_are_solved_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router, "CHUNK", 100)
    learned = fitted(made.labels(300))
    easy = router.score(learned, "What about the cat dog bird fish, number 3 of 4?")
    hard = router.score(learned, "What about the matrix lemma proof tensor, number 3 of 4?")
    assert hard.gap > easy.gap + 0.05


def test_few_labels_do_not_flatten_what_is_known() -> None:
    """By chance the doubtful third did better than the middle one: steps alone would make them equal."""
    base = router._base(np.repeat([0.1, 0.5, 0.9], 20), np.repeat([0.0, 0.5, 0.4], 20))
    low, middle, high = base([0.1, 0.5, 0.9])
    assert low < middle < high
    flat = router._base(np.repeat([0.1, 0.9], 20), np.repeat([0.5, 0.0], 20))
    assert float(flat([0.9])[0]) == pytest.approx(float(flat([0.1])[0]))
