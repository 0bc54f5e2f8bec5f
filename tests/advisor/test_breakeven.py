"""Break-even: the right number, and never where the machine cannot serve it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.advisor import cost
from nearfar.advisor.assumptions import Box, shipped
from nearfar.advisor.breakeven import against, flips, scaled
from nearfar.advisor.cost import Speeds
from nearfar.advisor.workload import Workload
from nearfar.core.money import NANO, Price

BASE = shipped()
TARIFF = BASE.tariff_of("tw-average")
BOX = BASE.box_of("rtx-5090-box")
ONE_BY_ONE = Speeds(prefill=3000, decode=60)
BATCHED = Speeds(prefill=3000, decode=60, batched=1200)
OPEN_API = Price(id="open", input=NANO * 14 // 100, output=NANO * 40 // 100)
FRONTIER = Price(id="frontier", input=3 * NANO, output=15 * NANO)
CHAT = Workload(calls=100_000, input=1000, output=300, peak=1)


def test_at_break_even_both_cost_the_same() -> None:
    answer = against(FRONTIER, BOX, BATCHED, CHAT, TARIFF, BASE)
    assert answer.calls is not None
    there = CHAT.at(answer.calls)
    mine = cost.own(BOX, BATCHED, there, TARIFF, BASE)
    assert mine.total(there.asked) == pytest.approx(cost.cloud(FRONTIER, there, BASE))


def test_never_when_the_machine_cannot_serve_that_many() -> None:
    """A formula of money alone prints a number here: one user at a time cannot be served that often."""
    answer = against(OPEN_API, BOX, ONE_BY_ONE, CHAT, TARIFF, BASE)
    assert answer.never
    assert answer.money is not None
    assert answer.money > answer.capacity
    assert not against(OPEN_API, BOX, BATCHED, CHAT, TARIFF, BASE).never


def test_never_when_electricity_alone_costs_more() -> None:
    slow = Speeds(prefill=1, decode=0.1)
    answer = against(OPEN_API, BOX, slow, CHAT, TARIFF, BASE)
    assert answer.never
    assert answer.money is None


def test_an_existing_machine_breaks_even_far_earlier() -> None:
    there = BASE.box_of("existing-pc")
    new, existing = (against(FRONTIER, box, BATCHED, CHAT, TARIFF, BASE) for box in (BOX, there))
    assert new.calls is not None
    assert existing.calls is not None
    assert existing.calls * 5 < new.calls


def test_what_moves_the_answer_comes_first_and_in_the_right_direction() -> None:
    found = flips(FRONTIER, BOX, BATCHED, CHAT, TARIFF, BASE)
    by_name = {each.name: each for each in found}
    assert {each.name for each in found[:2]} == {"cloud_price", "tokens"}
    for name in ("cloud_price", "tokens", "lifetime"):
        flip = by_name[name]
        assert flip.low.money is not None
        assert flip.high.money is not None
        assert flip.low.money > flip.high.money
    for name in ("hardware", "labour", "electricity"):
        flip = by_name[name]
        assert flip.low.money is not None
        assert flip.high.money is not None
        assert flip.low.money < flip.high.money


def test_an_input_that_decides_is_marked() -> None:
    close = against(FRONTIER, BOX, BATCHED, CHAT, TARIFF, BASE).calls
    assert close is not None
    at_the_edge = CHAT.at(close)
    marked = {each.name for each in flips(FRONTIER, BOX, BATCHED, at_the_edge, TARIFF, BASE) if each.answer_changes}
    assert "cloud_price" in marked
    few = {
        each.name for each in flips(FRONTIER, BOX, BATCHED, CHAT.at(close / 50), TARIFF, BASE) if each.answer_changes
    }
    assert not few


@given(st.floats(0.01, 100), st.floats(100, 30_000), st.floats(10, 3000), st.floats(500, 1e5))
def test_dearer_clouds_never_make_the_machine_later(factor: float, tokens: float, written: float, capex: float) -> None:
    work = Workload(calls=1000, input=tokens, output=written, peak=1)
    box = Box(id="b", name="b", device="d", capex_usd=capex, watts_load=700, watts_idle=80, labour_hours=2)
    first = against(scaled(FRONTIER, factor), box, BATCHED, work, TARIFF, BASE)
    second = against(scaled(FRONTIER, factor * 2), box, BATCHED, work, TARIFF, BASE)
    if first.calls is not None:
        assert second.calls is not None
        assert second.calls <= first.calls * (1 + 1e-9)
    assert first.capacity == second.capacity
