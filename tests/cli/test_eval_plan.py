"""Plans become questions with what each can cost at most."""

from __future__ import annotations

import msgspec
import pytest

from nearfar.cli.errors import UsageError
from nearfar.cli.eval_asking import Behind, Named
from nearfar.cli.eval_plan import Plan, check_prices, jobs
from nearfar.core.money import FREE, NANO, Price
from nearfar.evaluation.prompts import Message, Prompt

PRICE = Price(id="p", input=NANO, output=2 * NANO)


def named(name: str, *prices: Price | None) -> Named:
    behind = [Behind(name=f"{name}{at}", place="cloud", price=price) for at, price in enumerate(prices)]
    return msgspec.convert({"id": name, "nearfar": {"deployments": msgspec.to_builtins(behind)}}, Named)


ROWS = {"near": named("near", FREE), "far": named("far", PRICE), "phi": named("phi", FREE)}


def prompt(id: str, *, system: str = "") -> Prompt:
    told = (Message(role="system", content=system),) if system else ()
    return Prompt(id=id, messages=(*told, Message(role="user", content=f"Question {id}")))


def test_the_questions() -> None:
    plan = Plan(on=["near", "far"], opinions=["phi"], repeat=2, system="Be brief.", temperature=0.5, weigh="near")
    made = jobs(plan, [prompt("1"), prompt("2", system="Own.")], ROWS)
    assert [(job.id, job.on, job.repeat, job.role) for job in made[:5]] == [
        ("1", "near", 0, "answer"),
        ("1", "far", 0, "answer"),
        ("1", "phi", 0, "opinion"),
        ("1", "near", 1, "answer"),
        ("1", "far", 1, "answer"),
    ]
    assert len(made) == 10
    assert made[0].body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Question 1"},
    ]
    assert made[5].body["messages"][0]["content"] == "Own."
    assert (made[0].body["max_tokens"], made[0].body["temperature"], made[0].weigh, made[1].weigh) == (
        1024,
        0.5,
        True,
        False,
    )
    # A byte is at least as much as a token is long: nothing can cost more.
    assert made[0].bound == 0
    assert made[1].bound == (len("Be brief.Question 1") + 2 * 64) * 1000 + 1024 * 2000


def test_a_ceiling_needs_every_price() -> None:
    rows = {"near": named("near", FREE), "far": named("far", PRICE, None)}
    plan = Plan(on=["near", "far"], ceiling=10**9)
    with pytest.raises(UsageError, match="no price is known for far1"):
        check_prices(plan, jobs(plan, [prompt("1")], rows), rows)
    check_prices(Plan(on=["near", "far"]), jobs(plan, [prompt("1")], rows), rows)
    check_prices(plan, jobs(plan, [prompt("1")], ROWS), ROWS)


def test_a_route_can_cost_what_everybody_behind_it_costs() -> None:
    [one, both] = (
        jobs(Plan(on=["far"]), [prompt("1")], {"far": named("far", *prices)}) for prices in ([PRICE], [PRICE, PRICE])
    )
    assert one[0].bound is not None
    assert both[0].bound == 2 * one[0].bound
