"""What a learned router is to whoever decides: it says what going far is expected to gain. It knows no deployment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from nearfar.core.outcome import Outcome


class Gain(msgspec.Struct, frozen=True, kw_only=True):
    """What a router says about one prompt."""

    gap: float
    """Expected quality far less quality near, -1 to 1."""
    novel: bool
    """Whether the prompt is unlike everything that it was fitted on."""
    trusted: bool
    """Whether it was fitted on enough, and the prompt is not novel."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a router in use does. Losses are shares of quality, 0 to 1."""

    route: str
    mode: str
    """``observe``, ``canary`` or ``on``."""
    share: float
    """How likely it decides a conversation."""
    labels: int
    """Prompts that it was fitted on."""
    trusted: bool
    """Whether those are enough to follow it."""
    threshold: float | None
    """The gap up to which near goes first now; None: nothing stays near."""
    begun: float
    """The threshold that the configuration or its certificate says."""
    loss: float | None = None
    """The promised mean loss; None where nothing is promised."""
    confidence: float | None = None
    certified: str = ""
    """Day of the certificate."""
    seen: int = 0
    """Judged requests that counted."""
    kept: int = 0
    """Of them, those within the threshold."""
    lost: float | None = None
    """Their mean loss as they would be with the threshold, all that counted included; None while there are none."""
    evidence: float = 1.0
    """The e-value against the promise since the last alarm."""
    alarm_at: float = 0.0
    """The e-value that is an alarm."""
    alarms: int = 0
    alarmed: str = ""
    """When the last alarm was, ISO 8601 in UTC; empty: never."""
    recommended: str = ""
    """The mode that the evidence speaks for."""


class Learned(Protocol):
    """A router on one route. ``expect`` and ``threshold`` are for the event loop, all else may block."""

    mode: str
    share: float
    embeds: int
    """Numbers of the embedding that it needs; 0: none."""

    def expect(self, prompt: str, embedding: Sequence[float] | None = None) -> Gain:
        """What it says about ``prompt``. Raises ValueError for an embedding of another size."""
        ...

    @property
    def threshold(self) -> float | None:
        """The gap up to which near goes first, as last read; None: nothing stays near."""
        ...

    def refresh(self) -> None:
        """Read again what other processes have learned about its promise. Raises StoreUnavailable."""
        ...

    def hear(self, outcome: Outcome) -> bool:
        """Take one judged request into account, for good; whether it raised an alarm. Raises StoreUnavailable."""
        ...

    def standing(self) -> Standing:
        """How it does, as last read."""
        ...
