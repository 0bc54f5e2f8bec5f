"""Prices of well-known models, as dated data. It knows no deployment, and guesses no price."""

from __future__ import annotations

import datetime as dt
import functools
import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import msgspec

from nearfar.core.data import decode
from nearfar.core.money import NANO, Price

_DATED = re.compile(r"(.+)-(?:\d{4}-\d{2}-\d{2}|\d{8})")
"""Vendors name a fixed version of a model ``MODEL-2026-11-22`` or ``MODEL-20261122``."""

Table = Mapping[tuple[str, str], Price]
"""(provider, model) → price."""


class _Rates(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """USD per million tokens."""

    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None


class _Long(_Rates, frozen=True, kw_only=True, forbid_unknown_fields=True):
    above: int


class _Then(_Rates, frozen=True, kw_only=True, forbid_unknown_fields=True):
    windows: tuple[tuple[dt.time, dt.time], ...]
    """In UTC: from, up to but not including."""


class _Row(_Rates, frozen=True, kw_only=True, forbid_unknown_fields=True):
    provider: str
    model: str
    since: dt.date | None = None
    long: _Long | None = None
    then: _Then | None = None


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    date: dt.date
    source: str
    price: list[_Row]


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where a table's rates come from."""

    date: dt.date
    source: str


LEAST, MOST = Decimal("0.0005"), Decimal(1000)
"""Rates in USD per million tokens that can be right; price lists were wrong by a factor of 100,000 for months. Zero is
a rate, too."""


def price_for(provider: str, model: str, table: Table | None = None) -> Price | None:
    """The price of ``model`` at ``provider``; None when it is not known.

    A dated version costs what the model costs, unless it has a row of its own.
    """
    known = shipped() if table is None else table
    exact = known.get((provider, model))
    if exact is not None:
        return exact
    dated = _DATED.fullmatch(model)
    return known.get((provider, dated[1])) if dated else None


@functools.cache
def shipped() -> Table:
    """The table that comes with nearfar: data/prices.json, made by ``python -m tools.prices`` and read once."""
    return load(shipped_file().read_bytes())


def shipped_source() -> Source:
    """Where the shipped rates come from, and when."""
    file = _read(shipped_file().read_bytes())
    return Source(date=file.date, source=file.source)


def shipped_file() -> Path:
    """Where the table lies."""
    return Path(__file__).parent / "data" / "prices.json"


def _read(text: bytes) -> _File:
    # A thousand rows are read at every start: as TOML that takes a hundred times longer.
    file = decode(text, _File, "not a price table", json=text[:1] == b"{")
    if not file.source:
        raise ValueError("a price table names its source")
    return file


def load(text: bytes) -> Table:
    """Read a price table, in JSON or TOML, strictly; ValueError says which row is wrong and why."""
    file = _read(text)
    table: dict[tuple[str, str], Price] = {}
    for row in file.price:
        name = f"{row.provider}/{row.model}"
        if (row.provider, row.model) in table:
            raise ValueError(f"{name} is priced twice")
        try:
            table[row.provider, row.model] = _price(row, f"{name}@{row.since or file.date}")
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    return table


def _price(row: _Row, id: str) -> Price:
    price = _rated(row, id)
    if row.long is not None:
        if row.long.above <= 0:
            raise ValueError("long.above must be a positive number of tokens")
        price = msgspec.structs.replace(price, above=row.long.above, long=_rated(row.long, f"{id}:long"))
    if row.then is not None:
        windows = tuple((_minute(start), _minute(end) or 24 * 60) for start, end in row.then.windows)
        if not windows or any(start >= end for start, end in windows):
            raise ValueError("then.windows must name times of day, each from earlier to later")
        price = msgspec.structs.replace(price, windows=windows, then=_rated(row.then, f"{id}:then"))
    return price


def _minute(time: dt.time) -> int:
    return time.hour * 60 + time.minute


def _rated(rates: _Rates, id: str) -> Price:
    return Price(
        id=id,
        input=_nano(rates.input),
        output=_nano(rates.output),
        cached_input=None if rates.cached_input is None else _nano(rates.cached_input),
        cache_write=None if rates.cache_write is None else _nano(rates.cache_write),
    )


def _nano(usd: Decimal) -> int:
    nano = usd * NANO
    if nano < 0 or nano != int(nano):
        raise ValueError(f"{usd} USD is no price: it must not be negative, nor finer than a nano-USD")
    if nano and not LEAST <= usd <= MOST:
        raise ValueError(f"{usd} USD per million tokens cannot be right: rates lie between {LEAST} and {MOST}")
    return int(nano)
