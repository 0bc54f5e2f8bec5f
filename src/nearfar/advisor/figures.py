"""A predicted number with its range and what it rests on. It knows no formula."""

from __future__ import annotations

import msgspec


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """``value`` is the best guess; measurements are expected between ``low`` and ``high``."""

    low: float
    value: float
    high: float
    basis: str
    """Formula or measurement, and for whom it was fitted."""

    def times(self, factor: float, basis: str = "") -> Figure:
        """The figure scaled, with its range."""
        return Figure(
            low=self.low * factor, value=self.value * factor, high=self.high * factor, basis=basis or self.basis
        )


def exact(value: float, basis: str) -> Figure:
    """A number that is counted, not guessed."""
    return Figure(low=value, value=value, high=value, basis=basis)


def spread(value: float, low: float, high: float, basis: str) -> Figure:
    """``value`` with a range of ``low`` to ``high`` times it."""
    return Figure(low=value * low, value=value, high=value * high, basis=basis)


def total(parts: list[Figure], basis: str) -> Figure:
    """The sum. Errors of parts are taken to go the same way: a wide range beats a wrong one."""
    return Figure(
        low=sum(part.low for part in parts),
        value=sum(part.value for part in parts),
        high=sum(part.high for part in parts),
        basis=basis,
    )
