"""The stand-in's words and counts."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from nearfar.standin import answers


def test_says_what_it_is_and_what_was_asked() -> None:
    pieces, finish = answers.pieces_for("How far\nis the moon?")
    assert (
        "".join(pieces) == "This is the stand-in for a cloud model, not a real one. You asked: “How far is the moon?”"
    )
    assert finish == "stop"


@given(st.text(), st.integers(0, 200))
def test_as_many_pieces_as_asked(question: str, count: int) -> None:
    pieces, finish = answers.pieces_for(question, count=count)
    assert len(pieces) == count
    assert finish == "stop"
    assert all(piece.startswith(" ") for piece in pieces[1:])


@given(st.text(), st.integers(0, 30))
def test_the_limit_cuts_and_says_so(question: str, limit: int) -> None:
    whole, _ = answers.pieces_for(question)
    pieces, finish = answers.pieces_for(question, limit=limit)
    assert pieces == whole[:limit]
    assert finish == ("length" if limit < len(whole) else "stop")


def test_counts_by_the_stated_rule() -> None:
    assert answers.count_text("") == 0
    assert answers.count_text("abcd") == 1
    assert answers.count_text("abcde") == 2
    assert answers.count_text("台灣") == 2  # six bytes
    assert answers.count_messages(["abcd", ""]) == 4 + 1 + 4


@given(st.text(), st.integers(1, 64))
def test_vectors_are_unit_and_repeatable(text: str, dimensions: int) -> None:
    vector = answers.vector(text, dimensions)
    assert len(vector) == dimensions
    assert math.isclose(math.hypot(*vector), 1.0, abs_tol=1e-4)
    assert vector == answers.vector(text, dimensions)


def test_other_texts_have_other_vectors() -> None:
    assert answers.vector("near") != answers.vector("far")
