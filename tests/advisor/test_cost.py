"""Costs of a month, against sums made by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.advisor import cost
from nearfar.advisor.assumptions import Box, override, shipped
from nearfar.advisor.cost import Speeds
from nearfar.advisor.workload import Workload
from nearfar.catalog.prices import price_for
from nearfar.core.money import NANO, Price

BASE = shipped()
MINI = Price(id="mini", input=NANO * 15 // 100, output=NANO * 60 // 100, cached_input=NANO * 75 // 1000)
BOX = Box(id="b", name="b", device="rtx-5090", capex_usd=4200, watts_load=760, watts_idle=90, labour_hours=4)
FAST = Speeds(prefill=1e5, decode=60)


@pytest.mark.parametrize(
    ("tokens_in", "tokens_out", "reasoning", "usd"),
    [(500, 300, 0, 25.5), (1000, 300, 0, 33), (6000, 400, 0, 114), (30_000, 1500, 0, 540), (1000, 0, 3000, 195)],
)
def test_100k_calls_of_a_small_model(tokens_in: int, tokens_out: int, reasoning: int, usd: float) -> None:
    work = Workload(calls=100_000, input=tokens_in, output=tokens_out, reasoning=reasoning)
    assert cost.cloud(MINI, work, BASE) == pytest.approx(usd)


def test_the_rates_are_those_of_this_request_and_not_of_a_million_tokens() -> None:
    long = Price(
        id="l", input=3 * NANO, output=15 * NANO, above=200_000, long=Price(id="x", input=6 * NANO, output=22 * NANO)
    )
    small = Workload(calls=1000, input=1000, output=0.0001)
    assert cost.cloud(long, small, BASE) == pytest.approx(3.0, rel=0.01)
    large = Workload(calls=1, input=1_000_000, output=0.0001)
    assert cost.cloud(long, large, BASE) == pytest.approx(6.0, rel=0.01)


def test_cache_batch_retries_and_tax_each_move_the_sum() -> None:
    work = Workload(calls=1000, input=1000, output=0.001)
    plain = cost.cloud(MINI, work, BASE)
    half_cached = cost.cloud(MINI, Workload(calls=1000, input=1000, output=0.001, cached_share=0.5), BASE)
    assert half_cached == pytest.approx(plain * 0.75, rel=0.01)
    batched = cost.cloud(MINI, Workload(calls=1000, input=1000, output=0.001, batch_share=1), BASE)
    assert batched == pytest.approx(plain / 2)
    again = cost.cloud(MINI, Workload(calls=1000, input=1000, output=0.001, retries=0.1), BASE)
    assert again == pytest.approx(plain * 1.1)
    assert cost.cloud(MINI, work, override(BASE, {"money.vat": 0.05})) == pytest.approx(plain * 1.05)


def test_an_own_machine_by_hand() -> None:
    mine = cost.own(BOX, FAST, Workload(calls=10_000, input=0, output=300), BASE.tariff_of("tw-average"), BASE)
    kwh = 3.7823 / 32
    assert mine.hardware == pytest.approx(4200 * 0.8 / 42)
    assert mine.capital == pytest.approx(4200 * 0.6 * 0.05 / 12)
    assert mine.labour == 80
    assert mine.spares == pytest.approx(4200 * 0.03 / 12)
    assert mine.idle_power == pytest.approx(0.09 * 730 * kwh)
    assert mine.power_per_call == pytest.approx(0.67 * 5 / 3600 * kwh)
    assert mine.total(10_000) == pytest.approx(mine.fixed + 10_000 * mine.power_per_call)


def test_the_busiest_hour_sets_the_capacity() -> None:
    even = Workload(calls=1, input=0, output=300, peak=1)
    assert cost.capacity(FAST, even) == pytest.approx(730 * 3600 / 5)
    office = Workload(calls=1, input=0, output=300, peak=4, hours=176)
    assert cost.capacity(FAST, office) == pytest.approx(176 * 3600 / 5 / 4)


def test_a_batch_serves_more_and_a_machine_that_cannot_write_serves_nobody() -> None:
    work = Workload(calls=1, input=0, output=300, peak=1)
    batched = Speeds(prefill=1e5, decode=60, batched=600)
    assert cost.capacity(batched, work) == pytest.approx(10 * cost.capacity(FAST, work))
    assert cost.capacity(Speeds(prefill=1, decode=0), work) == 0


def test_a_rented_card_runs_while_calls_come() -> None:
    office = Workload(calls=100, input=0, output=300, hours=176)
    assert cost.rental(3.0, office, FAST, BASE) == pytest.approx(3 * 176 * 1.4)
    busy = Workload(calls=1_000_000, input=0, output=300, hours=176)
    assert cost.rental(3.0, busy, FAST, BASE) == pytest.approx(3 * 1_000_000 * 5 / 3600 * 1.4)


@given(
    st.floats(1, 1e7),
    st.floats(1, 1e5),
    st.floats(1, 1e4),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_more_calls_never_cost_less(calls: float, tokens: float, written: float, cached: float, batch: float) -> None:
    work = Workload(calls=calls, input=tokens, output=written, cached_share=cached, batch_share=batch)
    one, two = (cost.cloud(MINI, work.at(count), BASE) for count in (calls, calls * 2))
    assert 0 < one < two
    assert math.isclose(two, 2 * one, rel_tol=1e-9)


def test_a_model_of_the_catalogue_has_a_price_of_sane_magnitude() -> None:
    price = price_for("openai", "gpt-4o-mini")
    assert price is not None
    assert cost.per_call(price, Workload(calls=1), BASE) == pytest.approx(0.00033)


@pytest.mark.parametrize(
    ("number", "shown"), [(0.00000553, "0.00000553"), (0.25, "0.25"), (1.5e-12, "0.0000000000015")]
)
def test_a_rate_is_shown_with_the_digits_that_count(number: float, shown: str) -> None:
    assert cost.digits(number) == shown
    assert float(cost.digits(123_456)) == 123_000
