"""Integer money: rounded up, never lost, unknown is not zero."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.chat import Usage
from nearfar.core.money import FREE, NANO, Price, cost, upper_bound, usd

PRICE = Price(id="p", input=2_500_000_000, output=10_000_000_000, cached_input=250_000_000, cache_write=3_125_000_000)

tokens = st.integers(0, 10_000_000)
rates = st.integers(0, 100 * NANO)


def test_each_kind_of_token_has_its_rate() -> None:
    usage = Usage(input=1000, output=100, cached=600, cache_write=300, reasoning=50)
    assert cost(PRICE, usage) == 100 * 2_500 + 600 * 250 + 300 * 3_125 + 100 * 10_000


def test_cached_tokens_cost_the_input_rate_where_the_vendor_names_none() -> None:
    plain = Price(id="p", input=2_000_000, output=0)
    assert cost(plain, Usage(input=10, output=0, cached=4, cache_write=3)) == 20


@pytest.mark.parametrize(
    ("price", "usage"),
    [(None, Usage(input=1, output=1)), (PRICE, None), (PRICE, Usage(input=1)), (PRICE, Usage(output=1))],
)
def test_unknown_stays_unknown(price: Price | None, usage: Usage | None) -> None:
    assert cost(price, usage) is None


def test_own_hardware_is_free_even_if_nobody_counted() -> None:
    assert cost(FREE, Usage()) == 0
    assert upper_bound(FREE, 10**6, 10**6) == 0


@given(tokens, tokens, rates, rates)
def test_rounded_up_to_the_next_nano_dollar(given: int, answered: int, rate_in: int, rate_out: int) -> None:
    exact = Fraction(given * rate_in + answered * rate_out, 1_000_000)
    amount = cost(Price(id="p", input=rate_in, output=rate_out), Usage(input=given, output=answered))
    assert amount is not None
    assert 0 <= amount - exact < 1


@given(tokens, tokens, st.data())
def test_no_request_costs_more_than_its_bound(given: int, answered: int, data: st.DataObject) -> None:
    cached = data.draw(st.integers(0, given))
    written = data.draw(st.integers(0, given - cached))
    price = Price(
        id="p",
        input=data.draw(rates),
        output=data.draw(rates),
        cached_input=data.draw(st.none() | rates),
        cache_write=data.draw(st.none() | rates),
    )
    amount = cost(price, Usage(input=given, output=answered, cached=cached, cache_write=written))
    bound = upper_bound(price, given, answered)
    assert amount is not None
    assert bound is not None
    assert amount <= bound


def test_no_price_no_bound() -> None:
    assert upper_bound(None, 1, 1) is None


@pytest.mark.parametrize(
    ("nano", "text"),
    [(None, "unknown"), (0, "$0.000000"), (162_700, "$0.000163"), (NANO // 100, "$0.0100"), (12 * NANO, "$12.0000")],
)
def test_for_people(nano: int | None, text: str) -> None:
    assert usd(nano) == text


HOUR = 3600 * NANO
"""In nanoseconds."""
NIGHT = Price(
    id="n",
    input=NANO,
    output=2 * NANO,
    windows=((60, 240), (360, 600)),
    then=Price(id="day", input=2 * NANO, output=4 * NANO),
)


@pytest.mark.parametrize(
    ("hour", "factor"), [(0, 1), (0.99, 1), (1, 2), (3.99, 2), (4, 1), (6, 2), (9.99, 2), (10, 1), (25, 2), (23.99, 1)]
)
def test_the_time_of_day_sets_the_rates(hour: float, factor: int) -> None:
    assert cost(NIGHT, Usage(input=1000, output=500), at=int(hour * HOUR)) == factor * 2_000_000


def test_the_upper_bound_holds_at_any_time() -> None:
    assert upper_bound(NIGHT, 1000, 500) == 2 * 2_000_000
    assert cost(NIGHT, Usage(input=1000, output=500)) == 2_000_000
