"""Where a second source of prices agrees with the shipped table and where it does not. It prices nothing.

The file is made by ``python -m tools.prices.second``: names that were compared, and rates that differ by more than a
tenth. A name that is in neither list was not compared.
"""

from __future__ import annotations

import datetime as dt
import functools
from decimal import Decimal
from pathlib import Path
from typing import Literal

import msgspec

from nearfar.core.data import decode

Rate = Literal["input", "output", "cached_input"]


class Doubt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rate, in USD per million tokens, of which the sources say different things."""

    provider: str
    model: str
    rate: Rate
    here: Decimal
    there: Decimal


class Second(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    date: dt.date
    source: str
    agreed: dict[str, tuple[str, ...]]
    """Provider → models of which no rate differs by more than a tenth."""
    doubt: tuple[Doubt, ...]

    def on(self, provider: str, model: str) -> tuple[Doubt, ...] | None:
        """What differs for ``model``; empty where the sources agree, None where they were not compared."""
        doubts = tuple(each for each in self.doubt if (each.provider, each.model) == (provider, model))
        return doubts if doubts or model in self.agreed.get(provider, ()) else None


def load(text: bytes) -> Second:
    """Read the file strictly; ValueError says what is wrong."""
    found = decode(text, Second, "not a comparison of prices", json=True)
    if not found.source:
        raise ValueError("a comparison of prices names its source")
    for each in found.doubt:
        if each.here < 0 or each.there < 0 or each.here == each.there:
            raise ValueError(f"{each.provider}/{each.model}: {each.here} and {each.there} are no two prices")
        if each.model in found.agreed.get(each.provider, ()):
            raise ValueError(f"{each.provider}/{each.model} agrees and differs")
    return found


@functools.cache
def shipped() -> Second:
    """The comparison that comes with nearfar: data/second_prices.json."""
    return load((Path(__file__).parent / "data" / "second_prices.json").read_bytes())
