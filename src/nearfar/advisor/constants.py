"""The fitted constants of speed, read from data/speed.toml. It knows no formula that uses them."""

from __future__ import annotations

import datetime as dt
import functools
from pathlib import Path

import msgspec

from nearfar.catalog.hardware import Device
from nearfar.core.data import decode


class Rates(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a class of devices, or an engine, reaches of the figures; see the head of the file."""

    id: str
    kinds: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    eta: float
    eta_plain: float = 0
    layer_us: float
    ops: float = 0
    """Shader operations for each weight of a K or IQ type; 0: they are never what a token waits for."""
    prefill: float
    prefill_plain: float = 0
    low: float
    high: float
    prefill_low: float = 0.6
    prefill_high: float = 1.5


class Span(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Shares of a roofline."""

    low: float
    value: float
    high: float
    answer_us: float = 0
    """Besides, microseconds of the engine's own program for each token that it answers: fast devices wait for it."""


class Share(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one engine comes to of the roofline."""

    id: str
    dense: Span
    moe: Span


class Serving(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For many users at once."""

    bandwidth: float
    compute: float
    reserve_gb: float
    two_or_more: float
    kinds: dict[str, float]
    engine: tuple[Share, ...]

    def span(self, engine: str, *, moe: bool) -> Span:
        """The share of ``engine``; of the last one for engines that are not listed."""
        share = next((each for each in self.engine if each.id == engine), self.engine[-1])
        return share.moe if moe else share.dense


class Constants(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    date: dt.date
    source: str
    cache_eta: float
    simple_ops: float
    """Of ``ops``, what types of blocks of 32 take."""
    moe_layer: float
    moe_low: float
    moe_high: float
    moe_prefill: float
    classes: tuple[Rates, ...] = msgspec.field(name="class")
    engine: tuple[Rates, ...]
    serving: Serving

    def rates(self, device: Device, engine: str) -> Rates:
        """What ``engine`` reaches on ``device``."""
        for each in self.engine:
            if each.id == engine:
                return each
        by_kind = [each for each in self.classes if device.kind in each.kinds]
        for each in (*(each for each in self.classes if device.id in each.ids), *by_kind):
            return each
        return next(each for each in self.classes if each.id == "unified")


def load(text: bytes) -> Constants:
    """Read the file strictly; ValueError says what is wrong."""
    return decode(text, Constants, "not a file of speed constants")


@functools.cache
def shipped() -> Constants:
    """The constants that come with nearfar."""
    return load((Path(__file__).parent / "data" / "speed.toml").read_bytes())
