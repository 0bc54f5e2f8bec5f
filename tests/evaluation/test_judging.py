"""What a judge is shown, and what is read from it."""

from __future__ import annotations

import pytest

from nearfar.evaluation import judging
from nearfar.evaluation.judging import pairs, question, settled, verdict
from nearfar.evaluation.prompts import Message, Prompt


def test_a_judge_sees_request_right_answer_and_both_answers() -> None:
    item = Prompt(id="1", messages=(Message(role="user", content="How many?"),), answers=("5", "five"))
    system, user = question(item, "It is 4.", "It is 5.")
    assert "VERDICT" in str(system["content"])
    text = str(user["content"])
    assert "[user]\nHow many?" in text
    assert "5 / five" in text
    assert text.index("<answer_a>\nIt is 4.") < text.index("<answer_b>\nIt is 5.")
    assert "right_answer" not in str(question(Prompt(id="1", messages=item.messages), "a", "b"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("VERDICT: A", "A"),
        ("A is wrong.\n\nverdict: b\n", "B"),
        ("**VERDICT: TIE**", "tie"),
        ("VERDICT: A.", "A"),
        ("VERDICT: C", None),
        ("I think VERDICT: A", None),
        ("VERDICT: A\nbut perhaps B", None),
        ("A", None),
        ("", None),
    ],
)
def test_only_the_last_line_in_its_form_counts(text: str, said: str | None) -> None:
    assert verdict(text) == said


@pytest.mark.parametrize(
    ("forward", "backward", "worth"),
    [
        ("A", "B", 1),
        ("B", "A", 0),
        ("A", "A", 0.5),
        ("B", "B", 0.5),
        ("tie", "tie", 0.5),
        ("A", "tie", 0.75),
        (None, "A", None),
        ("A", None, None),
    ],
)
def test_both_orders_make_one_verdict(
    forward: judging.Verdict | None, backward: judging.Verdict | None, worth: float | None
) -> None:
    assert settled(forward, backward) == worth


def test_everybody_meets_everybody_once() -> None:
    assert pairs(["a", "b", "c"]) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert pairs(["a"]) == []
