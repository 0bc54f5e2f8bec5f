"""What ``route explain`` says of time and money: learned from a running gateway, or assumed, and which of both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from nearfar.cli import output
from nearfar.core.errors import NearfarError
from nearfar.core.money import usd
from nearfar.settings.load import Loaded

if TYPE_CHECKING:  # the gateway's room is only needed when the command runs
    from nearfar.build import Gateway
    from nearfar.core.routing import Expected, Ranked
    from nearfar.gateway.load import Known


def learned(loaded: Loaded) -> tuple[list[Known], str]:
    """What a running gateway has measured, and its address; nothing where none answers, or it does not say."""
    from nearfar.cli.session import running_gateway
    from nearfar.gateway.load import Known

    try:
        gateway = running_gateway(loaded, "")
        if gateway is None:
            return [], ""
        return msgspec.convert(gateway.get("/nearfar/v1/ps").get("loads", []), list[Known]), gateway.url
    except (NearfarError, msgspec.ValidationError):
        return [], ""


def believe(gateway: Gateway, known: Sequence[Known]) -> None:
    """Have ``gateway`` know what another one has measured."""
    targets = gateway.fleet.snapshot.targets
    for item in known:
        if item.deployment in targets:
            gateway.loads.adopt(targets[item.deployment].deployment, item)


def described(expected: Expected | None) -> dict[str, object] | None:
    """Of one candidate: times in seconds, money in nano-USD, and what it rests on."""
    if expected is None:
        return None
    found: dict[str, object] = msgspec.structs.asdict(expected)
    found["basis"] = "measured" if expected.samples else "assumed"
    return found


def show(ranked: Sequence[Ranked], where: str) -> None:
    """A table of what is expected of each candidate. ``where``: the gateway that measured it; empty for none."""
    rows: list[tuple[object, ...]] = []
    for item in ranked:
        expected = item.expected
        if expected is not None:
            name = item.candidate.deployment.name
            busy = f"{expected.in_flight} + {expected.queued}"
            price = usd(expected.price)
            times = (expected.wait, expected.first, expected.total)
            rows.append((name, busy, *(f"{seconds:.1f} s" for seconds in times), price, basis(expected)))
    if not rows:
        return
    output.line()
    output.table(
        ("EXPECTED OF", "BUSY + QUEUE", "WAIT", "FIRST WORD", "END", "PRICE", "BASIS"),
        rows,
        right=(1, 2, 3, 4),
        drop=("BUSY + QUEUE", "END", "PRICE"),
    )
    output.note(f"Measured by {where}." if where else "No gateway answers here: speeds are assumed from the place.")


def basis(expected: Expected) -> str:
    """What a prediction rests on, and how far such ones were off."""
    if not expected.samples:
        return "assumed"
    off = "" if expected.error is None else f", \u00b1{expected.error:.0%}"
    return f"{expected.samples} attempts{off}"
