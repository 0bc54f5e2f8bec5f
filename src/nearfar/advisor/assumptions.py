"""What the arithmetic of costs assumes, as dated data that anybody may override. It computes nothing."""

from __future__ import annotations

import datetime as dt
import functools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from nearfar.catalog.names import nearest
from nearfar.core.data import decode
from nearfar.core.errors import BadRequestError, NotFoundError

Named = TypeVar("Named")


class Money(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Currencies and interest."""

    twd_per_usd: float
    capital_rate: float
    """Per year, on what is tied up in hardware."""
    vat: float
    """Added to prices of clouds and rented machines."""
    source: str


class Labour(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whoever looks after a machine."""

    usd_per_hour: float
    source: str


class Own(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Owning a machine."""

    months: int
    """Of use."""
    resale: float
    """Share of the price that comes back at the end."""
    spares_per_year: float
    """Share of the price."""
    pue: float
    """Power of the room for each unit of power of the machine: 1 in an office, about 1.4 in a small machine room."""
    source: str


class Batch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Clouds' prices for what may take a day."""

    discount: float
    source: str


class Tariff(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A price of electricity."""

    id: str
    name: str
    per_kwh: float
    currency: Literal["TWD", "USD"]
    since: dt.date
    source: str


class Rental(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A graphics card by the hour."""

    id: str
    device: str
    """Its id in the catalogue."""
    usd_per_hour: tuple[float, float, float]
    """Low, middle, high."""
    source: str


class Box(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole machine."""

    id: str
    name: str
    device: str
    """Its id in the catalogue."""
    count: int = 1
    capex_usd: float
    watts_load: float
    """At the wall, at work."""
    watts_idle: float
    """At the wall, waiting; what would be drawn anyway is not counted."""
    labour_hours: float
    """Per month."""
    pue: float | None = None
    """Where it differs from what is assumed for all."""
    note: str = ""


class Assumptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of them."""

    date: dt.date
    money: Money
    labour: Labour
    own: Own
    batch: Batch
    tariff: tuple[Tariff, ...]
    rental: tuple[Rental, ...]
    box: tuple[Box, ...]

    def tariff_of(self, id: str) -> Tariff:
        """Raises NotFoundError with the nearest names."""
        return _found("electricity tariff", id, {each.id: each for each in self.tariff})

    def box_of(self, id: str) -> Box:
        """Raises NotFoundError with the nearest names."""
        return _found("machine", id, {each.id: each for each in self.box})

    def rental_of(self, device: str) -> Rental | None:
        """Offers for a device, by its id in the catalogue."""
        return next((each for each in self.rental if each.device == device), None)

    def usd_per_kwh(self, tariff: Tariff) -> float:
        """What a kilowatt-hour costs in USD."""
        return tariff.per_kwh if tariff.currency == "USD" else tariff.per_kwh / self.money.twd_per_usd


@functools.cache
def shipped() -> Assumptions:
    """The assumptions that come with nearfar: data/assumptions.toml, read once."""
    return load((Path(__file__).parent / "data" / "assumptions.toml").read_bytes())


def load(text: bytes) -> Assumptions:
    """Read assumptions strictly. Raises ValueError."""
    made = decode(text, Assumptions, "not a file of assumptions")
    for group in (made.tariff, made.rental, made.box):
        ids = [each.id for each in group]
        if len(set(ids)) != len(ids):
            raise ValueError("an id stands twice")
    _sound(made)
    return made


def override(base: Assumptions, values: Mapping[str, float]) -> Assumptions:
    """``base`` with other parameters: ``money.twd_per_usd`` → 31.5. Raises BadRequestError."""
    made = base
    for name, value in values.items():
        group, _, key = name.partition(".")
        section = getattr(made, group, None) if group in {"money", "labour", "own", "batch"} else None
        if section is None or key == "source" or key not in section.__struct_fields__:
            raise BadRequestError(
                f"There is no parameter {name!r}.",
                hint=f"Parameters are {', '.join(parameters(base))}.",
            )
        if key == "months":
            value = int(value)  # noqa: PLW2901 - a count, unlike the others
        made = msgspec.structs.replace(made, **{group: msgspec.structs.replace(section, **{key: value})})
    try:
        _sound(made)
    except ValueError as error:
        raise BadRequestError(f"{error}.", hint="See `nearfar advise --help`.") from error
    return made


def parameters(base: Assumptions) -> dict[str, float]:
    """Every parameter that ``override`` takes, with its value."""
    return {
        f"{group}.{key}": getattr(getattr(base, group), key)
        for group in ("money", "labour", "own", "batch")
        for key in getattr(base, group).__struct_fields__
        if key != "source"
    }


def _sound(made: Assumptions) -> None:
    for name, value in parameters(made).items():
        if not math.isfinite(value) or value < 0:
            raise ValueError(f"{name} must be a number that is not negative, not {value}")
    for name, value, most in (
        ("own.resale", made.own.resale, 1.0),
        ("batch.discount", made.batch.discount, 1.0),
    ):
        if value > most:
            raise ValueError(f"{name} is a share and at most {most:g}, not {value}")
    if made.money.twd_per_usd == 0 or made.own.months == 0:
        raise ValueError("money.twd_per_usd and own.months must be more than nothing")
    if made.own.pue < 1:
        raise ValueError(f"own.pue is at least 1, not {made.own.pue}")


def _found(what: str, id: str, known: Mapping[str, Named]) -> Named:
    if id in known:
        return known[id]
    near = nearest(id, known) or list(known)
    raise NotFoundError(
        f"There is no {what} {id!r}.",
        code=f"unknown_{what.replace(' ', '_')}",
        hint=f"Did you mean {', '.join(near)}? All of them: nearfar advise --list",
    )
