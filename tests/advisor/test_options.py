"""The ways to run a workload: each amount is the sum of its parts, and nothing is offered that cannot be."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.advisor.cases import BASE, case
from tests.examples import examples

from nearfar.advisor.options import hosted, near_share, options
from nearfar.advisor.workload import Workload
from nearfar.catalog.models import shipped
from nearfar.catalog.prices import shipped as prices

HERE = case(hardware="RTX 3090", work={"calls": 50_000})
"""Looked up once: only the volume changes."""


@examples(40)
@given(st.floats(0, 1e8), st.floats(1, 20), st.floats(0, 1))
def test_amounts_are_the_sums_of_their_parts(calls: float, peak: float, private: float) -> None:
    for option in options(HERE, Workload(calls=calls, peak=peak, private_share=private)).values():
        if option.usd is None:
            assert option.lacks
            continue
        assert option.usd == pytest.approx(sum(option.parts.values()))
        assert all(usd >= 0 for usd in option.parts.values())
        assert 0 <= option.near_share <= 1
        if option.capacity is not None:
            assert option.capacity >= calls


@examples(40)
@given(st.floats(1, 1e8), st.floats(1, 20))
def test_what_may_not_leave_runs_near_in_every_hybrid(calls: float, peak: float) -> None:
    option = options(HERE, Workload(calls=calls, peak=peak, private_share=0.7))["hybrid"]
    assert option.near_share >= 0.7


def test_near_serves_all_when_it_can_and_its_capacity_otherwise() -> None:
    assert HERE.own is not None
    assert near_share(HERE, HERE.own, Workload(calls=100)) == pytest.approx(1)
    shares = [near_share(HERE, HERE.own, Workload(calls=calls)) for calls in (1e4, 1e5, 1e6, 1e7)]
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] < 0.1


def test_the_same_model_is_looked_for_at_hosters_under_its_own_name_alone() -> None:
    models = shipped()
    found = hosted(models["qwen3-32b"], Workload(calls=1), BASE, prices())
    assert found is not None
    assert "qwen3-32b" in found.id
    assert hosted(models["taide-gemma-3-12b"], Workload(calls=1), BASE, prices()) is None


def test_without_a_machine_it_is_said() -> None:
    made = options(case())
    assert made["near"].lacks == "no_machine"
    assert made["near"].usd is None
    assert made["buy"].usd is not None


def test_a_rented_machine_is_no_way_for_what_may_not_leave() -> None:
    assert options(case(stay=True))["rent"].lacks == "leaves"


@examples(30)
@example(419_336, 0, 0, 0, 374, 1)
@example(3, 0, 0, 0.5, 92_077, 3967)
@given(
    st.floats(1, 1e6),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 0.5),
    st.integers(1, 300_000),
    st.integers(1, 4000),
)
def test_sums_are_what_a_calculator_makes_of_them(
    calls: float, cached: float, batch: float, retries: float, tokens: int, answer: int
) -> None:
    work = Workload(
        calls=round(calls), cached_share=cached, batch_share=batch, retries=retries, input=tokens, output=answer
    )
    for option in options(HERE, work).values():
        for name, usd in option.parts.items() if option.usd is not None else ():
            if usd < 0.5:
                continue  # rounding in what is shown
            text = re.sub(r"(?<=\d),(?=\d)", "", option.sums[name]).replace(" W", "").replace(" h", "")
            text = re.sub(r"([\d.]+)%", r"(\1/100)", text)
            # Our own sums: digits, signs and brackets.
            assert re.fullmatch(r"[\d.+*/() e-]+", text), text
            assert eval(text) == pytest.approx(usd, rel=0.06), (name, option.sums[name])
