"""The maker of the price table: it tells what it leaves out, and where a second source disagrees."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from tools.prices import __main__ as maker

TODAY = dt.date(2026, 11, 22)


def rates(**values: Any) -> SimpleNamespace:
    """As genai-prices 0.2.3 holds the rates of a model."""
    return SimpleNamespace(
        **{"input_mtok": None, "output_mtok": None, "cache_read_mtok": None, "cache_write_mtok": None} | values
    )


def when(prices: SimpleNamespace, **constraint: Any) -> SimpleNamespace:
    return SimpleNamespace(constraint=SimpleNamespace(**constraint) if constraint else None, prices=prices)


def test_the_newest_rate_that_holds_today_counts() -> None:
    old, new, next_year = (rates(input_mtok=Decimal(n), output_mtok=Decimal(2 * n)) for n in (1, 2, 3))
    found = [when(old), when(new, start_date=dt.date(2026, 9, 1)), when(next_year, start_date=dt.date(2027, 1, 1))]
    assert maker._row(found, TODAY) == {"input": "2", "output": "4", "since": "2026-09-01"}


def test_times_of_day_become_windows() -> None:
    night, day = (rates(input_mtok=Decimal(n), output_mtok=Decimal(n)) for n in (1, 2))
    utc = dt.UTC
    found = [
        when(night),
        when(day, start_time=dt.time(1, tzinfo=utc), end_time=dt.time(4, tzinfo=utc)),
        when(day, start_time=dt.time(6, tzinfo=utc), end_time=dt.time(10, tzinfo=utc)),
    ]
    row = maker._row(found, TODAY)
    assert row["then"] == {"windows": [["01:00:00", "04:00:00"], ["06:00:00", "10:00:00"]], "input": "2", "output": "2"}


def test_long_prompts_keep_the_rates_that_do_not_change() -> None:
    tiers = SimpleNamespace(base=Decimal(3), tiers=[SimpleNamespace(start=200_000, price=Decimal(6))])
    row = maker._row(rates(input_mtok=tiers, output_mtok=Decimal(15)), TODAY)
    assert row == {"input": "3", "output": "15", "long": {"above": 200_000, "input": "6", "output": "15"}}


def test_what_cannot_be_expressed_is_refused() -> None:
    with pytest.raises(ValueError, match="not charged by tokens"):
        maker._row(rates(), TODAY)
    many = SimpleNamespace(base=Decimal(1), tiers=[SimpleNamespace(start=n, price=Decimal(n)) for n in (2, 3)])
    with pytest.raises(ValueError, match="more than two lengths"):
        maker._row(rates(input_mtok=many), TODAY)
    with pytest.raises(ValueError, match="no rate holds"):
        maker._row([when(rates(input_mtok=Decimal(1)), start_date=dt.date(2027, 1, 1))], TODAY)


def test_divided_rates_are_rounded_up_to_what_the_ledger_counts_in() -> None:
    assert maker._row(rates(input_mtok=Decimal("0.0833333333333333")), TODAY)["input"] == "0.083333334"


def test_a_second_source_that_differs_by_more_than_a_tenth_is_told_of() -> None:
    made = [
        {"provider": "gemini", "model": "a", "input": "1", "output": "2"},
        {"provider": "gemini", "model": "b", "input": "1", "output": "2"},
        {"provider": "openai", "model": "c", "input": "1", "output": "2"},
    ]
    second = {
        "google": {"models": {"a": {"cost": {"input": 1.05, "output": 2.5}}, "b": {"cost": {"input": 1, "output": 2}}}}
    }
    assert maker.disagreements(made, second) == ["gemini/a output: 2 here, 2.5 in the second source"]
