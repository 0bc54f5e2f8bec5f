"""What ``advise`` compares with and assumes beside costs, read from data/advise.toml. It decides nothing."""

from __future__ import annotations

import datetime as dt
import functools
import math
from pathlib import Path
from typing import Literal

import msgspec

from nearfar.catalog.models import Model
from nearfar.core.data import decode

Quality = Literal["simple", "solid", "best"]
"""Sorting and short drafts · everyday work · as good as can be had."""


class Sizes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Billions of parameters that stand for a demand."""

    simple: float
    solid: float


class Clouds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PROVIDER/MODEL for a demand."""

    simple: str
    solid: str
    best: str


class Cascade(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Trying near first."""

    escalated: float
    """Share of the calls that go on to the cloud."""
    source: str


class Peaks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long peaks last."""

    share: float
    """Of the hours with calls, those that are as busy as the busiest."""
    source: str


class Margin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much cheaper a way must be to be told apart from a simpler one."""

    share: float
    source: str


class Interactive(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a person waits."""

    tokens_per_second: float
    source: str


class Tokenizer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tokens for one Chinese character, from and to."""

    families: tuple[str, ...]
    models: tuple[str, ...] = ()
    """Models of other families that use it."""
    low: float
    high: float


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    date: dt.date
    generations: tuple[str, ...]
    """Families of open models, the newest first."""
    clouds: Clouds
    sizes: Sizes
    cascade: Cascade
    peaks: Peaks
    interactive: Interactive
    margin: Margin
    tokenizer: tuple[Tokenizer, ...]

    def cloud(self, quality: Quality) -> str:
        """PROVIDER/MODEL to compare with."""
        found: str = getattr(self.clouds, quality)
        return found

    def least(self, quality: Quality) -> float:
        """Parameters that a near model should have; where only the best will do, a solid one stands before a cloud."""
        return (self.sizes.simple if quality == "simple" else self.sizes.solid) * 1e9

    def generation(self, model: Model) -> int:
        """How new the family is: 0 is the newest."""
        known = self.generations
        return known.index(model.family) if model.family in known else len(known)

    def tokens_per_character(self, model: Model) -> Tokenizer | None:
        """For Chinese text; None where nothing is known."""
        return next((each for each in self.tokenizer if model.family in each.families or model.id in each.models), None)


@functools.cache
def shipped() -> Rules:
    """The rules that come with nearfar, read once."""
    return load((Path(__file__).parent / "data" / "advise.toml").read_bytes())


def load(text: bytes) -> Rules:
    """Read rules strictly. Raises ValueError."""
    return decode(text, Rules, "not a file of rules")


def weight(model: Model) -> float:
    """Parameters as they count for quality: experts that rest count less than those that compute."""
    return math.sqrt(model.parameters * model.active)
