"""What counts as the same answer, in English and Chinese."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.evaluation.prompts import Message, Prompt
from nearfar.evaluation.scores import Score, choice, how, kind_of, number, right
from nearfar.policy.cascade_answers import Kind


def prompt(*answers: str, kind: Kind | None = None, tests: str = "") -> Prompt:
    return Prompt(id="1", messages=(Message(role="user", content="?"),), answers=answers, answer_type=kind, tests=tests)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It costs 1,234 dollars, and then 56.50.", "56.5"),
        ("#### 42\nThat was 6 steps.", "42"),
        ("The answer is 7. Check: 3 + 4 = 7, 10 - 3 = 7.", "7"),
        ("答案：１，２３４ 元", "1234"),
        ("答案為 3.5萬元", "35000"),
        ("一共有三百二十五個", "325"),
        ("他有兩萬五千元", "25000"),
        ("總額是三萬五", "35000"),
        ("三萬零五十", "30050"),
        ("十五", "15"),
        ("二十", "20"),
        ("1億2000萬人", "120000000"),
        ("民國一一五年", "115"),
        ("二〇二六", "2026"),
        ("兩百五", "250"),
        ("第一步：3 + 4 = 7。答案是七。", "7"),
        ("三千五百萬", "35000000"),
        ("千萬不要", None),
        ("<think>9 or 10</think>8", "8"),
        ("nothing", None),
        ("", None),
    ],
)
def test_numbers(text: str, found: str | None) -> None:
    assert number(text) == found


@given(st.integers(0, 10**12))
def test_arabic_digits_mean_themselves(value: int) -> None:
    assert number(f"So it is {value:,}.") == str(value)


@given(st.integers(1, 9999))
def test_chinese_numerals_of_any_size(value: int) -> None:
    digits, units = "零一二三四五六七八九", ("", "十", "百", "千")
    said, gap = "", False
    for at, char in reversed(list(enumerate(reversed(str(value))))):
        if char == "0":
            gap = True
            continue
        said += ("零" if gap and said else "") + digits[int(char)] + units[at]
        gap = False
    assert number(f"答案是{said}") == str(value), said


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("B", "B"),
        ("答案：Ｃ", "C"),
        ("答案:B", "B"),
        ("我選（Ｄ）", "D"),
        ("The answer is (E).", "E"),
        ("**B.** because", "B"),
        ("J", "J"),
        ("K", None),
        ("none of them", None),
    ],
)
def test_choices(text: str, found: str | None) -> None:
    assert choice(text) == found


@pytest.mark.parametrize(
    ("answer", "wanted", "same"),
    [
        ("Taipei", "taipei", True),
        (" The   Taipei City. ", "the taipei city", True),
        ("「台北」。", "台北", True),
        ("答案是：台北！", "台北", True),
        ("在 Taipei 的台北", "在Taipei的台北", True),
        ("ＴＡＩＰＥＩ", "Taipei", True),
        ("Taipei or Tainan", "Taipei", False),
        ("-5", "5", False),
        ("5", "5.0", False),
        ("", "x", False),
        ("???", "x", False),
    ],
)
def test_words(answer: str, wanted: str, *, same: bool) -> None:
    assert right(answer, prompt(wanted, kind="text"), "exact") is same


def test_any_of_several_will_do() -> None:
    assert right("臺北", prompt("台北", "臺北"), "exact")
    assert right("it is 3", prompt("2", "3"), "number")
    assert not right("it is 4", prompt("2", "3"), "number")
    assert right("33.333", prompt("33.3333"), "number")
    assert right("(b)", prompt("B"), "choice")


def test_right_answers_that_are_worked_out() -> None:
    item = prompt("She sells 16 - 3 - 4 = <<16-3-4=9>>9 eggs a day.\nShe makes 9 * 2 = $18.\n#### 18")
    assert (kind_of(item), how(item, "auto", judge=False)) == ("number", "number")
    assert right("So it is $18.", item, "number")
    assert not right("So it is 9.", item, "number")
    assert right("Taipei", prompt("It is in the north.\n#### Taipei"), "exact")


def test_values_and_json() -> None:
    assert right("```python\n[1, 2]\n```", prompt("[1,2]", kind="literal"), "exact")
    assert right('{"b": 1, "a": 2}', prompt('{"a":2,"b":1}', kind="json"), "exact")
    assert not right("no json", prompt('{"a":2}', kind="json"), "exact")


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        (["5"], "number"),
        (["-1,200.5"], "number"),
        (["三萬"], "number"),
        (["NT$ 500"], "number"),
        (["b"], "choice"),
        (["Taipei"], "text"),
        (["1", "one"], "text"),
        (["K"], "text"),
        ([], "text"),
    ],
)
def test_the_type_of_an_answer_is_seen(answers: list[str], kind: Kind) -> None:
    assert kind_of(prompt(*answers)) == kind


def test_how_a_prompt_is_scored() -> None:
    table: list[tuple[Prompt, Score, bool, Score | None]] = [
        (prompt("5"), "auto", False, "number"),
        (prompt("B"), "auto", True, "choice"),
        (prompt("yes"), "auto", True, "exact"),
        (prompt("5", kind="text"), "auto", False, "exact"),
        (prompt(tests="assert 1"), "auto", True, "code"),
        (prompt(), "auto", True, "judge"),
        (prompt(), "auto", False, None),
        (prompt(), "number", True, None),
        (prompt("5"), "judge", True, "judge"),
        (prompt("5"), "exact", False, "exact"),
        (prompt("5"), "code", False, None),
    ]
    for item, wanted, judge, way in table:
        assert how(item, wanted, judge=judge) == way
    assert kind_of(prompt(tests="assert 1")) == "code"


@given(st.text(max_size=60))
def test_any_text_can_be_scored(text: str) -> None:
    for score in ("exact", "number", "choice"):
        right(text, prompt("5"), score)
