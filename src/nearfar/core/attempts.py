"""What the ledger knows of an attempt: one record before its bytes leave, one at its end. No storage here."""

from __future__ import annotations

import msgspec

from nearfar.core.chat import Usage


class Begin(msgspec.Struct, frozen=True, kw_only=True, tag="begin", tag_field="k", omit_defaults=True):
    """Written before the first byte leaves."""

    attempt: str
    request: str
    at: int
    """Nanoseconds since the epoch."""
    parent: str = ""
    """The attempt this one follows (a retry, a failover); empty for the first."""
    purpose: str = "serve"
    operation: str = "chat"
    caller: str = ""
    route: str = ""
    asked: str = ""
    """The model the client asked for."""
    deployment: str
    provider: str
    model: str
    place: str
    class_: str = msgspec.field(name="class")
    decision: str
    reason: str = ""
    """Why this candidate: the decision's words."""
    price: str = ""
    """Id of the price row; empty when no price is known."""
    bound: int | None = None
    """Upper bound of the cost in nano-USD; None when no price is known."""
    input_estimate: int = 0
    stream: bool = False
    deviations: tuple[str, ...] = ()
    """What was changed on the way out: ``failover``, ``dropped:seed``, …"""


class End(msgspec.Struct, frozen=True, kw_only=True, tag="end", tag_field="k", omit_defaults=True):
    """Written when the attempt is over, however it ended."""

    attempt: str
    at: int
    outcome: str
    """``ok``, ``error``, ``cut``, ``cancelled``."""
    status: int = 0
    """The upstream's HTTP status; 0 when none came."""
    error: str = ""
    """The error's code; never its text, which may hold content."""
    usage: Usage | None = None
    cost: int | None = None
    """Nano-USD; None when price or usage is unknown."""
    finish: str = ""
    answered: str = ""
    """The model that the upstream says answered."""
    first_byte_ms: float | None = None
    total_ms: float = 0.0
    deviations: tuple[str, ...] = ()
