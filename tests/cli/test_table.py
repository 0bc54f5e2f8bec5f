"""Tables fit a width: columns give way by their rank, no word is broken, wide characters count as two."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from nearfar.cli.table import ELLIPSIS, aligned, fitted, shortened

ROWS = [
    ("NAME", "ADDRESS", "N", "WHY"),
    ("near", "http://127.0.0.1:11434/v1", "1", "local-first: device is the first allowed place"),
    ("模型-七十億", "https://api.example.org/v1", "20", "本地優先：雲端排在後面，因為政策只允許到本機"),
]


def test_what_fits_is_whole() -> None:
    drawn = fitted(ROWS, 200, right=(2,), drop=("ADDRESS",), flow=("WHY",))
    assert drawn.lines == aligned(ROWS, right=(2,))
    assert drawn.left_out == []


def test_sentences_go_on_below_before_a_column_is_left_out() -> None:
    drawn = fitted(ROWS, 80, right=(2,), drop=("ADDRESS",), flow=("WHY",))
    assert drawn.left_out == []
    assert len(drawn.lines) > len(ROWS)
    text = " ".join(" ".join(drawn.lines).split())
    for word in ("local-first:", "device", "is", "the", "first", "allowed", "place"):
        assert word in text
    assert all(cell_len(line) <= 80 for line in drawn.lines)


def test_columns_are_left_out_by_rank_and_said() -> None:
    drawn = fitted(ROWS, 45, right=(2,), drop=("ADDRESS", "N"), flow=("WHY",))
    assert drawn.left_out == ["ADDRESS"]
    assert "http" not in "".join(drawn.lines)


def test_what_a_wide_column_leaves_behind_is_used() -> None:
    rows = [("NAME", "A", "WIDE", "B"), ("x" * 20, "a" * 5, "w" * 40, "b" * 5)]
    drawn = fitted(rows, 40, drop=("A", "WIDE", "B"))
    assert drawn.left_out == ["WIDE"]
    assert drawn.lines[1] == f"{'x' * 20}  aaaaa  bbbbb"


def test_columns_that_say_nothing_go_first_and_are_not_missed() -> None:
    drawn = fitted([("A", "ERROR", "B"), ("x" * 30, "", "y" * 6)], 40, drop=("B",))
    assert drawn.lines == ["A" + " " * 31 + "B", "x" * 30 + "  " + "y" * 6]
    assert drawn.left_out == []


def test_what_is_still_too_wide_loses_its_middle() -> None:
    name = "meta-llama/Llama-3.3-70B-Instruct-Q4_K_M"
    drawn = fitted([("MODEL", "N"), (name, "1")], 24)
    shown = drawn.lines[1].split()[0]
    assert cell_len(drawn.lines[1]) <= 24
    assert shown.startswith("meta")
    assert shown.endswith("Q4_K_M")
    assert ELLIPSIS in shown


def test_sentences_of_ideographs_break_between_them_but_not_before_punctuation() -> None:
    drawn = fitted([("A", "WHY"), ("x", "本地優先，雲端排在後面，因為政策")], 15, flow=("WHY",))
    assert all(cell_len(line) <= 15 for line in drawn.lines)
    assert "".join(line.removeprefix("x").strip() for line in drawn.lines[1:]) == "本地優先，雲端排在後面，因為政策"
    assert not any(line.strip().startswith("，") for line in drawn.lines)


@pytest.mark.parametrize(
    ("text", "width", "short"), [("模型名稱很長", 7, "模型…長"), ("abcdef", 6, "abcdef"), ("ab", 1, "…")]
)
def test_shortening(text: str, width: int, short: str) -> None:
    assert shortened(text, width) == short


words = st.text(st.sampled_from("abc-/.模型，。 "), max_size=40)


@given(
    st.lists(st.tuples(words, words, words), min_size=1, max_size=4),
    st.integers(min_value=20, max_value=120),
    st.booleans(),
)
def test_any_table_fits_any_terminal(rows: list[tuple[str, str, str]], width: int, flow: bool) -> None:
    clean = [tuple(" ".join(cell.split()) for cell in row) for row in rows]
    drawn = fitted([("NAME", "B", "WHY"), *clean], width, drop=("B",), flow=("WHY",) if flow else ())
    assert all(cell_len(line) <= width for line in drawn.lines)
    shown = " ".join(drawn.lines).split()
    if flow and not any(ELLIPSIS in line for line in drawn.lines):
        for row in clean:
            for word in row[2].split():
                if word.isascii():
                    assert word in shown


def test_what_finds_no_room_stands_below_its_row_where_that_is_wanted() -> None:
    drawn = fitted(ROWS, 45, right=(2,), drop=("ADDRESS", "N"), flow=("WHY",), under=True)
    assert drawn.left_out == []
    assert "  address http://127.0.0.1:11434/v1" in drawn.lines
    assert "  address https://api.example.org/v1" in drawn.lines
    assert all(cell_len(line) <= 45 for line in drawn.lines)
    assert fitted(ROWS, 200, drop=("ADDRESS",), under=True).lines == aligned(ROWS)
