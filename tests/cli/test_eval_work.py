"""Plans become questions, answers become scores. Who answers here is a function in the place of ``Putting``."""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

import msgspec
import pytest

from nearfar.cli.eval_asking import Behind, Named, Putting
from nearfar.cli.eval_plan import Plan
from nearfar.cli.eval_work import Done, work
from nearfar.core.errors import BadRequestError
from nearfar.core.money import FREE, NANO, Price
from nearfar.evaluation.prompts import Message, Prompt
from nearfar.evaluation.records import Book, Heard, Job

T = TypeVar("T")
PRICE = Price(id="p", input=NANO, output=2 * NANO)


def named(name: str, *prices: Price | None) -> Named:
    behind = [Behind(name=f"{name}{at}", place="cloud", price=price) for at, price in enumerate(prices)]
    return msgspec.convert({"id": name, "nearfar": {"deployments": msgspec.to_builtins(behind)}}, Named)


ROWS = {
    "near": named("near", FREE),
    "far": named("far", PRICE),
    "judge": named("judge", PRICE),
    "phi": named("phi", FREE),
}


class Answering:
    """Stands for ``Putting``: answers by a function."""

    def __init__(self, say: Callable[[Job], str | None]) -> None:
        self.say = say
        self.jobs: list[Job] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run(work)

    async def ask(self, job: Job) -> Heard:
        self.jobs.append(job)
        text = self.say(job)
        if text is None:
            raise BadRequestError("no")
        place = "device" if job.on == "near" else "cloud"
        return Heard(text=text, cost=0 if job.on == "near" else 1000, place=place, class_="internal", deployment=job.on)


def prompt(id: str, *answers: str, tests: str = "", system: str = "") -> Prompt:
    told = (Message(role="system", content=system),) if system else ()
    return Prompt(id=id, messages=(*told, Message(role="user", content=f"Question {id}")), answers=answers, tests=tests)


def do(plan: Plan, prompts: list[Prompt], say: Callable[[Job], str | None]) -> tuple[Done, list[Job]]:
    answering = Answering(say)
    with Book(None) as book:
        done = work(plan, prompts, ROWS, book, cast("Putting", answering), source="p.jsonl", where="here")
    return done, answering.jobs


def test_scores_by_what_is_known() -> None:
    prompts = [prompt("1", "5"), prompt("2", "B"), prompt("3"), prompt("4", tests="assert 0")]
    done, _ = do(
        Plan(on=["near", "far"]),
        prompts,
        lambda job: {"1": "5", "2": "A" if job.on == "near" else "B"}.get(job.id, "x"),
    )
    assert done.scores == {"near": {"1": 1, "2": 0}, "far": {"1": 1, "2": 1}}
    assert done.report.how == {"number": 1, "choice": 1, "none": 1, "code": 1}
    assert done.report.notes == ["code_off", "unscored", "few"]
    assert (done.report.spent, done.report.sides[1].cost) == (4000, 4000)
    assert done.report.stopped == ""
    assert [item.id for item in done.report.differences] == ["2"]


def test_repeats_are_averaged_and_failures_have_no_score() -> None:
    def say(job: Job) -> str | None:
        if job.on == "far":
            return None
        return "5" if job.repeat else "6"

    done, _ = do(Plan(on=["near", "far"], repeat=2), [prompt("1", "5")], say)
    assert done.scores == {"near": {"1": 0.5}, "far": {}}
    assert done.report.sides[1].errors == {"bad_request": 2}
    assert done.report.pairs[0].difference is None


def test_a_judge_scores_what_has_no_answer() -> None:
    def say(job: Job) -> str:
        if job.on != "judge":
            return f"from {job.on}"
        return '{"a": 9, "b": 4}' if job.pair[0] == "far" else '{"a": 6, "b": 9}'

    done, asked = do(Plan(on=["near", "far"], judge="judge"), [prompt("1"), prompt("2", "x")], say)
    assert [job.id for job in asked if job.role == "judge"] == ["1", "1"]
    assert done.scores == {"near": {"1": 0.5, "2": 0}, "far": {"1": 0.9, "2": 0}}
    found = done.report.judge
    assert found is not None
    assert (found.verdicts, found.unreadable, found.turned, found.cost) == (2, 0, 0, 2000)


def test_a_ceiling_stops_before_it_is_crossed_and_says_so() -> None:
    bound = (len("Question 1") + 64) * 1000 + 1024 * 2000
    done, asked = do(
        Plan(on=["near", "far"], ceiling=bound + 2000), [prompt(str(n), "5") for n in range(1, 6)], lambda _: "5"
    )
    # Each far answer costs 1,000: after the third, another one could cost too much.
    assert [job.on for job in asked].count("far") == 3
    assert done.report.spent == 3000
    assert "more than the ceiling of" in done.report.stopped
    assert done.report.pairs[0].prompts == 3


def test_opinions_are_asked_and_not_scored() -> None:
    done, asked = do(Plan(on=["near", "far"], opinions=["phi"]), [prompt("1", "5")], lambda _: "5")
    assert [job.role for job in asked] == ["answer", "answer", "opinion"]
    assert done.scores.keys() == {"near", "far"}
    assert [item.name for item in done.report.opinions] == ["phi"]
    assert done.first["phi", "1"].heard is not None


def test_the_near_side_is_named_first_or_it_is_told() -> None:
    assert "order" in do(Plan(on=["far", "near"]), [prompt("1", "5")], lambda _: "5")[0].report.notes
    assert "order" not in do(Plan(on=["near", "far"]), [prompt("1", "5")], lambda _: "5")[0].report.notes


@pytest.mark.slow
def test_code_is_run_where_that_is_wanted() -> None:
    item = prompt("1", tests="assert one() == 1")
    plan = Plan(on=["near", "far"], run_code=True)
    done, _ = do(plan, [item], lambda job: f"```python\ndef one():\n    return {1 if job.on == 'far' else 2}\n```")
    assert done.scores == {"near": {"1": 0}, "far": {"1": 1}}
    assert "code_off" not in done.report.notes
    # Of the same user, the code could read the keys in this process's environment if it were readable at all.
    get, put = 3, 4  # PR_GET_DUMPABLE, PR_SET_DUMPABLE
    libc = ctypes.CDLL(None)
    try:
        assert libc.prctl(get, 0, 0, 0, 0) == 0
    finally:
        libc.prctl(put, 1, 0, 0, 0)
