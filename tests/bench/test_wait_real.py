"""What the oracle of the real bench is told: what was measured where it was, and a fair guess where it was not."""

from __future__ import annotations

import random

import pytest

from bench.wait_real import Answered, Times, oracle, times


def answered(at: float, tokens: int, output: int, *, near: bool, noise: float = 1.0) -> Answered:
    """An engine that reads 1,000 and writes 100 tokens a second, and a cloud that takes 0.4 s."""
    begin = tokens / 1000 * noise if near else 0.4
    hold = begin + (output / 100 * noise if near else 0.0)
    return Answered(at, tokens, output, begin, begin, hold, near, begin, 0.0)


def test_what_was_measured_is_told_as_it_was() -> None:
    draw = random.Random(1)
    rows = [answered(float(at), draw.randint(50, 900), draw.randint(5, 90), near=at % 3 > 0) for at in range(60)]
    for row, told in zip(rows, times(rows, 0.4), strict=True):
        assert told.at == row.at
        assert told.cloud == pytest.approx(0.4)
        # What went far would have taken near what its own lengths say, however short those were that stayed.
        assert told.begin == pytest.approx(row.tokens / 1000, rel=0.01)
        assert told.hold == pytest.approx(row.tokens / 1000 + row.output / 100, rel=0.01)


def test_what_nobody_measured_is_as_uncertain_as_what_was() -> None:
    draw = random.Random(2)
    rows = [
        answered(float(at), 300, 30, near=at % 2 > 0, noise=draw.choice((0.5, 1.5)) if at % 2 else 1.0)
        for at in range(200)
    ]
    # All are of one length, so that there is no line but a mean.
    rows = [row._replace(tokens=300 + number % 3, output=30 + number % 2) for number, row in enumerate(rows)]
    guessed = [told.begin for row, told in zip(rows, times(rows, 0.4), strict=True) if not row.near]
    assert min(guessed) < 0.2
    assert max(guessed) > 0.4


def test_an_oracle_sends_away_who_would_wait_too_long() -> None:
    rows = [Times(0.0, 0.1, 4.0, 0.4), Times(1.0, 0.1, 1.0, 0.4), Times(4.5, 0.1, 1.0, 0.4)]
    assert oracle(rows, 1, "wait", 60.0) == ([0.1, pytest.approx(3.1), pytest.approx(0.6)], 0.0)
    firsts, share = oracle(rows, 1, "wait", 1.0)
    assert firsts == [0.1, 0.4, 0.1]
    assert share == pytest.approx(1 / 3)
    assert oracle(rows, 1, "first", -1.0)[1] == 1.0
