"""Likeness by words, in any script, and the same through the index as by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.examples import examples

from nearfar.tuning.words import LONGEST, counted, gram, remember, shortened

TEXTS = [
    "the cat sat on the mat",
    "a cat is a cat",
    "the dog sat on the mat",
    "糖尿病患者的飲食",
    "糖尿病的藥物治療",
    "entirely other words",
]


def test_likeness() -> None:
    index = remember(TEXTS)
    cat = index.alike("the cat sat")
    assert int(np.argmax(cat)) == 0
    assert cat[0] > cat[2] > 0
    assert cat[3] == 0
    sugar = index.alike("糖尿病是什麼")
    assert sugar[3] > 0
    assert sugar[0] == 0
    assert not index.alike("zzz").any()
    assert not index.alike("").any()


def test_the_table_is_what_asking_one_by_one_gives() -> None:
    index = remember(TEXTS)
    table = gram(index)
    assert table == pytest.approx(np.array([index.alike(text) for text in TEXTS]), abs=1e-6)
    assert np.diag(table)[:5] == pytest.approx(1, abs=1e-6)


@examples(25)
@given(st.text(max_size=200))
def test_any_text_can_be_counted_and_compared(text: str) -> None:
    buckets, weights = counted(text)
    assert len(buckets) == len(weights)
    assert (np.diff(buckets) > 0).all()
    found = remember([*TEXTS, text, text]).alike(text)
    assert ((found >= 0) & (found < 1 + 1e-5)).all()


def test_a_huge_prompt_is_looked_at_in_part() -> None:
    assert len(shortened("a" * 10**6)) == LONGEST


def test_hashes_do_not_change_between_runs() -> None:
    """A saved router is read by another process: these are not Python's own hashes."""
    assert counted("cat dog")[0].tolist() == [1394120560, 1647472016, 1902078839]
