"""Places with digits, and which rules could match at a place of such a shape. It knows no value.

A shape is what a place looks like when every digit is a 0 and every letter an A. Values differ, their shapes seldom:
what a shape allows is asked once and remembered.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

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
SHAPE = bytes.maketrans(
    (string.digits + string.ascii_letters).encode(), b"0" * len(string.digits) + b"A" * len(string.ascii_letters)
)


class Shapes(Generic[Entry]):
    """Rules for digits, by the shapes at which they could match. Any number of threads may ask."""

    def __init__(self, these: Sequence[Rule], entry: Callable[[int, str], Entry]) -> None:
        """``entry`` makes what stands for a rule (by its index) at places of a shape, of which it gets the signs."""
        self._these = these
        self._entry = entry
        self._known: dict[bytes, tuple[Entry, ...]] = {}

    def places(self, text: str) -> list[tuple[int, int, tuple[Entry, ...]]]:
        """(Start, end, the rules that could match there) of each place with digits."""
        clusters = [match.span() for match in CLUSTER.finditer(text)]
        if not clusters:
            return []
        shape = b" " * AHEAD + text.encode("ascii", "replace").translate(SHAPE) + b" " * AFTER
        known = self._known.get
        found = []
        for start, end in clusters:
            key = shape[start : end + AHEAD + AFTER]
            fits = known(key)
            found.append((start, end, self._fits(key) if fits is None else fits))
        return found

    def _fits(self, key: bytes) -> tuple[Entry, ...]:
        long = len(key) - AHEAD - AFTER
        signs = key.decode()
        fits = tuple(
            self._entry(index, signs)
            for index, rule in enumerate(self._these)
            if long >= rule.row.digits and (rule.core is None or long > LONGEST or rule.core.search(key))
        )
        if long <= LONGEST:
            if len(self._known) >= ENTRIES:
                self._known.clear()
            self._known[key] = fits
        return fits
