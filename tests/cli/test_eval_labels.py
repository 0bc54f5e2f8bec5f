"""Labels that are written are labels that the router's commands read."""

from __future__ import annotations

from pathlib import Path

import pytest

from nearfar.cli import eval_labels
from nearfar.cli.errors import UsageError
from nearfar.core.money import NANO
from nearfar.evaluation.prompts import Message, Prompt
from nearfar.evaluation.records import Heard, Record
from nearfar.tuning import labels


def prompt(id: str, *answers: str, task: str = "") -> Prompt:
    messages = (Message(role="system", content="Be brief."), Message(role="user", content=f"Question {id}"))
    return Prompt(id=id, messages=messages, answers=answers, task=task)


def record(heard: Heard | None) -> Record:
    return Record(key="k", id="1", on="x", heard=heard)


def test_both_sides_and_opinions(tmp_path: Path) -> None:
    prompts = [prompt("1", "5", task="sums"), prompt("2", "B"), prompt("3", "x"), prompt("4", "x")]
    scores = {
        "near": {"1": 0.5, "2": 1.0, "3": 1.0, "4": 0.0},
        "far": {"1": 1.0, "2": 0.0, "4": 1.0},
    }
    records = {
        ("near", "1"): record(Heard(text="5", cost=0, logprobs=[-0.5, 0.0], margin=2.0, finish="stop")),
        ("far", "1"): record(Heard(text="five", cost=NANO // 1000)),
        ("phi", "1"): record(Heard(text="4", cost=0)),
        ("near", "2"): record(Heard(text="B")),
        ("far", "2"): record(Heard(text="A", cost=None)),
        ("near", "3"): record(Heard(text="x")),
        ("near", "4"): record(None),
        ("far", "4"): record(Heard(text="x")),
    }
    path = tmp_path / "l.jsonl"
    path.touch(mode=0o644)
    made = eval_labels.labels(prompts, "near", "far", ["phi"], scores, records)
    eval_labels.write(path, made)
    read = labels.read(path)
    assert read.unused == []
    first, second = read.labels
    assert (first.id, first.prompt, first.task, first.answer_type) == ("1", "Question 1", "sums", "number")
    assert (first.local.score, first.local.logprobs, first.local.margin) == (0.5, [-0.5, 0.0], 2.0)
    assert (first.cloud.score, first.cloud.cost, first.local.finish) == (1, 0.001, "stop")
    assert [(item.model, item.answer) for item in first.opinions] == [("phi", "4")]
    assert (second.id, second.answer_type, second.cloud.cost, second.local.logprobs) == ("2", "choice", None, None)
    assert [(item.model, item.answer) for item in second.opinions] == [("phi", None)]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        eval_labels.write(tmp_path / "none" / "l.jsonl", [])
