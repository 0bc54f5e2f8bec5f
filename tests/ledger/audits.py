"""Records and chains for the tests of the audit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from nearfar.ledger.audit import Audit
from nearfar.ledger.audit_records import Attempted, Entry, Opened, Refused, Replied, from_line
from nearfar.ledger.segments import listing
from nearfar.store.ids import Ids

OPENED = Opened(process=1, version="1", policy="team", policy_version="v1", demanded="internal", detectors="d1")
ATTEMPT = Attempted(
    request="req-1",
    attempt="att-1",
    caller="key-1",
    route="auto",
    operation="chat",
    purpose="serve",
    class_="internal",
    reasons=("internal: default",),
    decision="dec-1",
    policy="team",
    policy_version="v1",
    detectors="d1",
    kinds={},
    unknown=0,
    harmless=0,
    guard="",
    deployment="near",
    provider="p",
    model="m",
    place="device",
    host="127.0.0.1",
    treatment="clear",
    masks=0,
    bytes=2,
    body_hash="0" * 64,
)
REFUSED = Refused(
    request="req-2",
    caller="",
    route="auto",
    class_="restricted",
    reasons=(),
    decision="dec-2",
    policy="team",
    policy_version="v1",
    detectors="d1",
    kinds={"medical.x": 1},
    unknown=0,
    harmless=0,
    guard="",
    code="pii_blocked",
)


REPLIED = Replied(
    request="req-1",
    attempt="att-1-1",
    caller="key-1",
    route="auto",
    class_="restricted",
    decision="dec-1",
    policy="test",
    policy_version="p1",
    detectors="d1",
    deployment="far",
    place="cloud",
    action="redact",
    kinds={"email": 2},
)


def attempt(**more: Any) -> Attempted:
    """An attempt, with some of it another way."""
    return msgspec.structs.replace(ATTEMPT, **more)


def clock(*, start: int = 1_000, step: int = 1) -> Callable[[], int]:
    """A clock that ticks at every look."""
    now = [start - step]

    def tick() -> int:
        now[0] += step
        return now[0]

    return tick


def audit(folder: Path, **more: Any) -> Audit:
    """A writer of its own."""
    opened = more.pop("opened", OPENED)
    return Audit(folder, Ids(), opened, **{"clock": clock(), **more})


def chain(folder: Path, *bodies: Attempted | Refused | Replied, close: bool = True, **more: Any) -> str:
    """Writes a whole chain; returns its writer."""
    made = audit(folder, **more)
    made.start()
    for body in bodies:
        made.submit(body).result(10)
    if close:
        made.close()
    return made.writer


def entries(folder: Path, writer: str) -> list[Entry]:
    """What the files of ``writer`` hold, line by line."""
    data = b"".join(path.read_bytes() for path in listing(folder)[writer])
    return [from_line(line)[0] for line in data.splitlines()]


def file(folder: Path, writer: str) -> Path:
    """The first file of ``writer``."""
    return listing(folder)[writer][0]
