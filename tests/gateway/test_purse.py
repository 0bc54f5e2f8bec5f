"""gateway/purse.py: a day's money."""

from __future__ import annotations

from typing import Any

from tests.gateway.house import target

from nearfar.core.chat import Request
from nearfar.core.places import Place
from nearfar.gateway.purse import Purse
from nearfar.wire.openai_chat import CLIENT

DAY = 24 * 60 * 60
FAR = target("far", 1).deployment
"""2500 nano-USD an input token, 10 000 an output token."""


def request(**more: Any) -> Request:
    made = CLIENT.parse(b'{"model":"m","messages":[{"role":"user","content":"hello"}],"max_tokens":10}', "req-1")
    made.input_tokens = 4
    return made


class Clock:
    now = 1000.0 * DAY

    def __call__(self) -> float:
        return self.now


def test_what_is_set_aside_and_not_spent_is_there_again() -> None:
    clock = Clock()
    purse = Purse(200_000, clock)
    first = purse.take(FAR, request())
    assert first is not None
    assert first.bound == 110_000
    assert purse.take(FAR, request()) is None
    purse.settle(first, 20_000)
    second = purse.take(FAR, request())
    assert second is not None
    purse.settle(second, None)
    assert purse.take(FAR, request()) is None, "what nobody knows counts as its bound"
    clock.now += DAY
    assert purse.take(FAR, request()) is not None
    purse.settle(second, 0)
    assert purse.take(FAR, request()) is None, "yesterday's money is not today's"


def test_a_closed_one_gives_nothing_until_it_knows_what_is_gone() -> None:
    clock = Clock()
    purse = Purse(200_000, clock, closed=True)
    assert purse.take(FAR, request()) is None
    purse.resume(purse.today, 50_000)
    assert purse.take(FAR, request()) is not None
    assert purse.take(FAR, request()) is None
    clock.now += DAY
    assert purse.take(FAR, request()) is not None, "what was gone yesterday is of no account"


def test_news_of_yesterday_open_it_for_today() -> None:
    clock = Clock()
    purse = Purse(200_000, clock, closed=True)
    yesterday = purse.today
    clock.now += DAY
    purse.resume(yesterday, 150_000)
    assert purse.take(FAR, request()) is not None


def test_what_has_no_price_fits_only_near() -> None:
    purse = Purse(10**9)
    assert purse.take(target("far", 1, price=None).deployment, request()) is None
    near = purse.take(target("near", 1, Place.DEVICE, price=None).deployment, request())
    assert near is not None
    assert near.bound == 0
