"""The second source of prices: what was compared, and where it differs."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from nearfar.catalog import prices, second


def text(**changed: object) -> bytes:
    doubt = {"provider": "p", "model": "a", "rate": "input", "here": "1", "there": "2"}
    file = {"date": "2026-11-22", "source": "a table", "agreed": {"p": ["b"]}, "doubt": [doubt], **changed}
    return msgspec.json.encode(file)


def test_differs_agrees_or_was_not_compared() -> None:
    found = second.load(text())
    (doubt,) = found.on("p", "a") or ()
    assert (doubt.rate, doubt.here, doubt.there) == ("input", Decimal(1), Decimal(2))
    assert found.on("p", "b") == ()
    assert found.on("p", "c") is None
    assert found.on("q", "b") is None


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({"source": ""}, "names its source"),
        ({"agreed": {"p": ["a"]}}, "agrees and differs"),
        ({"doubt": [{"provider": "p", "model": "a", "rate": "input", "here": "1", "there": "1"}]}, "no two prices"),
        ({"doubt": [{"provider": "p", "model": "a", "rate": "input", "here": "-1", "there": "1"}]}, "no two prices"),
        ({"doubt": [{"provider": "p", "model": "a", "rate": "weight", "here": "1", "there": "2"}]}, "not a comparison"),
        ({"more": 1}, "not a comparison"),
    ],
)
def test_what_is_wrong_is_refused(changed: dict[str, object], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        second.load(text(**changed))


def test_the_shipped_comparison_is_of_the_shipped_table() -> None:
    found, table = second.shipped(), prices.shipped()
    assert len(found.doubt) > 10
    for each in found.doubt:
        price = table[each.provider, each.model]
        assert abs(each.here - each.there) > each.here / 10 or abs(each.here - each.there) > each.there / 10
        assert Decimal(getattr(price, each.rate)) / 10**9 == each.here
    assert all((provider, model) in table for provider, models in found.agreed.items() for model in models)
