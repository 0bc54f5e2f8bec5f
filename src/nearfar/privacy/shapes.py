"""Places with digits, and which rules could match at a place of such a shape. It knows no value.

A shape is what a place looks like when every digit is a 0 and every letter an A. Values differ, their shapes seldom:
what a shape allows is asked once and remembered.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from nearfar.privacy.patterns import OTHER
from nearfar.privacy.rules import Rule

Entry = TypeVar("Entry")

_BETWEEN = "[-/. ()年月]"
CLUSTER = re.compile(f"[0-9]{_BETWEEN}{{0,3}}+[0-9]{_BETWEEN}{{0,3}}+[0-9][0-9]*+(?:{_BETWEEN}{{1,3}}+[0-9]++)*+")
"""Three or more digits, with a little between them: every identifier that is made of digits has such a place."""
AHEAD, AFTER = 2, 1
"""Characters before a place and after it that belong to its shape."""
LONGEST = 64
"""Places longer than this are shapes of their own, which nobody remembers."""
ENTRIES = 16_384
"""Shapes remembered."""
FEW = 3
"""Places at which a rule may begin that are worth being tried one by one."""
_DIGITS, _LETTERS = frozenset(string.digits), frozenset(string.ascii_letters)
SHAPE = bytes.maketrans(
    (string.digits + string.ascii_letters).encode(), b"0" * len(string.digits) + b"A" * len(string.ascii_letters)
)


class Shapes(Generic[Entry]):
    """Rules for digits, by the shapes at which they could match. Any number of threads may ask."""

    def __init__(
        self,
        these: Sequence[Rule],
        entry: Callable[[int, str, tuple[int, ...] | None], Entry],
        others: Sequence[Rule] = (),
    ) -> None:
        """``entry`` makes what stands for one of ``these`` (by its index) at places of a shape, of which it gets the
        signs, and ``begins``. Of the ``others`` it is only told whether they could match.
        """
        self._these = these
        self._entry = entry
        self._others = others
        self._known: dict[bytes, tuple[tuple[Entry, ...], int]] = {}

    def places(self, text: str) -> list[tuple[int, int, tuple[tuple[Entry, ...], int]]]:
        """(Start, end, (the rules that could match there, a bit for each of the others)) of each place with digits."""
        clusters = [match.span() for match in CLUSTER.finditer(text)]
        if not clusters:
            return []
        shape = b" " * AHEAD + text.encode("ascii", "replace").translate(SHAPE) + b" " * AFTER
        known = self._known
        found = []
        for start, end in clusters:
            key = shape[start : end + AHEAD + AFTER]
            found.append((start, end, known[key] if key in known else self._fits(key)))
        return found

    def _fits(self, key: bytes) -> tuple[tuple[Entry, ...], int]:
        long = len(key) - AHEAD - AFTER
        signs = key.decode()
        fits = []
        for index, rule in enumerate(self._these):
            if long >= rule.row.digits and (rule.core is None or long > LONGEST or rule.core.search(key)):
                begin = begins(rule, signs)
                if begin is None or begin:
                    fits.append(self._entry(index, signs, begin if begin is None or len(begin) <= FEW else None))
        bits = 0
        for index, rule in enumerate(self._others):
            if long >= rule.row.digits and begins(rule, signs) != ():
                bits |= 1 << index
        found = (tuple(fits), bits)
        if long <= LONGEST:
            if len(self._known) >= ENTRIES:
                self._known.clear()
            self._known[key] = found
        return found


def begins(rule: Rule, signs: str) -> tuple[int, ...] | None:
    """Where a match may begin in a place of this shape, counted from the start of the place; None for anywhere."""
    long = len(signs) - AHEAD - AFTER
    if rule.lead > AHEAD or long > LONGEST:
        return None
    return tuple(
        at
        for at in range(-rule.lead, long)
        if _may(signs[AHEAD + at], rule.first) and not (AHEAD + at and _must(signs[AHEAD + at - 1], rule.barred))
    )


def _may(sign: str, chars: frozenset[str]) -> bool:
    """Whether one of ``chars`` has this sign."""
    if sign == "?" and OTHER in chars:
        return True
    return not chars.isdisjoint({"0": _DIGITS, "A": _LETTERS}.get(sign, sign))


def _must(sign: str, chars: frozenset[str]) -> bool:
    """Whether all that has this sign is in ``chars``."""
    return sign != "?" and chars.issuperset({"0": _DIGITS, "A": _LETTERS}.get(sign, sign))
