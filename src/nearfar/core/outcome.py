"""How both answers to one request were scored: what online learning hears of it. It holds no content."""

from __future__ import annotations

from typing import Literal

import msgspec


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """A near and a far answer to the same request, with what is needed to learn from the pair."""

    request: str
    """Id of the request."""
    route: str
    privacy: str
    """The request's class."""
    near: float
    """What the near answer is worth, 0 to 1; higher is better."""
    far: float
    """What the far answer is worth, on the same scale."""
    propensity: float
    """How likely it was that this pair would be scored, given what was answered near; above 0, at most 1."""
    score: float | None
    """The gap that the learned router expected when it was decided; None where it was not asked."""
    served: Literal["near", "far"]
    """Whose answer the client got."""
    trusted: bool
    """Whether whoever scored them agrees with the anchors."""
