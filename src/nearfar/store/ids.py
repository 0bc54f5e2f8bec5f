"""Time-ordered ids: sortable by creation, unique across processes, hard to guess. It remembers none of them."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Iterator

_POOL = 256
"""Random parts drawn from the system at once: one system call for many ids."""
_FIRST = 1 << 48
"""The smallest time with 13 hexadecimal digits (February 1979), so that all ids are equally long."""


class Ids:
    """Makes ids: ``prefix``, 13 hexadecimal digits of time, 16 of randomness.

    The time counts units of 1.024 µs since the epoch and never repeats or goes back within one object, so ids made
    by one thread sort in the order they were made, also when the clock is set back. 64 random bits keep ids of
    different processes apart and make one useless for guessing the next. A forked child draws its own.
    """

    __slots__ = ("__weakref__", "_clock", "_entropy", "_last", "_parts")

    def __init__(self, clock: Callable[[], int] = time.time_ns, entropy: Callable[[int], bytes] = os.urandom) -> None:
        self._clock = clock
        self._entropy = entropy
        self._last = _FIRST
        self._parts: Iterator[str] = iter(())
        weak = weakref.ref(self)

        def forget() -> None:
            ids = weak()
            if ids is not None:
                ids._parts = iter(())  # noqa: SLF001 - its own object, reached weakly

        os.register_at_fork(after_in_child=forget)

    def new(self, prefix: str = "") -> str:
        """A fresh id."""
        now = self._clock() >> 10
        if now <= self._last:
            now = self._last + 1
        self._last = now
        # hex() costs half of what formatting does, and this runs several times per request.
        return prefix + hex(now)[2:] + (next(self._parts, "") or self._refill())  # noqa: FURB116

    def _refill(self) -> str:
        drawn = self._entropy(8 * _POOL).hex()
        parts = iter([drawn[start : start + 16] for start in range(0, len(drawn), 16)])
        self._parts = parts
        return next(parts)
