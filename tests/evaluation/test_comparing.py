"""Figures by hand: sides, pairs, tasks, and where they differ."""

from __future__ import annotations

import pytest

from nearfar.evaluation import comparing
from nearfar.evaluation.prompts import Message, Prompt
from nearfar.evaluation.records import Heard, Record


def record(number: int, **heard: object) -> Record:
    said = {"text": "x", "cost": 1, "total_ms": 100.0 * number, "input": 10, "output": 2, **heard}
    return Record(key=str(number), id=str(number), on="near", heard=Heard(**said))  # type: ignore[arg-type]  # by name


def prompts(count: int, *tasks: str) -> list[Prompt]:
    return [
        Prompt(
            id=str(number),
            messages=(Message(role="user", content=f"Question {number}"),),
            answers=("5",),
            task=tasks[number % len(tasks)] if tasks else "",
        )
        for number in range(count)
    ]


def test_a_side() -> None:
    records = [
        record(1, deployment="near", place="device", first_ms=50.0),
        record(2, cost=None, text="I'm sorry, I cannot help.", deployment="near", place="device", first_ms=150.0),
        record(3, finish="length", input=None, attempts=2),
        Record(key="4", id="4", on="near", error="timeout"),
        Record(key="5", id="5", on="near", error="timeout"),
        Record(key="6", id="6", on="near", error="egress_denied"),
    ]
    side = comparing.side("near", records, {"1": 1.0, "2": 0.0})
    assert (side.asked, side.answered, side.refused, side.cut, side.again) == (6, 3, 1, 1, 1)
    assert side.errors == {"timeout": 2, "egress_denied": 1}
    assert (side.cost, side.cost_unknown) == (2, 3)
    assert (side.input_tokens, side.output_tokens, side.tokens_unknown) == (20, 6, 1)
    assert (side.first_p50, side.first_p95) == (100, 145)
    assert (side.total_p50, side.total_p95) == (200, 290)
    assert (side.answered_by, side.place, side.scored) == (["near"], "device", 2)
    assert side.score is not None
    assert side.score.value == 0.5


def test_nobody_answered() -> None:
    side = comparing.side("near", [], {})
    assert (side.score, side.first_p50, side.total_p95, side.answered) == (None, None, None, 0)


def test_pairs_count_prompts_that_both_have() -> None:
    scores = {"near": {"1": 1.0, "2": 0.0, "3": 0.5}, "far": {"1": 1.0, "2": 1.0, "4": 1.0}}
    [pair] = comparing.compared(["near", "far"], scores)
    assert (pair.prompts, pair.better, pair.same, pair.worse) == (2, 0, 1, 1)
    assert pair.difference is not None
    assert (pair.difference.value, pair.resolved) == (-0.5, False)
    [none] = comparing.compared(["near", "far"], {"near": {"1": 1.0}, "far": {}})
    assert (none.difference, none.resolved, none.prompts) == (None, False, 0)


def test_pairing_resolves_what_two_intervals_do_not() -> None:
    """One is better by a little on each of many prompts of very different difficulty."""
    hard = {str(number): (number % 5) / 5 for number in range(60)}
    scores = {"near": hard, "far": {at: value + 0.1 + (int(at) % 2) * 0.05 for at, value in hard.items()}}
    [pair] = comparing.compared(["near", "far"], scores)
    near, far = (comparing.side(name, [], scores[name]).score for name in ("near", "far"))
    assert near is not None
    assert far is not None
    assert near.high > far.low
    assert pair.resolved


def test_tasks() -> None:
    scores = {"near": {"0": 1.0, "2": 0.0}, "far": {"1": 1.0}}
    one, two = comparing.tasks(prompts(4, "a", "b"), ["near", "far"], scores)
    assert (one.task, one.prompts, one.scores) == ("a", 2, {"near": 0.5, "far": None})
    assert (two.task, two.prompts, two.scores) == ("b", 2, {"near": None, "far": 1.0})
    assert comparing.tasks(prompts(4), ["near"], scores) == []


def test_where_they_differ_most() -> None:
    scores = {"near": {"0": 0.5, "1": 0.0, "2": 1.0, "3": 1.0}, "far": {"0": 1.0, "1": 1.0, "2": 1.0}}
    records = {("near", "1"): record(1, text="It is\n4.")}
    found = comparing.differences(prompts(4), ["near", "far"], scores, records)
    assert [item.id for item in found] == ["1", "0"]
    assert (found[0].prompt, found[0].right) == ("Question 1", "5")
    assert found[0].answers == {"near": "It is 4.", "far": ""}


@pytest.mark.parametrize("length", [400, 401, 5000])
def test_long_texts_keep_both_ends(length: int) -> None:
    text = comparing.excerpt("a" + "x" * (length - 2) + "z")
    assert text.startswith("a")
    assert text.endswith("z")
    assert len(text) <= 403
