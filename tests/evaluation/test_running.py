"""Who is asked, how many at a time, and when it ends. The deployments here are functions."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.examples import examples

from nearfar.core.errors import APIConnectionError, BadRequestError, EgressDenied, NearfarError
from nearfar.evaluation.records import Book, Heard, Job
from nearfar.evaluation.running import Ask, Crew


def jobs(count: int, *names: str, bound: int | None = 10) -> list[Job]:
    return [
        Job(id=str(number), on=name, body={"n": number}, bound=bound)
        for number in range(count)
        for name in names or ("near",)
    ]


async def well(job: Job) -> Heard:
    await asyncio.sleep(0)
    return Heard(text=f"{job.on} {job.id}", cost=4)


def test_everything_is_asked_once_and_so_many_at_a_time() -> None:
    at_once, most = 0, 0

    async def ask(job: Job) -> Heard:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        for _ in range(3):
            await asyncio.sleep(0)
        at_once -= 1
        return await well(job)

    async def scenario() -> None:
        with Book(None) as book:
            await Crew(ask, book, concurrency=3).ask(jobs(7, "near", "far"))
            assert len(book.records) == 14
            assert book.spent == 14 * 4

    asyncio.run(scenario())
    assert most == 3


def test_what_is_answered_is_not_asked_again() -> None:
    asked: list[str] = []

    async def ask(job: Job) -> Heard:
        asked.append(job.id)
        if job.id == "1" and asked.count("1") == 1:
            raise BadRequestError("no")
        return await well(job)

    async def scenario() -> None:
        with Book(None) as book:
            for _ in range(2):
                await Crew(ask, book).ask(jobs(3))

    asyncio.run(scenario())
    assert asked == ["0", "1", "2", "1"]


@examples(25)
@given(
    st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=20),
    st.integers(0, 200),
    st.integers(1, 4),
)
def test_a_ceiling_is_never_crossed(costs: list[tuple[int, bool]], ceiling: int, concurrency: int) -> None:
    """Whatever answers cost below their bound of 20, known or not."""

    async def ask(job: Job) -> Heard:
        cost, known = costs[int(job.id)]
        await asyncio.sleep(0)
        return Heard(text="", cost=cost if known else None)

    async def scenario() -> tuple[int, int, str]:
        with Book(None) as book:
            crew = Crew(ask, book, concurrency=concurrency, ceiling=ceiling)
            await crew.ask(jobs(len(costs), bound=20))
            return book.spent, len(book.records), crew.stopped

    spent, done, stopped = asyncio.run(scenario())
    assert spent <= ceiling
    assert (done == len(costs)) == (stopped == "")
    if stopped:
        assert spent + 20 > ceiling  # it did not stop too early either
        assert "more than the ceiling" in stopped


def test_a_failed_attempt_counts_as_the_most_it_can_have_cost() -> None:
    async def ask(job: Job) -> Heard:
        if job.id == "0":
            return await well(job)
        raise EgressDenied("no") if job.id == "1" else BadRequestError("no")

    async def scenario() -> None:
        with Book(None) as book:
            await Crew(ask, book).ask(jobs(5))
            # What the policy refused never left.
            assert book.spent == 4 + 3 * 10
            codes = {item.error for item in book.records.values()}
            assert codes == {"", EgressDenied.default_code, BadRequestError.default_code}

    asyncio.run(scenario())


def failing(error: NearfarError, *, good: int = 0) -> tuple[Ask, list[str]]:
    asked: list[str] = []

    async def ask(job: Job) -> Heard:
        if job.on == "far":
            asked.append(job.id)
            if len(asked) > good:
                raise type(error)(error.message)
        return await well(job)

    return ask, asked


@pytest.mark.parametrize(("count", "tries"), [(9, 3), (2, 2)])
def test_a_deployment_out_of_reach_ends_the_run(count: int, tries: int) -> None:
    ask, asked = failing(APIConnectionError("refused"))

    async def scenario() -> None:
        with Book(None) as book:
            with pytest.raises(APIConnectionError, match="far does not answer: refused") as caught:
                await Crew(ask, book).ask(jobs(count, "near", "far"))
            assert "nearfar providers test far" in caught.value.hint

    asyncio.run(scenario())
    assert len(asked) == tries


def test_whoever_answered_in_an_earlier_run_is_not_given_up() -> None:
    async def scenario() -> int:
        with Book(None) as book:
            await Crew(well, book).ask(jobs(1, "far"))
            ask, asked = failing(APIConnectionError("refused"))
            await Crew(ask, book).ask(jobs(6, "far"))
            return len(asked)

    assert asyncio.run(scenario()) == 5


@pytest.mark.parametrize(("error", "good"), [(BadRequestError("no"), 0), (APIConnectionError("refused"), 1)])
def test_single_refusals_and_later_failures_do_not(error: NearfarError, good: int) -> None:
    ask, asked = failing(error, good=good)

    async def scenario() -> None:
        with Book(None) as book:
            await Crew(ask, book).ask(jobs(6, "near", "far"))

    asyncio.run(scenario())
    assert len(asked) == 6


def test_whoever_is_interrupted_keeps_what_came_and_counts_what_was_sent(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"

    async def ask(job: Job) -> Heard:
        if job.id == "2":
            await asyncio.Event().wait()
        return await well(job)

    async def scenario() -> None:
        with Book(path) as book:
            heard = asyncio.Event()
            crew = Crew(ask, book, tell=lambda record: heard.set() if record.id == "1" else None)
            task = asyncio.create_task(crew.ask(jobs(5)))
            await heard.wait()
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(scenario())
    with Book(path, resume=True) as book:
        assert (book.known, book.spent) == (2, 4 + 4 + 10)
        assert [item.error for item in book.records.values()] == ["", "", "cancelled"]
