"""Hears the answers to one request that may be learned from. It changes, holds back and keeps nothing.

What cannot be compared as plain words (calls of tools, a reply in two halves, one that is too long) makes no pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from nearfar.core.chat import Chunk
from nearfar.core.routing import Deployment
from nearfar.gateway.cascade_hearing import Hearing
from nearfar.policy.cascade import Answer

MOST = 128 * 1024
"""Bytes of an answer's words; pairs with a longer one are not kept."""
MOST_RAW = 4 * 1024 * 1024
"""Bytes of a reply that are heard: each word of a stream comes with some two hundred."""


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer, and who gave it."""

    deployment: Deployment
    answer: Answer


class Both(msgspec.Struct, frozen=True, kw_only=True):
    """A near and a far answer to the same, and whose the client got."""

    near: Heard
    far: Heard
    served: Literal["near", "far"]


class Notes:
    """What was answered to one request. ``drawn``: it was sampled, whatever was answered."""

    __slots__ = ("_deployment", "_hearing", "_size", "drawn", "near", "taken")

    def __init__(self, *, drawn: bool) -> None:
        self.drawn = drawn
        self.near: Heard | None = None
        """A near answer that a cascade held."""
        self.taken = False
        """Whether somebody has made a pair of it."""
        self._deployment: Deployment | None = None
        self._hearing: Hearing | None = None
        self._size = 0

    def begin(self, deployment: Deployment, *, goes_on: bool) -> None:
        """An attempt begins whose reply the client gets. ``goes_on``: it continues another one's words."""
        self._deployment = deployment
        self._hearing = None if goes_on else Hearing()
        self._size = 0

    def hear(self, chunks: Sequence[Chunk]) -> None:
        """Hear chunks as the client gets them. Never raises: nobody's reply may fail of being heard."""
        hearing = self._hearing
        if hearing is None:
            return
        self._size += sum(len(chunk.raw) for chunk in chunks)
        if self._size > MOST_RAW:
            self._hearing = None
            return
        hearing.hear(chunks)

    def held(self, deployment: Deployment, hearing: Hearing) -> None:
        """A near answer is held and judged; the client may get it or not."""
        self.near = heard(deployment, hearing)

    def kept(self) -> None:
        """The near answer that was held goes out, whatever was tried after it."""
        self._deployment = self._hearing = None

    def both(self, other: Heard | None = None) -> Both | None:
        """Both answers, where there are two whole ones, one near and one far. ``other``: that of a shadow."""
        served = None
        if self._deployment is not None:
            served = None if self._hearing is None else heard(self._deployment, self._hearing)
            if served is None:
                return None
        found = [item for item in (served or self.near, other) if item is not None]
        if served is not None and self.near is not None:
            found.insert(1, self.near)
        if not found:
            return None
        first = found[0]
        second = next((item for item in found[1:] if _near(item) is not _near(first)), None)
        if second is None:
            return None
        if _near(first):
            return Both(near=first, far=second, served="near")
        return Both(near=second, far=first, served="far")


def heard(deployment: Deployment, hearing: Hearing) -> Heard | None:
    """What was heard, if it is an answer in words."""
    answer = hearing.answer()
    if hearing.calls is not None or not answer.text or len(answer.text.encode("utf-8", "replace")) > MOST:
        return None
    return Heard(deployment=deployment, answer=answer)


def _near(item: Heard) -> bool:
    return item.deployment.place.near
