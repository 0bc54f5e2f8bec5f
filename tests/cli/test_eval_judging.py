"""What a judge is asked, in both orders, and what its words come to."""

from __future__ import annotations

import pytest
from tests.cli.test_eval_plan import PRICE, named

from nearfar.cli.eval_judging import judged, judgements, question, read, worths
from nearfar.cli.eval_plan import Plan, jobs
from nearfar.evaluation.prompts import Message, Prompt
from nearfar.evaluation.records import Book, Heard, Job, Record

NAMES = ["near", "far"]
ROWS = {name: named(name, PRICE) for name in (*NAMES, "third", "judge")}


def prompt(id: str = "1", *answers: str) -> Prompt:
    return Prompt(id=id, messages=(Message(role="user", content=f"Question {id}"),), answers=answers)


def answer(book: Book, job: Job, text: str, class_: str = "internal") -> None:
    heard = Heard(text=text, cost=10, class_=class_)
    book.add(Record(key=job.key, id=job.id, on=job.on, role=job.role, repeat=job.repeat, pair=job.pair, heard=heard))


def judge(*words: str, plan: Plan | None = None) -> tuple[Plan, list[Job], Book]:
    """One prompt, answered by all; the judge says ``words``, one for each question."""
    plan = plan or Plan(on=NAMES, judge="judge")
    book = Book(None)
    asked = jobs(plan, [prompt()], ROWS)
    for job in asked:
        answer(book, job, f"from {job.on}")
    verdicts = judgements(plan, [prompt()], asked, ROWS, book)
    for job, text in zip(verdicts, words, strict=False):
        answer(book, job, text)
    return plan, verdicts, book


def test_both_orders_are_asked() -> None:
    _, (there, back), _ = judge()
    assert (there.pair, back.pair) == (("near", "far"), ("far", "near"))
    first, second = (str(job.body["messages"][1]["content"]) for job in (there, back))
    assert first.index("from near") < first.index("from far")
    assert second.index("from far") < second.index("from near")
    assert there.bound is not None
    assert there.bound > 1024 * 2000


def test_of_three_every_pair_is_asked() -> None:
    _, verdicts, _ = judge(plan=Plan(on=[*NAMES, "third"], judge="judge"))
    assert len({frozenset(job.pair) for job in verdicts}) == 3
    assert len(verdicts) == 6


@pytest.mark.parametrize(
    ("classes", "said", "wanted"),
    [
        (("public", "restricted"), "", "restricted"),
        (("confidential", "internal"), "public", "confidential"),
        (("public", "public"), "internal", "internal"),
        (("", ""), "", ""),
    ],
)
def test_a_judgement_is_no_less_than_what_it_judges(classes: tuple[str, str], said: str, wanted: str) -> None:
    plan = Plan(on=NAMES, judge="judge", class_=said)
    book = Book(None)
    asked = jobs(plan, [prompt()], ROWS)
    for job, class_ in zip(asked, classes, strict=True):
        answer(book, job, "x", class_)
    assert {job.class_ for job in judgements(plan, [prompt()], asked, ROWS, book)} == {wanted}


def test_who_did_not_answer_is_not_judged() -> None:
    plan = Plan(on=NAMES, judge="judge")
    book = Book(None)
    asked = jobs(plan, [prompt()], ROWS)
    answer(book, asked[0], "x")
    assert judgements(plan, [prompt()], asked, ROWS, book) == []


@pytest.mark.parametrize(
    ("there", "back", "values", "turned"),
    [
        ('{"a": 10, "b": 0}', '{"a": 0, "b": 10}', (1.0, 0.0), False),
        ('{"a": 8, "b": 6}', '{"a": 8, "b": 6}', (0.7, 0.7), True),
        ('{"a": 8, "b": 6}', '{"a": 7, "b": 7}', (0.75, 0.65), False),
        ("<think>hm</think>" + '{"a": 1, "b": 2}', '{"a": 2, "b": 1}', (0.1, 0.2), False),
        ("A is better", '{"a": 2, "b": 1}', None, False),
        ('{"a": 11, "b": 1}', '{"a": 2, "b": 1}', None, False),
    ],
)
def test_what_words_are_worth(there: str, back: str, values: tuple[float, float] | None, *, turned: bool) -> None:
    plan, verdicts, book = judge(there, back)
    [worth] = worths(plan, verdicts, book)
    assert (worth.one, worth.other, worth.turned) == ("near", "far", turned)
    assert worth.values == (None if values is None else pytest.approx(values))
    told = judged(plan, verdicts, book)
    assert told is not None
    assert (told.verdicts, told.unreadable, told.turned, told.cost) == (2, int(values is None), int(turned), 20)


def test_one_order_alone_is_nothing() -> None:
    plan, verdicts, book = judge('{"a": 1, "b": 2}')
    assert list(worths(plan, verdicts, book)) == []
    assert judged(Plan(on=NAMES), [], book) is None
    assert read(None) is None


def test_the_same_question_gets_the_same_mark_and_another_one_another() -> None:
    one, other = Heard(text="a"), Heard(text="b")
    assert question(prompt(), one, other) == question(prompt(), one, other)
    assert question(prompt(), one, other)[0] != question(prompt(), other, one)[0]


def test_the_right_answer_is_shown_and_conversations_whole() -> None:
    item = Prompt(
        id="1",
        messages=(Message(role="system", content="Be brief."), Message(role="user", content="How many?")),
        answers=("5", "five"),
    )
    text = str(question(item, Heard(text="x"), Heard(text="y"))[1]["content"])
    assert "[system]\nBe brief.\n\n[user]\nHow many?" in text
    assert "5 / five" in text
