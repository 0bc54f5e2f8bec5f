"""Where the policy demands a record, nothing leaves without one."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from nearfar.core.chat import Request
from nearfar.core.errors import AuditUnavailable
from nearfar.core.places import Class, Place
from nearfar.core.routing import Candidate, Decision, Deployment, Ranked
from nearfar.gateway.witness import Witness
from nearfar.ledger import audit_read
from nearfar.ledger.audit import Audit
from nearfar.ledger.audit_records import Attempted, Entry, Opened, Refused
from nearfar.policy.classify import Seen
from nearfar.store.ids import Ids

OPENED = Opened(process=1, version="0", policy="p", policy_version="1", demanded="internal", detectors="d")
REQUEST = Request(id="req-1", wire="openai.chat", operation="chat", model="m", body=b"{}", fields={})
SEEN = (
    Seen(kinds={"email": 1, "card": 2}, unknown=1),
    Seen(part="history", kinds={"card": 1}, harmless=3),
)


def ranked(place: Place) -> Ranked:
    deployment = Deployment(name="d", provider="p", model="m", wire="openai.chat", base_url="http://x", place=place)
    return Ranked(candidate=Candidate(deployment=deployment), reason="first")


def decision(*, audit: bool = True) -> Decision:
    return Decision(
        id="dec-1",
        route="auto",
        strategy="local-first",
        policy="team",
        class_=Class.INTERNAL,
        class_reason="default",
        furthest=Place.CLOUD,
        ranked=(),
        rejected=(),
        audit=audit,
    )


async def leave(witness: Witness, place: Place = Place.CLOUD, *, audit: bool = True) -> None:
    await witness.leaving(
        REQUEST, decision(audit=audit), ranked(place), SEEN, attempt="att-1", host="h", body=b"secret body"
    )


def bodies(folder: Path) -> list[object]:
    found: list[object] = []
    audit_read.verify(folder, visit=lambda *seen: found.extend(item.body for item in seen if isinstance(item, Entry)))
    return found


def test_the_record_is_there_when_the_bytes_may_leave(tmp_path: Path) -> None:
    async def scenario() -> None:
        audit = Audit(tmp_path, Ids(), OPENED)
        witness = Witness(audit, "detectors-1")
        await leave(witness)
        found = [body for body in bodies(tmp_path) if isinstance(body, Attempted)]
        assert [(body.kinds, body.unknown, body.harmless) for body in found] == [({"card": 3, "email": 1}, 1, 3)]
        assert (found[0].detectors, found[0].bytes, found[0].place) == ("detectors-1", 11, "cloud")
        witness.turned_away(REQUEST, decision(), SEEN, "pii_blocked")
        audit.close()
        assert [body.code for body in bodies(tmp_path) if isinstance(body, Refused)] == ["pii_blocked"]
        assert b"secret body" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())

    asyncio.run(scenario())


def test_what_stays_near_is_on_record_and_nobody_waits_for_it(tmp_path: Path) -> None:
    proceed = threading.Event()

    def hang(fd: int) -> None:
        proceed.wait(10)
        os.fsync(fd)

    async def scenario() -> None:
        audit = Audit(tmp_path, Ids(), OPENED, sync=hang)
        await leave(Witness(audit), Place.LAN)
        assert not [body for body in bodies(tmp_path) if isinstance(body, Attempted)]
        proceed.set()
        audit.close()
        assert [body.place for body in bodies(tmp_path) if isinstance(body, Attempted)] == ["lan"]

    asyncio.run(scenario())


def test_what_needs_no_record_leaves_none(tmp_path: Path) -> None:
    async def scenario() -> None:
        audit = Audit(tmp_path, Ids(), OPENED)
        await leave(Witness(audit), audit=False)
        Witness(audit).turned_away(REQUEST, decision(audit=False), (), "x")
        audit.close()
        assert not [body for body in bodies(tmp_path) if isinstance(body, Attempted | Refused)]

    asyncio.run(scenario())


def test_without_an_audit_nothing_leaves() -> None:
    with pytest.raises(AuditUnavailable, match="keeps none"):
        asyncio.run(leave(Witness()))
    asyncio.run(leave(Witness(), Place.LAN))


def test_a_disk_that_refuses_keeps_it_from_leaving(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    async def scenario() -> None:
        audit = Audit(tmp_path / "file" / "below", Ids(), OPENED, wait=2.0)
        with pytest.raises(AuditUnavailable):
            await leave(Witness(audit))
        await leave(Witness(audit), Place.DEVICE)
        audit.close()

    asyncio.run(scenario())
